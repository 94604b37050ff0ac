"""Bronze's quarantine: lines that are no records, kept as they were, with the reason.

One append-only Delta table for each bronze table, at
`<storage.root>/_medallion/quarantine/bronze/<table>`; one table, one writer. What silver puts
aside are rows, which can go on later: medallion_jobs.refine.quarantine.parked_rows.
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
