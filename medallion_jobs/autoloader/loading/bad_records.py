"""Writes the records that cannot be parsed to quarantine, each once, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs import clock
from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.loading import account, bronze_rows
from medallion_jobs.autoloader.loading.account import Counts
from medallion_jobs.autoloader.loading.bad_line_schema import LINES
from medallion_jobs.autoloader.readers.records import Records
from medallion_jobs.config import TableRef
from medallion_jobs.lake import tables
from medallion_jobs.lake.columns import INPUT_FILE
from medallion_jobs.lake.tables import Txn
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# The characters of a record in `line`, for people: a longer one is whole in `bytes`.
LINE_LIMIT = 64 * 1024
# Second counts: the records that are kept in part, or 0.
_IN_PART, _NO_SECOND = "count_if(NOT is_whole)", "count_if(false)"


@dataclass(frozen=True)
class BadRecords:
    """The quarantine of one bronze table.

    Attributes:
        table: the bronze table's name, for the quarantine's comment.
    """

    path: Location
    table: str

    def put(
        self,
        spark: SparkSession,
        files: Sequence[FileEntry],
        records: Callable[[Sequence[FileEntry]], Records],
        txn: Txn,
        generation: int,
    ) -> Counts:
        """Appends the bad records of files, once per transaction.

        Returns:
            By file, the number of its records, and of those that are kept only in part.
        """
        self._ensure(spark)
        own = replace(txn, app_id=f"{txn.app_id}/quarantine")
        read = records(files)
        line = F.substring(F.make_valid_utf8(read.raw), 1, LINE_LIMIT)
        lines = read.frame.where(~read.good).select(
            F.col(INPUT_FILE).alias("file"),
            bronze_rows.version_of(files).alias("file_version"),
            line.alias("line"),
            read.reason.alias("reason"),
            F.lit(generation).alias("generation"),
            F.lit(txn.batch).cast("bigint").alias("batch"),
            F.lit(txn.run_id).alias("run_id"),
            F.lit(clock.now()).alias("load_time"),
            F.nullif(read.raw_bytes, line.cast("binary")).alias("bytes"),
            read.raw_bytes.isNotNull().alias("is_whole"),
        )
        tables.append(lines, self.path, own)
        # A batch from before this column may be finished now.
        return account.loaded_by(self.path, own, "file", _IN_PART, "file_version", needs="is_whole")

    def _ensure(self, spark: SparkSession) -> None:
        comment = f"Records that could not be loaded into {self.table}"
        properties = {"delta.appendOnly": "true"}
        tables.create(spark, self.path, LINES, comment=comment, properties=properties)
        tables.widen(spark, TableRef.parse(self.table), self.path, LINES)

    def of_last_reading(self, spark: SparkSession) -> Counts:
        """The counts, by file, of the records of its last reading."""
        return account.lines_of_last_reading(spark, self.path)
