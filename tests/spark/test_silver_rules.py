"""Rules on the way to silver: what is quarantined, what stops a batch, and how rows come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.lake import batches
from support.own import OwnLake

from medallion_jobs.config import ConfigError
from medallion_jobs.errors import DataError, MedallionError
from medallion_jobs.refine.quarantine.parked_rows import ParkedRows

CONFIG = """
pipeline: shop
bronze:
  orders:
    source: {format: json, schema: "order_id string, quantity string, state string, tags string"}
silver:
  orders:
    from: bronze.orders
    where: order_id is not null
    cast:
      quantity: {to: int, default: 0}
    parse:
      tags: array<string>
    expect:
      positive: {check: quantity > 0, otherwise: quarantine}
      known_state: {in_set: {state: [new, paid]}, otherwise: quarantine}
      not_huge: {check: quantity < 1000, otherwise: drop}
      tagged: {check: size(tags) > 0}
    dedupe: {keys: order_id}
    select: [order_id, quantity, state, tags]
  tags:
    from: silver.orders
    explode: {tag: tags}
    select: [order_id, tag]
  states:
    from: bronze.orders
    dedupe: {keys: state}
    select: [state]
"""


def row(
    name: str, quantity: object, state: str = "new", tags: str | None = '["a"]'
) -> dict[str, Any]:
    return {"order_id": name, "quantity": quantity, "state": state, "tags": tags}


ROWS = [
    row("good", "3", tags='["a", "b"]'),
    row("both", "-1", "lost"),
    row("unread", "many"),
    row("huge", 5000),
    row("good", "3", tags='["a", "b"]'),
    row("plain", "2", tags=None),
    {"quantity": "9", "state": "new"},
]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, spark: object) -> tuple[OwnLake, Any]:
    lake = OwnLake.of(tmp_path_factory.mktemp("rules"), CONFIG)
    lake.land("orders", "o.json", *ROWS)
    return lake, batches(lake.run(), "silver.orders")[0]


def test_every_row_is_accounted_for(ran: tuple[OwnLake, Any]) -> None:
    lake, batch = ran
    assert sorted(r["order_id"] for r in lake.rows("silver.orders")) == ["good", "plain"]
    counted = (batch.rows_in, batch.rows_out, batch.quarantined, batch.dropped, batch.repeated)
    assert (*counted, batch.filtered) == (7, 2, 2, 1, 1, 1)
    assert "1 values not read: cast quantity" in batch.remarks
    assert "1 of 6 rows break tagged (warn)" in batch.remarks
    tags = sorted((r["order_id"], r["tag"] or "") for r in lake.rows("silver.tags"))
    assert tags == [("good", "a"), ("good", "b"), ("plain", "")]
    # Of the same bronze, by rules of its own.
    assert sorted(r["state"] for r in lake.rows("silver.states")) == ["lost", "new"]


def test_a_row_that_breaks_two_rules_is_quarantined_once_with_both(
    ran: tuple[OwnLake, Any],
) -> None:
    lake, _ = ran
    parked = {json.loads(r["row"])["order_id"]: r for r in lake.rows("quarantine/silver/orders")}
    assert {name: r["rules"] for name, r in parked.items()} == {
        "both": ["positive", "known_state"],
        "unread": ["positive"],
    }
    # As it was: the text that could not be read is what one has to see.
    assert json.loads(parked["unread"]["row"])["quantity"] == "many"
    assert parked["both"]["file"].endswith("/o.json")
    told = json.loads(lake.cli("quality", "--json"))
    assert {r["rule"]: r["broken"] for r in told} == {
        "positive": 2,
        "known_state": 1,
        "not_huge": 1,
        "tagged": 1,
    }


def test_mended_rows_come_back_once(ran: tuple[OwnLake, Any], tmp_path: Path) -> None:
    lake = ran[0].copy(tmp_path)
    replay = ("quarantine", "replay", "silver.orders", "--json")
    mend = (*replay, "--set-column", "quantity='7'")
    assert json.loads(lake.cli(*replay))["quarantined"] == 2
    told = json.loads(lake.cli(*mend))
    broken = told.pop("broken")
    assert told == {"rows": 2, "good": 1, "quarantined": 1}
    assert set(broken.values()) == {1}
    # What a column has already says nothing new.
    useless = (*replay, "--set-column", "order_id=order_id", "--set-column", "quantity='7'")
    assert json.loads(lake.cli(*useless))["without_effect"] == ["order_id"]
    assert len(lake.rows("silver.orders")) == 2

    lake.cli(*mend, "--yes")
    lake.cli(*mend, "--yes")
    found = {r["order_id"]: r["quantity"] for r in lake.rows("silver.orders")}
    assert found == {"good": 3, "plain": 2, "unread": 7}
    lake.cli(*replay, "--set-column", "quantity=1", "--set-column", "state='paid'", "--yes")
    assert len(lake.rows("silver.orders")) == 4
    assert json.loads(lake.cli(*mend, "--yes")) == {"rows": 0}
    lake.run("silver")
    assert len(lake.rows("silver.orders")) == 4
    assert len(lake.rows("silver.tags")) == 5


def test_a_rule_that_stops_the_batch(ran: tuple[OwnLake, Any], tmp_path: Path) -> None:
    lake = ran[0].having("silver.orders.expect.positive.otherwise=fail").copy(tmp_path)
    lake.reset("silver.orders")
    with pytest.raises(DataError) as told:
        lake.run("silver")
    assert told.value.exit_code == 1
    assert "2 of 6 rows break positive (quantity > 0): order_id=both; order_id=unread" in str(
        told.value
    )
    assert "nothing of the batch is visible" in str(told.value)
    assert lake.rows("silver.orders") == []

    lake.having("silver.orders.expect.positive.at_most=50%").run("silver")
    assert len(lake.rows("silver.orders")) == 3


@pytest.mark.slow
def test_a_crash_before_rows_are_parked(
    ran: tuple[OwnLake, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = OwnLake.of(tmp_path, CONFIG)
    lake.land("orders", "o.json", *ROWS)
    put = ParkedRows.put
    monkeypatch.setattr(ParkedRows, "put", _killed)
    with pytest.raises(MedallionError):
        lake.run()
    monkeypatch.setattr(ParkedRows, "put", put)
    assert len(lake.rows("silver.orders")) == 2
    with pytest.raises(DataError, match="the table's config has changed since"):
        lake.having("silver.orders.where=order_id <> ''").run()
    lake.run()
    lake.run()
    assert len(lake.rows("silver.orders")) == 2
    assert len(lake.rows("quarantine/silver/orders")) == 2


def _killed(*_: object) -> int:
    raise RuntimeError("killed")


def test_mistakes_are_told_at_their_line(tmp_path: Path, spark: object) -> None:
    wrong = CONFIG.replace("check: quantity > 0", "check: quantty > 0")
    wrong = wrong.replace("to: int,", "to: integr,").replace("{tag: tags}", "{tag: order_id}")
    lake = OwnLake.of(tmp_path, wrong)
    with pytest.raises(ConfigError) as told:
        lake.cli("validate")
    text = str(told.value)
    lines = lake.config_file.read_text().splitlines()
    for key, said in (("positive", "quantty"), ("quantity: {to", "integr")):
        number = next(n for n, line in enumerate(lines, 1) if key in line and ":" in line)
        assert f"own.yaml:{number}" in text
        assert said in text


LATE = """
pipeline: shop
bronze:
  events:
    source: {format: json, schema: "id string, at timestamp"}
silver:
  events:
    from: bronze.events
    expect:
      once: {unique: id, otherwise: quarantine}
    watermark: {column: at, delay: 1h}
    dedupe: {keys: [id, at], within: watermark}
    select: [id, at]
"""


def event(name: str, hour: int) -> dict[str, Any]:
    return {"id": name, "at": f"2026-01-31 {hour:02}:00:00"}


@pytest.mark.slow
def test_late_rows_and_a_rule_about_the_table(tmp_path: Path, spark: object) -> None:
    lake = OwnLake.of(tmp_path, LATE)
    lake.land("events", "1.json", event("a", 10), event("b", 12), event("twin", 12))
    lake.land("events", "2.json", event("twin", 12))
    lake.run()
    lake.land("events", "3.json", event("b", 13), event("c", 9), event("d", 11), at=1)
    (batch,) = batches(lake.run(), "silver.events")
    assert (batch.rows_out, batch.quarantined) == (1, 2)

    parked = [
        (json.loads(r["row"])["id"], r["rules"]) for r in lake.rows("quarantine/silver/events")
    ]
    assert sorted(parked) == [
        ("b", ["once"]),
        ("c", ["watermark"]),
        ("twin", ["once"]),
        ("twin", ["once"]),
    ]
    # Late rows may be let in by hand, and what they repeat is still known.
    lake.cli("quarantine", "replay", "silver.events", "--rule", "watermark", "--yes")
    lake.reset("silver.events")
    lake.run()
    assert sorted(r["id"] for r in lake.rows("silver.events")) == ["a", "c", "d"]


def test_what_differs_each_time_is_refused(tmp_path: Path) -> None:
    wrong = LATE.replace("{unique: id, otherwise: quarantine}", "{check: at < now()}")
    with pytest.raises(ConfigError, match="now gives a different value each time"):
        OwnLake.of(tmp_path, wrong).cli("status")
