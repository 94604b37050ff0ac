#!/usr/bin/env python3
"""Measures what a trigger costs that finds ten new files, by how many files were read before.

Makes two landing folders, a small and a large one, with date folders of 2,700 empty files each,
and a ledger that knows all of them. Then, in turns, ten files land in today's folder of each, and
one trigger's discovery is timed: scan, compare with the ledger, admit, remember. No JVM is needed.

--native times Spark's own file source too (`readStream.format("text")`, ten new files a trigger)
on as many files as are asked for. The exit code is 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import medallion_jobs
from medallion_jobs.autoloader.discovery.discovery import Discovery, Scan
from medallion_jobs.autoloader.ledger.ledger import Ledger
from medallion_jobs.config import load
from medallion_jobs.config.source import FileSource
from medallion_jobs.engine import session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.streaming import StreamingQuery

CONFIG = Path(medallion_jobs.__file__).resolve().parents[1] / "conf" / "sales.yaml"
PER_FOLDER = 2_700  # a million files in a year's date folders
NEW = 10  # files that land before each trigger
MOST_RATIO = 1.5  # of the large folder's trigger to the small one's
SOURCE = FileSource(format="text")


def make_files(landing: Path, count: int) -> None:
    """Date folders of empty files, quicker than by opening each by its whole path."""
    for number in range(-(-count // PER_FOLDER)):
        folder = landing / str(date(2024, 1, 1) + timedelta(days=number))
        folder.mkdir(parents=True)
        place = os.open(folder, os.O_RDONLY)
        for file in range(min(PER_FOLDER, count - number * PER_FOLDER)):
            os.close(os.open(f"{file:06}.txt", os.O_CREAT | os.O_WRONLY, dir_fd=place))
        os.close(place)


def land(folder: Path, name: str, text: str = "x\n") -> None:
    """One file, long enough ago that nobody waits for it to settle."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    before = time.time() - 10
    os.utime(folder / name, (before, before))


@dataclass
class Landed:
    """A landing folder and the ledger of what was read from it."""

    folder: Path
    files: int
    parts: dict[str, list[float]] = field(default_factory=dict)
    triggers: list[float] = field(default_factory=list)
    _number: int = 0

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    def start(self) -> None:
        """Discovery and ledger as a new process has them."""
        self.ledger = Ledger(self.folder / "ledger")
        self.ledger.ensure()
        self.discovery = Discovery([str(self.landing)], SOURCE, self.ledger.folder, _no_session)

    def fill(self) -> Iterator[tuple[str, float]]:
        """Makes files and ledger; tells what took how long."""
        yield "make the files", timed(partial(make_files, self.landing, self.files))
        time.sleep(2.1)  # until folders are old enough to be trusted
        self.start()
        scans: list[Scan] = []
        yield "first listing", timed(lambda: scans.append(self.discovery.scan(patience=True)))
        new = sorted(self.ledger.compare(scans[0].files).new)
        assert len(new) == self.files
        chunks = [new[at : at + 1_000] for at in range(0, len(new), 1_000)]
        yield "admit them", timed(lambda: [self.ledger.admit(chunk) for chunk in chunks])
        scans[0].remember()

    def restart(self) -> Iterator[tuple[str, float]]:
        """What a new process does before its first trigger; nothing is new."""
        self.start()
        scans: list[Scan] = []
        yield (
            "scan after a restart",
            timed(lambda: scans.append(self.discovery.scan(patience=True))),
        )
        yield "read the ledger", timed(lambda: self.ledger.compare(scans[0].files))
        # The comparison above had nothing to compare; this has the ledger in memory.
        assert not self.ledger.compare(scans[0].files).new

    def trigger(self) -> None:
        """Lands new files, and times what it takes to find and admit them."""
        for _ in range(NEW):
            self._number += 1
            land(self.landing / "today", f"{self._number:06}.txt")
        self.triggers.append(self.find(NEW))

    def find(self, wanted: int) -> float:
        began = time.perf_counter()
        at = [began]
        scan = self.discovery.scan(patience=False)
        at.append(time.perf_counter())
        new = self.ledger.compare(scan.files).new
        at.append(time.perf_counter())
        self.ledger.admit(sorted(new))
        at.append(time.perf_counter())
        scan.remember()
        at.append(time.perf_counter())
        assert len(new) == wanted, f"{len(new)} of {wanted} new files were found"
        for name, start, end in zip(
            ("scan", "compare", "admit", "remember"), at, at[1:], strict=False
        ):
            self.parts.setdefault(name, []).append(end - start)
        return at[-1] - began

    def late(self) -> float:
        """A file lands in the oldest folder, which is full."""
        land(self.landing / "2024-01-01", "late.txt")
        return self.find(1)

    @property
    def ledger_bytes(self) -> int:
        return sum(f.stat().st_size for f in self.ledger.folder.rglob("*") if f.is_file())


def _no_session() -> SparkSession:
    raise AssertionError("a local folder needs no session")


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ours(folder: Path, sizes: tuple[int, int], rounds: int) -> bool:
    """Measures and prints; gives whether the target was met."""
    both = [Landed(folder / str(size), size) for size in sizes]
    for one in both:
        for what, seconds in (*one.fill(), *one.restart()):
            tell(one.files, what, seconds)
        one.trigger()  # makes today's folder, and loads what the first commit loads
        one.triggers.clear()
        one.parts.clear()
    for _ in range(rounds):
        for one in both:
            one.trigger()
    for one in both:
        parts = ", ".join(f"{name} {median(all_) * 1e3:.1f}" for name, all_ in one.parts.items())
        tell(one.files, f"a trigger, median of {rounds}", median(one.triggers), f" ms: {parts}")
    for one in both:
        tell(one.files, "a late file in a full, old folder", one.late())
        per_million = one.ledger_bytes / one.files * 1e6
        print(f"{one.files:>9,} files  ledger: {one.ledger_bytes / 2**20:.1f} MiB, "
              f"{per_million / 2**20:.0f} MiB a million files")  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    small, large = (median(one.triggers) for one in both)
    print(f"peak memory of this process: {peak:,.0f} MiB")
    print(f"large to small: {large / small:.2f} (target: {MOST_RATIO} at most)")
    return large / small <= MOST_RATIO


def tell(files: int, what: str, seconds: float, more: str = "") -> None:
    print(f"{files:>9,} files  {what}: {seconds:.3f} s{more}", flush=True)


def native(folder: Path, sizes: list[int], rounds: int) -> None:
    """The same of Spark's own source, in a session as the jobs make it."""
    overrides = [f"storage.root={folder / 'lake'}", "spark.driver_memory=4g"]
    config = load(CONFIG, None, overrides, environ={}).pipeline
    spark = session.build(config)
    for size in sizes:
        landing = folder / f"native-{size}"
        make_files(landing, size)
        query = started(spark, landing, folder / f"checkpoint-{size}")
        tell(size, "native: first listing and batch", timed(query.processAllAvailable))
        times = []
        for number in range(rounds):
            for file in range(NEW):
                land(landing / "today", f"{number:06}-{file}.txt")
            query.processAllAvailable()
            times.append(query.lastProgress["durationMs"])
        query.stop()
        listing = median(time["latestOffset"] for time in times) / 1e3
        whole = median(time["triggerExecution"] for time in times) / 1e3
        tell(size, f"native: a trigger, median of {rounds}", whole, f", {listing:.3f} s to list")
    spark.stop()


def started(spark: SparkSession, landing: Path, checkpoint: Path) -> StreamingQuery:
    lines = spark.readStream.format("text").option("recursiveFileLookup", "true")
    return (
        lines.load(str(landing))
        .writeStream.format("noop")
        .option("checkpointLocation", str(checkpoint))
        .start()
    )


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=1_000_000, help="files in the large folder")
    parser.add_argument("--small", type=int, default=1_000, help="files in the small folder")
    parser.add_argument("--rounds", type=int, default=20, help="triggers of each")
    parser.add_argument("--tmp", type=Path, help="where the files are made, and removed again")
    parser.add_argument("--native", action="store_true", help="measure Spark's own source too")
    parser.add_argument(
        "--native-files",
        default="10000,50000",
        help="files in the folders that Spark's own source reads, by commas",
    )
    parser.add_argument("--native-rounds", type=int, default=5, help="triggers of each")
    return parser.parse_args()


def main() -> int:
    asked = options()
    folder = Path(tempfile.mkdtemp(prefix="discovery-", dir=asked.tmp))
    try:
        good = ours(folder, (asked.small, asked.files), asked.rounds)
        if asked.native:
            sizes = [int(size) for size in asked.native_files.split(",")]
            native(folder, sizes, asked.native_rounds)
    finally:
        shutil.rmtree(folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
