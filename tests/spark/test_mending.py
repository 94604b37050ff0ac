"""Each refusal's own way out, taken: afterwards the run succeeds, and the tables are right."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from support.exact import assert_exact
from support.lake import Lake, batches, order

from medallion_jobs.errors import Refused, UsageError

GOLD = "gold.sales_by_region_day"


@pytest.fixture
def finished(sales: Lake, tmp_path: Path) -> Lake:
    """A copy of a finished lake, over a copy of its files."""
    shutil.copytree(sales.landing, tmp_path / "landing")
    return Lake(sales.copy(tmp_path).storage, tmp_path / "landing", sales.settings)


@pytest.fixture(scope="module")
def made(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake.at(tmp_path_factory.mktemp("small"), "bronze.sales.source.max_files_per_trigger=1")
    lake.generate(0)
    for number in range(3):
        lake.drop(f"{number}.json", order(order_id=f"a{number}"), order(quantity=5), at=number)
    lake.run()
    return lake


@pytest.fixture
def small(made: Lake, tmp_path: Path) -> Iterator[Lake]:
    """A copy of a finished lake of three files, three batches of bronze.

    The files are those of all copies; what a test adds to them goes with the test.
    """
    there = set(made.folder.iterdir())
    yield made.copy(tmp_path)
    for added in set(made.folder.iterdir()) - there:
        added.unlink()


# tests/recovery/test_refusals.py does the same by commands.
@pytest.mark.slow
def test_sum_become_max(small: Lake) -> None:
    changed = small.having(f"{GOLD}.measures.total_quantity='max(quantity)'")
    with pytest.raises(Refused, match=r"'sum\(quantity\)' became 'max\(quantity\)'"):
        changed.run()
    changed.reset(GOLD)
    changed.run()
    largest = defaultdict(list)
    for row in changed.rows("silver.sales"):
        largest[row["region"], row["order_date"]].append(row["quantity"])
    assert {
        (row["region"], row["order_date"]): row["total_quantity"] for row in changed.rows(GOLD)
    } == {group: max(them) for group, them in largest.items()}


@pytest.mark.slow
def test_one_more_measure(small: Lake) -> None:
    changed = small.having(f"{GOLD}.measures.orders='count(1)'")
    with pytest.raises(Refused, match=r"measures\.orders"):
        changed.run()
    changed.reset(GOLD)
    changed.run()
    assert sum(row["orders"] for row in changed.rows(GOLD)) == 6


def test_a_new_column_of_silver_is_added_for_the_rows_to_come(small: Lake) -> None:
    schema = small.config.silver["sales"].schema_
    changed = small.having(
        "silver.sales.columns.doubled='quantity * 2'", f"silver.sales.schema={schema}, doubled int"
    )
    changed.drop("new.json", order(order_id="new", quantity=4), at=9)
    changed.run()
    doubled = {row["order_id"]: row["doubled"] for row in changed.rows("silver.sales")}
    assert doubled == {"a0": None, "a1": None, "a2": None, "o-1": None, "new": 8}
    assert_exact(changed)
    # A reset makes it for all of them.
    changed.reset("silver.sales")
    changed.run()
    assert all(r["doubled"] == r["quantity"] * 2 for r in changed.rows("silver.sales"))
    assert_exact(changed)


@pytest.mark.slow
def test_a_new_column_of_bronze_is_added_for_the_files_to_come(small: Lake) -> None:
    schema = small.config.bronze["sales"].source.schema_
    changed = small.having(f"bronze.sales.source.schema={schema}, channel string")
    changed.drop("new.json", order(order_id="new", channel="web"), at=9)
    changed.run()
    channels = {row["order_id"]: row["channel"] for row in changed.rows("bronze.sales")}
    assert channels["new"] == "web"
    assert channels["a0"] is None
    assert len(changed.rows("silver.sales")) == 7


def test_another_type_is_refused_and_a_reset_makes_the_table_so(small: Lake) -> None:
    schema = small.config.silver["sales"].schema_.replace("quantity int", "quantity bigint")
    changed = small.having(
        "silver.sales.columns.quantity='cast(quantity as bigint)'", f"silver.sales.schema={schema}"
    )
    versions = changed.versions()
    with pytest.raises(UsageError, match=r"quantity: it is int .* declared as bigint"):
        changed.run()
    assert changed.versions() == versions
    changed.reset("silver.sales")
    changed.run()
    assert_exact(changed)


def test_bronze_that_lost_the_end_of_its_log(small: Lake, spark: SparkSession) -> None:
    log = small.path("bronze.sales") / "_delta_log"
    for lost in sorted(log.glob("*.json"))[-1:]:
        lost.unlink()
        lost.with_suffix(".crc").unlink()
        lost.with_name(f".{lost.name}.crc").unlink()  # Hadoop's checksum of the file
    # A run of its own would know nothing of it, either.
    spark.sparkContext._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    with pytest.raises(Refused, match=r"bronze\.sales .*lost the end of its log"):
        small.run()
    told = small.reset("bronze.sales")
    assert "silver.sales: generation v1 -> v2" in told
    small.run()
    assert_exact(small)


def test_gold_waits_for_a_silver_that_was_reset(small: Lake) -> None:
    small.reset("silver.sales")
    with pytest.raises(Refused, match=r"its source silver\.sales was reset"):
        small.run("gold")
    small.run("silver")
    small.run("gold")
    assert_exact(small)


def test_a_landing_folder_that_moved_is_not_read_again(finished: Lake) -> None:
    moved = finished.landing.with_name("elsewhere")
    finished.landing.rename(moved)
    lake = Lake(finished.storage, moved, finished.settings)
    with pytest.raises(Refused, match=r"it reads files of .*elsewhere"):
        lake.run()
    assert_exact(finished, truth=finished.truth(), layers=[])


def test_another_pipeline_does_not_write_into_the_same_tables(small: Lake) -> None:
    with pytest.raises(Refused, match="the pipeline sales writes it, not retail"):
        small.having("pipeline=retail").run()


def test_a_file_that_was_gone_and_came_back_is_read(lake: Lake, spark: object) -> None:
    kept = lake.drop("kept.json", order(order_id="kept"))
    gone = lake.drop("gone.json", order(order_id="gone"), at=1)
    aside = gone.rename(lake.landing / "aside.json")
    lake.run("bronze")
    aside.rename(gone)
    lake.run("bronze")
    gone.rename(aside)
    kept.rename(lake.landing / "kept.json")
    (event,) = batches(lake.run("bronze"), "bronze.sales") or [None]
    assert event is None
    assert {row["order_id"] for row in lake.rows("bronze.sales")} == {"kept", "gone"}
