"""Runs queries on one Spark session, once or continuously, to a clean end.

The command line, the job files under spark-submit and the tests all call `run`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from medallion_jobs.config import Pipeline, load, project
from medallion_jobs.engine import session
from medallion_jobs.engine.query import StopSwitch
from medallion_jobs.engine.stream import Stream
from medallion_jobs.engine.supervisor import Supervisor
from medallion_jobs.errors import MedallionError, TransientError
from medallion_jobs.masking import masked
from medallion_jobs.observe.events import Emit, Note, Warnings, as_json, error_as_json
from medallion_jobs.runs import Recorder, recorded

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Streams = Callable[[Pipeline], Sequence[Stream]]


def run(
    config: Pipeline,
    streams: Sequence[Stream],
    emit: Emit,
    *,
    continuous: float | None = None,
    log_level: str = "fatal",
    spark: SparkSession | None = None,
    stop: StopSwitch | None = None,
    recorder: Recorder | None = None,
) -> None:
    """Runs the queries to their end.

    Args:
        streams: in the order in which they run.
        emit: called with every event, also from Spark's threads.
        continuous: seconds between batches; None reads all available data and ends.
        log_level: the JVM's log level, if this process starts the JVM.
        spark: a session to run on, such as a notebook's. Its settings stay as they are, those of
            the config's `spark` section are not set on it, and signals are left to the caller.
            Without one, a session is made, and SIGTERM and Ctrl-C end the run after the batch.
        stop: ends the run after the batch, once another thread flips it.
        recorder: keeps the record of the run.

    Raises:
        MedallionError: a query was refused or failed; the exit code differs.
    """
    stop = stop or StopSwitch()
    if recorder:
        recorder.covers(stream.claim.ref for stream in streams)
        emit = recorder.listening(emit)
    warnings = Warnings(emit)
    supervisor = Supervisor(warnings.emit, stop, recorder.id if recorder else None)
    stops_all = continuous is not None and config.trigger.restart.on_give_up == "stop"
    with (
        warnings.at_the_end(),
        supervisor.admitted(streams, all_or_none=stops_all) as running,
        nullcontext() if spark else _signals_flip(stop) as take_signals,
    ):
        started = time.monotonic()
        if spark is not None:
            session.refuse_folders(config)
            spark = session.beside(spark)
        else:
            spark = session.build(
                config,
                short=continuous is None,
                log_level=log_level,
                error_log=recorder.jvm_log if recorder else None,
            )
        if take_signals is not None:
            take_signals()
        emit(Note("session", "ready", {"seconds": time.monotonic() - started}))
        if continuous is None:
            supervisor.run_once(running, spark)
            if take_signals and (note := session.prepare_next_start()):
                emit(Note("session", "note", {"about": note}))
        else:
            supervisor.run_continuously(running, spark, continuous)
    if stop.is_flipped:
        emit(Note("run", "stopped", {"why": stop.why}))
        if continuous is None and not all(query.is_done for query in running):
            raise TransientError(
                f"stopped before everything was read: {stop.why}",
                code="stopped_early",
                untouched="every batch is either complete or not visible",
                next_step="run again to continue",
            )


@contextmanager
def _signals_flip(stop: StopSwitch) -> Iterator[Callable[[], None]]:
    """SIGTERM and Ctrl-C stop the run after the current batch; a second Ctrl-C stops at once.

    Yields a function that installs the handlers again: pyspark installs its own when it creates
    a context, and that one would cancel the batch.
    """

    def ask(number: int, _: FrameType | None) -> None:
        if stop.is_flipped and number == signal.SIGINT:
            signal.default_int_handler(number, None)
        stop.flip(signal.Signals(number).name)

    def take() -> None:
        for number in before:
            signal.signal(number, ask)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    take()
    try:
        yield take
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def submitted(streams: Streams) -> None:
    """The main function of a job file: `spark-submit … JOB.py --config FILE [options]`."""
    parser = argparse.ArgumentParser(prog=Path(sys.argv[0]).name)
    parser.add_argument("--config", "-c", type=Path)
    parser.add_argument("--env", "-e", default=os.environ.get("MEDALLION_ENV"))
    parser.add_argument("--set", action="append", default=[], metavar="DOTTED.PATH=VALUE")
    parser.add_argument("--once", action="store_true", help="read all available data, then end")
    parser.add_argument(
        "--continuous",
        nargs="?",
        const=True,
        metavar="INTERVAL",
        help="run until stopped, with a batch each INTERVAL, such as 10s (trigger.interval)",
    )
    chosen = parser.parse_args()
    try:
        if isinstance(chosen.continuous, str):
            chosen.set.append(f"trigger.interval={chosen.continuous}")
        session.check_arguments()
        file = chosen.config or project.find()
        with recorded(parser.prog, file, chosen.env, chosen.set) as recorder:
            loaded = recorder.config(lambda: load(file, chosen.env, chosen.set))
            if loaded.note:
                print(loaded.note, file=sys.stderr)  # noqa: T201
            config = loaded.pipeline
            session.check_submitted(config)
            interval = config.trigger.interval.total_seconds() if chosen.continuous else None
            run(config, streams(config), _print, continuous=interval, recorder=recorder)
    except MedallionError as error:
        print(error_as_json(error), flush=True)  # noqa: T201 (a job reports on stdout and stderr)
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except Exception:
        print(masked(traceback.format_exc()), file=sys.stderr)  # noqa: T201
        sys.exit(3)


def _print(event: object) -> None:
    print(as_json(event), flush=True)  # type: ignore[arg-type]  # noqa: T201
