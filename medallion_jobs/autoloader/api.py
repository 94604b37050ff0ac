"""`autoload()`: runs the autoloader in your own Spark session."""

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
    """A query that loads files in its own thread.

    Attributes:
        table: the Delta table that it fills; None if a function takes the rows.
        batches: the finished batches, oldest first.
    """

    def __init__(self, table: Location | None) -> None:
        self.table = table
        self.batches: list[BatchDone] = []
        self._stop = StopSwitch()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_active(self) -> bool:
        """Whether the query is still running."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Stops the query after its current batch, and waits until it has stopped."""
        self._stop.flip("stop() was called")
        self.await_termination()

    def await_termination(self, timeout: float | None = None) -> bool:
        """Waits until the query ends, at most `timeout` seconds.

        Returns:
            Whether it has ended.

        Raises:
            MedallionError: the error that the query failed with.
        """
        if self._thread is not None:
            self._thread.join(timeout)
        if self._failure is not None:
            raise self._failure
        return not self.is_active

    def _start(self, loader: AutoLoader, spark: SparkSession, seconds: float | None) -> None:
        supervisor = Supervisor(self._take, self._stop)
        with ExitStack() as held:
            # Not in the thread, so that the caller gets the error if the start is refused.
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
    """Loads each file of a folder once: into a Delta table, or by calling a function.

    The checkpoint, ledger, schema registry and quarantine are under `<lake>/_medallion`.
    The next call continues where this one ended.

    Args:
        spark: a session with Delta's extension and catalog; its settings are not changed.
        path: landing folders, or patterns of landing folders.
        lake: the folder of the tables; the rows go to `<lake>/bronze/<table>`.
        table: the table's name; also the query's.
        each_batch: called with each batch's rows and number, instead of writing the table.
            After a crash it may be called again with the same number and files.
        interval: how often to start a batch (`10s`), until stopped; a query that fails for a cause
            that may pass, such as a full disk, starts again. None: load the files that exist now,
            then end.
        source: the source's options, as under `bronze.NAME.source` in a pipeline file.

    Raises:
        ConfigError: wrong options.
        UsageError: `interval` is not a time; or the JVM cannot write a folder's name.
        Refused: starting would lose or duplicate rows.
        MedallionError: the query is already running, or the folder does not exist.
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
    session.refuse_folders(config)
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
            f"{_CALLER}: interval is {interval!r}, not a time such as 500ms, 10s or 5m",
            code="invalid_interval",
            untouched="nothing was started",
            next_step="fix the call",
        ) from None
