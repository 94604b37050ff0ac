"""The autoloader for a Spark session of one's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from medallion_jobs.autoloader.loader import AutoLoader
from medallion_jobs.config import pipeline_from_values
from medallion_jobs.config.units import parse_time
from medallion_jobs.engine import session
from medallion_jobs.engine.query import StopSwitch
from medallion_jobs.engine.supervisor import Supervisor
from medallion_jobs.errors import UsageError
from medallion_jobs.observe.events import BatchDone, Event
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_CALLER = "autoload()"


class Loading:
    """A query that loads files, under way in a thread of its own.

    Attributes:
        table: the Delta table that it fills; None where a function takes the rows.
        batches: the batches that are done, oldest first.
    """

    def __init__(self, table: Location | None) -> None:
        self.table = table
        self.batches: list[BatchDone] = []
        self._stop = StopSwitch()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_active(self) -> bool:
        """Whether it still runs."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Ends it after the batch that is under way, and waits for that."""
        self._stop.flip("stop() was called")
        self.await_termination()

    def await_termination(self, timeout: float | None = None) -> bool:
        """Waits for its end, at most `timeout` seconds; whether it has ended.

        Raises:
            MedallionError: what it failed of.
        """
        if self._thread is not None:
            self._thread.join(timeout)
        if self._failure is not None:
            raise self._failure
        return not self.is_active

    def _start(self, loader: AutoLoader, spark: SparkSession, seconds: float | None) -> None:
        supervisor = Supervisor(loader.config.state_path, self._take, self._stop)
        with ExitStack() as held:
            # Here and not in the thread: whoever calls is to see why it was refused.
            running = held.enter_context(supervisor.admitted([loader]))
            release = held.pop_all()

        def work() -> None:
            with release:
                try:
                    if seconds is None:
                        supervisor.run_once(running, spark)
                    else:
                        supervisor.run_continuously(running, spark, seconds)
                except BaseException as failure:
                    self._failure = failure

        self._thread = threading.Thread(target=work, name=f"autoload {loader.name}", daemon=True)
        self._thread.start()

    def _take(self, event: Event) -> None:
        if isinstance(event, BatchDone):
            self.batches.append(event)


def autoload(
    spark: SparkSession,
    path: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    lake: str | PathLike[str],
    table: str,
    each_batch: Callable[[DataFrame, int], object] | None = None,
    interval: str | None = None,
    **source: Any,
) -> Loading:
    """Loads the files of a folder, each once, into a Delta table or a function.

    Its checkpoint, ledger, schema registry and quarantine are under `<lake>/_medallion`.
    Called again, it goes on where it ended.

    Args:
        spark: a session with Delta's extension and catalog; its settings are left as they are.
        path: folders the files land in, or patterns of them.
        lake: the folder of the tables; the rows go to `<lake>/bronze/<table>`.
        table: the table's name; also the query's.
        each_batch: takes each batch's rows and number in place of the table. After a crash it
            may get a batch again, with the same number and files.
        interval: go on, a batch at each such time (`10s`), until stopped; else it ends when
            the files that were there when it began are loaded.
        source: the source's options, as `bronze.NAME.source` in a pipeline's file has them.

    Raises:
        ConfigError: options that are wrong.
        UsageError: an interval that is none.
        Refused: starting would lose rows or double them.
        MedallionError: the query runs already, or the folder is not there.
    """
    folders = [path] if isinstance(path, str | PathLike) else path
    options: Mapping[str, object] = {**source, "path": [fspath(folder) for folder in folders]}
    config = pipeline_from_values(
        {
            "pipeline": "autoload",
            "storage": {"root": fspath(lake)},
            "bronze": {table: {"source": options}},
        },
        _CALLER,
    )
    if each_batch is None:
        loader = AutoLoader.to_table(config, table)
    else:
        loader = AutoLoader.to_function(config, table, each_batch)
    loading = Loading(loader.written_to if each_batch is None else None)
    seconds = None if interval is None else _seconds(interval)
    loading._start(loader, session.beside(spark), seconds)
    return loading


def _seconds(interval: str) -> float:
    try:
        return parse_time(interval).total_seconds()
    except ValueError:
        raise UsageError(
            f"{_CALLER}: interval is {interval!r}, and no time such as 500ms, 10s or 5m",
            untouched="nothing was started",
            next_step="mend the call",
        ) from None
