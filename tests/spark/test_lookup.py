"""Silver's lookup: which customers a batch sees, and what it says of those it does not."""

from __future__ import annotations

import pytest
from support.exact import assert_exact
from support.lake import Lake, batches, order
from support.oracle import REGIONS, Truth

from medallion_jobs.errors import DataError, UsageError


def test_unknown_customers_are_kept_without_a_region_and_counted(
    sales_run: tuple[Lake, list[object]],
) -> None:
    lake, events = sales_run
    unknown = sum(count for row, count in lake.truth().silver.items() if row[1] not in REGIONS)
    (batch,) = batches(events, "silver.sales")
    assert batch.remarks == (f"{unknown:,} rows without a match in silver.customers",)


def test_a_batch_sees_the_customers_that_are_there_when_it_starts(
    lake: Lake, spark: object
) -> None:
    early = lake.drop("early.json", order(order_id="early", customer_id=99))
    lake.run("bronze", "silver")
    lake.add_customers({99: "Center"})
    late = lake.drop("late.json", order(order_id="late", customer_id=99), at=1)
    lake.run("bronze", "silver")

    regions = {row["order_id"]: row["region"] for row in lake.rows("silver.sales")}
    assert regions == {"early": None, "late": "Center"}
    then, now = Truth.of([early]), Truth.of([late], {99: "Center"})
    assert then.silver + now.silver  # the same by the oracle, batch by batch
    lake.run("gold")
    totals = {row["region"]: row["total_quantity"] for row in lake.rows("gold.sales_by_region_day")}
    assert totals == {None: 2, "Center": 2}


def test_a_key_that_stands_twice_stops_silver_and_bronze_stays(lake: Lake, spark: object) -> None:
    lake.add_customers({7: "South"})
    lake.drop("one.json", order(customer_id=7))

    with pytest.raises(DataError, match=r"silver\.customers .*customer_id=7 \(2 times\)") as told:
        lake.run()

    assert told.value.exit_code == 1
    assert_exact(lake, layers=["bronze"])
    assert lake.rows("silver.sales") == []
    assert not lake.path("gold.sales_by_region_day").exists()


def test_a_missing_dimension_is_told_before_anything_is_made(lake: Lake, spark: object) -> None:
    elsewhere = Lake.at(lake.storage.parent / "elsewhere")
    elsewhere.drop("one.json", order())

    with pytest.raises(UsageError, match=r"no dimension silver\.customers") as told:
        elsewhere.run()

    assert "medallion generate" in told.value.next_step
    assert not elsewhere.path("bronze.sales").exists()
