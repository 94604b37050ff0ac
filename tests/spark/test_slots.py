"""A table that is built in a slot, beside the live one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.lake import batches, rows_at, run_streams, snapshot_of
from support.own import OwnLake

from medallion_jobs.autoloader import AutoLoader
from medallion_jobs.config import TableRef
from medallion_jobs.gold import GoldStream
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.silver import SilverStream

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# The names are this file's own: the session's catalog is shared by all tests.
CONFIG = """
pipeline: slots
bronze:
  slot_orders:
    source: {format: json, schema: "order_id string, quantity int, customer string"}
  slot_customers:
    source: {format: json, schema: "customer string, region string"}
silver:
  slot_customers:
    from: bronze.slot_customers
    select: [customer, region]
  slot_orders:
    from: bronze.slot_orders
    expect:
      positive: {check: quantity > 0, otherwise: quarantine}
    lookups:
      - {table: silver.slot_customers, on: customer, take: [region], on_miss: hold, hold_for: 1h}
    select: [order_id, quantity, region]
gold:
  slot_totals:
    from: silver.slot_orders
    group_by: [region]
    measures: {total: sum(quantity)}
    mode: complete
  slot_only:
    from: silver.slot_orders
    group_by: [region]
    measures: {orders: count(*)}
    mode: complete
"""
SLOTS = "_medallion/slots"


def order(name: str, quantity: int, customer: str = "c1") -> dict[str, Any]:
    return {"order_id": name, "quantity": quantity, "customer": customer}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, spark: object) -> OwnLake:
    """A finished lake: two good rows, one in quarantine, one held."""
    made = OwnLake.of(tmp_path_factory.mktemp("slots"), CONFIG)
    made.land("slot_customers", "c.json", {"customer": "c1", "region": "North"})
    rows = [order("a", 1), order("b", 2), order("bad", -1), order("early", 4, "c2")]
    made.land("slot_orders", "o.json", *rows)
    made.run("bronze", "silver")
    run_streams(made.config, [GoldStream(made.config, "slot_totals")])
    return made


def live_versions(lake: OwnLake) -> dict[str, int]:
    return {name: v for name, v in lake.versions().items() if not name.startswith(SLOTS)}


def slot_versions(lake: OwnLake) -> dict[str, int]:
    return {name: v for name, v in lake.versions().items() if name.startswith(SLOTS)}


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, default=str) for row in rows)


def test_a_silver_table_is_built_beside_the_live_one(lake: OwnLake, tmp_path: Path) -> None:
    lake, name = lake.copy(tmp_path), "slot_orders"
    live, beside = (
        TablePaths(lake.config, TableRef("silver", name), slot) for slot in ("live", "rebuild")
    )
    versions, files = live_versions(lake), snapshot_of(lake.storage)

    (batch,) = batches(
        run_streams(lake.config, [SilverStream(lake.config, name, slot="rebuild")]),
        f"silver.{name}",
    )

    assert (batch.rows_in, batch.rows_out, batch.quarantined, batch.held) == (4, 2, 1, 1)
    assert live_versions(lake) == versions
    # Not a file of the live table's, checkpoint, quarantine and metrics has another content.
    assert files.items() <= snapshot_of(lake.storage).items()
    assert {path.split("/")[1] for path in snapshot_of(lake.storage).keys() - files.keys()} == {
        "slots"
    }
    assert in_order(rows_at(beside.data)) == in_order(rows_at(live.data)) != []
    for places in (live, beside):
        (bad,), (held,) = rows_at(places.quarantine), rows_at(places.held)
        assert json.loads(bad["row"])["order_id"] == "bad"
        assert json.loads(held["row"])["order_id"] == "early"
        assert [row["rows_out"] for row in rows_at(places.metrics)] == [2]
        assert [row["rule"] for row in rows_at(places.rule_metrics)] == ["positive"]
        assert (places.checkpoints / "manifest.json").is_file()

    built = slot_versions(lake)
    run_streams(lake.config, [SilverStream(lake.config, name, slot="rebuild")])
    assert slot_versions(lake) == built
    assert live_versions(lake) == versions


@pytest.mark.slow
def test_both_go_on_from_where_they_are(lake: OwnLake, tmp_path: Path) -> None:
    lake, name = lake.copy(tmp_path), "slot_orders"
    live, beside = (SilverStream(lake.config, name, slot=slot) for slot in ("live", "rebuild"))
    run_streams(lake.config, [beside])
    lake.land(name, "later.json", order("c", 3), at=10)
    lake.land("slot_customers", "later.json", {"customer": "c2", "region": "South"}, at=10)
    bronze = [AutoLoader.to_table(lake.config, table) for table in lake.config.bronze]
    run_streams(lake.config, [*bronze, SilverStream(lake.config, "slot_customers")])
    before = rows_at(live.paths.data)

    events = run_streams(lake.config, [beside])
    assert rows_at(live.paths.data) == before
    assert [one.rows_out for one in batches(events, f"silver.{name}")] == [1]
    # What the slot holds is released there, once.
    assert sorted(row["order_id"] for row in rows_at(beside.paths.data)) == ["a", "b", "c", "early"]

    # Both in one run: they have locks and checkpoints of their own.
    run_streams(lake.config, [live, beside])
    assert in_order(rows_at(live.paths.data)) == in_order(rows_at(beside.paths.data))


@pytest.mark.slow
def test_bronze_and_gold_are_built_beside_too(lake: OwnLake, tmp_path: Path) -> None:
    lake = lake.copy(tmp_path)
    lake.run("bronze", "silver")
    run_streams(lake.config, [GoldStream(lake.config, "slot_totals")])
    versions = live_versions(lake)

    def beside() -> tuple[AutoLoader, GoldStream]:
        return (
            AutoLoader.to_table(lake.config, "slot_orders", slot="rebuild"),
            GoldStream(lake.config, "slot_totals", slot="rebuild"),
        )

    loader, totals = beside()
    run_streams(lake.config, [loader, totals])

    assert live_versions(lake) == versions
    for stream, live in ((loader, "bronze.slot_orders"), (totals, "gold.slot_totals")):
        columns = ("order_id", "quantity", "region", "total")
        built_rows, live_rows = (
            in_order([{key: row[key] for key in columns if key in row} for row in rows])
            for rows in (rows_at(stream.paths.data), lake.rows(live))
        )
        assert built_rows == live_rows != []
    built = slot_versions(lake)
    assert f"{SLOTS}/rebuild/ledger/slot_orders/events" in built
    run_streams(lake.config, beside())
    assert slot_versions(lake) == built


def test_the_catalog_has_live_tables_only(
    lake: OwnLake, tmp_path: Path, spark: SparkSession
) -> None:
    config = lake.copy(tmp_path).config
    run_streams(config, [GoldStream(config, "slot_only", slot="rebuild")])
    assert not spark.catalog.tableExists("gold.slot_only")
    run_streams(config, [GoldStream(config, "slot_only")])
    assert spark.catalog.tableExists("gold.slot_only")
