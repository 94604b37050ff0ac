"""Bronze tables as three engines read them: delta-rs, DuckDB and Spark."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from deltalake import DeltaTable
from duckdb_extensions import import_extension

from support.arrow_types import comparable
from support.own import OwnLake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TECHNICAL = ("_rescued_data", "_input_file", "_load_time")


def lake_of(folder: Path, **tables: str) -> OwnLake:
    """A lake with these bronze tables, each with the settings of its source."""
    lines = "".join(f"  {name}: {{source: {{{about}}}}}\n" for name, about in tables.items())
    return OwnLake.of(folder, f"pipeline: types\nbronze:\n{lines}")


def rows_of(spark: SparkSession, lake: OwnLake, table: str) -> list[dict[str, Any]]:
    """The rows, as three engines read them; `_rescued_data` parsed, without the file."""
    path = lake.path(f"bronze.{table}")
    rows = lake.rows(f"bronze.{table}")
    import_extension("delta")
    with duckdb.connect() as duck:
        duck.execute("SET TimeZone = 'UTC'; LOAD delta")
        found = duck.execute("SELECT * FROM delta_scan(?)", [str(path)])
        by_duck = found.to_arrow_table().to_pylist()
        duck.execute("SELECT * FROM delta_scan(?)", [str(path)]).fetchall()
    assert sorted(map(_text, by_duck)) == sorted(map(_text, rows))
    frame = spark.read.format("delta").load(str(path))
    assert len(frame.collect()) == len(rows)
    for row in rows:
        rescued = json.loads(row["_rescued_data"] or "{}", parse_float=Decimal)
        assert rescued.pop("_file_path", row["_input_file"]) == row["_input_file"]
        row["_rescued_data"] = rescued
    return rows


def _text(row: dict[str, Any]) -> str:
    return repr([(name, comparable(row[name])) for name in sorted(row)])


def by_id(spark: SparkSession, lake: OwnLake, table: str) -> dict[int, dict[str, Any]]:
    """The rows without their nulls; what is rescued beside them."""
    hidden = ("id", *TECHNICAL[1:])
    return {
        row["id"]: {k: v for k, v in row.items() if k not in hidden and v is not None and v != {}}
        for row in rows_of(spark, lake, table)
    }


def assert_all_read(storage: Path, spark: SparkSession) -> None:
    """Each table below a folder has the same number of rows for each engine."""
    tables = sorted(log.parent for log in storage.rglob("_delta_log"))
    assert tables
    import_extension("delta")
    with duckdb.connect() as duck:
        duck.execute("LOAD delta")
        for table in tables:
            rows = DeltaTable(table).to_pyarrow_table().to_pylist()
            by_duck = duck.execute("SELECT * FROM delta_scan(?)", [str(table)]).fetchall()
            by_spark = spark.read.format("delta").load(str(table)).collect()
            assert len(rows) == len(by_duck) == len(by_spark), table
