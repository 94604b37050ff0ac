"""Tombstones of hard-deleted keys: an older change that arrives later is ignored.

A small Delta table beside the silver table, with a row for each deletion of a key. It is written
before the silver table's commit. A batch that runs again writes its tombstones again, which has
no effect: only the newest deletion of a key counts.
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
KEY_TEXT, DELETED_UP_TO = "key as text", "deleted up to"
_SCHEMA = StructType(
    [
        # A table that is rebuilt starts without the tombstones of earlier generations.
        StructField("query", StringType(), nullable=False),
        StructField("key", StringType(), nullable=False),
        StructField("sequence", StringType(), nullable=False),
    ]
)


def add(
    deletes: DataFrame, keys: Sequence[str], sequence: str, path: Location, txn: tables.Txn
) -> None:
    """Writes tombstones for the keys of these rows, at their sequence."""
    last = deletes.groupBy(_key_text(deletes, keys).alias("key")).agg(
        F.max(col(sequence)).alias("last")
    )
    rows = last.select(
        F.lit(_query(txn)).alias("query"), "key", F.col("last").cast("string").alias("sequence")
    )
    tables.create(deletes.sparkSession, path, _SCHEMA, comment="Keys that were deleted, and when")
    # Without a transaction: a second attempt may have more rows, and duplicates have no effect.
    rows.write.format("delta").mode("append").save(str(path))


def with_deletions(
    rows: DataFrame, keys: Sequence[str], kind: DataType, path: Location, txn: tables.Txn
) -> DataFrame:
    """Adds `DELETED_UP_TO`, of the sequence's type; null if the key was never deleted."""
    if tables.snapshot(path) is None:
        return rows.withColumn(DELETED_UP_TO, F.lit(None).cast(kind))
    stored = rows.sparkSession.read.format("delta").load(str(path))
    deletions = (
        stored.where(F.col("query") == _query(txn))
        .groupBy(F.col("key").alias(KEY_TEXT))
        .agg(F.max(F.col("sequence").cast(kind)).alias(DELETED_UP_TO))
    )
    return rows.withColumn(KEY_TEXT, _key_text(rows, keys)).join(deletions, KEY_TEXT, "left")


def _query(txn: tables.Txn) -> str:
    """The query and generation of an application id, without the kind of commit."""
    return "/".join(txn.app_id.split("/")[:2])


def _key_text(rows: DataFrame, keys: Sequence[str]) -> Column:
    return text(canonical(col(k), rows.schema[k].dataType).alias(k) for k in keys)
