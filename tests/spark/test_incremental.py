"""Incremental mode: the same rows as complete mode's and as one computation over all of silver."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
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
IN_CI = [Life(1, True, ("visits", "additive"), 1), Life(2, False, ("all_kinds", "days"), 1)]
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
    return sorted(str(row).replace("=-0.0", "=0.0") for row in rows.collect())
