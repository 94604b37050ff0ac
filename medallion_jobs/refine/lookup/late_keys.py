"""Late-arriving keys: the keys that a row waits for, and the keys that have arrived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    IntegralType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from medallion_jobs.config import Lookup
from medallion_jobs.lake.tables.changed_files import changed_files
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine.lookup import hidden_columns, keys
from medallion_jobs.refine.lookup.dimension import Dimension
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_WAITS_FOR = "array<struct<lookup:string,key:string>>"
_CHANGE = StructField("_change_type", StringType())
# Types whose equal values have the same text.
_EXACT = (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    IntegralType,
    TimestampNTZType,
    TimestampType,
)


def waits_for(dimensions: Sequence[Dimension]) -> Column:
    """The keys that a row has no match for: array<struct<lookup: string, key: string>>.

    `lookup` is the table, `key` the text that `changed_keys` gives once the key has arrived.
    `key` is null if it can never arrive: null in the row, or not of the dimension's type.
    """
    missed = [
        F.when(
            col(hidden_columns.miss(place)),
            F.struct(
                F.lit(str(dimension.lookup.table)).alias("lookup"),
                col(hidden_columns.missed(place))["key"].alias("key"),
            ),
        )
        for place, dimension in enumerate(dimensions)
    ]
    return F.filter(F.array(*missed).cast(_WAITS_FOR), lambda missing: missing.isNotNull())


def changed_keys(
    spark: SparkSession, lookup: Lookup, path: Location, *, since: int | None, to: int
) -> DataFrame | None:
    """Keys that may be new or changed after version `since` of a dimension, up to `to`.

    Reads only the files that those commits wrote.

    Returns:
        One column, `key`, distinct, with the texts of `waits_for`; None if the keys cannot be
        determined: then every held row has to be retried.
    """
    files = changed_files(path, since, to, lookup.on)
    if files is None:
        return None
    table = spark.read.format("delta").option("versionAsOf", to).load(str(path))
    fields = [StructField(name, table.schema[name].dataType) for name in lookup.on]
    if not all(_has_one_text(field.dataType) for field in fields):
        return None
    found = table.where(F.lit(False)).select(*map(col, lookup.on))
    # Literal paths: a folder's name may look like a pattern, or like a partition.
    reader = spark.read.options(__globPaths__="false", recursiveFileLookup="true")
    if files.data:
        rows = reader.schema(StructType(fields)).parquet(*map(str, files.data))
        found = found.unionByName(rows)
    if files.feed:
        rows = reader.schema(StructType([*fields, _CHANGE])).parquet(*map(str, files.feed))
        is_added = col(_CHANGE.name).isin("insert", "update_postimage")
        found = found.unionByName(rows.where(is_added).select(*map(col, lookup.on)))
    key = keys.canonical({name: col(name) for name in lookup.on}).alias("key")
    return found.select(key).where(F.col("key").isNotNull()).distinct()


def _has_one_text(kind: DataType) -> bool:
    """Whether equal values have the same text: not floats (0.0 = -0.0), nor collated strings."""
    return isinstance(kind, _EXACT) or kind == StringType()
