"""What the feeds of app_events, transactions and iot_sales promise of their files."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pipeline_oracles import ORACLES, Tables

from medallion_jobs.generator import FEEDS, MadeFile, Plan, generate, made_files

NOW = datetime(2026, 1, 31, 21, 30, tzinfo=timezone.utc)
NAMES = ("app_events", "iot_sales", "transactions")
REGIONS = ("North", "South", "East", "West")
UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"

Lines = dict[str, list[list[dict[str, Any]]]]


def plan(**changes: Any) -> Plan:
    return Plan(**{"seed": 7, "now": NOW, "rows": 100, **changes})


def made(feed: str, number: int = 1, **changes: Any) -> tuple[MadeFile, ...]:
    return tuple(FEEDS[feed].make(plan(**changes), number))


def parsed(file: MadeFile) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.content.splitlines()]


def lines(feed: str, files: int, **changes: Any) -> Lines:
    """By table, for each file number its lines, where it brings a file of the table."""
    found: Lines = defaultdict(list)
    for number in range(1, files + 1):
        brought = {file.table: parsed(file) for file in made(feed, number, **changes)}
        for table in FEEDS[feed].tables:
            found[table].append(brought.get(table, []))
    return found


def loaded(text: str | bytes) -> Any:
    """What a JSON text holds; None where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def truth(feed: str, found: Lines, *, upto: int) -> Tables:
    """What the tables hold once the files up to a number have landed."""
    return ORACLES[feed](
        {table: [one for file in files[:upto] for one in file] for table, files in found.items()}
    )


# All of them


@pytest.mark.parametrize(
    ("feed", "sha256"),
    [
        ("app_events", "a8a6f50c67a721c9b8036dc7e4deb73da5b1ed89d953000f7b03c1d0e80fdf55"),
        ("iot_sales", "f82db2c4196e302d8f427c6af7471008e50ab9b5445babb5c3e88039fd177bc6"),
        ("transactions", "9864c0d126b1f82c79bd0e04b1737b56429af519cd13490a8593b39198b76b15"),
    ],
)
def test_a_seed_gives_these_very_bytes_on_every_python(feed: str, sha256: str) -> None:
    digest = hashlib.sha256()
    for number in (1, 2, 9):
        for file in made(feed, number, rows=300, dirty=0.3, new_column_from=9):
            digest.update(file.name.encode() + file.content)
    assert digest.hexdigest() == sha256


@pytest.mark.parametrize("feed", NAMES)
def test_any_other_plan_gives_other_names(feed: str) -> None:
    others: list[dict[str, Any]] = [
        {"number": 2},
        {"rows": 101},
        {"now": NOW + timedelta(seconds=1)},
        {"customers": 16},
        {"dirty": 0.1},
        {"new_column_from": 2},
        {"rate": 5.0},
        {"seed": 8},
    ]
    names = [file.name for other in [{}, *others] for file in made(feed, **other)]
    assert len(names) == len(set(names))
    assert made(feed) == made(feed, files=3)


@pytest.mark.parametrize("feed", NAMES)
@pytest.mark.parametrize("dirty", [0.0, 0.3, 1.0])
def test_every_line_is_counted(feed: str, dirty: float) -> None:
    for number in (1, 3):
        files = made(feed, number, dirty=dirty, new_column_from=3)
        assert files[-1].table == FEEDS[feed].tables[0]
        for file in files:
            assert re.fullmatch(rf"{file.table}_00000{number}_{UUID4}\.json", file.name)
            content = file.content.decode("ascii").split("\n")
            assert content.pop() == ""
            assert sum(file.counts.values()) == len(content)
            assert file.counts.keys() <= {"clean", *FEEDS[feed].kinds}
        events = files[-1].counts
        assert (events["clean"] == sum(events.values())) == (dirty == 0)
        assert all(file.counts.keys() == {"clean"} for file in files[:-1])


@pytest.mark.parametrize(
    ("feed", "column"),
    [("app_events", "app_version"), ("iot_sales", "battery"), ("transactions", "currency")],
)
def test_the_new_column_is_counted_where_a_reader_finds_it(feed: str, column: str) -> None:
    assert sum(file.new_column for file in made(feed, 2, dirty=0.4, new_column_from=3)) == 0
    found = 0
    files = made(feed, 3, dirty=0.4, new_column_from=3)
    for line in files[-1].content.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        found += isinstance(event, dict) and column in event
    assert found == sum(file.new_column for file in files) > 0


@pytest.mark.parametrize("feed", NAMES)
def test_a_run_can_be_cleared_away_by_its_summary(feed: str, tmp_path: Path) -> None:
    folders = {table: tmp_path / table for table in FEEDS[feed].tables}
    summaries = tmp_path / "_generated"
    wanted = plan(files=4, rows=10)
    first = generate(FEEDS[feed], wanted, landing=folders, summaries=summaries)
    assert first.numbers == 4
    for folder in folders.values():
        (folder / "mine.json").write_text("mine")
    again = generate(FEEDS[feed], wanted, landing=folders, summaries=summaries)
    assert again.totals["already_there"] == len(first.files) == len(again.files)
    found = {file for folder in folders.values() for file in made_files(feed, folder, summaries)}
    everything = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert everything - found == {folder / "mine.json" for folder in folders.values()}


# app_events


@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(1, 60),
    users=st.integers(1, 3),
    rate=st.sampled_from([None, 0.01, 5.0]),
)
def test_two_events_of_a_user_never_share_a_moment(
    seed: int, rows: int, users: int, rate: float | None
) -> None:
    found = lines("app_events", 4, seed=seed, rows=rows, customers=users, rate=rate)
    # The oracle asserts that what has the same key is the same row.
    truth("app_events", found, upto=4)
    assert [len(file) for file in found["app_logs"]] == [rows] * 4


def test_many_events_of_few_users_still_find_moments_of_their_own() -> None:
    found = lines("app_events", 2, rows=4000, customers=1)
    events = truth("app_events", found, upto=2)["silver.app_events"]
    assert events.total() > 2 * 4000 * 0.92


def test_repeats_are_letter_by_letter_lines_above_or_of_the_file_before() -> None:
    before: list[bytes] = []
    from_before = 0
    for number in range(1, 6):
        [file] = made("app_events", number, rows=1000)
        seen: set[bytes] = set()
        repeats = 0
        for line in file.content.splitlines():
            repeats += line in seen or line in before
            from_before += line in before
            seen.add(line)
        assert repeats == file.repeats
        assert 10 < repeats < 60
        before = file.content.splitlines()
    assert from_before > 10


def test_log_lines_come_in_all_their_forms() -> None:
    events = [one for file in lines("app_events", 9, rows=200)["app_logs"] for one in file]
    forms = Counter(re.sub(r"\d", "9", event["event_time"]) for event in events)
    assert forms.keys() == {
        "9999-99-99T99:99:99Z",
        "9999-99-99 99:99:99",
        "99/99/9999 99:99:99",
        "9999-99-99T99:99:99+99:99",
    }
    assert {tuple(event) for event in events if len(event) == 4} == {
        ("user_id", "event_time", "event_type", "metadata")
    }
    users = [event.get("user_id", "absent") for event in events]
    assert {None, "absent", *(f"u{number}" for number in range(1, 16))} == set(users)
    assert {"login", "LOGIN", "Page_View"} <= {event["event_type"] for event in events}
    assert {dict, type(None)} == {type(event.get("metadata")) for event in events}


def test_later_files_bring_new_keys_of_metadata() -> None:
    files = lines("app_events", 9, rows=200)["app_logs"]
    first: dict[str, int] = {}
    for number, file in enumerate(files, start=1):
        for event in file:
            found = event.get("metadata") or {}
            for key in (*found, *(f"device.{inner}" for inner in found.get("device", ()))):
                first.setdefault(key, number)
    assert {key for key, number in first.items() if number == 1} == {
        "page",
        "duration_ms",
        "device",
        "device.os",
        "device.version",
        "tags",
    }
    assert (first["experiment"], first["device.model"], first["referrer"]) == (3, 5, 8)


def test_a_spoiled_log_line_is_no_event() -> None:
    [file] = made("app_events", rows=400, dirty=1.0)
    events = []
    for line in file.content.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        events += [event] if isinstance(event, dict) else []
    assert len(events) > 200
    wrong = [event.get("event_time") for event in events]
    wrong = [time for time in wrong if isinstance(time, dict | list)]
    assert len(wrong) == file.counts["wrong_type"]
    assert {type(time) for time in wrong} == {dict, list}
    assert not truth("app_events", {"app_logs": [events]}, upto=1)["silver.app_events"]


# transactions


def test_a_thousand_transactions_are_messy_as_they_were_described() -> None:
    [file] = made("transactions", rows=1000)
    found = file.content.splitlines()
    assert (len(found), file.repeats) == (1020, 20)
    # The first event and every fiftieth after it stand twice in a row, and none else.
    doubled = [place for place in range(1, 1020) if found[place] == found[place - 1]]
    assert doubled == [1 + 51 * time for time in range(20)]
    events = parsed(file)
    assert {tuple(event) for event in events} == {
        ("transaction_id", "user_id", "amount", "timestamp", "raw_metadata")
    }
    once = [event for place, event in enumerate(events) if place not in doubled]
    ids = [event["transaction_id"] for event in once]
    assert all(one in (None, str(place)) for place, one in enumerate(ids))
    assert ids.count(None) == pytest.approx(50, abs=20)
    assert {event["user_id"] for event in events} == set(range(100, 115))
    amounts = Counter(repr(event["amount"]) for event in once)
    assert all(count == pytest.approx(200, abs=50) for count in amounts.values())
    assert set(amounts) == {
        "10.5",
        "20.0",
        "'50.0'",
        "-5.0",
        "None",
    }
    forms = [re.sub(r"\d", "9", event["timestamp"]) for event in once]
    assert forms == ["9999-99-99T99:99:99", "9999-99-99 99:99:99"] * 500
    moments = [datetime.fromisoformat(event["timestamp"]) for event in once]
    ages = [NOW.replace(tzinfo=None) - moment for moment in moments]
    assert timedelta(0) <= min(ages) < timedelta(minutes=1)
    assert timedelta(minutes=59) < max(ages) < timedelta(hours=1)
    texts = {event["raw_metadata"] for event in events}
    assert '{"source": "mobile"}' in texts
    about = [json.loads(text) for text in texts]
    assert {"mobile", "web", "store"} == {one["source"] for one in about}
    assert {"source", "coupon", "device"} == {key for one in about for key in one}
    assert any('"' in one.get("coupon", "") for one in about)


def test_transactions_come_in_the_shares_that_were_described() -> None:
    [file] = made("transactions", rows=20_000)
    events = parsed(file)
    assert len(events) == 20_400
    share = pytest.approx(len(events) / 20, rel=0.1)
    assert sum(event["transaction_id"] is None for event in events) == share
    amounts = Counter(repr(event["amount"]) for event in events)
    assert list(amounts.values()) == [pytest.approx(len(events) / 5, rel=0.05)] * 5


@pytest.mark.parametrize("users", [1, 10])
def test_there_are_as_many_users_as_were_asked_for(users: int) -> None:
    [file] = made("transactions", rows=300, customers=users)
    assert {event["user_id"] for event in parsed(file)} == set(range(100, 100 + users))


def test_transactions_are_spoiled_in_the_ways_that_are_counted() -> None:
    [file] = made("transactions", rows=1000, dirty=1.0)
    events = [event for event in map(loaded, file.content.splitlines()) if isinstance(event, dict)]
    users = [event["user_id"] for event in events if "user_id" in event]
    wrong = Counter(repr(user) for user in users if not isinstance(user, int))
    assert wrong.keys() == {"'guest'", "1.5", "[7]"}
    fields = {"transaction_id", "user_id", "amount", "timestamp", "raw_metadata"}
    texts = [event.get("raw_metadata", "{}") for event in events]
    assert {
        "wrong_type": wrong.total(),
        "missing_field": sum(event.keys() < fields for event in events),
        "unreadable_amount": sum(event.get("amount") in ("n/a", "12,50", "") for event in events),
        "unreadable_metadata": sum(loaded(text) is None for text in texts),
        "unreadable_time": sum(
            not re.match(r"\d{4}-", event.get("timestamp", "0000-")) for event in events
        ),
        "broken_line": 1020 - len(events),
        "duplicate": 0,
        "clean": 0,
    } == file.counts
    assert all(file.counts[kind] for kind in FEEDS["transactions"].kinds if kind != "duplicate")


def test_transactions_of_the_next_file_go_on_counting() -> None:
    [file] = made("transactions", 3, rows=100)
    found = [event["transaction_id"] for event in parsed(file)]
    # The lines 0 and 50 stand twice.
    expected = [str(200 + place) for place in range(100) for _ in range(1 + (place % 50 == 0))]
    assert [one or there for one, there in zip(found, expected, strict=True)] == expected


def test_some_users_are_vip_and_some_are_not() -> None:
    found = lines("transactions", 1, rows=1000)
    summary = truth("transactions", found, upto=1)["gold.user_summary"]
    assert {row[-1] for row in summary} == {"VIP", "Regular"}


# iot_sales


def test_a_reading_has_the_form_that_was_described() -> None:
    found = lines("iot_sales", 9, rows=100)
    for reading in (one for file in found["iot_sales_raw"] for one in file):
        assert list(reading) == [
            *("device_id", "timestamp", "product_id", "price", "store_id", "customer_id"),
        ]
        assert re.fullmatch(r"[a-g]{3}12[3-6]", reading["device_id"])
        assert re.fullmatch(r"2026-\d\d-\d\dT\d\d:\d\d:\d\dZ", reading["timestamp"])
        assert reading["product_id"] in range(101, 109)
        assert re.fullmatch(r"store_00[1-5]", reading["store_id"])
        assert reading["customer_id"] in range(1001, 1016)
        assert isinstance(reading["price"], float)
    devices = defaultdict(set)
    for reading in (one for file in found["iot_sales_raw"] for one in file):
        devices[reading["store_id"]].add(reading["device_id"])
    assert [len(those) for those in devices.values()] == [4] * 5
    assert len(set().union(*devices.values())) == 20
    columns = {
        table: {tuple(one) for file in found[table] for one in file}
        for table in ("iot_products", "iot_stores", "iot_customers")
    }
    assert columns == {
        "iot_products": {("product_id", "product_name", "category", "list_price", "updated_at")},
        "iot_stores": {("store_id", "store_name", "city", "manager", "updated_at")},
        "iot_customers": {("customer_id", "customer_name", "region", "updated_at")},
    }


def test_a_spoiled_reading_is_wrong_in_one_field() -> None:
    *_, file = made("iot_sales", rows=2000, dirty=1.0)
    readings = [one for one in map(loaded, file.content.splitlines()) if isinstance(one, dict)]
    is_right = {
        "price": lambda price: isinstance(price, float),
        "timestamp": lambda time: str(time).endswith("Z"),
        "product_id": lambda product: isinstance(product, int),
        "customer_id": lambda customer: isinstance(customer, int),
        "store_id": lambda store: str(store).startswith("store_"),
        "device_id": lambda device: isinstance(device, str),
    }
    wrong = Counter(
        (field, json.dumps(one[field]))
        for one in readings
        for field, is_so in is_right.items()
        if field in one and not is_so(one[field])
    )
    assert wrong.keys() == {
        ("price", '"free"'),
        ("price", "[2]"),
        ("timestamp", '"31/12/2025 10:00"'),
        ("product_id", '{"id": 3}'),
        ("customer_id", '"C-7"'),
    }
    assert wrong.total() == file.counts["wrong_type"]
    assert sum(one.keys() < is_right.keys() for one in readings) == file.counts["missing_field"]
    customers = [one.get("customer_id") for one in readings]
    unknown = [one for one in customers if isinstance(one, int) and one not in range(1001, 1016)]
    assert len(unknown) == file.counts["unknown_customer"]
    assert min(unknown) >= 2_000_000
    below_zero = [
        one for one in readings if isinstance(one.get("price"), float) and one["price"] < 0
    ]
    assert len(below_zero) == file.counts["negative_price"]


@given(
    seed=st.integers(0, 2**32),
    customers=st.integers(1, 20),
    rate=st.sampled_from([None, 0.01, 5.0]),
)
def test_what_a_sale_finds_does_not_depend_on_when_it_is_looked_up(
    seed: int, customers: int, rate: float | None
) -> None:
    found = lines("iot_sales", 8, seed=seed, rows=12, customers=customers, rate=rate)
    at_the_end = truth("iot_sales", found, upto=8)["silver.sales_enriched"]
    for upto in range(1, 8):
        then = truth("iot_sales", found, upto=upto)["silver.sales_enriched"]
        # Nothing that was found is different later; what was not yet comes on top.
        assert not then - at_the_end
    assert at_the_end.total() == 8 * 12


def test_the_first_sales_of_the_late_come_before_they_do() -> None:
    found = lines("iot_sales", 8, rows=100)
    missing = []
    for upto in range(1, 9):
        landed = {one["customer_id"] for file in found["iot_customers"][:upto] for one in file}
        bought = {one["customer_id"] for file in found["iot_sales_raw"][:upto] for one in file}
        missing.append(len(bought - landed))
    assert max(missing) >= 2
    assert missing[-1] == 0
    # At their first sale they were customers already: told late, valid from before.
    assert len({one["customer_id"] for file in found["iot_customers"] for one in file}) == 15


def test_customers_change_name_and_region_over_time() -> None:
    found = lines("iot_sales", 20, rows=1, customers=60)
    customers = truth("iot_sales", found, upto=20)["silver.dim_customer"]
    by_customer = defaultdict(list)
    for customer, name, region, valid_from, _ in customers:
        by_customer[customer].append((valid_from, name, region))
    assert set(customers.values()) == {1}
    for states in by_customer.values():
        told = [state[1:] for state in sorted(states)]
        assert len(told) > 1
        assert all(now != then for now, then in pairwise(told))
        # None is left out, also of those that happened before a late customer landed.
        steps = [REGIONS.index(now[1]) - REGIONS.index(then[1]) for then, now in pairwise(told)]
        assert {step % len(REGIONS) for step in steps} == {1}
    assert any(len({name for _, name, _ in states}) > 1 for states in by_customer.values())
    told_again = Counter(
        (one["customer_id"], one["updated_at"]) for file in found["iot_customers"] for one in file
    )
    assert max(told_again.values()) > 1


def test_products_and_stores_change_and_are_told_again_out_of_date() -> None:
    found = lines("iot_sales", 20, rows=1)
    for table, key in (("iot_products", "product_id"), ("iot_stores", "store_id")):
        newest: dict[int, str] = {}
        back = changed = 0
        for file in found[table]:
            for row in file:
                last = newest.get(row[key], "")
                back += row["updated_at"] < last
                changed += "" < last < row["updated_at"]
                newest[row[key]] = max(last, row["updated_at"])
        assert back > 0 < changed
    # What sales take of a product stays: else it would matter when they are looked up.
    names = {
        (one["product_id"], one["product_name"], one["category"])
        for file in found["iot_products"]
        for one in file
    }
    assert len(names) == 8


def test_dimensions_stand_before_the_sales_in_time() -> None:
    found = lines("iot_sales", 12, rows=20)
    readings = [[one["timestamp"] for one in file] for file in found["iot_sales_raw"]]
    assert all(max(a) < min(b) for a, b in pairwise(readings))
    assert len({one[:10] for file in readings for one in file}) == 2
