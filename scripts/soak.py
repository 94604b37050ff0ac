"""The program behind `scripts/soak`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from deltalake import DeltaTable

CONFIG = """
pipeline: soak
storage: {{root: {folder}/lake}}
landing: {{root: {folder}/landing}}
trigger: {{interval: 1s, restart: {{first_delay: 1s, max_delay: 5s}}}}
# A third of the time is to be enough for full checkpoints, on a slow machine too; Spark keeps 100.
spark: {{conf: {{spark.sql.streaming.minBatchesToRetain: 20}}}}
bronze:
  steady: {{source: &files {{format: json, schema: 'id BIGINT, n BIGINT', min_age: 1ms}}}}
  flaky: {{source: *files}}
silver:
  steady: {{from: bronze.steady, layout: {{optimize_after: 50}}}}
  flaky: {{from: bronze.flaky, layout: {{optimize_after: 50}}}}
gold:
  steady: {{from: silver.steady, group_by: [n], measures: {{many: {{count: '*'}}}}}}
  flaky: {{from: silver.flaky, group_by: [n], measures: {{many: {{count: '*'}}}}}}
"""
BRANCHES = ("steady", "flaky")
ROWS_PER_FILE = 50
# How long the disk is read-only, and the window that figures are taken over.
FAULT_SECONDS = 4.0
WINDOW_SECONDS = 60.0
MOST_GROWTH = 1.2
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Figures:
    """What a run needs at one time."""

    memory_mb: float
    checkpoint_kb: float
    checkpoint_files: int
    batch_seconds: float

    def growth_over(self, earlier: Figures) -> dict[str, float]:
        """Each figure as a multiple of the earlier one."""
        return {name: value / vars(earlier)[name] for name, value in vars(self).items()}


class Feed:
    """Lands a file for each branch each second, and knows all that it has landed."""

    def __init__(self, landing: Path) -> None:
        self._landing = landing
        self.files = 0
        for branch in BRANCHES:
            (landing / branch).mkdir(parents=True)

    def land(self) -> None:
        first = self.files * ROWS_PER_FILE
        ids = range(first, first + ROWS_PER_FILE)
        lines = "".join(json.dumps({"id": at, "n": at % 20}) + "\n" for at in ids)
        for branch in BRANCHES:
            draft = self._landing / branch / f".{self.files}"
            draft.write_text(lines)
            draft.rename(draft.with_name(f"{self.files}.json"))
        self.files += 1

    def faults(self, lake: Path) -> list[str]:
        """What the tables have that was not landed, or lack, or have twice."""
        wanted = list(range(self.files * ROWS_PER_FILE))
        found = []
        for branch in BRANCHES:
            for layer in ("bronze", "silver"):
                table = DeltaTable(lake / layer / branch).to_pyarrow_table(columns=["id"])
                if sorted(table.column("id").to_pylist()) != wanted:
                    found.append(f"{layer}.{branch}: {table.num_rows} rows, not {len(wanted)}")
            groups = DeltaTable(lake / "gold" / branch).to_pyarrow_table().to_pydict()
            counted = dict(zip(groups["n"], groups["many"], strict=True))
            if counted != {n: len(range(n, len(wanted), 20)) for n in range(20)}:
                found.append(f"gold.{branch}: {counted}")
        return found


@contextmanager
def own_disk(folder: Path) -> Iterator[None]:
    """As root, `folder` is a file system of its own as long as the context lasts."""
    folder.mkdir(parents=True)
    if os.geteuid() != 0:
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def set_writable(folder: Path, *, writable: bool) -> None:
    if os.geteuid() == 0:
        option = f"remount,{'rw' if writable else 'ro'}"
        # A file that is being written keeps the disk writable for a moment.
        mount = ["mount", "-o", option, folder]
        while subprocess.run(mount, check=False, capture_output=True).returncode:
            time.sleep(0.01)
    else:
        for path in (folder, folder / "_delta_log"):
            path.chmod(0o755 if writable else 0o555)


def memory_mb(pid: int) -> float:
    """The memory of a process and of all that it has started, shared parts counted once."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    tree, total = [pid], 0
    for one in tree:
        tree += children.get(one, [])
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def figures(pid: int, lake: Path, events: list[dict[str, object]], until: float) -> Figures:
    checkpoints = lake / "_medallion" / "checkpoints"
    sizes = [path.stat().st_size for path in checkpoints.rglob("*") if path.is_file()]
    times = [
        float(str(event["seconds"]))
        for event in events
        if event["event"] == "batch" and float(str(event["read_at"])) > until - WINDOW_SECONDS
    ]
    return Figures(memory_mb(pid), sum(sizes) / 1000, len(sizes), median(times))


def events_of(log: Path, seen: list[dict[str, object]], at: int) -> int:
    """Adds the events after position `at` of a log; returns where it ends."""
    with log.open("rb") as lines:
        lines.seek(at)
        for line in lines:
            if not line.endswith(b"\n"):
                break
            at += len(line)
            if line.startswith(b"{"):
                seen.append({**json.loads(line), "read_at": time.monotonic()})
    return at


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--fault-every", type=float, default=60)
    parser.add_argument("--dir", type=Path, default=None)
    chosen = parser.parse_args()
    folder = Path(chosen.dir or tempfile.mkdtemp(prefix="medallion-soak-")).absolute()
    lake, table = folder / "lake", folder / "lake" / "silver" / "flaky"
    config, log = folder / "soak.yaml", folder / "run.jsonl"
    with own_disk(table):
        feed = Feed(folder / "landing")
        config.write_text(CONFIG.format(folder=folder))
        command = [sys.executable, "-m", "medallion_jobs", "run", "--continuous"]
        with log.open("w") as out, (folder / "errors.txt").open("w") as err:
            run = subprocess.Popen(
                [*command, "--progress", "json", "--config", config], stdout=out, stderr=err
            )
        try:
            before, after, restarts = watched(run, lake, feed, log, chosen)
            run.send_signal(signal.SIGTERM)
            ended = run.wait(PATIENCE_SECONDS)
        finally:
            if run.poll() is None:
                run.kill()
        wrong = feed.faults(lake)
    print(f"{feed.files * ROWS_PER_FILE:,} rows a table; the query started again {restarts} times")
    grown = after.growth_over(before)
    for name, value in vars(before).items():
        print(f"  {name:<18} {value:10.1f} -> {vars(after)[name]:10.1f}  x {grown[name]:.2f}")
    wrong += [f"{name}: x {times:.2f}" for name, times in grown.items() if times > MOST_GROWTH]
    wrong += [f"the run ended with {ended}; see {folder}/errors.txt"] * (ended != 0)
    wrong += ["no query has failed"] * (restarts == 0)
    print("\n".join(wrong) or "nothing lost, nothing twice, and no figure has grown by 20 %")
    return 1 if wrong else 0


def watched(
    run: subprocess.Popen[bytes], lake: Path, feed: Feed, log: Path, chosen: argparse.Namespace
) -> tuple[Figures, Figures, int]:
    """Feeds a run and makes it fail; the figures at a third of the time, and at the end."""
    table = lake / "silver" / "flaky"
    events: list[dict[str, object]] = []
    at, before = 0, None
    started = time.monotonic()
    third, end = (started + chosen.minutes * 60 * share for share in (1 / 3, 1))
    next_fault, fault_ends = started + chosen.fault_every, None
    while (now := time.monotonic()) < end:
        assert run.poll() is None, f"the run has ended; see {log}"
        feed.land()
        if fault_ends and now > fault_ends:
            set_writable(table, writable=True)
            fault_ends = None
        elif now > next_fault and now < end - 2 * FAULT_SECONDS:
            set_writable(table, writable=False)
            next_fault, fault_ends = now + chosen.fault_every, now + FAULT_SECONDS
        at = events_of(log, events, at)
        if before is None and now > third:
            before = figures(run.pid, lake, events, now)
            print(f"after {chosen.minutes / 3:.1f} minutes: {before}", flush=True)
        time.sleep(max(0.0, now + 1 - time.monotonic()))
    set_writable(table, writable=True)
    after = figures(run.pid, lake, events, time.monotonic())
    waits = time.monotonic() + PATIENCE_SECONDS
    while feed.faults(lake) and time.monotonic() < waits:
        time.sleep(1)
    events_of(log, events, at)
    assert before is not None
    return before, after, sum(event.get("what") == "started again" for event in events)


if __name__ == "__main__":
    sys.exit(main())
