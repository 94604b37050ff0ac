#!/usr/bin/env python3
"""Measures what ten expectations cost: silver writes a batch with them and without, in turns.

The rows lie in a table before anything is timed. Each write is a batch as a run does it: read,
judge, count, commit, and put aside what has to be. Twice with rules: once where no row breaks
one, which is what the rules cost and has the target; once where 1 % do, which costs quarantine's
own pass and table besides. Each round runs all, each time first with another; the first rounds
warm up and are not counted. The exit code is 1 when the target is missed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.config import Pipeline, TableRef, pipeline_from_values
from medallion_jobs.engine import session
from medallion_jobs.engine.stream import Batch
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Txn
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.target_table import make

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

TARGET = 1.3  # times as long as without, where no row breaks a rule
MOMENT = datetime(2026, 1, 31, tzinfo=timezone.utc)

RULES: dict[str, dict[str, object]] = {
    "id_there": {"not_null": ["order_id", "customer_id"], "otherwise": "quarantine"},
    "positive_quantity": {"check": "quantity > 0", "otherwise": "quarantine"},
    "amount_fits": {"check": "amount >= price"},
    "known_status": {
        "in_set": {"status": ["new", "paid", "sent", "back"]},
        "otherwise": "quarantine",
    },
    "known_country": {"in_set": {"country": ["DE", "FR", "IT", "PL", "SE"]}},
    "fair_price": {"between": {"price": [0.01, 10_000]}, "otherwise": "drop"},
    "few_pieces": {"between": {"quantity": [-1, 1_000]}, "otherwise": "fail"},
    "address": {"matches": {"email": r"[a-z0-9.]+@[a-z0-9]+\.[a-z]{2,}"}},
    "order_number": {"check": "order_id like 'o-%'", "otherwise": "drop"},
    "of_this_month": {"recent": {"ordered_at": "32d"}},
}
# Of these, 1 % of the rows break one, each another row of ten; fair_price is broken by none.
_BREAK = 100


@dataclass
class Side:
    """One way to write, and the seconds that its rounds took."""

    name: str
    table: str
    seconds: list[float] = field(default_factory=list)
    told: str = ""
    rounds: int = 0

    def round(self, spark: SparkSession, config: Pipeline, *, counts: bool) -> None:
        """Writes once, into a fresh table."""
        ref = TableRef("silver", self.table)
        refinery = Refinery(config, ref)
        make(refinery, spark, is_rebuild=False)
        rows = spark.read.format("delta").load(str(refinery.path_of(refinery.table.from_)))
        # One of many: what is put aside goes to tables that are there already.
        self.rounds += 1
        batch = Batch(Txn(f"{ref}/v1", self.rounds, "bench"), generation=1, already_written=False)
        started = time.monotonic()
        written = refinery.write(rows, batch)
        took = time.monotonic() - started
        shutil.rmtree(refinery.path)
        spark.sql(f"DROP TABLE {ref}")
        if counts:
            self.seconds.append(took)
        gone = written.quarantined + written.dropped
        self.told = f"{written.rows_out:,} rows written, {gone:,} not"
        print(f"  {self.name:20} {took:7.2f} s{'' if counts else '  (warm-up)'}", flush=True)


def pipeline(folder: Path) -> Pipeline:
    """Three silver tables of the same columns."""
    tables = {
        "plain": {"from": "bronze.clean"},
        "clean": {"from": "bronze.clean", "expect": RULES},
        "dirty": {"from": "bronze.dirty", "expect": RULES},
    }
    return pipeline_from_values(
        {
            "pipeline": "bench",
            "storage": {"root": str(folder / "lake")},
            "landing": {"root": str(folder / "landing")},
            "bronze": {name: {"source": {"format": "json"}} for name in ("clean", "dirty")},
            "silver": tables,
        },
        "the bench",
    )


def main() -> int:
    """Runs the bench; returns the exit code."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="bench-expectations-", dir=options.folder) as made:
        folder = Path(made)
        config = pipeline(folder)
        spark = session.build(config, log_level="error")
        print(f"Spark {spark.version}, {spark.sparkContext.master}, {os.cpu_count()} cores")
        try:
            return 0 if _compare(spark, config, options) else 1
        finally:
            spark.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows a write (1,000,000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (5)")
    parser.add_argument("--warm-up", type=int, default=2, help="rounds before them (2)")
    parser.add_argument("--folder", type=Path, help="where all is made (a temp folder)")
    return parser.parse_args()


def _compare(spark: SparkSession, config: Pipeline, options: argparse.Namespace) -> bool:
    """Runs the rounds; returns whether the target is met."""
    for name in config.bronze:
        rows = orders(spark, options.rows, dirty=name == "dirty")
        path = TablePaths(config, TableRef("bronze", name)).data
        rows.write.format("delta").save(str(path))
    ten = f"{len(RULES)} rules"
    sides = [
        Side("no rules", "plain"),
        Side(f"{ten}, none broken", "clean"),
        Side(f"{ten}, 1 % broken", "dirty"),
    ]
    for number in range(options.warm_up + options.rounds):
        first = number % len(sides)
        for side in sides[first:] + sides[:first]:
            side.round(spark, config, counts=number >= options.warm_up)
    without = median(sides[0].seconds)
    for side in sides:
        took = median(side.seconds)
        print(f"  {side.name}: median {took:.2f} s, {took / without:.2f} x ({side.told})")
    ratio = median(sides[1].seconds) / without
    is_met = ratio <= TARGET
    print(f"  {sides[1].name}: {ratio:.2f} x, target {TARGET:g} x: {'met' if is_met else 'MISSED'}")
    return is_met


def orders(spark: SparkSession, count: int, *, dirty: bool) -> DataFrame:
    """Orders of thirteen columns; of dirty ones 1 % break one rule or another."""
    number = F.col("id")
    is_broken = (number % _BREAK == 0) if dirty else F.lit(False)

    def breaks(which: int, wrong: Column, right: Column) -> Column:
        return F.when(is_broken & (number / _BREAK % 10 == which), wrong).otherwise(right)

    quantity = (1 + number % 9).cast("int")
    price = (F.lit(1) + F.pmod(F.xxhash64(number), F.lit(1000)) / 1000.0 + number % 50).cast(
        "decimal(12,2)"
    )
    at = F.timestamp_seconds(F.lit(MOMENT.timestamp()) - F.pmod(F.xxhash64(number), F.lit(2e6)))
    return spark.range(0, count, 1, 2).select(
        breaks(0, F.lit("?"), F.format_string("o-%010d", number)).alias("order_id"),
        breaks(1, F.lit(None).cast("long"), number % 100_000).alias("customer_id"),
        (number % 997).alias("product_id"),
        breaks(2, F.lit(0), quantity).alias("quantity"),
        breaks(3, quantity * price + 1, price).cast("decimal(12,2)").alias("price"),
        (quantity * price).cast("decimal(14,2)").alias("amount"),
        breaks(4, F.lit("gone"), _one_of(["new", "paid", "sent", "back"])).alias("status"),
        breaks(5, F.lit("XX"), _one_of(["DE", "FR", "IT", "PL", "SE"])).alias("country"),
        breaks(6, F.lit("no address"), F.format_string("p%d@mail.org", number)).alias("email"),
        breaks(7, F.lit(MOMENT + timedelta(days=1)), at).alias("ordered_at"),
        F.sha1(number.cast("string")).alias("session"),
        F.format_string("shop %d", number % 400).alias("shop"),
        (number % 3 == 0).alias("is_first"),
    )


def _one_of(values: list[str]) -> Column:
    listed = F.array(*(F.lit(value) for value in values))
    return F.element_at(listed, (1 + F.pmod(F.xxhash64("id"), F.lit(len(values)))).cast("int"))


if __name__ == "__main__":
    sys.exit(main())
