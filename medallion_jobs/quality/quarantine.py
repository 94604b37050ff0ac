"""Quarantine: what could not go on, kept as it was, with the reason.

One append-only Delta table for each table that sends rows there, at
`<storage.root>/_medallion/quarantine/<layer>/<table>`; one table, one writer.
"""

from __future__ import annotations

from pyspark.sql.types import (
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

LINES = StructType(
    [
        StructField("file", StringType(), nullable=False),
        StructField("file_version", IntegerType(), nullable=False),
        StructField("line", StringType(), nullable=False),
        StructField("reason", StringType(), nullable=False),
        StructField("generation", IntegerType(), nullable=False),
        StructField("batch", LongType(), nullable=False),
        StructField("run_id", StringType(), nullable=False),
        StructField("load_time", TimestampType(), nullable=False),
    ]
)
