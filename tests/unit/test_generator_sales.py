"""Clean sales files: their shape, their determinism, their speed."""

import hashlib
import json
import re
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medallion_jobs.errors import UsageError
from medallion_jobs.generator import FEEDS, MadeFile, Plan, feed_for

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
SALES = FEEDS["sales"]
UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def make(seed: int = 7, number: int = 1, **changes: object) -> MadeFile:
    plan = Plan(**{"seed": seed, "now": NOW, "rows": 100, **changes})  # type: ignore[arg-type]
    [made] = SALES.make(plan, number)
    return made


def test_a_clean_line_is_the_json_object_of_an_order() -> None:
    made = make(rows=500)
    assert re.fullmatch(rf"sales_{UUID4}\.json", made.name)
    assert made.content.endswith(b"\n")
    lines = made.content.decode().splitlines()
    assert len(lines) == 500
    orders = [json.loads(line) for line in lines]
    assert [json.dumps(order) for order in orders] == lines
    for order in orders:
        assert list(order) == [
            "order_id",
            "customer_id",
            "product_id",
            "quantity",
            "order_timestamp",
        ]
        assert re.fullmatch(UUID4, order["order_id"])
        moment = datetime.strptime(order["order_timestamp"], "%Y-%m-%d %H:%M:%S")
        assert timedelta(0) <= NOW.replace(tzinfo=None) - moment < timedelta(hours=1)
    assert len({order["order_id"] for order in orders}) == 500
    assert {order["customer_id"] for order in orders} == set(range(1, 16))
    assert {order["product_id"] for order in orders} == set(range(101, 113))
    assert {order["quantity"] for order in orders} == {1, 2, 3, 4, 5}


def test_the_new_column_is_on_every_line() -> None:
    made = make(new_column_from=1)
    orders = [json.loads(line) for line in made.content.splitlines()]
    assert {order["channel"] for order in orders} == {"web", "store", "phone"}
    assert made.new_column == 100


def test_a_seed_gives_these_very_bytes_on_every_python() -> None:
    made = make(rows=1000, dirty=0.3, new_column_from=1)
    assert made.name == "sales_aba9b79c-2c80-4610-b4f2-63000a0eea15.json"
    assert (
        hashlib.sha256(made.content).hexdigest()
        == "71352f1a6c6ec572ea48e043bdfd2b6a5f4d9399519d369f54ae046c7cdaddf8"
    )


@given(
    seed=st.integers(),
    changed=st.sampled_from(
        [
            {"number": 2},
            {"rows": 101},
            {"now": NOW + timedelta(seconds=1)},
            {"customers": 16},
            {"dirty": 0.1},
            {"new_column_from": 2},
            {"rate": 5.0},
        ]
    ),
)
def test_the_same_plan_the_same_file_and_any_other_plan_another_name(
    seed: int, changed: dict[str, Any]
) -> None:
    assert make(seed) == make(seed) == make(seed, files=3)
    assert make(seed).name != make(seed, **changed).name
    assert make(seed).name != make(seed + 1).name


@pytest.mark.parametrize("dirty", [0.0, 0.05])
def test_it_is_fast(dirty: float) -> None:
    """The promise is 200,000 rows a second; the floor here is lower, for a busy machine."""
    best = 0.0
    for seed in range(5):
        start = time.process_time()
        make(seed, rows=20_000, dirty=dirty)
        best = max(best, 20_000 / (time.process_time() - start))
    assert best > 100_000


def test_another_pipeline_is_told_which_have_a_generator() -> None:
    assert feed_for("sales") is SALES
    with pytest.raises(UsageError) as refused:
        feed_for("orders_cdc")
    assert "orders_cdc" in refused.value.what
    for pipeline in ("sales", "app_events", "iot_sales", "transactions"):
        assert feed_for(pipeline) is FEEDS[pipeline]
        assert pipeline in refused.value.what
