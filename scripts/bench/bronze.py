#!/usr/bin/env python3
"""Compares our bronze with Spark's own file source, in one warm JVM.

Both load the same folder of JSON lines into an empty Delta table, once, with everything that is
there. Ours is `medallion run bronze` as it is configured. Native is the bronze step of a notebook:

    spark.readStream.schema(S).json(folder)
        .withColumn("_input_file", col("_metadata.file_path"))
        .withColumn("_load_time", current_timestamp())
        .writeStream.format("delta").trigger(availableNow=True).start(table)

in a session that has Delta's extension and catalog and is otherwise as Spark comes. Each round
runs both, in turns; the first rounds warm up and are not counted. The exit code is 1 when a
target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from deltalake import DeltaTable

import medallion_jobs
from medallion_jobs.config import Pipeline, load
from medallion_jobs.engine import session
from medallion_jobs.observe.events import BatchDone, Event

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.streaming import StreamingQuery

CONFIG = Path(medallion_jobs.__file__).resolve().parents[1] / "conf" / "sales.yaml"
TARGETS = {"1000x1000": 2.0, "10000x10": 4.0}  # files x rows: how often native's time must go in
# What a session needs to write Delta at all; the rest goes back to Spark's defaults.
_OF_DELTA = {"spark.sql.extensions", "spark.sql.catalog.spark_catalog"}


@dataclass(frozen=True)
class Shape:
    """How many files, and rows in each."""

    files: int
    rows: int

    @classmethod
    def parse(cls, text: str) -> Shape:
        files, _, rows = text.partition("x")
        return cls(int(files), int(rows))

    def __str__(self) -> str:
        return f"{self.files}x{self.rows}"


@dataclass
class Side:
    """One of the two: how it loads a folder, and the seconds that its rounds took."""

    name: str
    load: Callable[[Path, Path], list[str]]
    seconds: list[float] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def round(self, shape: Shape, landing: Path, lake: Path, *, counts: bool) -> None:
        """Loads once, into a fresh lake, and checks that every row is there."""
        started = time.monotonic()
        remarks = self.load(landing, lake)
        took = time.monotonic() - started
        rows = DeltaTable(lake / "bronze" / "sales").to_pyarrow_dataset().count_rows()
        if rows != shape.files * shape.rows:
            sys.exit(f"{self.name}: {rows:,} rows are there, not {shape.files * shape.rows:,}")
        shutil.rmtree(lake)
        if counts:
            self.seconds.append(took)
            self.remarks = remarks
        print(f"  {self.name:6} {took:7.2f} s{'' if counts else '  (warm-up)'}", flush=True)


def main() -> int:
    """Runs the bench; returns the exit code."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="bench-bronze-", dir=options.folder) as made:
        folder = Path(made)
        config = _config(folder / "session", folder / "landing", options.set)
        spark = session.build(config, log_level="error")
        native = as_spark_comes(spark)
        _tell_settings(spark, native)
        try:
            missed = [
                shape
                for shape in options.shape or [Shape.parse(text) for text in TARGETS]
                if not _compare(shape, options, native, folder)
            ]
        finally:
            spark.stop()
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--shape",
        type=Shape.parse,
        action="append",
        metavar="FILESxROWS",
        help=f"what is loaded; may be given again (default: {', '.join(TARGETS)})",
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count (3)")
    parser.add_argument("--warm-up", type=int, default=1, help="rounds before them (1)")
    parser.add_argument("--only", choices=("ours", "native"), help="run just this side")
    parser.add_argument(
        "--set", action="append", default=[], metavar="DOTTED.PATH=VALUE", help="for our config"
    )
    parser.add_argument("--folder", type=Path, help="where all is made (a temp folder)")
    return parser.parse_args()


def _config(lake: Path, landing: Path, settings: list[str]) -> Pipeline:
    roots = [f"storage.root={lake}", f"landing.root={landing}"]
    return load(CONFIG, None, [*settings, *roots], environ={}).pipeline


def _compare(
    shape: Shape,
    options: argparse.Namespace,
    native: SparkSession,
    folder: Path,
) -> bool:
    """Runs the rounds of one shape; returns whether its target is met, or none is set."""
    landing = folder / f"landing-{shape}"
    started = time.monotonic()
    size = generate(landing / "sales", shape)
    made = f"{size / 1e6:,.1f} MB, made in {time.monotonic() - started:.1f} s"
    print(f"\n{shape} (files x rows): {made}", flush=True)
    sides = [
        Side("native", lambda files, lake: load_native(native, files, lake)),
        Side("ours", lambda files, lake: load_ours(_config(lake, files, options.set))),
    ]
    sides = [side for side in sides if options.only in (None, side.name)]
    for number in range(options.warm_up + options.rounds):
        for side in sides:
            lake = folder / f"lake-{side.name}-{number}"
            side.round(shape, landing, lake, counts=number >= options.warm_up)
    shutil.rmtree(landing)
    return _judge(shape, sides)


def _judge(shape: Shape, sides: list[Side]) -> bool:
    for side in sides:
        rate = shape.files * shape.rows / median(side.seconds)
        print(f"  {side.name}: median {median(side.seconds):.2f} s, {rate:,.0f} rows/s")
        for remark in side.remarks:
            print(f"    {remark}")
    if len(sides) == 1:
        return True
    native, ours = (median(side.seconds) for side in sides)
    target = TARGETS.get(str(shape))
    times = f"  {shape}: ours is {native / ours:.2f} x as fast as native"
    if target is None:
        print(times, flush=True)
        return True
    is_met = native >= target * ours
    print(f"{times}, target {target:g} x: {'met' if is_met else 'MISSED'}", flush=True)
    return is_met


# The two sides


def load_ours(config: Pipeline) -> list[str]:
    """Our bronze, once; says what its batches took."""
    from medallion_jobs import bronze
    from medallion_jobs.engine import runner

    events: list[Event] = []
    runner.run(config, bronze.streams(config), events.append)
    batches = [event for event in events if isinstance(event, BatchDone)]
    seconds = ", ".join(f"{batch.seconds:.2f}" for batch in batches)
    return [f"{len(batches)} batches: {seconds} s"]


def load_native(spark: SparkSession, landing: Path, lake: Path) -> list[str]:
    """The notebook's bronze step, once; says where its time went."""
    from pyspark.sql import functions as F

    config = _config(lake, landing, [])
    rows = (
        spark.readStream.schema(config.bronze["sales"].source.schema_)
        .json(str(landing / "sales"))
        .withColumn("_input_file", F.col("_metadata.file_path"))
        .withColumn("_load_time", F.current_timestamp())
    )
    query = (
        rows.writeStream.format("delta")
        .option("checkpointLocation", str(lake / "checkpoint"))
        .trigger(availableNow=True)
        .start(str(lake / "bronze" / "sales"))
    )
    query.awaitTermination()
    return _told_by(spark, query)


def _told_by(spark: SparkSession, query: StreamingQuery) -> list[str]:
    spent: dict[str, int] = {}
    for progress in query.recentProgress:
        for step, ms in progress["durationMs"].items():
            spent[step] = spent.get(step, 0) + ms
    tracker = spark.sparkContext.statusTracker()
    jobs = tracker.getJobIdsForGroup(str(query.runId))
    stages = [stage for job in jobs if (told := tracker.getJobInfo(job)) for stage in told.stageIds]
    tasks = [told.numTasks for stage in stages if (told := tracker.getStageInfo(stage))]
    steps = ", ".join(f"{step} {ms / 1000:.2f}" for step, ms in spent.items())
    return [
        f"{len(query.recentProgress)} batches, {len(jobs)} jobs, {sum(tasks)} tasks",
        f"seconds: {steps}",
    ]


def as_spark_comes(spark: SparkSession) -> SparkSession:
    """A session on the same JVM in which every open setting is at Spark's own default."""
    native = spark.newSession()
    for key in native.conf.getAll:
        # Spark knows Delta's own settings only once Delta's classes are loaded.
        is_open = key.startswith("spark.databricks.") or native.conf.isModifiable(key)
        if is_open and key not in _OF_DELTA:
            native.conf.unset(key)
    return native


def _tell_settings(spark: SparkSession, native: SparkSession) -> None:
    """Prints the SQL settings that ours has and native has not."""
    print(f"Spark {spark.version}, {spark.sparkContext.master}, {os.cpu_count()} cores")
    unset = {*spark.conf.getAll} - {*native.conf.getAll}
    for key in sorted(key for key in unset if key.startswith(("spark.sql.", "spark.databricks."))):
        print(f"  only ours: {key}={spark.conf.get(key)}")


# The files


def generate(folder: Path, shape: Shape) -> int:
    """Writes files of sales-like JSON lines, without haste for variety; returns their bytes."""
    folder.mkdir(parents=True)
    chance = random.Random(7)
    size = 0
    for number in range(shape.files):
        lines = "".join(_order(chance, number, row) for row in range(shape.rows))
        size += (folder / f"sales-{number:06}.json").write_bytes(lines.encode())
    return size


def _order(chance: random.Random, file: int, row: int) -> str:
    picked = chance.getrandbits(31)
    order = {
        "order_id": f"o-{file:06}-{row:06}",
        "customer_id": 1 + picked % 15,
        "product_id": 101 + picked % 97,
        "quantity": 1 + picked % 9,
        "order_timestamp": f"2026-01-{1 + picked % 28:02} {picked % 24:02}:{picked % 60:02}:00",
    }
    return json.dumps(order) + "\n"


if __name__ == "__main__":
    sys.exit(main())
