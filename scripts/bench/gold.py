#!/usr/bin/env python3
"""Measures what a small batch costs a large gold table, in incremental and in complete mode.

Makes silver tables of so many groups, four rows each, directly; lets gold read them once; then
adds batches of 1,000 rows of any of the groups and lets gold's own query take each. Prints, for
each size and mode, the seconds of the first batch (all of silver) and of the small ones.

The exit code is 1 when a target is missed, both sides of it in this one run:

    incremental, most groups   at most one fifth of complete, most groups
    incremental, most groups   at most 1.5 times incremental, a tenth of the groups
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medallion_jobs import gold
from medallion_jobs.config import Pipeline, TableRef, load
from medallion_jobs.engine import runner, session
from medallion_jobs.lake import tables
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Txn
from medallion_jobs.observe.events import BatchDone, Event

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS_A_GROUP = 4
BATCH_ROWS = 1_000
# Small batches before the first that counts: Spark's own code is compiled as it is used. One of
# complete mode is long enough to be its own.
WARM_UP = {"incremental": 10, "complete": 1}
COMPLETE_BATCHES = 3
LEAST_GAIN, MOST_GROWTH = 5.0, 1.5
CONFIG = """\
pipeline: bench
bronze:
  sales: {{source: {{format: json, schema: "customer bigint, amount decimal(12,2), at timestamp"}}}}
silver:
  sales: {{from: bronze.sales, select: [customer, amount, at]}}
gold:
  customers:
    from: silver.sales
    group_by: [customer]
    measures: {{spent: sum(amount), orders: count(*), last_seen: max(at)}}
    columns: {{segment: "if(spent > 1000, 'VIP', 'Regular')"}}
    mode: {mode}
"""


@dataclass
class Lake:
    """A silver table of many groups, and the gold table over it."""

    spark: SparkSession
    config: Pipeline
    groups: int
    batches: int = 0

    def fill(self) -> None:
        """Makes silver, in files as large batches leave them."""
        rows = self.groups * ROWS_A_GROUP
        tables.create(
            self.spark,
            self._silver,
            self._rows(0, 0).schema,
            comment="bench",
            properties={"delta.enableChangeDataFeed": "true"},
        )
        at_once = 1_000_000
        for number, first in enumerate(range(0, rows, at_once)):
            # Every group comes up once in as many rows as there are groups.
            made = self._rows(first, min(at_once, rows - first))
            tables.append(made.coalesce(1), self._silver, Txn("fill", number, "bench"))

    def add(self) -> None:
        """A batch of rows of any groups."""
        self.batches += 1
        far = self.groups * ROWS_A_GROUP + self.batches * BATCH_ROWS
        rows = self._rows(far, BATCH_ROWS, f"pmod(xxhash64(id), {self.groups})")
        tables.append(rows.coalesce(1), self._silver, Txn("add", self.batches, "bench"))

    def take(self) -> float:
        """Lets gold read what is there; the seconds of its batches."""
        done: list[float] = []

        def listen(event: Event) -> None:
            if isinstance(event, BatchDone):
                done.append(event.seconds)

        runner.run(self.config, gold.streams(self.config), listen)
        return sum(done)

    @property
    def _silver(self) -> Path:
        return TablePaths(self.config, TableRef("silver", "sales")).data

    def _rows(self, first: int, count: int, group: str | None = None) -> DataFrame:
        made = self.spark.range(first, first + count, 1, 2)
        return made.selectExpr(
            # A prime step: neighbours in time are not neighbours among the groups.
            f"{group or f'pmod(id * 1000003, {self.groups})'} AS customer",
            "cast(pmod(xxhash64(id, 1), 100000) / 100 AS decimal(12,2)) AS amount",
            "timestamp_seconds(1767225600 + id) AS at",
        )


def main() -> int:
    """Runs the bench; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--groups", type=int, default=5_000_000, help="the most (5000000)")
    parser.add_argument(
        "--batches", type=int, default=20, help="small ones of incremental mode, each size (20)"
    )
    parser.add_argument("--without-complete", action="store_true", help="incremental mode alone")
    parser.add_argument("--folder", type=Path, help="where all is made (a temp folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-gold-", dir=options.folder) as made:
        seconds: dict[tuple[str, int], float] = {}
        for mode, groups in (
            ("incremental", options.groups // 10),
            ("incremental", options.groups),
            *([] if options.without_complete else [("complete", options.groups)]),
        ):
            folder = Path(made) / f"{mode}-{groups}"
            batches = options.batches if mode == "incremental" else COMPLETE_BATCHES
            seconds[mode, groups] = _measured(folder, mode, groups, batches)
    few, many = (
        seconds["incremental", options.groups // 10],
        seconds["incremental", options.groups],
    )
    whole = seconds.get(("complete", options.groups))
    growth = many / few
    print(f"growth with ten times the groups: {growth:.2f} (at most {MOST_GROWTH})")
    gain = whole / many if whole else None
    if gain:
        print(f"complete / incremental: {gain:.1f} (at least {LEAST_GAIN:g})")
    return 0 if growth <= MOST_GROWTH and (gain is None or gain >= LEAST_GAIN) else 1


def _measured(folder: Path, mode: str, groups: int, batches: int) -> float:
    """The median seconds of a small batch."""
    folder.mkdir(parents=True)
    file = folder / "bench.yaml"
    file.write_text(CONFIG.format(mode=mode), encoding="utf-8")
    roots = [f"storage.root={folder / 'lake'}", f"landing.root={folder / 'landing'}"]
    config = load(file, None, [*roots, "spark.driver_memory=6g"], environ={}).pipeline
    spark = session.build(config, log_level="error")
    try:
        lake = Lake(spark, config, groups)
        lake.fill()
        first = lake.take()
        small = []
        for _ in range(batches):
            lake.add()
            small.append(lake.take())
    finally:
        spark.stop()
    median = statistics.median(small[WARM_UP[mode] :] or small)
    series = " ".join(f"{one:.2f}" for one in small)
    print(
        f"{mode:<12} {groups:>10,} groups: first batch {first:6.1f} s, then {series}"
        f" (median {median:.2f} s)",
        flush=True,
    )
    return median


if __name__ == "__main__":
    sys.exit(main())
