"""Writes the messages that are no rows to quarantine, each once, with the reason and all bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from medallion_jobs import clock
from medallion_jobs.config import TableRef
from medallion_jobs.kafkaloader.columns import HEADERS, KEY, VALUE
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables import Txn
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

# Characters that no text has.
_CONTROLS = r"[\x00-\x08\x0B\x0C\x0E-\x1F]"
# A key or value that is no text in UTF-8 is in the column of this name, in place of its own.
BASE64 = {KEY: "key_base64", VALUE: "value_base64"}
MESSAGES = StructType(
    [
        StructField("topic", StringType(), nullable=False),
        StructField("partition", IntegerType(), nullable=False),
        StructField("offset", LongType(), nullable=False),
        StructField("timestamp", TimestampType()),
        StructField("key", StringType()),
        StructField("key_base64", StringType()),
        StructField("value", StringType()),
        StructField("value_base64", StringType()),
        StructField("headers", HEADERS),
        StructField("reason", StringType(), nullable=False),
        StructField("generation", IntegerType(), nullable=False),
        StructField("batch", LongType(), nullable=False),
        StructField("run_id", StringType(), nullable=False),
        StructField("load_time", TimestampType(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Poison:
    """The quarantine of a bronze table that reads Kafka topics."""

    path: Location
    ref: TableRef

    def prepare(self, spark: SparkSession) -> None:
        """Creates the table."""
        comment = f"Messages that could not be loaded into {self.ref}"
        properties = {"delta.appendOnly": "true"}
        tables.create(spark, self.path, MESSAGES, comment=comment, properties=properties)

    def put(self, bad: DataFrame, reason: Column, txn: Txn, generation: int) -> int:
        """Appends bad messages, once for a transaction; returns how many it has put there.

        Args:
            bad: messages as Spark reads them.
        """
        self.prepare(bad.sparkSession)
        own = replace(txn, app_id=self.app_id(txn.app_id))
        messages = bad.select(
            *("topic", "partition", "offset", "timestamp"),
            *_kept(KEY),
            *_kept(VALUE),
            "headers",
            reason.alias("reason"),
            F.lit(generation).alias("generation"),
            F.lit(txn.batch).cast("bigint").alias("batch"),
            F.lit(txn.run_id).alias("run_id"),
            F.lit(clock.now()).alias("load_time"),
        )
        tables.append(messages, self.path, own)
        return self.count(txn)

    def count(self, txn: Txn) -> int:
        """How many messages a batch has in quarantine."""
        own = replace(txn, app_id=self.app_id(txn.app_id))
        commit = tables.commit_of(self.path, own.app_id, own.batch)
        return sum(added.rows or 0 for added in commit.added) if commit else 0

    @staticmethod
    def app_id(of_table: str) -> str:
        """The application id of the quarantine's transactions."""
        return f"{of_table}/quarantine"


def _kept(part: str) -> tuple[Column, Column]:
    """A key or value as text, and in base64 if it is none."""
    text = F.col(part).cast("string")
    is_text = F.is_valid_utf8(text) & ~text.rlike(_CONTROLS)
    return (
        F.when(is_text, text).alias(part),
        F.when(~is_text, F.base64(F.col(part))).alias(BASE64[part]),
    )
