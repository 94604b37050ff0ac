"""Each SQL query on the pages binds: its tables and columns exist, and DuckDB can parse it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql.pandas.types import to_arrow_schema
from support.pages import PAGES, ROOT, blocks, commands, words

from medallion_jobs.autoloader.loading.bad_line_schema import LINES
from medallion_jobs.config import TableRef, load
from medallion_jobs.lake.paths import TablePaths, lake, rebuilds
from medallion_jobs.observe import batch_table, rebuild_table, rule_table
from medallion_jobs.refine.quarantine.parked_rows import ROWS
from medallion_jobs.report.lake_views import catalog, connect, create

# Their tables belong to no pipeline that is included; a page has their config.
EXAMPLES = {
    "bronze.orders": "order_id varchar, customer varchar, amount decimal(10,2), coupon varchar, "
    "_rescued_data varchar",
    "gold.revenue": "day date, country varchar, revenue decimal(10,2)",
    "silver.fact_orders": "product_sk bigint, customer_sk bigint, amount double",
    "silver.dim_product": "product_sk bigint, name varchar",
    "silver.dim_customer": "customer_sk bigint, region varchar",
}
# For a program that is not DuckDB, with the test that runs them.
ELSEWHERE = {
    "ALTER TABLE delta": "tests/e2e/test_operations.py",
    "GRANT CONNECT": "tests/spark/test_warehouse.py",
}


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The views of a lake with the tables of all pipelines that are included."""
    root = tmp_path_factory.mktemp("lake")
    with tarfile.open(ROOT / "tests" / "data" / "lake_0.1.0.tar.xz") as stored:
        for member in stored.getmembers():
            _, of_lake, place = member.name.partition("/lake/")
            # The engine's own tables are made below, as they are now.
            is_own = place.startswith(("_medallion/metrics", "_medallion/quarantine"))
            if member.isfile() and of_lake and not is_own:
                member.name = f"lake/{place}"
                stored.extract(member, root, filter="data")
    settings = [f"storage.root={root / 'lake'}", f"landing.root={root / 'landing'}"]
    config = load(ROOT / "conf" / "sales.yaml", overrides=settings, environ={}).pipeline
    of_bronze = TablePaths(config, TableRef("bronze", "sales"))
    of_silver = TablePaths(config, TableRef("silver", "sales"))
    (config.state_path / "runs").mkdir()
    for folder, columns in (
        (of_silver.metrics, batch_table.COLUMNS),
        (of_silver.rule_metrics, rule_table.COLUMNS),
        (of_silver.quarantine, to_arrow_schema(ROWS, timezone="UTC")),
        (of_silver.held, to_arrow_schema(ROWS, timezone="UTC")),
        (of_bronze.quarantine, to_arrow_schema(LINES, timezone="UTC")),
        (rebuilds(config), rebuild_table.COLUMNS),
    ):
        write_deltalake(folder, pa.Table.from_batches([], columns))
    with connect(lake(config)) as connection:
        create(connection, {name: view.sql() for name, view in catalog(config).items()})
        for table, columns in EXAMPLES.items():
            connection.execute(f"DROP VIEW IF EXISTS {table}; CREATE TABLE {table} ({columns})")
        yield connection


def queries() -> Iterator[Any]:
    for block in blocks("sql"):
        if not block.text.startswith(tuple(ELSEWHERE)):
            yield pytest.param(block.text, id=str(block))
    for block in blocks("yaml"):
        for name, query in block.values.get("queries", {}).items():
            sql = query if isinstance(query, str) else query["sql"]
            yield pytest.param(sql, id=f"{block} {name}")
    for page in PAGES:
        for command in dict.fromkeys(commands(page)):
            typed = words(command)
            if typed[:2] == ["medallion", "query"]:
                for word in typed[2:]:
                    if " " in word:
                        yield pytest.param(word, id=f"{page.name}: {word}"[:80])
    for file in sorted((ROOT / "conf").glob("[!b]*.yaml")):
        for name, query in load(file, environ={}, loads_sinks=False).pipeline.queries.items():
            if "orders" not in file.name:  # no lake of it is stored
                yield pytest.param(query.sql, id=f"{file.name} {name}")


@pytest.mark.parametrize("sql", [*queries()])
def test_a_query_binds(sql: str, duck: duckdb.DuckDBPyConnection) -> None:
    for statement in filter(str.strip, sql.split(";")):
        duck.execute(f"EXPLAIN {statement}")
