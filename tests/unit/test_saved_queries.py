"""Saved queries are checked against the columns that the tables will have."""

from pathlib import Path

import pyarrow as pa

from medallion_jobs.config import TableRef, load
from medallion_jobs.report.saved_queries import mistakes

CONFIG = """\
pipeline: shop
bronze: {orders: {source: {format: json, schema: "id bigint, region string, day date"}}}
silver: {orders: {from: bronze.orders}}
gold: {sales: {from: silver.orders, group_by: [region], measures: {n: count(*)}}}
queries:
  good: {sql: "SELECT region, sum(s.n) AS n FROM gold.sales s JOIN silver.orders o USING (region)
    GROUP BY 1"}
  column: {sql: "SELECT regoin FROM gold.sales"}
  function: {sql: "SELECT summ(n) FROM gold.sales"}
  syntax: {sql: SELEC 1}
  others: {sql: "SELECT x FROM gold.of_another_pipeline, metrics.runs"}
  engine: {sql: "SELECT nothing FROM metrics.batches"}
"""


def test_each_query_that_duckdb_refuses_is_named_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(CONFIG)
    loaded = load(file, environ={})
    sales = pa.schema({"region": pa.string(), "n": pa.int64()})
    orders = pa.schema(
        {"id": pa.int64(), "region": pa.string(), "at": pa.timestamp("us", "UTC"), "d": pa.date32()}
    )
    schemas = {TableRef("gold", "sales"): sales, TableRef("silver", "orders"): orders}
    found = {problem.path: problem for problem in mistakes(loaded, schemas)}
    assert list(found) == ["queries.column.sql", "queries.function.sql", "queries.syntax.sql"]
    column = found["queries.column.sql"]
    assert (column.nearest, column.origin.line) == ("region", 8)
    assert column.at is not None
    assert (column.value or "")[slice(*column.at)] == "regoin"
    assert "summ" in found["queries.function.sql"].what
    assert "syntax error" in found["queries.syntax.sql"].what
