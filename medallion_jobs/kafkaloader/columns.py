"""The columns of a bronze table that reads Kafka topics."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from medallion_jobs.config import KafkaSource
from medallion_jobs.lake.columns import BATCH_ID

KEY, VALUE = "key", "value"
# Where a message is: no two have the same place.
PLACE = ("topic", "partition", "offset")
# The decoded struct of an Avro key or value.
DATA: Mapping[str, str] = {KEY: "key_data", VALUE: "data"}
HEADERS = ArrayType(
    StructType([StructField("key", StringType()), StructField("value", BinaryType())])
)
_TEXTS = ("json", "text")


def of_table(source: KafkaSource, data: Mapping[str, DataType]) -> StructType:
    """The columns of the table.

    Args:
        data: the types of decoded keys and values, by `KEY` and `VALUE`, as far as they are known.
    """
    return StructType(
        [
            *_parts(KEY, source.key, data),
            *_parts(VALUE, source.value, data),
            StructField("topic", StringType(), nullable=False),
            StructField("partition", IntegerType(), nullable=False),
            StructField("offset", LongType(), nullable=False),
            StructField("timestamp", TimestampType()),
            StructField("headers", HEADERS),
            StructField(source.load_time_column, TimestampType(), nullable=False),
            *(StructField(name, LongType()) for name in source.add_columns if name == BATCH_ID),
        ]
    )


def _parts(name: str, form: str, data: Mapping[str, DataType]) -> list[StructField]:
    kind = StringType() if form in _TEXTS else BinaryType()
    decoded = [StructField(DATA[name], data[name])] if name in data else []
    return [StructField(name, kind), *decoded]
