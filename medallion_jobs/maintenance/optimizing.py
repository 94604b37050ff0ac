"""Maintenance of the lake's tables: OPTIMIZE compacts small files, VACUUM removes unused ones.

Runs under the lock of the query that writes the table, so that it never conflicts with a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from medallion_jobs.checkpoint import Lock, QueryFolder, lock
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.engine import session
from medallion_jobs.errors import LockHeld, UsageError
from medallion_jobs.lake import paths, tables
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables.sql import table
from medallion_jobs.maintenance import readers, upkeep
from medallion_jobs.maintenance.upkeep import Upkeep
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_HOUR = timedelta(hours=1)
_FOR_VACUUM = {
    # The default starts ten thousand tasks to list a folder.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "32",
    # By default Delta ignores an age that differs from the table's own property.
    "spark.databricks.delta.vacuum.retentionWindowIgnore.enabled": "false",
    "spark.databricks.delta.retentionDurationCheck.enabled": "false",
}


def maintain(
    config: Pipeline, named: Sequence[TableRef], older_than: timedelta, *, dry_run: bool
) -> list[Upkeep]:
    """Optimizes tables and removes files that no version newer than `older_than` needs.

    Args:
        named: tables to optimize, whether it is due or not; if empty, all tables where it is due.

    Raises:
        UsageError: a named table was never written.
    """
    refs = list(named or paths.sources(config))
    missing = [str(ref) for ref in named if not tables.snapshot(TablePaths(config, ref).data)]
    if missing:
        raise UsageError(
            f"never written: {', '.join(missing)}",
            code="table_never_written",
            untouched="nothing was changed",
            next_step="medallion run",
        )
    work = _Work(config, older_than, bool(named), dry_run)
    return [done for ref in refs for done in work.on(ref)]


class _Work:
    def __init__(self, config: Pipeline, older_than: timedelta, always: bool, dry_run: bool):
        self._config, self._older_than = config, older_than
        self._always, self._dry_run = always, dry_run
        # Created on first use: if all queries are running, no JVM starts.
        self._spark: Callable[[], SparkSession] = cache(lambda: session.build(config))

    def on(self, ref: TableRef) -> Iterator[Upkeep]:
        places = TablePaths(self._config, ref)
        path = places.data
        if tables.snapshot(path) is None:
            return
        query_folder = QueryFolder.of(places)
        with ExitStack() as held:
            if lock.is_running(query_folder.lock):
                yield upkeep.skip(str(ref), path, "its query is running")
                return
            if not self._dry_run:
                try:
                    held.enter_context(Lock(query_folder.lock, str(ref)))
                except LockHeld:
                    yield upkeep.skip(str(ref), path, "its query is running")
                    return
            yield self._done(ref, path)

    def _done(self, ref: TableRef, path: Location) -> Upkeep:
        before = upkeep.skip(str(ref), path, "")
        layout = self._config.layout_of(ref)
        spark = self._spark()
        after = layout.optimize_after
        is_due = self._always or after is None or tables.files_since(path) >= after
        if is_due and not self._dry_run:
            tables.optimize(spark, path, layout)
        kept = readers.reason_to_keep(self._config, ref, self._older_than)
        removed = 0 if kept else _vacuumed(spark, path, self._older_than, dry_run=self._dry_run)
        now = upkeep.skip(str(ref), path, "")
        return Upkeep(
            table=str(ref),
            files=before.files,
            files_after=None if self._dry_run else now.files,
            bytes=before.bytes,
            bytes_after=None if self._dry_run else now.bytes,
            removed=removed,
            kept=kept,
        )


def _vacuumed(spark: SparkSession, path: Location, older_than: timedelta, *, dry_run: bool) -> int:
    """Removes unused files, or only finds them; returns their number."""
    command = f"VACUUM {table(path)} RETAIN {older_than / _HOUR:f} HOURS"
    with tables.with_conf(spark, _FOR_VACUUM):
        if dry_run:
            return spark.sql(f"{command} DRY RUN").count()
        before = _data_files(path)
        spark.sql(command).collect()
        return len(before - _data_files(path))


def _data_files(path: Location) -> set[Location]:
    log = path / "_delta_log"
    return {
        file
        for file in path.rglob("*")
        if file.suffix in (".parquet", ".bin") and log not in file.parents
    }
