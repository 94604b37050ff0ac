"""Silver's lookup: which customers a batch sees, and what it says of those it does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.exact import assert_exact
from support.lake import Lake, batches, order, run_streams
from support.oracle import REGIONS

from medallion_jobs.errors import DataError, UsageError


def test_unknown_customers_are_kept_without_a_region_and_counted(
    sales_run: tuple[Lake, list[object]],
) -> None:
    lake, events = sales_run
    unknown = sum(count for row, count in lake.truth().silver.items() if row[1] not in REGIONS)
    (batch,) = batches(events, "silver.sales")
    unfit = batch.quarantined
    assert unfit == len(lake.rows("bronze.sales")) - lake.truth().silver.total() > 0
    assert {
        f"{unknown:,} rows without a match in silver.customers",
        f"{unfit:,} rows quarantined: a value did not fit its column",
    } < {*batch.remarks}
    # Others are rows of the table, and gold reads a null of them.
    told = "rows have a null for a value that did not fit"
    passed_on = [remark for remark in batch.remarks if told in remark]
    assert sorted(re.findall(r": (\w+), read by gold\.", "".join(passed_on))) == [
        "order_timestamp",
        "quantity",
    ]


def test_a_customer_that_is_added_between_two_batches_is_seen_by_the_second(
    lake: Lake, spark: object
) -> None:
    from medallion_jobs import silver

    lake = lake.having("bronze.sales.source.max_files_per_trigger=1")
    for number in range(2):
        lake.drop(f"{number}.json", order(order_id=f"o-{number}", customer_id=99), at=number)
    lake.run("bronze")
    config = lake.config
    (stream,) = silver.streams(config)

    class ByTheVersion(type(stream)):  # type: ignore[misc]
        """One version of bronze is one batch; after the first, customer 99 comes."""

        def read(self, spark: Any) -> Any:
            source = spark.readStream.format("delta").option("maxFilesPerTrigger", 1)
            return source.load(str(lake.path("bronze.sales")))

        def write(self, df: Any, batch: Any) -> Any:
            written = super().write(df, batch)
            if batch.number == 0:
                lake.add_customers({99: "Center"})
            return written

    events = run_streams(config, [ByTheVersion(config, "sales")])

    assert len(batches(events, "silver.sales")) == 2
    regions = {row["order_id"]: row["region"] for row in lake.rows("silver.sales")}
    assert regions == {"o-0": None, "o-1": "Center"}


def test_a_key_that_stands_twice_stops_silver_before_it_writes(sales: Lake, tmp_path: Path) -> None:
    lake = sales.copy(tmp_path)
    lake.add_customers({7: "South"})
    lake.reset("silver.sales")
    gold = lake.versions()["gold/sales_by_region_day"]

    with pytest.raises(DataError, match=r"silver\.customers .*customer_id=7 \(2 times\)") as told:
        lake.run()

    assert told.value.exit_code == 1
    assert lake.rows("silver.sales") == []
    assert lake.versions()["gold/sales_by_region_day"] == gold
    assert_exact(lake, layers=["bronze"])


def test_a_missing_dimension_is_told_before_its_reader_is_made(lake: Lake, spark: object) -> None:
    elsewhere = Lake.at(lake.storage.parent / "elsewhere")
    elsewhere.drop("one.json", order())

    with pytest.raises(UsageError, match=r"no dimension silver\.customers") as told:
        elsewhere.run()

    assert "medallion generate" in told.value.next_step
    # What does not read it goes on.
    assert elsewhere.path("bronze.sales").exists()
    assert not elsewhere.path("silver.sales").exists()
