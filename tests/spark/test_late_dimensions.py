"""A customer who comes after her orders: the tables end as if she had been there first."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.lake import batches
from support.own import OwnLake

from medallion_jobs.observe.events import Note

CONFIG = """
pipeline: shop
bronze:
  orders:
    source: {format: json, schema: "order_id string, customer_id bigint, at timestamp"}
  people:
    source: {format: json, schema: "customer_id bigint, region string, updated_at timestamp"}
silver:
  people:
    from: bronze.people
    write: upsert
    keys: customer_id
    sequence: updated_at
    select: [customer_id, region, updated_at]
  orders:
    from: bronze.orders
    lookups:
      - {table: silver.people, on: customer_id, take: [region]}
    columns:
      region: coalesce(region, 'nowhere')
      label: concat(order_id, ' to ', region)
    select: [order_id, customer_id, region, label]
gold:
  orders_by_region:
    from: silver.orders
    group_by: [region]
    measures: {orders: count(*)}
"""
ORDERS = [
    {"order_id": f"o-{n}", "customer_id": n % 3, "at": "2026-01-31 10:00:00"} for n in range(6)
]


def person(number: int, region: str) -> dict[str, Any]:
    return {"customer_id": number, "region": region, "updated_at": "2026-01-01 00:00:00"}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, spark: object) -> dict[str, Any]:
    """The tables of a run in which everybody was there before the orders."""
    lake = OwnLake.of(tmp_path_factory.mktemp("first"), CONFIG)
    lake.land("people", "p.json", person(0, "North"), person(1, "South"))
    lake.land("orders", "o.json", *ORDERS)
    lake.run()
    return tables(lake)


def tables(lake: OwnLake) -> dict[str, Any]:
    return {
        "silver": sorted(tuple(row.values()) for row in lake.rows("silver.orders")),
        "gold": sorted(tuple(row.values()) for row in lake.rows("gold.orders_by_region")),
    }


def test_hold(first: dict[str, Any], tmp_path: Path, spark: object) -> None:
    lake = OwnLake.of(
        tmp_path,
        CONFIG,
        "silver.orders.lookups.0.on_miss=hold",
        "silver.orders.lookups.0.hold_for=1h",
    )
    lake.land("people", "p.json", person(0, "North"))
    lake.land("orders", "o.json", *ORDERS)
    (batch,) = batches(lake.run(), "silver.orders")
    assert (batch.rows_in, batch.rows_out, batch.held) == (6, 2, 4)
    assert len(lake.rows("silver.orders")) == 2

    # She comes; nobody orders anything.
    lake.land("people", "q.json", person(1, "South"), at=1)
    events = lake.run()
    notes = [
        e.facts.get("about") for e in events if isinstance(e, Note) and e.table == "silver.orders"
    ]
    assert "2 rows that waited for a dimension went on" in notes
    # Those of the third wait on, and a run more changes nothing.
    lake.run()
    expected = [row for row in first["silver"] if row[1] != 2]
    assert tables(lake)["silver"] == expected
    assert sum(row[1] for row in tables(lake)["gold"]) == 4

    # Until their time is over; then they go on with nulls, as if they had never waited.
    lake.having("silver.orders.lookups.0.hold_for=1ms").run()
    assert tables(lake) == first


@pytest.mark.slow
def test_hold_ends_in_quarantine(tmp_path: Path, spark: object) -> None:
    lake = OwnLake.of(
        tmp_path,
        CONFIG,
        "silver.orders.lookups.0.on_miss=hold",
        "silver.orders.lookups.0.after_hold=quarantine",
        "silver.orders.select=[order_id, region, _lookup_versions]",
    )
    lake.land("people", "p.json", person(0, "North"))
    lake.land("orders", "o.json", *ORDERS)
    lake.run()
    late = lake.having("silver.orders.lookups.0.hold_for=1ms")
    late.run()
    late.run()
    found = lake.rows("silver.orders")
    assert len(found) == 2
    people = lake.versions()["silver/people"]
    assert [row["_lookup_versions"] for row in found] == [[("silver.people", people)]] * 2
    parked = lake.rows("quarantine/silver/orders")
    assert sorted(row["rules"] for row in parked) == [["silver.people"]] * 4
    assert "no match in silver.people for customer_id=1" in str(parked)
    held = {row["id"]: row["since"] for row in lake.rows("held/silver/orders")}
    assert {row["id"] for row in parked} == held.keys()
    assert all(isinstance(row["since"], datetime) for row in parked)


def test_nulls_and_a_replay(first: dict[str, Any], tmp_path: Path, spark: object) -> None:
    lake = OwnLake.of(tmp_path, CONFIG)
    lake.land("people", "p.json", person(0, "North"))
    lake.land("orders", "o.json", *ORDERS)
    lake.run()
    missed = tables(lake)
    lake.land("people", "q.json", person(1, "South"), at=1)
    lake.run()
    assert tables(lake) == missed

    shown = lake.cli("replay", "silver", "--missed-lookup", "people")
    assert "silver.orders: 2 rows can be updated" in shown
    assert "gold.orders_by_region" in shown
    assert tables(lake) == missed
    done = lake.cli("replay", "silver.orders", "--missed-lookup", "silver.people", "--yes")
    assert "silver.orders: 2 rows updated" in done
    lake.run()
    assert tables(lake) == first
    again = lake.cli("replay", "silver.orders", "--missed-lookup", "people", "--yes")
    assert again == "silver.orders: 0 rows updated\n"
