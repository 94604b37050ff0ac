"""Surrogate keys: a number for each row of a dimension, computed from its natural key.

Not counted up, but a hash: it comes out the same however often, and in whatever order, the
table is made, so facts that hold it stay right. Two keys with one hash are very unlikely (a
chance of 3 in a million among 10 million keys) and never pass: the batch is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DoubleType, FloatType

from medallion_jobs.config import SilverTable
from medallion_jobs.errors import DataError
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables.scd_columns import VALID_FROM
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.lake.values.canonical import canonical, text
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# The unknown member's, unless the config gives it another; and what readers take for none.
_KEPT_FREE = (-1, 0)
_TOLD = 3


def with_key(rows: DataFrame, table: SilverTable) -> DataFrame:
    """The changes with their surrogate key, by their natural key and the start of validity."""
    assert table.surrogate_key is not None  # the caller has looked
    of = {key: key for key in table.keys or ()}
    if table.write == "scd2":
        of[VALID_FROM] = table.sequence or ""
    # By name and as JSON: ("a", null) is not (null, "a"), "1" is not 1, and 1 stays what it is
    # when its column becomes a wider one.
    told = text(_normal(rows, column).alias(name) for name, column in of.items())
    free = {*_KEPT_FREE, (table.unknown_member or {}).get(table.surrogate_key, -1)}
    taken = hashed(told).isin([int(one) for one in free])
    key = F.when(taken, hashed(F.concat(told, F.lit(" again")))).otherwise(hashed(told))
    return rows.withColumn(table.surrogate_key, key)


def hashed(told: Column) -> Column:
    """64 bits of a text."""
    return F.xxhash64(told)


def refuse_shared(
    inserted: DataFrame, path: Location, surrogate: str, identity: Sequence[str]
) -> None:
    """Looks whether rows that are to be inserted share a surrogate key with others.

    Args:
        identity: the columns that tell rows apart.

    Raises:
        DataError: they do; says which.
    """
    wanted = [col(c) for c in (surrogate, *identity)]
    new = inserted.select(*wanted)
    there = tables.snapshot(path)
    if there is not None and there.files:
        stored = inserted.sparkSession.read.format("delta").load(str(path)).select(*wanted)
        new = new.unionByName(stored.join(new.select(col(surrogate)), surrogate, "left_semi"))
    told = F.to_json(F.struct(*(col(c) for c in identity)))
    shared = new.groupBy(col(surrogate)).agg(
        F.count(F.lit(1)).alias("rows"), F.array_sort(F.collect_list(told)).alias("who")
    )
    found = shared.where("rows > 1").orderBy("who").limit(_TOLD).collect()
    if found:
        raise DataError(
            f"rows for {path.parent.name}.{path.name} have one {surrogate} for different keys: "
            + "; ".join(f"{row[surrogate]}: {' and '.join(row['who'])}" for row in found),
            untouched="nothing of this batch was written",
            next_step="add a column to `keys` that tells them apart, and make the table anew; "
            "or let an expectation quarantine one of them",
        )


def _normal(rows: DataFrame, name: str) -> Column:
    kind: DataType = rows.schema[name].dataType
    value = canonical(col(name), kind)
    # As keys -0.0 and 0.0 are equal.
    return value + F.lit(0.0) if isinstance(kind, DoubleType | FloatType) else value
