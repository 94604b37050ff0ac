"""How many rows of each file a table holds, asked of the table itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.autoloader.file_entry import FileEntry, FileKey
from medallion_jobs.lake.columns import FILE_VERSION
from medallion_jobs.lake.tables import Txn, commit_of, snapshot
from medallion_jobs.storage import Location, uri
from medallion_jobs.storage.duck import connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# By a file: its rows, and a second count over them.
Counts = dict[FileKey, tuple[int, int]]


def loaded_by(
    table: Location, txn: Txn, column: str, second: str, version: str = FILE_VERSION
) -> Counts:
    """By file, what a transaction wrote, from just the data files that it added.

    A transaction that replaced rows has written those anew that lay beside them; they are
    counted under their own files.

    Args:
        column: the column that holds the file's path.
        second: a further aggregate, in SQL that DuckDB and Spark both know.
        version: the column that holds the file's version, where the table has it.
    """
    commit = commit_of(table, txn.app_id, txn.batch)
    if commit is None or not commit.added:
        return {}
    with connect(table) as duck:
        data = duck.read_parquet([uri(added.path) for added in commit.added], union_by_name=True)
        told = _version_in(data.columns, version)
        counted = data.aggregate(f"{column}, {told}, count(*), {second}", f"{column}, {told}")
        return {(path, v): (rows, other) for path, v, rows, other in counted.fetchall()}


def tells_versions(table: Location, version: str = FILE_VERSION) -> bool:
    """Whether a table has a column of its files' versions."""
    there = snapshot(table)
    return there is not None and version in there.columns


def held(
    spark: SparkSession, table: Location, column: str, second: str, version: str = FILE_VERSION
) -> Counts:
    """By file, what the whole table holds."""
    if snapshot(table) is None:
        return {}
    there = spark.read.format("delta").load(str(table))
    told = F.expr(_version_in(there.columns, version))
    counted = there.groupBy(column, told).agg(F.count(F.lit(1)), F.expr(second)).collect()
    return {(path, v): (rows, other) for path, v, rows, other in counted}


def _version_in(columns: list[str], version: str) -> str:
    """Rows from before a table told versions are all of the first."""
    return f"coalesce({version}, 1)" if version in columns else "1"


@dataclass(frozen=True)
class Older:
    """What is loaded already when a generation after the first starts, by file.

    A new generation takes up the ledger from its beginning. The tables themselves tell what
    needs no loading, also where a crash kept the ledger's events from being written.

    Attributes:
        rows: what the table holds.
        bad: what its quarantine holds.
        accounted: files whose account the ledger has; nothing of them is missing anywhere.
        archived: those of them that were moved or deleted since.
    """

    rows: Counts
    bad: Counts
    accounted: frozenset[FileKey]
    archived: frozenset[FileKey] = frozenset()

    def is_loaded(self, file: FileEntry) -> bool:
        """Whether a generation before has loaded a file."""
        return file.key in self.rows

    def has_all_of(self, file: FileEntry) -> bool:
        """Whether there is nothing left to do for a file."""
        return file.key in self.rows and file.key in self.accounted

    def lacks_bad(self, file: FileEntry) -> bool:
        """Whether a crash may have kept a loaded file's bad records from quarantine."""
        return file.key in self.rows and file.key not in self.accounted


NOTHING_OLDER = Older({}, {}, frozenset())
