"""A dimension table, as one batch sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)

from medallion_jobs.config import Lookup
from medallion_jobs.errors import DataError, UsageError
from medallion_jobs.tables import snapshot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def check_dimension(lookup: Lookup, path: Path) -> None:
    """Raises UsageError when there is no such table. Runs without a JVM."""
    if snapshot(path) is None:
        raise UsageError(
            f"there is no dimension {lookup.table} at {path}",
            untouched="nothing was started",
            next_step="make it, or seed the sample one with `medallion generate --files 0`",
        )


@dataclass(frozen=True)
class Dimension:
    """A lookup and its table's newest version.

    Attributes:
        rows: the key columns and those that are taken, and nothing else.
    """

    lookup: Lookup
    rows: DataFrame

    @classmethod
    def read(cls, spark: SparkSession, lookup: Lookup, path: Path) -> Dimension:
        """The newest version of the table.

        Raises:
            UsageError: it lacks a column that the lookup names.
            DataError: a key stands in it twice; a join would double rows without a word.
        """
        newest = snapshot(path)
        if newest is None:
            raise DataError(
                f"{lookup.table} is gone from {path}",
                untouched="nothing of the batch is written",
                next_step="put it back, then run again",
            )
        # One version for the check of its keys and for the join: it may change in between.
        reader = spark.read.format("delta").option("versionAsOf", newest.version)
        table = reader.load(str(path))
        wanted = [*lookup.on, *(name for name in lookup.take if name not in lookup.on)]
        missing = [name for name in wanted if name not in table.columns]
        if missing:
            raise UsageError(
                f"{lookup.table} has no column {', '.join(missing)}; "
                f"it has {', '.join(table.columns)}",
                untouched="nothing of the batch is written",
                next_step="mend `on` or `take` of the lookup in the config",
            )
        rows = table.select(*wanted)
        _refuse_repeated_keys(lookup, rows)
        return cls(lookup, rows)


def _refuse_repeated_keys(lookup: Lookup, rows: DataFrame) -> None:
    counts = rows.dropna(subset=list(lookup.on)).groupBy(*lookup.on).count()
    repeated = counts.where(F.col("count") > 1).limit(3).collect()
    if repeated:
        keys = "; ".join(
            ", ".join(f"{name}={row[name]}" for name in lookup.on) + f" ({row['count']} times)"
            for row in repeated
        )
        raise DataError(
            f"{lookup.table} has more than one row for a key: {keys}",
            untouched="nothing of the batch is written; a join would have doubled its rows",
            next_step=f"leave one row for each {', '.join(lookup.on)} in {lookup.table}, "
            "then run again",
        )
