"""Keys that were deleted for good, so that an older change that comes later stays out.

A small Delta table beside the silver table, with a row for each deletion of a key. It is
written before the silver table's commit. A batch that is run again buries its keys again, which
changes nothing: of a key, the newest deletion counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType, StructField, StructType

from medallion_jobs.lake import tables
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.lake.values.canonical import canonical, text
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Hidden columns: a row's key as text, and the sequence up to which its key is deleted.
KEY_TEXT, GRAVE = "key as text", "deleted up to"
_SCHEMA = StructType(
    [
        # A table that is made anew starts without the deletions of its former generations.
        StructField("query", StringType(), nullable=False),
        StructField("key", StringType(), nullable=False),
        StructField("sequence", StringType(), nullable=False),
    ]
)


def bury(
    dead: DataFrame, keys: Sequence[str], sequence: str, path: Location, txn: tables.Txn
) -> None:
    """Remembers the keys of these rows as deleted at their sequence."""
    last = dead.groupBy(_key_text(dead, keys).alias("key")).agg(F.max(col(sequence)).alias("last"))
    stones = last.select(
        F.lit(_query(txn)).alias("query"), "key", F.col("last").cast("string").alias("sequence")
    )
    tables.create(dead.sparkSession, path, _SCHEMA, comment="Keys that were deleted, and when")
    # With no transaction: a second attempt may have more to bury, and twice the same is once.
    stones.write.format("delta").mode("append").save(str(path))


def with_graves(
    rows: DataFrame, keys: Sequence[str], kind: DataType, path: Location, txn: tables.Txn
) -> DataFrame:
    """The rows with `GRAVE`, of the sequence's type; null where the key was never deleted."""
    if tables.snapshot(path) is None:
        return rows.withColumn(GRAVE, F.lit(None).cast(kind))
    stones = rows.sparkSession.read.format("delta").load(str(path))
    graves = (
        stones.where(F.col("query") == _query(txn))
        .groupBy(F.col("key").alias(KEY_TEXT))
        .agg(F.max(F.col("sequence").cast(kind)).alias(GRAVE))
    )
    return rows.withColumn(KEY_TEXT, _key_text(rows, keys)).join(graves, KEY_TEXT, "left")


def _query(txn: tables.Txn) -> str:
    """Query and generation, without what else a commit of theirs may be."""
    return "/".join(txn.app_id.split("/")[:2])


def _key_text(rows: DataFrame, keys: Sequence[str]) -> Column:
    return text(canonical(col(k), rows.schema[k].dataType).alias(k) for k in keys)
