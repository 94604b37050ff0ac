"""The oracles of the pipelines on inputs that can be checked by eye, and their lake."""

from collections import Counter
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.pipeline_oracles import COLUMNS, ORACLES, canonical, good_lines
from support.pipelines import PIPELINES, PipelineLake

from medallion_jobs.aggregate import Aggregation
from medallion_jobs.config import Pipeline

CONF = Path(__file__).parents[2] / "conf"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def rows(*them: tuple[Any, ...]) -> Counter[tuple[Any, ...]]:
    return Counter(them)


def log(**fields: Any) -> dict[str, Any]:
    return {"user_id": 1, "event_time": "2026-01-31T10:00:00Z", "event_type": "Login", **fields}


def test_app_events() -> None:
    records = [
        log(metadata={"page": "/", "duration_ms": 12, "device": {"os": "ios", "version": 17}}),
        log(metadata={"page": "/", "duration_ms": 12, "device": {"os": "ios", "version": 17}}),
        log(user_id=2, event_time="2026-01-31T11:00:00+01:00", event_type="PAGE_view"),
        log(user_id=2, event_time="31/01/2026 23:59:59", metadata={"tags": ["a"], "page": None}),
        log(user_id=2, event_time="2026-02-01 00:00:00", metadata=None),
        log(user_id=None),
        {"event_time": "2026-01-31T10:00:00Z", "event_type": "login"},
        log(user_id="guest"),
        log(event_time="yesterday"),
        log(event_time=1769893200),
    ]
    found = ORACLES["app_events"]({"app_logs": records})
    metadata = (("device", (("os", "ios"), ("version", "17"))), ("duration_ms", 12), ("page", "/"))
    last_of_january, february = date(2026, 1, 31), date(2026, 2, 1)
    assert found["silver.app_events"] == rows(
        (1, at("2026-01-31T10:00:00"), "login", metadata, last_of_january),
        (2, at("2026-01-31T10:00:00"), "page_view", None, last_of_january),
        (2, at("2026-01-31T23:59:59"), "login", (("tags", ("a",)),), last_of_january),
        (2, at("2026-02-01T00:00:00"), "login", None, february),
    )
    assert found["gold.daily_active_users"] == rows((last_of_january, 2, 3), (february, 1, 1))


def test_app_events_that_share_a_key_but_differ_have_no_one_truth() -> None:
    with pytest.raises(AssertionError):
        ORACLES["app_events"]({"app_logs": [log(), log(event_type="logout")]})


def transaction(**fields: Any) -> dict[str, Any]:
    usual = {"transaction_id": "t", "user_id": 1, "amount": 20.0, "timestamp": "", "metadata": "{}"}
    return {**usual, **fields}


def test_transactions() -> None:
    records = [
        transaction(timestamp="2026-01-31T10:00:00Z", metadata='{"channel": "web", "items": 2}'),
        transaction(timestamp="2026-01-31T10:00:00Z", metadata='{"channel": "web", "items": 2}'),
        transaction(transaction_id=None, amount="50.0", timestamp="31/01/2026 10:00:01"),
        {"user_id": 1, "amount": "50.0", "timestamp": "31/01/2026 10:00:01", "metadata": "{}"},
        transaction(amount=None, metadata="none"),
        transaction(amount="n/a", metadata='{"other": 1}'),
        transaction(amount="", metadata=None),
        transaction(amount="12,50", metadata="1"),
        transaction(amount=-5.0),
        transaction(amount="-5.0"),
        transaction(user_id=2, amount="1000.01"),
        transaction(user_id=3, amount=1000, timestamp="yesterday"),
    ]
    found = ORACLES["transactions"]({"transactions": records})
    ten = at("2026-01-31T10:00:00")
    zero = ("t", 1, Decimal(0), None, None)
    assert found["silver.transactions"] == rows(
        ("t", 1, Decimal("20.00"), ten, (("channel", "web"), ("items", 2))),
        (None, 1, Decimal("50.00"), at("2026-01-31T10:00:01"), None),
        # They were four different lines, and are the same row now: duplicates go first.
        *(zero, zero, zero, zero),
        ("t", 2, Decimal("1000.01"), None, None),
        ("t", 3, Decimal(1000), None, None),
    )
    assert found["gold.user_summary"] == rows(
        (1, Decimal("70.00"), 5, at("2026-01-31T10:00:01"), "Regular"),
        (2, Decimal("1000.01"), 1, None, "VIP"),
        (3, Decimal("1000.00"), 1, None, "Regular"),
    )


def customer(name: str, region: str, since: str, one: int = 1) -> dict[str, Any]:
    return {"customer_id": one, "customer_name": name, "region": region, "updated_at": since}


def product(name: str, price: float, since: str) -> dict[str, Any]:
    told = {"product_id": 7, "product_name": name, "category": "Security"}
    return {**told, "list_price": price, "updated_at": since}


def sale(**fields: Any) -> dict[str, Any]:
    usual = {"device_id": "d", "product_id": 7, "price": 9.5, "store_id": 2, "customer_id": 1}
    return {"timestamp": "2026-01-31T10:00:00Z", **usual, **fields}


def test_iot_sales() -> None:
    nine, ten, eleven = (f"2026-01-31T{hour}:00:00Z" for hour in ("09", "10", "11"))
    records = {
        "iot_products": [product("Camera", 99.95, ten), product("Old", 1, nine)],
        "iot_stores": [
            {"store_id": 2, "store_name": "Market", "manager": name, "updated_at": since}
            for name, since in (("Ada", nine), ("Ben", ten))
        ],
        "iot_customers": [
            customer("Alice", "North", nine),
            customer("Alice", "South", eleven),
            customer("Alice", "North", nine),
            customer("Bob", "West", ten, one=2),
        ],
        "iot_sales_raw": [
            sale(),
            sale(),
            sale(timestamp="2026-01-31T10:59:59Z", price=9.49),
            sale(timestamp=eleven, price="10"),
            sale(customer_id=2, price=0.05),
            # Who was no customer yet, or never was, waits; the rest is no sale at all.
            sale(customer_id=2, timestamp=nine),
            sale(customer_id=3),
            sale(product_id=8),
            sale(price="free"),
            sale(price=-1),
            sale(price=0),
            sale(timestamp="31/12/2025 10:00"),
            sale(store_id=1.5),
            sale(customer_id=None),
            {"device_id": "d"},
        ],
    }
    found = ORACLES["iot_sales"](records)
    assert found["silver.dim_product"] == rows(
        (7, "Camera", "Security", Decimal("99.95"), at("2026-01-31T10:00:00"))
    )
    assert found["silver.dim_store"] == rows((2, "Market", "Ben", at("2026-01-31T10:00:00")))
    assert found["silver.dim_customer"] == rows(
        (1, "Alice", "North", at("2026-01-31T09:00:00"), at("2026-01-31T11:00:00")),
        (1, "Alice", "South", at("2026-01-31T11:00:00"), None),
        (2, "Bob", "West", at("2026-01-31T10:00:00"), None),
    )
    day, alice = date(2026, 1, 31), ("d", 2, 7, "Camera", "Security", 1, "Alice")
    north = (*alice, "North", Decimal("9.5"), day)
    assert found["silver.sales_enriched"] == rows(
        north,
        north,
        (*alice, "North", Decimal("9.49"), day),
        (*alice, "South", Decimal(10), day),
        ("d", 2, 7, "Camera", "Security", 2, "Bob", "West", Decimal("0.05"), day),
    )
    assert found["gold.fact_daily_sales"] == rows(
        (day, 2, "North", "Security", Decimal("28.49")),
        (day, 2, "South", "Security", Decimal(10)),
        (day, 2, "West", "Security", Decimal("0.05")),
    )
    assert found["gold.revenue_by_region"] == rows(
        ("North", Decimal("28.49")), ("South", Decimal(10)), ("West", Decimal("0.05"))
    )
    assert found["gold.avg_order_size"] == rows((2, Decimal("7.708000"), 5))


def test_an_average_is_rounded_half_up_at_six_digits() -> None:
    since = "2026-01-01T00:00:00Z"
    records = {
        "iot_products": [product("Camera", 1, since)],
        "iot_stores": [],
        "iot_customers": [customer("Alice", "North", since)],
        "iot_sales_raw": [sale(price=price) for price in (0.01, 0.01, 0.03)],
    }
    [(_, average, _)] = ORACLES["iot_sales"](records)["gold.avg_order_size"]
    assert average == Decimal("0.016667")


def test_what_is_no_single_object_is_no_line(tmp_path: Path) -> None:
    file = tmp_path / "some.json"
    file.write_text('{"a": 1}\n[1]\n{"a": 1} {"a": 2}\nnull\nERROR\n\n{"a": 1, "a": 2}\n{"a": 2}\n')
    assert good_lines([file]) == [{"a": 1}, {"a": 2}]


def test_structs_compare_by_what_they_hold() -> None:
    one = {"b": {"x": None, "y": [1, {"z": None}]}, "a": None}
    other = {"b": {"y": [1, {}]}}
    assert canonical(one) == canonical(other) != canonical({"b": {"y": [1]}})
    assert canonical(None) is None
    assert canonical({}) == ()


@pytest.mark.parametrize("name", PIPELINES)
def test_slices_that_land_one_after_the_other_are_all_that_was_made(
    name: str, tmp_path: Path
) -> None:
    whole = PipelineLake.of(name, tmp_path / "whole")
    whole.generate(8, rows=30, seed=3, dirty=0.2)
    lake = PipelineLake.of(name, tmp_path / "sliced")
    staged = lake.stage(8, rows=30, seed=3, dirty=0.2)
    assert not lake.landing.exists()
    assert len(staged) == 8
    for brought in staged:
        lake.land(brought)
    expected = whole.tables()
    assert lake.tables() == expected
    assert all(expected.values())
    landed = sorted(lake.folder.iterdir(), key=lambda path: path.stat().st_mtime)
    assert [path.name for path in landed] == [brought[-1].name for brought in staged]
    assert sorted(landed) == landed


@pytest.mark.parametrize("name", PIPELINES)
def test_the_oracle_tells_of_every_table_of_the_config(name: str, tmp_path: Path) -> None:
    config: Pipeline = PipelineLake.of(name, tmp_path).config
    declared = {f"silver.{table}" for table in config.silver}
    declared |= {f"gold.{table}" for table in config.gold}
    assert {table for table in COLUMNS if table in declared} == declared
    for table, gold in config.gold.items():
        assert COLUMNS[f"gold.{table}"] == Aggregation(gold).columns_in_order
    for table, silver in config.silver.items():
        if silver.write != "scd2":
            assert COLUMNS[f"silver.{table}"] == silver.select
