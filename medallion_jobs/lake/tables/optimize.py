"""Small data files put together by Delta's OPTIMIZE, when there are many of them.

Such a commit changes no row (`dataChange` is false): streams and change feeds that read the
table pass over it.
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
# The version at which a table had nothing to be put together, by its folder and id. OPTIMIZE
# leaves no commit then, and without this it would be tried after each batch.
_NOTHING_TO_DO: dict[tuple[Location, str], int] = {}


@dataclass(frozen=True)
class Optimized:
    """What OPTIMIZE did: data files, and their bytes, taken away and put in their place."""

    files: int
    bytes: int
    files_after: int
    bytes_after: int

    def __str__(self) -> str:
        return f"optimized: {self.files:,} files became {self.files_after:,}"


def optimize_if_due(spark: SparkSession, path: Location, layout: Layout) -> str | None:
    """Optimizes a table whose files have grown by `optimize_after` since the last time.

    To be called by whoever writes the table, after a commit: a writer beside it could lose a
    race against it.

    Returns:
        What a person should know of it; None where nothing was done.
    """
    if layout.optimize_after is None or files_since(path) < layout.optimize_after:
        return None
    done = optimize(spark, path, layout)
    return str(done) if done.files else None


def optimize(spark: SparkSession, path: Location, layout: Layout) -> Optimized:
    """Puts small files together up to `target_file_size`; a clustered table is clustered."""
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
    """Data files by which a table has grown since it was optimized, or made.

    The log is read backwards, as far as it goes or to the last OPTIMIZE.
    """
    there = snapshot(path)
    if there is None:
        return 0
    since = _NOTHING_TO_DO.get((path, there.id), -1)
    grown = 0
    for version in range(there.version, since, -1):
        kinds = list(_kinds(path, version))
        if not kinds or "optimize" in kinds:
            break
        grown += kinds.count("add") - kinds.count("remove")
    return grown


def _kinds(path: Location, version: int) -> Iterator[str]:
    """What a commit's lines are, without a look into them: a commit may add a million files."""
    for line in entry(path, version) or ():
        if line.startswith('{"add":'):
            yield "add"
        elif line.startswith('{"remove":'):
            yield "remove"
        elif line.startswith('{"commitInfo":') and '"operation":"OPTIMIZE"' in line:
            yield "optimize"
        else:
            yield "other"
