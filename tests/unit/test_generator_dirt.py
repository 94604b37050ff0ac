"""Each kind of dirt is what it says, and as many lines as the counts say."""

import json
from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medallion_jobs.generator import FEEDS, MadeFile, Plan

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
SALES = FEEDS["sales"]
CUSTOMERS = 20
FIELDS = {"order_id", "customer_id", "product_id", "quantity", "order_timestamp"}


def make(seed: int, lines: int, dirty: float, new_column: bool) -> MadeFile:
    new_from = 1 if new_column else None
    plan = Plan(
        seed=seed, now=NOW, rows=lines, customers=CUSTOMERS, dirty=dirty, new_column_from=new_from
    )
    [made] = SALES.make(plan, 1)
    return made


def kind_of(line: bytes, clean_before: set[bytes]) -> str:  # noqa: PLR0911
    """What is wrong with a line, worked out from the line alone and the clean ones above."""
    try:
        order = json.loads(line)
    except ValueError:
        return "broken_line"
    if not isinstance(order, dict):
        return "broken_line"
    if not order.keys() >= FIELDS:
        return "missing_field"
    if [type(order[field]) for field in ("customer_id", "product_id", "quantity")] != [int] * 3:
        return "wrong_type"
    try:
        moment = datetime.strptime(order["order_timestamp"], "%Y-%m-%d %H:%M:%S")
    except (TypeError, ValueError):
        return "wrong_type"
    age = NOW.replace(tzinfo=None) - moment
    if age >= timedelta(days=1):
        assert age <= timedelta(days=400)
        return "late_timestamp"
    if age < timedelta(0):
        assert timedelta(days=1) <= -age <= timedelta(days=365)
        return "future_timestamp"
    if order["customer_id"] > CUSTOMERS:
        return "unknown_customer"
    return "duplicate" if line in clean_before else "clean"


def recount(content: bytes) -> Counter[str]:
    counts: Counter[str] = Counter()
    clean: list[bytes] = []
    for line in content.split(b"\n")[:-1]:
        kind = kind_of(line, set(clean[-1:]))
        counts[kind] += 1
        if kind == "clean":
            clean.append(line)
    return counts


@given(
    seed=st.integers(),
    lines=st.integers(1, 300),
    dirty=st.floats(0, 1),
    new_column=st.booleans(),
)
def test_counts_equal_a_recount_of_the_bytes(
    seed: int, lines: int, dirty: float, new_column: bool
) -> None:
    made = make(seed, lines, dirty, new_column)
    assert made.content.count(b"\n") == lines
    assert made.content.endswith(b"\n")
    assert b"\r" not in made.content
    assert recount(made.content) == Counter(made.counts)
    assert sum(made.counts.values()) == lines


@given(seed=st.integers(), dirty=st.floats(0, 1))
def test_the_new_column_is_counted_where_a_reader_finds_it(seed: int, dirty: float) -> None:
    made = make(seed, 100, dirty, new_column=True)
    found = 0
    for line in made.content.splitlines():
        try:
            order = json.loads(line)
        except ValueError:
            continue
        found += isinstance(order, dict) and "channel" in order
    assert made.new_column == found
    assert make(seed, 100, dirty, new_column=False).new_column == 0


def test_the_share_is_about_what_was_asked_for_and_kinds_come_evenly() -> None:
    counts = Counter(make(3, 70_000, 0.2, new_column=False).counts)
    dirty = counts.total() - counts["clean"]
    assert dirty == pytest.approx(14_000, rel=0.05)
    for kind in SALES.kinds:
        assert counts[kind] == pytest.approx(2000, rel=0.1), kind


def test_with_only_dirt_nothing_can_be_a_duplicate_of_a_clean_line() -> None:
    counts = make(3, 2000, 1.0, new_column=False).counts
    assert counts["clean"] == 0
    assert counts["duplicate"] == 0
    assert all(counts[kind] for kind in SALES.kinds if kind != "duplicate")


def test_broken_lines_break_in_many_ways() -> None:
    lines = make(3, 5000, 1.0, new_column=False).content.splitlines()
    broken = {line for line in lines if kind_of(line, set()) == "broken_line"}
    values = []
    for line in broken:
        try:
            values.append(type(json.loads(line)))
        except ValueError as error:
            values.append(str(error).split(":")[0])
    assert {list, int, str, type(None), "Extra data", "Expecting value"} <= set(values)
