"""The pipelines on records that nobody of this project made: field by field as they were given.

The records of `tests/data/raw_transactions.json` and the forms below come from those who asked
for the pipelines. No generator of ours is used: it would agree with the configs.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.lake import batches
from support.pipelines import PipelineLake

DATA = Path(__file__).resolve().parents[1] / "data"
LAST = datetime(2024, 2, 10, 10, 1, tzinfo=timezone.utc)
# As pandas gives it for the records: user, sum, number of ids, last moment.
USERS = {
    100: (1609.0, 71),
    101: (1405.5, 61),
    102: (1688.0, 78),
}
VIPS = [(107, 2082.0), (103, 1701.5), (102, 1688.0), (109, 1661.5), (100, 1609.0)]


def landed(lake: PipelineLake, table: str, name: str, *records: dict[str, Any] | str) -> Path:
    path = lake.landing / table / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (one if isinstance(one, str) else json.dumps(one) for one in records)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def by(rows: Iterable[dict[str, Any]], *names: str) -> dict[Any, dict[str, Any]]:
    found = {tuple(row[name] for name in names): row for row in rows}
    return {key[0] if len(names) == 1 else key: row for key, row in found.items()}


# Messy transactions


@pytest.fixture(scope="module")
def transactions(
    tmp_path_factory: pytest.TempPathFactory, spark: object
) -> tuple[PipelineLake, list[Any]]:
    lake = PipelineLake.of("transactions", tmp_path_factory.mktemp("transactions"))
    (lake.landing / "transactions").mkdir(parents=True)
    shutil.copy(DATA / "raw_transactions.json", lake.landing / "transactions")
    return lake, lake.run()


def test_transactions_as_they_are_given(transactions: tuple[PipelineLake, list[Any]]) -> None:
    lake, events = transactions
    assert len(lake.rows("bronze.transactions")) == 1020
    silver = lake.rows("silver.transactions")
    assert len(silver) == 783
    assert {row["raw_metadata"]["source"] for row in silver} == {"mobile"}
    assert {row["timestamp"] for row in silver} == {LAST, LAST - timedelta(minutes=1)}
    gold = by(lake.rows("gold.user_summary"), "user_id")
    assert sorted(gold) == list(range(100, 110))
    for user, (spent, count) in USERS.items():
        assert (gold[user]["total_spent"], gold[user]["transaction_count"]) == (spent, count)
    assert {row["last_seen"] for row in gold.values()} == {LAST}
    assert {row["segment"] for row in gold.values()} == {"VIP"}
    [batch] = batches(events, "silver.transactions")
    assert batch.rows_in == 1020
    assert batch.rows_out + batch.repeated + batch.dropped == 1020
    assert batch.remarks == (f"{batch.dropped:,} of 1,020 rows break not_negative (drop)",)


def test_transactions_by_pandas(transactions: tuple[PipelineLake, list[Any]]) -> None:
    """The cleaning as a notebook does it, on the same file."""
    import pandas as pd

    raw = pd.read_json(DATA / "raw_transactions.json", lines=True).drop_duplicates()
    raw["amount"] = pd.to_numeric(raw["amount"], errors="coerce").fillna(0)
    raw = raw[raw["amount"] >= 0]
    raw["timestamp"] = [pd.Timestamp(text, tz="UTC") for text in raw["timestamp"]]
    users = raw.groupby("user_id").agg(
        total_spent=("amount", "sum"),
        transaction_count=("transaction_id", "count"),
        last_seen=("timestamp", "max"),
    )
    lake, _ = transactions
    found = by(lake.rows("gold.user_summary"), "user_id")
    assert {
        user: (row["total_spent"], row["transaction_count"], row["last_seen"])
        for user, row in found.items()
    } == {user: tuple(row) for user, row in users.iterrows()}


def test_the_five_vips_in_order(transactions: tuple[PipelineLake, list[Any]]) -> None:
    told = json.loads(transactions[0].cli("query", "--saved", "vip_users", "--json"))
    assert [(row["user_id"], row["total_spent"]) for row in told] == VIPS
    assert {row["user_segment"] for row in told} == {"VIP"}


@pytest.mark.slow
def test_transactions_of_other_forms(tmp_path: Path, spark: object) -> None:
    """Amounts, times, metadata and users as they may also come."""
    lake = PipelineLake.of("transactions", tmp_path)
    usual = {
        "transaction_id": "1",
        "user_id": 107,
        "amount": 20.0,
        "timestamp": "2024-02-10T10:00:00",
        "raw_metadata": '{"source": "mobile"}',
    }
    forms: dict[str, dict[str, Any]] = {
        "a": {"amount": " 1e2 "},
        "b": {"amount": "12,50"},
        "c": {"amount": "NaN"},
        "d": {"amount": "12.345678"},
        "e": {"amount": True},
        "f": {"timestamp": "2024-02-10T10:00:00.123456Z"},
        "g": {"timestamp": "2024-02-10 12:00:00+02:00"},
        "h": {"timestamp": "10/02/2024 10:00:00"},
        "i": {"timestamp": "soon"},
        "j": {"raw_metadata": '{"source": "web", "campaign": "x", "geo": {"city": "Oslo"}}'},
        "k": {"raw_metadata": "{}"},
        "l": {"raw_metadata": "source=web"},
        "m": {"raw_metadata": {"source": "app"}},
        "n": {"user_id": "107"},
        "o": {"user_id": "guest"},
        "p": {"user_id": None},
    }
    records = [{**usual, "transaction_id": name, **form} for name, form in forms.items()]
    # As the project's own generator wrote them before.
    records.append({**usual, "transaction_id": "q", "metadata": '{"channel": "web", "items": 2}'})
    del records[-1]["raw_metadata"]
    landed(lake, "transactions", "t.json", *records)
    lake.run()
    silver = by(lake.rows("silver.transactions"), "transaction_id")
    assert sorted(silver) == sorted(set("abcdefghijklmnpq"))
    amounts = {name: silver[name]["amount"] for name in "abcde"}
    assert amounts == {"a": 100.0, "b": 0.0, "c": 0.0, "d": 12.345678, "e": 0.0}
    ten = datetime(2024, 2, 10, 10, tzinfo=timezone.utc)
    times = {name: silver[name]["timestamp"] for name in "fghi"}
    assert times == {"f": ten + timedelta(microseconds=123456), "g": ten, "h": ten, "i": None}
    metadata = {name: silver[name]["raw_metadata"] for name in "jklmq"}
    assert metadata == {
        "j": {"source": "web", "other": [("campaign", "x"), ("geo", '{"city": "Oslo"}')]},
        "k": {"source": None, "other": None},
        "l": None,
        "m": {"source": "app", "other": None},
        "q": None,
    }
    [parked] = lake.rows("quarantine/silver/transactions")
    assert parked["rules"] == ["readable_user"]
    assert 'user_id: "guest" does not fit bigint' in parked["reasons"]
    [rescued] = [r for r in lake.rows("bronze.transactions") if r["transaction_id"] == "q"]
    assert json.loads(rescued["_rescued_data"])["metadata"].startswith('{"channel"')


# Application logs


LOGS: list[dict[str, Any] | str] = [
    {"user_id": "u12", "event_time": "2024-05-01T10:01:00Z", "event_type": "LOGIN"},
    {"user_id": "u12", "event_time": "2024-05-01 10:01:00", "event_type": "login"},
    {"user_id": "u12", "event_time": "2024-05-01T12:01:00+02:00", "event_type": "Login"},
    {"user_id": "u13", "event_time": "01/05/2024 10:01:00", "event_type": "View"},
    {"user_id": "u13", "event_time": "2024-05-01T10:01:00.250Z", "event_type": "VIEW"},
    {"user_id": 14, "event_time": "2024-05-02T00:00:00", "event_type": "view"},
    {"user_id": None, "event_time": "2024-05-02T00:00:00", "event_type": "view"},
    {"event_time": "2024-05-02T00:00:00", "event_type": "view"},
    {"user_id": "u15", "event_time": "when?", "event_type": "view"},
]
SHAPES: dict[str, Any] = {
    "none": [{}] * 9,
    "objects": [
        {"metadata": {"page": f"/{n}", "depth": n, "geo": {"city": "x"}}} for n in range(9)
    ],
    "texts": [{"metadata": f"text {n}"} for n in range(9)],
    "lists": [{"metadata": [n, "a"]} for n in range(9)],
    "mixed": [{"metadata": [{"page": "/"}, "text", 7, None, [1]][n % 5]} for n in range(9)],
    "nulls": [{"metadata": None}] * 9,
}


_SLOW = ("none", "objects", "texts", "lists", "nulls")


@pytest.mark.parametrize(
    "shape",
    [pytest.param(one, marks=[pytest.mark.slow] * (one in _SLOW)) for one in SHAPES],
)
def test_app_events_with_text_ids_and_any_metadata(
    shape: str, tmp_path: Path, spark: object
) -> None:
    lake = PipelineLake.of("app_events", tmp_path)
    records = [
        {**line, **metadata} if isinstance(line, dict) else line
        for line, metadata in zip(LOGS, SHAPES[shape], strict=True)
    ]
    path = landed(lake, "app_logs", "a.json", *records)
    lake.run()
    gold = {row["date"]: (row["dau"], row["events_count"]) for row in lake.rows(_DAU)}
    # DuckDB reads an offset with digits only, and gives the moment in UTC by its microseconds.
    text = "regexp_replace(event_time, 'Z$', '+00:00')"
    text = f"{text} || CASE WHEN regexp_matches({text}, '[+-]..:..$') THEN '' ELSE '+00:00' END"
    days = ("%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z")
    told = duckdb.execute(
        "SELECT moment::date, count(DISTINCT user_id), count(*) FROM (SELECT DISTINCT user_id, "
        f"make_timestamp(epoch_us(try_strptime({text}, {[*days, '%d/%m/%Y %H:%M:%S%z']}))) "
        f"AS moment FROM read_json('{path}', format = 'newline_delimited', "
        "columns = {user_id: 'VARCHAR', event_time: 'VARCHAR'}) WHERE user_id IS NOT NULL"
        ") WHERE moment IS NOT NULL GROUP BY 1"
    ).fetchall()
    assert gold == {day: (users, events) for day, users, events in told}
    assert sum(events for _, events in gold.values()) == 4
    silver = lake.rows("silver.app_events")
    assert {row["user_id"] for row in silver} == {"u12", "u13", "14"}
    assert all(row["event_type"].islower() for row in silver)
    if shape == "objects":
        assert {row["metadata"]["geo"]["city"] for row in silver} == {"x"}
    if shape == "none":
        assert "metadata" not in silver[0]
        more = {**LOGS[0], "user_id": "u99", "metadata": {"page": "/late"}}
        landed(lake, "app_logs", "b.json", more)
        lake.run()
        found = {r["user_id"]: r["metadata"] for r in lake.rows("silver.app_events")}
        assert found == {"u12": None, "u13": None, "14": None, "u99": {"page": "/late"}}


_DAU = "gold.daily_active_users"


# Sales of devices


PRODUCTS = [
    {"product_id": 101, "product_name": "Lamp", "category": "Light"},
    {"product_id": 102, "product_name": "Lock", "category": "Safety"},
    {"product_id": 103, "product_name": "Fan", "category": "Climate", "colour": "red"},
]
CUSTOMERS = [
    {"customer_id": 1001 + n, "customer_name": f"Customer {n}", "region": "NSEW"[n % 4]}
    for n in range(7)
]
STORES = [
    {"store_id": f"store_{n:03}", "city": f"City {n}", "size_m2": 100 * n} for n in range(1, 5)
]


def readings(count: int, stores: Iterable[Any], seed: int = 5) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    start, ids = datetime(2024, 5, 1, 10, 1), list(stores)
    return [
        {
            "device_id": f"abc{draw.randrange(100, 130)}",
            "timestamp": f"{start + timedelta(minutes=draw.randrange(9000)):%Y-%m-%dT%H:%M:%SZ}",
            "product_id": draw.choice((101, 102, 103)),
            "price": draw.choice((15.5, 20, 7.25, round(draw.uniform(1, 90), 2))),
            "store_id": draw.choice(ids),
            "customer_id": draw.randrange(1001, 1008),
        }
        for _ in range(count)
    ]


SHOWN = {
    "device_id": "abc123",
    "timestamp": "2024-05-01T10:01:00Z",
    "product_id": 101,
    "price": 15.5,
    "store_id": "store_001",
    "customer_id": 1001,
}


@pytest.mark.parametrize(
    "form",
    ["as given", pytest.param("as our generator wrote them before", marks=pytest.mark.slow)],
)
def test_iot_sales(form: str, tmp_path: Path, spark: object) -> None:
    lake = PipelineLake.of("iot_sales", tmp_path)
    is_old = form != "as given"
    stores = (
        [{"store_id": n, "store_name": f"Store {n}"} for n in range(1, 5)] if is_old else STORES
    )
    known = {"updated_at": "2024-01-01T00:00:00Z"} if is_old else {}
    for table, rows in (
        ("iot_products", PRODUCTS),
        ("iot_customers", CUSTOMERS),
        ("iot_stores", stores),
    ):
        landed(lake, table, "d.json", *({**row, **known} for row in rows))
    sold = readings(299, [row["store_id"] for row in stores])
    landed(lake, "iot_sales_raw", "r.json", *sold, {**SHOWN, "store_id": stores[0]["store_id"]})
    lake.run()
    assert not lake.path("quarantine/silver/sales_enriched").exists()
    enriched = lake.rows("silver.sales_enriched")
    assert len(enriched) == 300
    assert list(enriched[0]) == [
        *("device_id", "store_id", "product_id", "product_name", "category"),
        *("customer_id", "customer_name", "region", "price", "sale_date"),
    ]
    assert len(lake.rows("silver.dim_store")) == 4
    duck = duckdb.connect()
    for table in ("iot_sales_raw", "iot_products", "iot_customers"):
        files = lake.landing / table / "*.json"
        duck.execute(f"CREATE VIEW {table} AS SELECT * FROM read_json('{files}')")
    duck.execute(
        "CREATE VIEW enriched AS SELECT *, timestamp::date AS sale_date FROM iot_sales_raw "
        "JOIN iot_products USING (product_id) JOIN iot_customers USING (customer_id)"
    )
    told = duck.execute(
        "SELECT sale_date, store_id::text, region, category, sum(price) FROM enriched GROUP BY ALL"
    ).fetchall()
    facts = {
        (r["sale_date"], r["store_id"], r["region"], r["category"]): r["daily_sales_amount"]
        for r in lake.rows("gold.fact_daily_sales")
    }
    assert {key: float(value) for key, value in facts.items()} == {
        (day, *rest): pytest.approx(amount) for day, *rest, amount in told
    }
    by_region = duck.execute("SELECT region, sum(price) FROM enriched GROUP BY 1").fetchall()
    assert {r["region"]: float(r["revenue"]) for r in lake.rows("gold.revenue_by_region")} == {
        region: pytest.approx(amount) for region, amount in by_region
    }
    average = duck.execute("SELECT store_id::text, avg(price) FROM enriched GROUP BY 1").fetchall()
    assert {
        r["store_id"]: float(r["avg_order_size"]) for r in lake.rows("gold.avg_order_size")
    } == {store: pytest.approx(amount) for store, amount in average}
    if not is_old:
        # A later load without a time of its own is the newer state; sales of before stay.
        landed(lake, "iot_customers", "e.json", {**CUSTOMERS[0], "region": "Moon"})
        landed(lake, "iot_products", "e.json", {**PRODUCTS[0], "product_name": "Lantern"})
        landed(lake, "iot_sales_raw", "s.json", SHOWN)
        lake.run()
        assert by(lake.rows("silver.dim_product"), "product_id")[101]["product_name"] == "Lantern"
        history = [r for r in lake.rows("silver.dim_customer") if r["customer_id"] == 1001]
        assert {r["region"] for r in history if r["is_current"]} == {"Moon"}
        assert len(history) == 2
        regions = {r["region"] for r in lake.rows("silver.sales_enriched")}
        assert "Moon" not in regions
        assert by(lake.rows("silver.dim_product"), "product_id")[103]["colour"] == "red"
