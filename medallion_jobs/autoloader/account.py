"""How many rows of each file a table holds, asked of the table itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)

from medallion_jobs.autoloader.discovery import Found
from medallion_jobs.autoloader.ledger import Ledger
from medallion_jobs.tables import Txn, commit_of, snapshot

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# By a file's path: its rows, and a second count over them.
Counts = dict[str, tuple[int, int]]


def loaded_by(table: Path, txn: Txn, column: str, second: str) -> Counts:
    """By file, what a transaction wrote, from just the data files that it added.

    Args:
        column: the column that holds the file's path.
        second: a further aggregate, in SQL that DuckDB and Spark both know.
    """
    commit = commit_of(table, txn.app_id, txn.batch)
    if commit is None or not commit.added:
        return {}
    data = [str(added.path) for added in commit.added]
    with duckdb.connect() as duck:
        found = duck.execute(
            f"SELECT {column}, count(*), {second} FROM read_parquet($1) GROUP BY ALL",  # noqa: S608
            [data],
        ).fetchall()
    return {path: (rows, other) for path, rows, other in found}


@dataclass(frozen=True)
class Older:
    """What is loaded already when a generation after the first starts, by path.

    A new generation takes up the ledger from its beginning. The tables themselves tell what
    needs no loading, also where a crash kept the ledger's events from being written.

    Attributes:
        rows: what the table holds.
        bad: what its quarantine holds.
        accounted: files whose account the ledger has; nothing of them is missing anywhere.
    """

    rows: Counts
    bad: Counts
    accounted: frozenset[str]

    def has_all_of(self, file: Found) -> bool:
        """Whether there is nothing left to do for a file."""
        return file.path in self.rows and file.path in self.accounted

    def lacks_bad(self, file: Found) -> bool:
        """Whether a crash may have kept a loaded file's bad lines from quarantine."""
        return file.path in self.rows and file.path not in self.accounted


NOTHING_OLDER = Older({}, {}, frozenset())


def older(spark: SparkSession, table: Path, quarantine: Path, ledger: Ledger) -> Older:
    """Asks the table, its quarantine and its ledger, each once."""
    return Older(
        rows=_held(spark, table, "_input_file", "count(_rescued_data)"),
        bad=_held(spark, quarantine, "file", "count_if(false)"),
        accounted=ledger.committed(),
    )


def _held(spark: SparkSession, table: Path, column: str, second: str) -> Counts:
    """By file, what the whole table holds."""
    if snapshot(table) is None:
        return {}
    held = spark.read.format("delta").load(str(table)).groupBy(column)
    counted = held.agg(F.count(F.lit(1)), F.expr(second)).collect()
    return {path: (rows, other) for path, rows, other in counted}
