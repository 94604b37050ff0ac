"""Counts the rows of each file in a table, from the table itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.autoloader.file_entry import FileEntry, FileKey
from medallion_jobs.autoloader.ledger.tables import Loaded
from medallion_jobs.lake.columns import FILE_VERSION
from medallion_jobs.lake.tables import Txn, commit_of, snapshot
from medallion_jobs.storage import Location, uri
from medallion_jobs.storage.duck import connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# By file: the number of its rows, and a second count over them.
Counts = dict[FileKey, tuple[int, int]]


def loaded_by(
    table: Location,
    txn: Txn,
    column: str,
    second: str,
    version: str = FILE_VERSION,
    *,
    needs: str | None = None,
) -> Counts:
    """The counts, by file, of the rows in the data files that a transaction added.

    A transaction that replaces rows also rewrites the other rows of their data files. These
    are counted under their own files.

    Args:
        column: the column with the file's path.
        second: a further aggregate, in SQL that DuckDB and Spark both know.
        version: the column with the file's version, if the table has one.
        needs: a column that `second` needs; without it, the second count is 0.
    """
    commit = commit_of(table, txn.app_id, txn.batch)
    if commit is None or not commit.added:
        return {}
    with connect(table) as duck:
        data = duck.read_parquet([uri(added.path) for added in commit.added], union_by_name=True)
        of_row = _version_in(data.columns, version)
        second = second if needs is None or needs in data.columns else "0"
        counted = data.aggregate(f"{column}, {of_row}, count(*), {second}", f"{column}, {of_row}")
        return {(path, v): (rows, other) for path, v, rows, other in counted.fetchall()}


def has_versions(table: Location, version: str = FILE_VERSION) -> bool:
    """Whether a table has a column with the versions of its files."""
    found = snapshot(table)
    return found is not None and version in found.columns


def counts_of_all(spark: SparkSession, table: Location, column: str, second: str) -> Counts:
    """The counts, by file, of all rows of a table."""
    if snapshot(table) is None:
        return {}
    frame = spark.read.format("delta").load(str(table))
    of_row = F.expr(_version_in(frame.columns, FILE_VERSION))
    counted = frame.groupBy(column, of_row).agg(F.count(F.lit(1)), F.expr(second)).collect()
    return {(path, v): (rows, other) for path, v, rows, other in counted}


def lines_of_last_reading(spark: SparkSession, table: Location) -> Counts:
    """By file, the records that its last reading with bad records has put into quarantine.

    A file without rows in bronze is read again by a new generation, and by
    `medallion files retry`. Its new bad records take the place of the older ones.
    """
    if snapshot(table) is None:
        return {}
    frame = spark.read.format("delta").load(str(table))
    reading = ["generation", "batch"]
    counted = frame.groupBy("file", "file_version", *reading).count().orderBy(*reading)
    return {(path, version): (count, 0) for path, version, *_, count in counted.collect()}


def _version_in(columns: list[str], version: str) -> str:
    """The SQL of a row's file version. Rows from before a table has versions are of version 1."""
    return f"coalesce({version}, 1)" if version in columns else "1"


@dataclass(frozen=True)
class Older:
    """What is already loaded when a generation after the first starts, by file.

    A new generation reads the ledger from its beginning. What needs no loading is counted in
    the tables themselves, because a crash may have kept the ledger's events from being written.

    Attributes:
        rows: the rows in the table.
        bad: for these files, the records in its quarantine. Those of files without rows are not
            among them: such a file is read again, and then has other bad records, or none.
        committed: files whose outcome is in the ledger; nothing of them is missing in a table.
        archived: those of them that were moved or deleted since.
    """

    rows: Counts
    bad: Counts
    committed: Collection[FileKey]
    archived: frozenset[FileKey] = frozenset()

    @classmethod
    def of(
        cls,
        rows: Counts,
        lines: Counts,
        committed: Mapping[FileKey, Loaded],
        archived: frozenset[FileKey],
    ) -> Older:
        """What is loaded, by the two tables and the ledger.

        Args:
            lines: the records of each file's last reading that are in quarantine.
        """
        # Other rows than in the ledger are of a later reading that was interrupted: its bad
        # records may be missing, and those of the reading before do not count.
        done = {key for key, file in committed.items() if rows.get(key, (-1, 0))[0] == file.rows}
        # A later reading may have found no bad record, and then left none in quarantine.
        counted = {key: (committed[key].bad, 0) for key in done}
        new = {key: lines[key] for key in rows if key in lines and key not in committed}
        return cls(rows, {**new, **counted}, done, archived)

    def is_loaded(self, file: FileEntry) -> bool:
        """Whether an earlier generation has loaded a file."""
        return file.key in self.rows

    def is_complete(self, file: FileEntry) -> bool:
        """Whether nothing is left to do for a file."""
        return file.key in self.rows and file.key in self.committed

    def may_lack_bad(self, file: FileEntry) -> bool:
        """Whether a crash may have kept a loaded file's bad records from quarantine."""
        return file.key in self.rows and file.key not in self.committed


NOTHING_OLDER = Older({}, {}, frozenset())
