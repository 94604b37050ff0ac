"""`medallion rebuild`: a table is computed again beside the live one, and swapped in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable
from support.lake import rows_at, snapshot_of
from support.own import OwnLake

from medallion_jobs.checkpoint import journal
from medallion_jobs.config import TableRef
from medallion_jobs.errors import MedallionError

# The names are this file's own: the session's catalog is shared by all tests.
CONFIG = """
pipeline: rebuilds
bronze:
  again_orders:
    source: {format: json, schema: "order_id string, quantity int, customer string"}
  again_customers:
    source: {format: json, schema: "customer string, region string"}
silver:
  again_customers:
    from: bronze.again_customers
    select: [customer, region]
  again_orders:
    from: bronze.again_orders
    columns: {pieces: quantity * FACTOR}
    expect:
      positive: {check: quantity > 0, otherwise: quarantine}
    lookups:
      - {table: silver.again_customers, on: customer, take: [region], on_miss: hold, hold_for: 1h}
    select: [order_id, quantity, region, pieces]
  again_large:
    from: silver.again_orders
    where: pieces > 1
    select: [order_id, pieces]
gold:
  again_totals:
    from: silver.again_orders
    group_by: [region]
    measures: {total: sum(pieces)}
    mode: complete
  again_followed:
    from: silver.again_orders
    group_by: [region]
    measures: {total: sum(pieces)}
    mode: incremental
"""
ORDERS = TableRef("silver", "again_orders")


def order(name: str, quantity: int, customer: str = "c1") -> dict[str, Any]:
    return {"order_id": name, "quantity": quantity, "customer": customer}


def factor(lake: OwnLake, value: str) -> None:
    """Ships a config in which `pieces` is computed in another way."""
    lake.configure(CONFIG.replace("FACTOR", value))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, spark: object) -> OwnLake:
    """Two good rows, one in quarantine, one held; all tables were written twice."""
    made = OwnLake.of(tmp_path_factory.mktemp("rebuilds"), CONFIG.replace("FACTOR", "1"))
    made.land("again_customers", "c.json", {"customer": "c1", "region": "North"})
    made.land("again_orders", "o.json", order("a", 1), order("bad", -1), order("early", 4, "c2"))
    made.run()
    made.land("again_orders", "o2.json", order("b", 2), at=10)
    made.run()
    return made


@pytest.fixture
def lake(finished: OwnLake, tmp_path: Path) -> OwnLake:
    return finished.copy(tmp_path)


def rebuild(lake: OwnLake, *words: str) -> str:
    return lake.cli("rebuild", *words, "--reason", "a bug", "--yes")


def pieces(lake: OwnLake, table: str = "silver.again_orders") -> dict[str, int]:
    """By order, as delta-rs and DuckDB read it."""
    path = lake.path(table)
    read = {row["order_id"]: row["pieces"] for row in rows_at(path)}
    sql = f"SELECT order_id, pieces FROM delta_scan('{path}')"
    with duckdb.connect() as duck:
        duck.execute("LOAD delta")
        found = duck.execute(sql).fetchall()
    assert dict(found) == read
    assert len(found) == len(read)
    return read


def totals(lake: OwnLake, table: str) -> dict[str, int]:
    with duckdb.connect() as duck:
        duck.execute("LOAD delta")
        sql = f"SELECT region, total FROM delta_scan('{lake.path(table)}')"
        return dict(duck.execute(sql).fetchall())


def test_a_wrong_expression(lake: OwnLake) -> None:
    before = DeltaTable(lake.path("silver.again_orders"))
    bronze = snapshot_of(lake.path("bronze.again_orders"))
    factor(lake, "10")
    # It lands before the rebuild, and the live query has not read it.
    lake.land("again_orders", "o3.json", order("c", 3), at=20)
    lake.run("bronze")
    bronze_now = snapshot_of(lake.path("bronze.again_orders"))
    assert bronze.items() < bronze_now.items()

    told = rebuild(lake, "silver.again_orders")

    assert "silver.again_large reads it and cannot go on" in told
    assert pieces(lake) == {"a": 10, "b": 20, "c": 30}
    assert snapshot_of(lake.path("bronze.again_orders")) == bronze_now
    after = DeltaTable(lake.path("silver.again_orders"))
    assert after.metadata().id == before.metadata().id
    assert after.history()[0]["operation"] == "WRITE"
    assert not (lake.storage / "_medallion/slots/rebuild/silver/again_orders").exists()
    assert journal.read(lake.config, ORDERS) is None

    # The query goes on from where the rebuild was: each row once, and what waited goes on.
    lake.land("again_orders", "o4.json", order("d", 4), at=30)
    lake.land("again_customers", "c2.json", {"customer": "c2", "region": "South"}, at=30)
    lake.run("bronze")
    with pytest.raises(MedallionError) as refused:
        lake.run("silver")
    assert refused.value.code == "source_rebuilt"
    assert "medallion rebuild silver.again_large" in refused.value.next_step
    rebuild(lake, "silver.again_large", "gold.again_totals")
    lake.run()
    everything = {"a": 10, "b": 20, "c": 30, "d": 40, "early": 40}
    assert pieces(lake) == pieces(lake, "silver.again_large") == everything
    for table in ("gold.again_totals", "gold.again_followed"):
        assert totals(lake, table) == {"North": 100, "South": 40}
    (bad,) = [
        r for r in rows_at(lake.path("quarantine/silver/again_orders")) if r["generation"] > 1
    ]
    assert json.loads(bad["row"])["order_id"] == "bad"
    lake.cli("verify")

    told_rows = json.loads(lake.cli("query", "--json", "FROM metrics.rebuilds ORDER BY started_at"))
    first = told_rows[0]
    assert (first["table_name"], first["reason"]) == ("silver.again_orders", "a bug")
    assert (first["rows_before"], first["rows_after"]) == (2, 3)
    assert first["config_before"] != first["config_after"]
    assert (first["generation_before"], first["generation_after"]) == (1, 2)
