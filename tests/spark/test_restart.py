"""Starting again over what an earlier run left: replayed batches, leftovers, resets."""

from __future__ import annotations

import gc
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.exact import assert_exact
from support.lake import Lake, batches, order, run_streams

from medallion_jobs.engine.query import Running
from medallion_jobs.errors import Refused

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLES = ("bronze.sales", "silver.sales", "gold.sales_by_region_day")


@pytest.fixture
def finished(sales: Lake, tmp_path: Path) -> Lake:
    """A copy of a finished lake."""
    return sales.copy(tmp_path)


def test_a_batch_that_is_run_again_changes_nothing(finished: Lake) -> None:
    for table in TABLES:
        commits = finished.checkpoints.joinpath(*table.split("."), "v1", "commits")
        newest = max((p for p in commits.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
        newest.unlink()
        newest.with_name(f".{newest.name}.crc").unlink()
    versions = finished.versions()

    events = finished.run()

    for table in TABLES:
        (again,) = batches(events, table)
        assert again.batch == 0
    assert finished.versions() == versions
    assert_exact(finished)


def test_nothing_is_kept_of_a_run_that_has_ended(spark: SparkSession, finished: Lake) -> None:
    finished.run()

    def kept() -> list[str]:
        spark._jvm.System.gc()  # type: ignore[union-attr]
        gc.collect()
        queries = [one for one in gc.get_objects() if isinstance(one, Running)]
        paths = (one.stream.claim.target_path for one in queries)
        return [str(path) for path in paths if finished.storage in path.parents]

    patience = time.monotonic() + 300
    while (still := kept()) and time.monotonic() < patience:
        time.sleep(0.5)
    assert not still


def test_reset_of_bronze_doubles_no_row(finished: Lake) -> None:
    finished.reset("bronze.sales")
    events = finished.run()
    assert_exact(finished)
    assert [one.rows_out for one in batches(events, "silver.sales")] == [0]


def test_reset_of_silver_replaces_its_rows_and_those_of_gold(finished: Lake) -> None:
    finished.add_customers({1_000: "Center"})
    told = finished.reset("silver.sales")
    assert "gold.sales_by_region_day: generation v1 -> v2" in told
    finished.run()
    assert_exact(finished)


def test_reset_of_gold_replaces_its_rows(finished: Lake) -> None:
    finished.reset("gold.sales_by_region_day")
    finished.run("gold")
    assert_exact(finished)


@pytest.mark.slow
def test_a_reset_bronze_fills_a_removed_table_again(finished: Lake) -> None:
    shutil.rmtree(finished.path("bronze.sales"))
    with pytest.raises(Refused, match=r"bronze\.sales .*its table was removed"):
        finished.run()

    told = finished.reset("bronze.sales")
    # Those that have read the table that is gone begin anew with it.
    assert "silver.sales: generation v1 -> v2" in told
    assert "gold.sales_by_region_day: generation v1 -> v2" in told
    finished.run()
    assert_exact(finished)


@pytest.mark.slow
def test_resets_mend_the_loss_of_all_checkpoints(finished: Lake) -> None:
    shutil.rmtree(finished.checkpoints)
    with pytest.raises(Refused, match="its checkpoint is gone"):
        finished.run()

    finished.reset("bronze.sales")
    finished.reset("silver.sales")
    finished.run()
    assert_exact(finished)


def test_what_a_cut_off_first_batch_leaves_does_not_stop_the_start(
    lake: Lake, spark: object
) -> None:
    from medallion_jobs import bronze

    config = lake.config
    (stream,) = bronze.streams(config)

    class CutOff(type(stream)):  # type: ignore[misc]
        def read(self, *_: object) -> object:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_streams(config, [CutOff.to_table(config, "sales")])
    offsets = lake.checkpoints / "bronze" / "sales" / "v1" / "offsets"
    assert not offsets.exists()
    offsets.mkdir(parents=True)
    leftover = offsets / ".0.8a4c2f60-0d3f-4a52-9c3e-5a0e6b1f7d21.tmp"
    leftover.write_text("v1\n")
    lake.drop("one.json", order())

    lake.run("bronze")

    assert not leftover.exists()
    assert_exact(lake, layers=["bronze"])
