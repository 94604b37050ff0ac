"""The schema of bronze's quarantine: records that are not valid, with the reason.

One append-only Delta table for each bronze table, at
`<storage.root>/_medallion/quarantine/bronze/<table>`, each with one writer. Silver's quarantine
has parked rows, which can be released later: medallion_jobs.refine.quarantine.parked_rows.
"""

from __future__ import annotations

from pyspark.sql.types import (
    BinaryType,
    BooleanType,
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
        # The record's bytes, unless `line` is the whole record in UTF-8.
        StructField("bytes", BinaryType()),
        # False if the record's bytes are not known; null in lines from before this column.
        StructField("is_whole", BooleanType()),
    ]
)
