"""One batch: its files into bronze, their bad lines into quarantine, each file accounted for.

The order is what makes a crash harmless. Bronze first, in one commit that carries the
batch's transaction; then quarantine, with a transaction of its own; the ledger's events
last (the caller does that), counted from what the two tables hold. A batch that is run
again after a crash skips what is there and does the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import Observation
from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)
from pyspark.sql.types import StringType, StructField, StructType, TimestampType

from medallion_jobs import tables
from medallion_jobs.autoloader import json_lines, unreadable
from medallion_jobs.autoloader.account import NOTHING_OLDER, Counts, Older, loaded_by
from medallion_jobs.autoloader.discovery import Found, to_path
from medallion_jobs.autoloader.ledger import Outcome, State
from medallion_jobs.errors import DataError
from medallion_jobs.quality.quarantine import LINES
from medallion_jobs.tables import Txn

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def bronze_schema(columns: StructType) -> StructType:
    """The columns of the files, and those that the autoloader adds."""
    return StructType(
        [
            *columns.fields,
            StructField(json_lines.RESCUED, StringType()),
            StructField("_input_file", StringType(), nullable=False),
            StructField("_load_time", TimestampType(), nullable=False),
        ]
    )


@dataclass(frozen=True)
class BatchLoad:
    """Loads the files of one batch.

    Attributes:
        schema: the columns of the files.
        target: the bronze table.
        quarantine: the table of its bad lines.
        replayed: the bronze table holds this batch already.
    """

    spark: SparkSession
    schema: StructType
    target: Path
    quarantine: Path
    txn: Txn
    generation: int
    replayed: bool
    older: Older = NOTHING_OLDER

    def run(self, files: Sequence[Found]) -> list[Outcome]:
        """Loads the files and says what became of each.

        Raises:
            DataError: lines were read that are neither in bronze nor in quarantine.
        """
        fresh = [file for file in files if file.path not in self.older.rows]
        aside = {file: told for file in fresh if (told := _at_a_glance(file))}
        readable = [file for file in fresh if file not in aside]
        lines = None if self.replayed else self._write_bronze(readable, aside)
        if lines is None:
            return self._finish_replayed(files)
        readable = [file for file in readable if file not in aside]
        unfinished = self._still_readable([file for file in files if self.older.lacks_bad(file)])
        bad = self._quarantine([*(readable if lines.bad else []), *unfinished])
        rows = loaded_by(self.target, self.txn, "_input_file", "count(_rescued_data)")
        self._balance(lines.all, readable, rows, bad)
        return self._outcomes(files, aside, rows, bad)

    def _finish_replayed(self, files: Sequence[Found]) -> list[Outcome]:
        """The table has the batch; quarantine and the account may still lack it.

        A file of which the table holds rows is loaded, whatever has become of it since.
        """
        rows = loaded_by(self.target, self.txn, "_input_file", "count(_rescued_data)")
        there = [file for file in files if not _at_a_glance(file)]
        broken = unreadable.find(self.spark, there) if there else {}
        aside = {
            file: told
            for file in files
            if file.path not in rows and file.path not in self.older.rows
            if (told := _at_a_glance(file) or _unreadable(file, broken))
        }
        there = [f for f in there if f not in broken and not self.older.has_all_of(f)]
        bad = self._quarantine(there)
        outcomes = self._outcomes(files, aside, rows, bad)
        counted = self._lines_now(there)
        return [_noting_a_change(outcome, counted) for outcome in outcomes]

    @property
    def _quarantine_txn(self) -> Txn:
        return replace(self.txn, app_id=f"{self.txn.app_id}/quarantine")

    def _write_bronze(self, files: list[Found], aside: dict[Found, Outcome]) -> Lines | None:
        """Writes the good lines; files that cannot be read are put aside, the others go on."""
        try:
            return self._append_good(files)
        except unreadable.SPARK_FAILURES:
            broken = unreadable.find(self.spark, files) if files else {}
            if not broken:
                raise
            aside |= {file: told for file in files if (told := _unreadable(file, broken))}
            return self._append_good([file for file in files if file not in aside])

    def _append_good(self, files: Sequence[Found]) -> Lines | None:
        """One pass: parse, count, write the good lines to bronze.

        Returns:
            What was read; None where the table had the batch after all.
        """
        if not files:
            # The table's transaction has to keep step with the checkpoint all the same.
            nothing = self.spark.createDataFrame([], bronze_schema(self.schema))
            return Lines(0, 0) if tables.append(nothing, self.target, self.txn) else None
        read = Observation()
        rows = (
            self._parsed(files)
            # This also keeps Spark from parsing each line twice, once for the filter and
            # once for the columns.
            .observe(
                read, F.count(F.lit(1)).alias("lines"), F.count_if(~F.col("good")).alias("bad")
            )
            .where("good")
            .select(
                *json_lines.columns(self.schema),
                "_input_file",
                F.lit(datetime.now(timezone.utc)).alias("_load_time"),
            )
        )
        if not tables.append(rows, self.target, self.txn):
            return None
        return Lines(read.get["lines"], read.get["bad"])

    def _still_readable(self, files: list[Found]) -> list[Found]:
        there = [file for file in files if not _at_a_glance(file)]
        broken = unreadable.find(self.spark, there) if there else {}
        return [file for file in there if file not in broken]

    def _quarantine(self, files: Iterable[Found]) -> Counts:
        """Appends the bad lines of files, once; returns how many each file has."""
        lacking = [file for file in files if file.path not in self.older.bad]
        if not lacking:
            return self.older.bad
        tables.create(
            self.spark,
            self.quarantine,
            LINES,
            comment=f"Lines that could not be loaded into {self.target.name}",
            properties={"delta.appendOnly": "true"},
        )
        txn = self._quarantine_txn
        lines = (
            self._parsed(lacking)
            .where(~F.col("good"))
            .select(
                F.col("_input_file").alias("file"),
                F.substring(F.make_valid_utf8("value"), 1, json_lines.LINE_LIMIT).alias("line"),
                json_lines.reason().alias("reason"),
                F.lit(self.generation).alias("generation"),
                F.lit(txn.batch).cast("bigint").alias("batch"),
                F.lit(txn.run_id).alias("run_id"),
                F.lit(datetime.now(timezone.utc)).alias("load_time"),
            )
        )
        tables.append(lines, self.quarantine, txn)
        return {**self.older.bad, **loaded_by(self.quarantine, txn, "file", "count_if(false)")}

    def _parsed(self, files: Sequence[Found]) -> DataFrame:
        parsed = json_lines.parse(unreadable.lines(self.spark, files))
        return parsed.withColumn("good", json_lines.is_good())

    def _lines_now(self, files: Sequence[Found]) -> dict[str, int]:
        """How many lines each file has now."""
        if not files:
            return {}
        counted = self._parsed(files).groupBy("_input_file").count()
        return {row["_input_file"]: row["count"] for row in counted.collect()}

    def _balance(self, lines: int, files: Sequence[Found], rows: Counts, bad: Counts) -> None:
        """What was read must be what the two tables hold."""
        good = sum(rows.get(file.path, (0, 0))[0] for file in files)
        quarantined = sum(bad.get(file.path, (0, 0))[0] for file in files)
        if lines != good + quarantined:
            raise DataError(
                f"{self.txn.app_id}, batch {self.txn.batch}: {lines:,} lines were read, but "
                f"{good:,} are in bronze and {quarantined:,} in quarantine: a file changed "
                "while it was read",
                untouched="the batch is not noted as done; its ledger events are not written",
                next_step="run again; `medallion files` then names the file and its counts",
            )

    def _outcomes(
        self, files: Sequence[Found], aside: dict[Found, Outcome], rows: Counts, bad: Counts
    ) -> list[Outcome]:
        rows = {**self.older.rows, **rows}
        return [
            aside.get(file)
            or Outcome(
                file,
                State.COMMITTED,
                *rows.get(file.path, (0, 0)),
                bad=bad.get(file.path, (0, 0))[0],
                is_new=file.path not in self.older.rows,
            )
            for file in files
        ]


@dataclass(frozen=True)
class Lines:
    """Lines that a batch read, and how many of them are bad."""

    all: int
    bad: int


def _at_a_glance(file: Found) -> Outcome | None:
    """What can be told of a file without reading it."""
    try:
        now = os.stat(to_path(file.path))  # noqa: PTH116 (one call tells all)
    except FileNotFoundError:
        gone = "gone between its listing and its batch; taken up if it comes back"
        return Outcome(file, State.MISSING, error=gone)
    if now.st_size == 0:
        return Outcome(file, State.SKIPPED, error="empty file")
    return None


def _unreadable(file: Found, broken: dict[Found, str]) -> Outcome | None:
    if file not in broken:
        return None
    return _at_a_glance(file) or Outcome(file, State.QUARANTINED, error=broken[file])


def _noting_a_change(outcome: Outcome, lines_now: dict[str, int]) -> Outcome:
    """A loaded file that has other lines now than the tables hold of it says so."""
    now, held = lines_now.get(outcome.file.path), outcome.rows + outcome.bad
    if outcome.state is not State.COMMITTED or now is None or now == held:
        return outcome
    return replace(outcome, error=f"changed while it was read: {now} lines, {held} loaded")
