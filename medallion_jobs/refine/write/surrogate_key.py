"""Surrogate keys: a number for each row of a dimension, computed from its natural key.

It is a hash, not a sequence: it is the same after every rebuild of the table, so fact tables
that hold it stay right. Two keys with the same hash are very unlikely (3 in a million among 10
million keys) and never get into the table: the batch is refused.
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

# The default key of the unknown member, and 0, which readers may take for no key.
_RESERVED = (-1, 0)
_MAX_SHOWN = 3


def with_key(rows: DataFrame, table: SilverTable) -> DataFrame:
    """Adds the surrogate key, from the natural key and, with SCD type 2, the start of validity."""
    assert table.surrogate_key is not None  # the caller has looked
    of = {key: key for key in table.keys or ()}
    if table.write == "scd2":
        of[VALID_FROM] = table.sequence or ""
    # By name and as JSON: ("a", null) is not (null, "a"), "1" is not 1, and the hash stays the
    # same when the type of a column grows wider.
    natural = text(_normal(rows, column).alias(name) for name, column in of.items())
    reserved = {*_RESERVED, (table.unknown_member or {}).get(table.surrogate_key, -1)}
    is_reserved = hashed(natural).isin([int(number) for number in reserved])
    # A hash that is a reserved number is replaced by the hash of a longer text.
    key = F.when(is_reserved, hashed(F.concat(natural, F.lit(" again"))))
    key = key.otherwise(hashed(natural))
    return rows.withColumn(table.surrogate_key, key)


def hashed(text: Column) -> Column:
    """The 64-bit hash of a text."""
    return F.xxhash64(text)


def refuse_shared(
    inserted: DataFrame, path: Location, surrogate: str, identity: Sequence[str]
) -> None:
    """Checks that new rows have surrogate keys that no other row has.

    Args:
        inserted: the rows to insert.
        identity: the columns that identify a row.

    Raises:
        DataError: different rows have the same surrogate key.
    """
    wanted = [col(c) for c in (surrogate, *identity)]
    new = inserted.select(*wanted)
    snapshot = tables.snapshot(path)
    if snapshot is not None and snapshot.files:
        stored = inserted.sparkSession.read.format("delta").load(str(path)).select(*wanted)
        new = new.unionByName(stored.join(new.select(col(surrogate)), surrogate, "left_semi"))
    key = F.to_json(F.struct(*(col(c) for c in identity)))
    shared = new.groupBy(col(surrogate)).agg(
        F.count(F.lit(1)).alias("rows"), F.array_sort(F.collect_list(key)).alias("natural keys")
    )
    found = shared.where("rows > 1").orderBy(col("natural keys")).limit(_MAX_SHOWN).collect()
    if found:
        raise DataError(
            f"rows for {path.parent.name}.{path.name} have one {surrogate} for different keys: "
            + "; ".join(f"{row[surrogate]}: {' and '.join(row['natural keys'])}" for row in found),
            code="surrogate_key_collision",
            untouched="nothing of this batch was written",
            next_step="add a column to `keys` that distinguishes them, and rebuild the table; or "
            "quarantine one of them by an expectation",
        )


def _normal(rows: DataFrame, name: str) -> Column:
    kind: DataType = rows.schema[name].dataType
    value = canonical(col(name), kind)
    # As keys -0.0 and 0.0 are equal.
    return value + F.lit(0.0) if isinstance(kind, DoubleType | FloatType) else value
