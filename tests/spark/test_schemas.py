"""Schemas, nullability, table properties and the catalog: as declared, to the letter."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable
from support.lake import Lake, local, snapshot_of
from support.own import OwnLake

from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMAS = {
    "bronze/sales": [
        ("order_id", "string", True),
        ("customer_id", "long", True),
        ("product_id", "long", True),
        ("quantity", "integer", True),
        ("order_timestamp", "timestamp", True),
        ("_rescued_data", "string", True),
        ("_input_file", "string", False),
        ("_load_time", "timestamp", False),
    ],
    "silver/sales": [
        ("order_id", "string", True),
        ("customer_id", "long", True),
        ("region", "string", True),
        ("product_id", "long", True),
        ("quantity", "integer", True),
        ("order_date", "date", True),
        ("load_time", "timestamp", False),
    ],
    "gold/sales_by_region_day": [
        ("region", "string", True),
        ("order_date", "date", True),
        ("total_quantity", "long", True),
    ],
    "_medallion/quarantine/bronze/sales": [
        ("file", "string", False),
        ("file_version", "integer", False),
        ("line", "string", False),
        ("reason", "string", False),
        ("generation", "integer", False),
        ("batch", "long", False),
        ("run_id", "string", False),
        ("load_time", "timestamp", False),
        ("bytes", "binary", True),
        ("is_whole", "boolean", True),
    ],
}
APPEND_ONLY = ("bronze/sales", "_medallion/quarantine/bronze/sales")


@pytest.mark.parametrize("table", SCHEMAS)
def test_the_schema_is_the_declared_one(sales: Lake, table: str) -> None:
    fields = DeltaTable(sales.storage / table).schema().fields
    assert [(f.name, f.type.type, f.nullable) for f in fields] == SCHEMAS[table]


@pytest.mark.parametrize("table", SCHEMAS)
def test_only_tables_that_are_added_to_are_append_only(sales: Lake, table: str) -> None:
    properties = DeltaTable(sales.storage / table).metadata().configuration
    assert properties.get("delta.appendOnly", "false") == str(table in APPEND_ONLY).lower()


def test_bronze_rows_are_never_changed(sales: Lake, spark: SparkSession) -> None:
    from pyspark.errors import PySparkException

    with pytest.raises(PySparkException, match="DELTA_CANNOT_MODIFY_APPEND_ONLY"):
        spark.sql(f"DELETE FROM delta.`{sales.path('bronze.sales')}`")


def test_every_commit_names_its_query_batch_and_run(sales: Lake) -> None:
    newest = DeltaTable(sales.path("silver.sales")).history(1)[0]
    said = newest["userMetadata"]
    assert '"query": "silver.sales/v1"' in said
    assert '"batch": 0' in said
    assert '"run": "' in said


def test_a_silver_row_carries_the_load_time_of_its_bronze_row(sales: Lake) -> None:
    loaded = {row["order_id"]: row["_load_time"] for row in sales.rows("bronze.sales")}
    for row in sales.rows("silver.sales"):
        assert row["load_time"].tzinfo is not None
        assert row["load_time"].astimezone(timezone.utc) == loaded[row["order_id"]]


@pytest.fixture
def empty_catalog(spark: SparkSession) -> Iterator[None]:
    """Other tests of this session have registered tables of theirs. Data is left alone."""
    tables = ("bronze.sales", "silver.sales", "gold.sales_by_region_day", "silver.customers")
    for table in tables:
        spark.sql(f"DROP TABLE IF EXISTS {table}")
    yield
    for table in tables:
        spark.sql(f"DROP TABLE IF EXISTS {table}")


def test_tables_are_registered_in_the_catalog(
    sales: Lake, spark: SparkSession, empty_catalog: None, tmp_path: Path
) -> None:
    lake = sales.copy(tmp_path)
    lake.run()
    lake.run()  # to register twice does no harm

    # Beside those of tests that have named theirs otherwise.
    assert "sales" in {t.name for t in spark.catalog.listTables("bronze")}
    assert {"sales", "customers"} <= {t.name for t in spark.catalog.listTables("silver")}
    assert spark.table("gold.sales_by_region_day").count() == lake.truth().gold.total()
    where = spark.sql("DESCRIBE DETAIL bronze.sales").first()["location"]
    assert local(where) == str(lake.path("bronze.sales"))


def test_a_config_that_does_not_fit_the_table_leaves_all_as_it_was(
    tmp_path: Path, spark: object
) -> None:
    """It is refused before a column is added: with the config of before, the table goes on."""
    config = 'pipeline: p\nbronze: {t: {source: {format: json, schema: "id bigint, old string"}}}\n'
    lake = OwnLake.of(tmp_path, config)
    lake.land("t", "a.json", {"id": 1, "old": "x"})
    lake.run()
    there = snapshot_of(lake.storage)
    for schema in ("id bigint, new string", "id string, old string"):
        with pytest.raises(UsageError) as told:
            lake.having(f"bronze.t.source.schema={schema}").run()
        assert "bronze.t has columns" in told.value.what
        assert "--set storage.root=./another-lake" in (told.value.next_step or "")
        changed = {
            path
            for path, stat in snapshot_of(lake.storage).items()
            if there.get(path) != stat and "/ledger/" not in path
        }
        assert changed == set()
    lake.land("t", "b.json", {"id": 2, "old": "y"})
    lake.run()
    assert sorted(row["old"] for row in lake.rows("bronze.t")) == ["x", "y"]
