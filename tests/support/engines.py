"""Reads every table of a lake whole, by each engine that the package speaks of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from deltalake import DeltaTable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def assert_all_read(storage: Path, spark: SparkSession) -> None:
    """Each table below a folder has the same number of rows for delta-rs, DuckDB and Spark."""
    tables = sorted(log.parent for log in storage.rglob("_delta_log"))
    assert tables
    with duckdb.connect() as duck:
        for table in tables:
            rows = DeltaTable(table).to_pyarrow_table().to_pylist()
            duck_rows = duck.execute(f"SELECT * FROM delta_scan('{table}')").fetchall()
            spark_rows = spark.read.format("delta").load(str(table)).collect()
            assert len(rows) == len(duck_rows) == len(spark_rows), table
