"""Runs Delta's OPTIMIZE when a table has many small data files.

Its commit changes no rows (`dataChange` is false): streams and change data feeds of the table skip
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medallion_jobs.config import Layout
from medallion_jobs.lake.tables.delta_log import entry, snapshot
from medallion_jobs.lake.tables.merge import with_conf
from medallion_jobs.lake.tables.sql import table
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SIZES = ("minFileSize", "maxFileSize")
# The version at which OPTIMIZE had nothing to do, by the table's path and id. It makes no commit
# then, and without this it would run after each batch.
_NOTHING_TO_DO: dict[tuple[Location, str], int] = {}


@dataclass(frozen=True)
class Optimized:
    """The result of OPTIMIZE: number and bytes of the removed and of the added data files."""

    files: int
    bytes: int
    files_after: int
    bytes_after: int

    def __str__(self) -> str:
        return f"optimized: {self.files:,} files became {self.files_after:,}"


def optimize_if_due(spark: SparkSession, path: Location, layout: Layout) -> str | None:
    """Optimizes a table that has `optimize_after` more files than after the last OPTIMIZE.

    Only the writer of the table may call it, after a commit: a concurrent writer could fail
    with a conflict.

    Returns:
        A note for the user; None if nothing was done.
    """
    if layout.optimize_after is None or files_since(path) < layout.optimize_after:
        return None
    done = optimize(spark, path, layout)
    return str(done) if done.files else None


def optimize(spark: SparkSession, path: Location, layout: Layout) -> Optimized:
    """Compacts small files up to `target_file_size`; clusters the rows of a clustered table."""
    before = snapshot(path)
    sizes = {
        f"spark.databricks.delta.optimize.{name}": str(layout.target_file_size)
        for name in _SIZES
        if layout.target_file_size
    }
    with with_conf(spark, sizes):
        (found,) = spark.sql(f"OPTIMIZE {table(path)}").select("metrics").collect()
    metrics = found["metrics"]
    done = Optimized(
        files=metrics["numFilesRemoved"],
        bytes=metrics["filesRemoved"]["totalSize"] or 0,
        files_after=metrics["numFilesAdded"],
        bytes_after=metrics["filesAdded"]["totalSize"] or 0,
    )
    if before and not done.files:
        _NOTHING_TO_DO[path, before.id] = before.version
    return done


def files_since(path: Location) -> int:
    """How many more data files a table has than after its last OPTIMIZE, or its creation.

    Reads the log backwards to the last OPTIMIZE, or to its start.
    """
    current = snapshot(path)
    if current is None:
        return 0
    since = _NOTHING_TO_DO.get((path, current.id), -1)
    grown = 0
    for version in range(current.version, since, -1):
        kinds = list(_kinds(path, version))
        if not kinds or "optimize" in kinds:
            break
        grown += kinds.count("add") - kinds.count("remove")
    return grown


def _kinds(path: Location, version: int) -> Iterator[str]:
    """The kinds of a commit's actions, without parsing them: a commit may add a million files."""
    for line in entry(path, version) or ():
        if line.startswith('{"add":'):
            yield "add"
        elif line.startswith('{"remove":'):
            yield "remove"
        elif line.startswith('{"commitInfo":') and '"operation":"OPTIMIZE"' in line:
            yield "optimize"
        else:
            yield "other"
