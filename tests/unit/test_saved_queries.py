"""Saved queries are checked against the columns that the tables will have."""

import json
from pathlib import Path

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
  syntax: SELEC 1
  others: {sql: "SELECT x FROM gold.of_another_pipeline, metrics.runs"}
  engine: {sql: "SELECT nothing FROM metrics.batches"}
"""


def _json(**columns: str) -> str:
    """Columns in Spark's JSON form."""
    fields = [{"name": n, "type": t, "nullable": True, "metadata": {}} for n, t in columns.items()]
    return json.dumps({"type": "struct", "fields": fields})


def test_each_query_that_duckdb_refuses_is_named_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(CONFIG)
    loaded = load(file, environ={})
    sales = _json(region="string", n="long")
    orders = _json(id="long", region="string", at="timestamp", d="date", v="variant")
    schemas = {TableRef("gold", "sales"): sales, TableRef("silver", "orders"): orders}
    found = {problem.path: problem for problem in mistakes(loaded, schemas)}
    assert list(found) == ["queries.column", "queries.function", "queries.syntax"]
    column = found["queries.column"]
    assert (column.nearest, column.origin.line) == ("region", 8)
    assert column.at is not None
    assert (column.value or "")[slice(*column.at)] == "regoin"
    assert "summ" in found["queries.function"].what
    assert "syntax error" in found["queries.syntax"].what
    assert found["queries.syntax"].origin.line == 10
