#!/usr/bin/env python3
"""Measures whether dedupe slows down as batches pile up on a silver table that is large already.

Fills a silver table, then writes batches of which a tenth of the rows are repeats of any older
rows, by the way a silver query writes them (`refinery.writes`), and compares the last of them
with the first. Two forms, each on a table of its own:

    keyed    `keys: id`, ids at random: each file of the table may have any of them
    window   `keys: [id, at]`, `within: watermark`: only the last hour of the table is searched

Each form checks that no row is there twice. The exit code is 1 when a target is missed: the last
twenty batches take at most 1.5 times as long as the first twenty.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import medallion_jobs
from medallion_jobs.config import SilverTable, load
from medallion_jobs.engine import session
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables import Txn

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CONFIG = Path(medallion_jobs.__file__).resolve().parents[1] / "conf" / "sales.yaml"
MOST_RATIO = 1.5
COMPARED = 20  # batches at each end
WARM_UP = 5  # batches before the first that counts
REPEATED = 0.1
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
A_SECOND = 100  # rows
FORMS: dict[str, dict[str, Any]] = {
    "keyed": {"dedupe": {"keys": "id"}},
    "window": {
        "dedupe": {"keys": ["id", "at"], "within": "watermark"},
        "watermark": {"column": "at", "delay": "1h"},
    },
}


@dataclass
class Bench:
    """One form's table, and how far it is filled.

    Attributes:
        made: how many different rows there are.
    """

    spark: SparkSession
    table: SilverTable
    path: Path
    made: int = 0
    batch: int = -1

    def fill(self, rows: int, properties: dict[str, str]) -> None:
        """Makes the table, with this many rows in files as one large first batch leaves them."""
        schema = self._rows("id", 0).schema
        tables.create(self.spark, self.path, schema, comment="bench", properties=properties)
        self.batch, self.made = 0, rows
        at_once = 250_000
        for number, first in enumerate(range(0, rows, at_once)):
            new = self._rows("id", min(at_once, rows - first), first)
            tables.append(new, self.path, Txn("fill", number, "bench"))

    def write(self, rows: int, searched: int) -> float:
        """Writes a batch; some of its rows repeat any of the last `searched` ones. The seconds."""
        from medallion_jobs.refine.write import modes

        self.batch += 1
        again = int(rows * REPEATED)
        first = max(0, self.made - searched)
        old = f"{first} + pmod(xxhash64(id, {self.batch}), {self.made - first})"
        arriving = self._rows("id", rows - again, self.made).union(self._rows(old, again))
        self.made += rows - again
        started = time.monotonic()
        outcome = modes.write(
            arriving,
            self.table,
            self.path,
            ["id", "at", "note"],
            Txn("silver.bench/v1", self.batch, "bench"),
            tombstones=self.path.with_name("none"),
            watermark=START + timedelta(seconds=self.made / A_SECOND - 3600),
        )
        took = time.monotonic() - started
        if outcome.rows_out != rows - again:
            sys.exit(f"batch {self.batch}: {outcome}, but {rows - again:,} rows were new")
        return took

    def _rows(self, number: str, count: int, first: int = 0) -> DataFrame:
        made = self.spark.range(first, first + count, 1, 2)
        return made.selectExpr(f"{number} AS n").selectExpr(
            "xxhash64(n) AS id",
            f"timestamp_micros({int(START.timestamp())} * 1000000L + n * {1_000_000 // A_SECOND})"
            " AS at",
            "concat('a note on row ', n) AS note",
        )


def main() -> int:
    """Runs the bench; returns the exit code."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="bench-dedupe-", dir=options.folder) as made:
        folder = Path(made)
        roots = [f"storage.root={folder / 'lake'}", f"landing.root={folder / 'landing'}"]
        config = load(CONFIG, None, roots, environ={}).pipeline
        spark = session.build(config, log_level="error")
        try:
            met = [_form(spark, form, folder / form, options) for form in options.form or FORMS]
        finally:
            spark.stop()
    return 0 if all(met) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--form", choices=FORMS, action="append", help="only this one (both)")
    parser.add_argument("--rows", type=int, default=5_000_000, help="in the table (5000000)")
    parser.add_argument("--batches", type=int, default=200, help="written onto them (200)")
    parser.add_argument("--batch-rows", type=int, default=1_000, help="rows of each (1000)")
    parser.add_argument(
        "--property", action="append", default=[], metavar="NAME=VALUE", help="of the tables"
    )
    parser.add_argument("--folder", type=Path, help="where all is made (a temp folder)")
    return parser.parse_args()


def _form(spark: SparkSession, form: str, path: Path, options: argparse.Namespace) -> bool:
    """Runs one form; returns whether its target is met."""
    table = SilverTable.model_validate({"from": "bronze.made", **FORMS[form]})
    bench = Bench(spark, table, path)
    filled = _timed(
        lambda: bench.fill(options.rows, dict(one.split("=", 1) for one in options.property))
    )
    print(f"{form}: {options.rows:,} rows there after {filled:.1f} s", flush=True)
    searched = options.rows if form == "keyed" else 3600 * A_SECOND // 2
    took = [bench.write(options.batch_rows, searched) for _ in range(WARM_UP + options.batches)][
        WARM_UP:
    ]
    stored = spark.read.format("delta").load(str(path))
    if stored.count() != stored.select("id").distinct().count():
        sys.exit(f"{form}: rows are there twice")
    compared = min(COMPARED, len(took) // 2)
    first, last = sum(took[:compared]), sum(took[-compared:])
    is_met = last <= MOST_RATIO * first
    there = tables.snapshot(path)
    print(
        f"{form}: first {compared} batches {first:.2f} s, last {compared} {last:.2f} s, "
        f"ratio {last / first:.2f}, target {MOST_RATIO}: {'met' if is_met else 'MISSED'}; "
        f"{there.files if there else 0} files",
        flush=True,
    )
    return is_met


def _timed(do: Callable[[], None]) -> float:
    started = time.monotonic()
    do()
    return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
