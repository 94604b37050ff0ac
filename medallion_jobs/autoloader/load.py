"""One batch: its files into bronze, their bad lines into quarantine, each file accounted for.

The order is what makes a crash harmless. Bronze first, in one commit that carries the
batch's transaction; then quarantine, with a transaction of its own; the ledger's events
last (the caller does that), counted from what the two tables hold. A batch that is run
again after a crash skips what is there and does the rest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from pyspark.sql import Observation
from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)
from pyspark.sql.types import StringType, StructField, StructType, TimestampType

from medallion_jobs import tables
from medallion_jobs.autoloader import json_lines, unreadable
from medallion_jobs.autoloader.discovery import Found, to_path
from medallion_jobs.autoloader.ledger import Outcome, State
from medallion_jobs.errors import DataError
from medallion_jobs.quality.quarantine import LINES
from medallion_jobs.tables import Txn, commit_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


# By a file's path: its rows or bad lines, and how many of them carry rescued data.
Counts = dict[str, tuple[int, int]]
# What is known of each file of a batch so far; None while it is being loaded.
Outcomes = dict[Found, "Outcome | None"]


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

    def run(self, files: Sequence[Found]) -> list[Outcome]:
        """Loads the files and says what became of each.

        Raises:
            DataError: lines were read that are neither in bronze nor in quarantine.
        """
        outcomes = {file: _at_a_glance(file) for file in files}
        readable = [file for file, outcome in outcomes.items() if outcome is None]
        rows, bad = self._loaded_by_older_generations(readable)
        fresh = [file for file in readable if file.path not in rows]
        lines = None
        if not self.replayed:
            fresh, lines, has_bad = self._write_bronze(fresh, outcomes)
        if self.replayed or has_bad or rows:
            readable = [file for file in readable if outcomes[file] is None]
            self._quarantine([file for file in readable if file.path not in bad], outcomes)
        rows |= _per_file(self.target, self.txn, "count(*), count(_rescued_data)", "_input_file")
        bad |= _per_file(self.quarantine, self._quarantine_txn, "count(*), 0", "file")
        if lines is not None:
            _balance(self.txn, lines, [file.path for file in fresh], rows, bad)
        return [
            outcome
            or Outcome(
                file, State.COMMITTED, *rows.get(file.path, (0, 0)), bad.get(file.path, (0,))[0]
            )
            for file, outcome in outcomes.items()
        ]

    @property
    def _quarantine_txn(self) -> Txn:
        return replace(self.txn, app_id=f"{self.txn.app_id}/quarantine")

    def _loaded_by_older_generations(self, files: Sequence[Found]) -> tuple[Counts, Counts]:
        """What the tables hold of these files from before the checkpoint was reset.

        A new generation takes up the ledger from its beginning. The tables themselves tell
        what needs no loading, also where a crash kept the ledger's events from being written.
        """
        if self.generation == 1:
            return {}, {}
        paths = [file.path for file in files]
        return (
            self._held(self.target, "_input_file", "count(_rescued_data)", paths),
            self._held(self.quarantine, "file", "count_if(false)", paths),
        )

    def _held(self, table: Path, column: str, second: str, paths: list[str]) -> Counts:
        if tables.snapshot(table) is None:
            return {}
        held = self.spark.read.format("delta").load(str(table)).where(F.col(column).isin(paths))
        counted = held.groupBy(column).agg(F.count(F.lit(1)), F.expr(second))
        return {path: (first, other) for path, first, other in counted.collect()}

    def _write_bronze(
        self, files: list[Found], outcomes: Outcomes
    ) -> tuple[list[Found], int, bool]:
        """Writes the good lines; files that cannot be read are put aside, the others go on.

        Returns:
            The files that were read, how many lines they have, and whether some are bad.
        """
        try:
            return files, *self._append_good(files)
        except unreadable.SPARK_FAILURES:
            readable = self._without_unreadable(files, outcomes)
            if len(readable) == len(files):
                raise
            return readable, *self._append_good(readable)

    def _without_unreadable(self, files: list[Found], outcomes: Outcomes) -> list[Found]:
        broken = unreadable.find(self.spark, files) if files else {}
        for file, error in broken.items():
            gone = not Path(to_path(file.path)).exists()
            outcomes[file] = Outcome(
                file, State.MISSING if gone else State.QUARANTINED, error=error
            )
        return [file for file in files if file not in broken]

    def _append_good(self, files: Sequence[Found]) -> tuple[int, bool]:
        """One pass: parse, count, write the good lines to bronze."""
        if not files:
            # The table's transaction has to keep step with the checkpoint all the same.
            nothing = self.spark.createDataFrame([], bronze_schema(self.schema))
            tables.append(nothing, self.target, self.txn)
            return 0, False
        read = Observation()
        rows = (
            self._parsed(files)
            # This also keeps Spark from parsing each line twice, once for the filter and
            # once for the columns.
            .observe(read, F.count(F.lit(1)).alias("lines"), F.count_if("good").alias("good"))
            .where("good")
            .select(
                *json_lines.columns(self.schema),
                "_input_file",
                F.lit(datetime.now(timezone.utc)).alias("_load_time"),
            )
        )
        tables.append(rows, self.target, self.txn)
        return read.get["lines"], read.get["lines"] != read.get["good"]

    def _quarantine(self, files: list[Found], outcomes: Outcomes) -> None:
        """Appends the bad lines, once."""
        if self.replayed:
            files = self._without_unreadable(files, outcomes)
        if not files:
            return
        tables.create(
            self.spark,
            self.quarantine,
            LINES,
            comment=f"Lines that could not be loaded into {self.target.name}",
            properties={"delta.appendOnly": "true"},
        )
        txn = self._quarantine_txn
        lines = (
            self._parsed(files)
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

    def _parsed(self, files: Sequence[Found]) -> DataFrame:
        parsed = json_lines.parse(unreadable.lines(self.spark, files))
        return parsed.withColumn("good", json_lines.is_good())


def _at_a_glance(file: Found) -> Outcome | None:
    """What can be told of a file without reading it."""
    try:
        now = os.stat(to_path(file.path))  # noqa: PTH116 (one call tells all)
    except FileNotFoundError:
        return Outcome(file, State.MISSING, error="gone between its listing and its batch")
    if now.st_size == 0:
        return Outcome(file, State.SKIPPED, error="empty file")
    return None


def _balance(txn: Txn, lines: int, paths: Sequence[str], rows: Counts, bad: Counts) -> None:
    """What was read must be what the two tables hold."""
    good = sum(rows.get(path, (0, 0))[0] for path in paths)
    quarantined = sum(bad.get(path, (0, 0))[0] for path in paths)
    if lines != good + quarantined:
        raise DataError(
            f"{txn.app_id}, batch {txn.batch}: {lines:,} lines were read, but {good:,} are in "
            f"bronze and {quarantined:,} in quarantine: a file changed while it was read",
            untouched="the batch is not noted as done; its ledger events are not written",
            next_step="run again: the batch is taken up where it was left",
        )


def _per_file(table: Path, txn: Txn, counts: str, column: str) -> Counts:
    """Counts by file of what a transaction wrote, from just the data files that it added."""
    commit = commit_of(table, txn.app_id, txn.batch) if table.exists() else None
    if commit is None or not commit.added:
        return {}
    data = [str(added.path) for added in commit.added]
    with duckdb.connect() as duck:
        found = duck.execute(
            f"SELECT {column}, {counts} FROM read_parquet($1) GROUP BY ALL",  # noqa: S608
            [data],
        ).fetchall()
    return {path: (first, second) for path, first, second in found}
