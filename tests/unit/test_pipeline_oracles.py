"""The oracles of the pipelines on inputs that can be checked by eye, and their lake."""

import json
from collections import Counter
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.pipeline_oracles import COLUMNS, ORACLES, canonical, good_lines
from support.pipelines import PIPELINES, PipelineLake
from support.second_opinions import amounts_by_pandas, gold_by_duckdb

from medallion_jobs.aggregate import Aggregation
from medallion_jobs.config import Pipeline
from medallion_jobs.generator import FEEDS, Plan

CONF = Path(__file__).parents[2] / "conf"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def rows(*them: tuple[Any, ...]) -> Counter[tuple[Any, ...]]:
    return Counter(them)


def log(**fields: Any) -> dict[str, Any]:
    return {"user_id": "u1", "event_time": "2026-01-31T10:00:00Z", "event_type": "Login", **fields}


def test_app_events() -> None:
    records = [
        log(metadata={"page": "/", "duration_ms": 12, "device": {"os": "ios", "version": 17}}),
        log(metadata={"page": "/", "duration_ms": 12, "device": {"os": "ios", "version": 17}}),
        log(user_id="u2", event_time="2026-01-31T11:00:00+01:00", event_type="PAGE_view"),
        log(user_id="u2", event_time="31/01/2026 23:59:59", metadata={"tags": ["a"], "page": None}),
        log(user_id="u2", event_time="2026-02-01 00:00:00", metadata=None),
        log(user_id=None),
        {"event_time": "2026-01-31T10:00:00Z", "event_type": "login"},
        log(user_id=7, event_time="2026-02-01T00:00:00.5"),
        log(event_time=["noon"]),
        log(event_time=["2026-01-31T10:00:00Z"]),
        log(event_time={"at": "2026-01-31T10:00:00Z"}),
        log(event_time="2026-02-30T10:00:00Z"),
        log(event_time="2026-01-31"),
        log(event_time="yesterday"),
        log(event_time=1769893200),
    ]
    found = ORACLES["app_events"]({"app_logs": records})
    metadata = (
        ("device", (("os", "ios"), ("version", "17"))),
        ("duration_ms", "12"),
        ("page", "/"),
    )
    last_of_january, february = date(2026, 1, 31), date(2026, 2, 1)
    assert found["silver.app_events"] == rows(
        ("u1", at("2026-01-31T10:00:00"), "login", metadata, last_of_january),
        ("u2", at("2026-01-31T10:00:00"), "page_view", None, last_of_january),
        ("u2", at("2026-01-31T23:59:59"), "login", (("tags", ("a",)),), last_of_january),
        ("u2", at("2026-02-01T00:00:00"), "login", None, february),
        ("7", at("2026-02-01T00:00:00.500000"), "login", None, february),
    )
    assert found["gold.daily_active_users"] == rows((last_of_january, 2, 3), (february, 2, 2))


def test_app_events_that_share_a_key_but_differ_have_no_one_truth() -> None:
    with pytest.raises(AssertionError):
        ORACLES["app_events"]({"app_logs": [log(), log(event_type="logout")]})


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T10:00:00", "2026-01-31T10:00:00"),
        ("2026-01-31 10:00:00.5", "2026-01-31T10:00:00.500000"),
        ("2026-01-31T10:00:00.123456789Z", "2026-01-31T10:00:00.123456"),
        ("2026-01-31 10:00:00+02:00", "2026-01-31T08:00:00"),
        ("2026-01-31T10:00:00.250-05:30", "2026-01-31T15:30:00.250000"),
        ("31/01/2026 10:00:00", "2026-01-31T10:00:00"),
        ("31/01/2026 10:00", None),
        ("31/02/2026 10:00:00", None),
        ("2026/01/31", None),
        ("2026-01-31T25:00:00", None),
        ("", None),
        (1769893200, None),
    ],
)
def test_moments_without_a_zone_are_of_utc(text: Any, moment: str | None) -> None:
    found = ORACLES["transactions"]({"transactions": [transaction(timestamp=text)]})
    [row] = found["silver.transactions"]
    assert row[3] == (moment and at(moment))


# As it stands in the JSON text.
_OF_DEVICE = '{"os": "ios", "v": [1, 2]}'


def transaction(**fields: Any) -> dict[str, Any]:
    usual = {"transaction_id": "t", "user_id": 1, "amount": 20.0, "timestamp": ""}
    usual |= {"raw_metadata": "{}"}
    return {**usual, **fields}


def test_transactions() -> None:
    records = [
        transaction(
            timestamp="2026-01-31T10:00:00Z", raw_metadata='{"source": "web", "items": [2, 3]}'
        ),
        transaction(
            timestamp="2026-01-31T10:00:00Z", raw_metadata='{"source": "web", "items": [2, 3]}'
        ),
        transaction(transaction_id=None, amount="50.0", timestamp="31/01/2026 10:00:01"),
        {"user_id": 1, "amount": "50.0", "timestamp": "31/01/2026 10:00:01"}
        | {"raw_metadata": "{}"},
        transaction(amount=None, raw_metadata="none"),
        transaction(amount="n/a", raw_metadata="[]"),
        transaction(amount="", raw_metadata=None),
        transaction(amount="12,50", raw_metadata="1"),
        transaction(amount=-5.0),
        transaction(amount="-5.0"),
        transaction(user_id=2, amount="1000.01"),
        transaction(user_id="3", amount=1000, timestamp="yesterday"),
        transaction(user_id=3, amount="1000", timestamp="yesterday"),
        transaction(user_id=4, amount=" 1e2 "),
        transaction(user_id=4, amount="1e999"),
        transaction(user_id=4, amount="-inf"),
        transaction(user_id=4, amount="NaN"),
        transaction(user_id=4, amount=[2]),
        transaction(user_id=None, amount=10.5),
        transaction(user_id=""),
        transaction(user_id="guest", amount=1000),
        transaction(user_id=1.5, amount=1000),
        transaction(user_id=[7], amount=1000),
    ]
    found = ORACLES["transactions"]({"transactions": records})
    ten = at("2026-01-31T10:00:00")
    zero = ("t", 1, 0.0, None, None)
    assert found["silver.transactions"] == rows(
        ("t", 1, 20.0, ten, (("other", (("items", "[2, 3]"),)), ("source", "web"))),
        (None, 1, 50.0, at("2026-01-31T10:00:01"), None),
        # They were four different lines, and are the same row now: duplicates go first.
        *(zero, zero, zero, zero),
        ("t", 2, 1000.01, None, None),
        # A number and its text are the same in bronze: one of the two lines is left.
        ("t", 3, 1000.0, None, None),
        ("t", 4, 100.0, None, None),
        *[("t", 4, 0.0, None, None)] * 4,
        ("t", None, 10.5, None, None),
    )
    assert {type(amount) for _, _, amount, _, _ in found["silver.transactions"]} == {float}
    assert found["gold.user_summary"] == rows(
        (1, 70.0, 5, at("2026-01-31T10:00:01"), "Regular"),
        (2, 1000.01, 1, None, "VIP"),
        (3, 1000.0, 1, None, "Regular"),
        (4, 100.0, 5, None, "Regular"),
        (None, 10.5, 1, None, "Regular"),
    )


@pytest.mark.parametrize(
    ("text", "source", "other"),
    [
        ('{"source": "web"}', "web", None),
        ('{"source": 7}', "7", None),
        ('{"coupon": "TEN \\"OFF\\""}', None, {"coupon": 'TEN "OFF"'}),
        ('{"source": null, "n": 2, "yes": true}', None, {"n": "2", "yes": "true"}),
        ('{"source": "a", "z": null}', "a", {"z": None}),
        ('{"b": {"os": "ios", "v": [1, 2]}, "a": ""}', None, {"a": "", "b": _OF_DEVICE}),
        ({"source": "app"}, "app", None),
    ],
)
def test_metadata_has_a_source_and_the_texts_of_all_else(
    text: Any, source: str | None, other: dict[str, str | None] | None
) -> None:
    found = ORACLES["transactions"]({"transactions": [transaction(raw_metadata=text)]})
    [row] = found["silver.transactions"]
    assert row[4] == canonical({"source": source, "other": other})


def customer(name: str, region: str, since: str, one: int = 1) -> dict[str, Any]:
    return {"customer_id": one, "customer_name": name, "region": region, "updated_at": since}


def product(name: str, price: float, since: str) -> dict[str, Any]:
    told = {"product_id": 7, "product_name": name, "category": "Security"}
    return {**told, "list_price": price, "updated_at": since}


def sale(**fields: Any) -> dict[str, Any]:
    usual = {"device_id": "d", "product_id": 7, "price": 9.5, "store_id": "s2", "customer_id": 1}
    return {"timestamp": "2026-01-31T10:00:00Z", **usual, **fields}


def test_iot_sales() -> None:
    nine, ten, eleven = (f"2026-01-31T{hour}:00:00Z" for hour in ("09", "10", "11"))
    records = {
        "iot_products": [product("Camera", 99.95, ten), product("Old", 1, nine)],
        "iot_stores": [
            {
                "store_id": "s2",
                "store_name": "Market",
                "city": "Oslo",
                "manager": name,
                "updated_at": since,
            }
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
            # What was first known of a customer holds for the time before, too.
            sale(customer_id=2, timestamp=nine, price=0.06),
            # Who was never a customer waits; the rest is no sale at all.
            sale(customer_id=3),
            sale(product_id=8),
            sale(price="free"),
            sale(price=-1),
            sale(price=0),
            sale(price=1.00001),
            sale(price=10**14),
            sale(timestamp="31/12/2025 10:00"),
            sale(timestamp="31/01/2026 10:00:00"),
            sale(product_id={"id": 7}),
            sale(customer_id="C-7"),
            sale(store_id=None),
            sale(customer_id=None),
            {"device_id": "d"},
        ],
    }
    found = ORACLES["iot_sales"](records)
    assert found["silver.dim_product"] == rows(
        (7, "Camera", "Security", Decimal("99.95"), at("2026-01-31T10:00:00"))
    )
    assert found["silver.dim_store"] == rows(
        ("s2", "Market", "Oslo", "Ben", at("2026-01-31T10:00:00"))
    )
    assert found["silver.dim_customer"] == rows(
        (1, "Alice", "North", at("2026-01-31T09:00:00"), at("2026-01-31T11:00:00")),
        (1, "Alice", "South", at("2026-01-31T11:00:00"), None),
        (2, "Bob", "West", at("2026-01-31T10:00:00"), None),
    )
    day, alice = date(2026, 1, 31), ("d", "s2", 7, "Camera", "Security", 1, "Alice")
    north = (*alice, "North", Decimal("9.5"), day)
    assert found["silver.sales_enriched"] == rows(
        north,
        north,
        (*alice, "North", Decimal("9.49"), day),
        (*alice, "South", Decimal(10), day),
        ("d", "s2", 7, "Camera", "Security", 2, "Bob", "West", Decimal("0.05"), day),
        ("d", "s2", 7, "Camera", "Security", 2, "Bob", "West", Decimal("0.06"), day),
    )
    assert found["gold.fact_daily_sales"] == rows(
        (day, "s2", "North", "Security", Decimal("28.49")),
        (day, "s2", "South", "Security", Decimal(10)),
        (day, "s2", "West", "Security", Decimal("0.11")),
    )
    assert found["gold.revenue_by_region"] == rows(
        ("North", Decimal("28.49")), ("South", Decimal(10)), ("West", Decimal("0.11"))
    )
    assert found["gold.avg_order_size"] == rows(("s2", Decimal("6.43333333"), 6))


def test_an_average_is_rounded_half_up_at_eight_digits() -> None:
    since = "2026-01-01T00:00:00Z"
    records = {
        "iot_products": [product("Camera", 1, since)],
        "iot_stores": [],
        "iot_customers": [customer("Alice", "North", since)],
        "iot_sales_raw": [sale(price=price) for price in (0.01, 0.01, 0.03)],
    }
    [(_, average, _)] = ORACLES["iot_sales"](records)["gold.avg_order_size"]
    assert average == Decimal("0.01666667")


def test_a_store_is_text_and_a_price_has_four_decimals() -> None:
    since = "2026-01-01T00:00:00Z"
    records = {
        "iot_products": [product("Camera", 1, since)],
        "iot_stores": [],
        "iot_customers": [customer("Alice", "North", since)],
        "iot_sales_raw": [
            sale(store_id=7, price="1.12340"),
            sale(store_id=1.5, price=99999999999999.0),
            sale(store_id="s", product_id="7", customer_id="1", price="1e1"),
        ],
    }
    found = ORACLES["iot_sales"](records)["silver.sales_enriched"]
    assert {(row[1], row[2], row[5], row[8]) for row in found} == {
        ("7", 7, 1, Decimal("1.1234")),
        ("1.5", 7, 1, Decimal(99999999999999)),
        ("s", 7, 1, Decimal(10)),
    }


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


def test_maps_compare_as_pairs_too() -> None:
    """Arrow gives them so, in the order in which they were written."""
    pairs = {"other": [("b", "2"), ("z", None), ("a", "1")]}
    assert canonical(pairs) == canonical({"other": {"a": "1", "b": "2"}})
    assert canonical(pairs) != canonical({"other": [["b", "2"], ["z", None], ["a", "1"]]})


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


@pytest.mark.parametrize("dirty", [0.0, 0.3])
@pytest.mark.parametrize("name", PIPELINES)
def test_others_come_to_the_same(name: str, dirty: float, tmp_path: Path) -> None:
    lake = PipelineLake.of(name, tmp_path)
    lake.generate(9, rows=200, seed=5, dirty=dirty)
    if name == "iot_sales":
        # Sales before the first that is known of a customer, and a later state of hers.
        early = {"2026-01-09T00:00:00Z": "North", "2026-01-10T00:00:00Z": "South"}
        states = [customer("Zoe", region, since, one=9) for since, region in early.items()]
        sold = [
            sale(product_id=101, store_id="store_001", customer_id=9, timestamp=f"2026-01-{day}")
            for day in ("08T10:00:00Z", "09T10:00:00Z", "11T10:00:00Z")
        ]
        for table, records in (("iot_customers", states), ("iot_sales_raw", sold)):
            text = "".join(f"{json.dumps(one)}\n" for one in records)
            (lake.landing / table / "early.json").write_text(text)
    expected = lake.tables()
    found = gold_by_duckdb(name, lake.landing)
    assert found == {table: expected[f"gold.{table}"] for table in found}
    assert {f"gold.{table}" for table in found} == {t for t in expected if t.startswith("gold.")}
    assert all(found.values())
    if name == "iot_sales":
        zoe = [row for row in expected["silver.sales_enriched"] if row[6] == "Zoe"]
        assert sorted((row[9].day, row[7]) for row in zoe) == [
            (8, "North"),
            (9, "North"),
            (11, "South"),
        ]
    if name == "transactions":
        silver = Counter(row[:3] for row in expected["silver.transactions"].elements())
        assert amounts_by_pandas(good_lines(sorted(lake.folder.glob("*.json")))) == silver


@pytest.mark.parametrize("name", PIPELINES)
def test_the_oracle_tells_of_every_table_of_the_config(name: str, tmp_path: Path) -> None:
    config: Pipeline = PipelineLake.of(name, tmp_path).config
    declared = {f"silver.{table}" for table in config.silver}
    declared |= {f"gold.{table}" for table in config.gold}
    assert {table for table in COLUMNS if table in declared} == declared
    for table, gold in config.gold.items():
        assert COLUMNS[f"gold.{table}"] == Aggregation(gold).columns_in_order
    first_files = {
        file.table: json.loads(file.content.splitlines()[0])
        for file in FEEDS[name].make(Plan(seed=1, now=at("2026-01-31T21:30:00")), 1)
    }
    for table, silver in config.silver.items():
        # A dimension has whatever columns its files have.
        wanted = list(silver.selected) or list(first_files[silver.from_.name])
        if silver.write == "scd2":
            wanted.remove(silver.sequence or "")
            wanted += ["valid_from", "valid_to"]
        assert COLUMNS[f"silver.{table}"] == tuple(wanted)
