"""The sales pipeline, from landed files to gold, against the oracle."""

from __future__ import annotations

import pytest
from support.exact import assert_exact
from support.lake import Lake, batches


def test_all_tables_equal_the_oracle_for_any_share_of_dirt(sales: Lake) -> None:
    truth = assert_exact(sales)

    # The dirt is such that the hard cases are among it.
    assert truth.quarantine
    assert any(row[2] is None and row[1] is not None for row in truth.silver), "unknown customers"
    assert any(row[2] is None for row in truth.gold), "a sum over nulls only"
    assert any(row[0] is None for row in truth.gold), "a group of no region"
    assert any(row[1] is None for row in truth.gold), "a group of no date"


def test_a_second_run_adds_nothing_and_new_files_are_all_that_a_third_reads(
    lake: Lake, spark: object
) -> None:
    lake.generate(3, seed=7, dirty=0.05)
    lake.run()
    versions, gold = lake.versions(), lake.rows("gold.sales_by_region_day")
    first = {path.name for path in lake.folder.iterdir()}

    assert batches(lake.run(), "bronze.sales") == []
    assert lake.versions() == versions

    lake.generate(8, seed=7, dirty=0.05)  # five more than are there
    events = lake.run()

    (bronze,) = batches(events, "bronze.sales")
    (silver,) = batches(events, "silver.sales")
    assert bronze.files == 5
    assert silver.rows_in == bronze.rows_out
    in_second_batch = {path for path, one in lake.files().items() if one["batch"] == bronze.batch}
    assert len(in_second_batch) == 5
    assert not first & {path.rpartition("/")[2] for path in in_second_batch}
    assert_exact(lake)
    # Gold was replaced at one blow: its next version is the whole new result, and whoever
    # reads the one before still has all of that.
    before = versions["gold/sales_by_region_day"]
    assert lake.versions()["gold/sales_by_region_day"] == before + 1
    assert lake.rows("gold.sales_by_region_day", before) == gold


@pytest.mark.slow
@pytest.mark.parametrize("dirty", [0, 0.05, 1.0])
@pytest.mark.parametrize("seed", range(20, 25))
def test_tables_equal_the_oracle(lake: Lake, spark: object, seed: int, dirty: float) -> None:
    lake.generate(6, rows=300, seed=seed, dirty=dirty, new_column_from=4)
    lake.having("bronze.sales.source.max_files_per_trigger=2").run()
    assert_exact(lake)
