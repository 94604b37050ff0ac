"""Incremental mode: the same rows as complete mode's and as one computation over all of silver."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from pyspark.sql import functions as F
from support.histories import GOLD, History, config
from support.lake import run_streams
from support.own import OwnLake

from medallion_jobs import gold
from medallion_jobs.aggregate import Aggregation

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


class Life(NamedTuple):
    """What one test lets happen, and to which gold tables."""

    seed: int
    changing: bool
    names: tuple[str, ...]
    steps: int

    @classmethod
    def of(cls, seed: int) -> Life:
        """By its seed: two of three have changes, each has two of the tables."""
        return cls(seed, seed % 3 != 0, tuple(random.Random(seed).sample(sorted(GOLD), 2)), 4)


# Two that together have every way in which a group goes on; fifty with `-m slow`.
IN_CI = [Life(1, True, ("visits", "days"), 1), Life(2, False, ("all_kinds",), 1)]
FIFTY = [pytest.param(Life.of(seed), marks=pytest.mark.slow) for seed in range(100, 150)]


@pytest.mark.parametrize("life", [*IN_CI, *FIFTY], ids=lambda life: f"seed{life.seed}")
def test_every_gold_table_equals_its_source(
    spark: SparkSession, tmp_path: Path, life: Life
) -> None:
    lake = OwnLake.of(tmp_path, config(life.names, changing=life.changing))
    history = History(spark, lake.path("silver.sales"), life.seed, life.changing)
    told = []
    for deed in history.steps(life.steps):
        told.append(deed)
        # Each run starts the queries anew, as after a stop.
        run_streams(lake.config, gold.streams(lake.config))
        assert_equal(spark, lake, f"{life}, after: {' | '.join(told)}")


ODD = """\
pipeline: odd
bronze:
  sales: {source: {format: json, schema: "id bigint, region string, day date, at bigint"}}
silver:
  sales: {from: bronze.sales, select: [id, region, day, at]}
gold:
  by_region:
    from: silver.sales
    mode: incremental
    group_by: [region]
    measures: {rows: count(*)}
    layout: {partition_by: [region]}
  by_day:
    from: silver.sales
    mode: incremental
    group_by: [day]
    measures:
      rows: count(*)
      newest: "max_by(map('id', id), at)"
"""
COLUMNS = "id bigint, region string, day date, at bigint"


@pytest.mark.slow
def test_odd_keys_and_values_and_rows_changed_by_hand(spark: SparkSession, tmp_path: Path) -> None:
    lake = OwnLake.of(tmp_path, ODD)
    silver = lake.path("silver.sales")
    feed = "delta.enableChangeDataFeed"
    spark.sql(
        f"CREATE TABLE delta.`{silver}` ({COLUMNS}) USING delta TBLPROPERTIES ('{feed}'=true)"
    )

    def add(*rows: str) -> None:
        spark.sql(f"INSERT INTO delta.`{silver}` VALUES {', '.join(rows)}")
        run_streams(lake.config, gold.streams(lake.config))
        assert_equal(spark, lake, str(rows))

    far = "make_date(20245, 3, 1)"  # no date to Python
    add(f"(1, '', {far}, 1)", "(2, null, null, 1)", "(3, 'north', date'2026-01-01', 1)")
    add(f"(4, '', {far}, 2)", "(5, null, null, 2)", "(6, '', date'2026-01-01', 2)")
    spark.sql(f"DELETE FROM delta.`{lake.path('gold.by_region')}` WHERE region IS NULL")
    add("(7, 'north', null, 3)")


@pytest.mark.slow
def test_a_commit_of_many_files_is_one_batch(spark: SparkSession, tmp_path: Path) -> None:
    lake = OwnLake.of(tmp_path, ODD)
    silver = lake.path("silver.sales")
    feed = "delta.enableChangeDataFeed"
    spark.sql(
        f"CREATE TABLE delta.`{silver}` ({COLUMNS}) USING delta TBLPROPERTIES ('{feed}'=true)"
    )
    rows = spark.range(1_100).selectExpr("id", "'north' AS region", "null AS day", "id AS at")
    for _ in range(2):
        rows.selectExpr(
            *(f"cast({c.split()[0]} AS {c.split()[1]})" for c in COLUMNS.split(", "))
        ).repartition(1_100).write.format("delta").mode("append").save(str(silver))
        run_streams(lake.config, gold.streams(lake.config))
        assert_equal(spark, lake, "many files")


def assert_equal(spark: SparkSession, lake: OwnLake, when: str) -> None:
    silver = spark.read.format("delta").load(str(lake.path("silver.sales")))
    for name, table in lake.config.gold.items():
        rows = spark.read.format("delta").load(str(lake.path(f"gold.{name}")))
        right = Aggregation(table).of(silver)
        assert rows.dtypes == right.dtypes, name
        assert listed(rows) == listed(right), f"gold.{name}, {when}"


def listed(rows: DataFrame) -> list[str]:
    """Rows as text, in one order: NaN equals NaN, and each decimal has its digits.

    Two zeros are one value, and which of them is the largest is not said.
    """
    # As text in Spark already: a date may be none to Python.
    texts = [F.col(f"`{name}`").cast("string").alias(name) for name in rows.columns]
    return sorted(str(row).replace("='-0.0'", "='0.0'") for row in rows.select(*texts).collect())
