"""S3 and S6: files land at a steady pace while `medallion run --continuous` runs."""

from __future__ import annotations

import math
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.contenders import OURS, ours, settings
from bench.environment import medallion
from bench.figures import growth, quantile
from bench.inputs import Input
from bench.processes import Failed, Memory, end, start

_LOOKS = 0.05  # seconds between two looks at gold
_FIRST = 240.0  # seconds for the first rows to reach gold
_PATIENCE = 60.0  # seconds, after the last file has landed
_WARM_UP = 20.0  # seconds of small files before anything counts
_HOLDS = 1.5  # the lag of the last third over that of the first, at most
_SLACK = 1.0  # seconds of lag that are no growth

Lands = Callable[[], int]  # lands a file, gives the sum of its quantities


class Following:
    """A run in continuous mode, and a thread that sees when gold's total changes.

    Attributes:
        memory: of the run's processes.
    """

    def __init__(self, source: Input, work: Path, interval: str = "1s") -> None:
        self._source, self._work, self._interval = source, work, interval
        self._seen: list[tuple[float, int]] = []
        self._total = 0
        self._done = threading.Event()

    def __enter__(self) -> Following:
        self._contender = ours()
        self._contender.prepare(self._source, self._work)
        self._total = sum(self._source.expected().values())
        line = [medallion(), "run", "all", "--continuous", "--interval", self._interval]
        line += ["--progress", "json", *settings(self._source, self._work)]
        with self._log.open("wb") as log:
            self._process: subprocess.Popen[bytes] = start(line, log.fileno())
        self.memory = Memory(self._process.pid)
        self.memory.start()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        try:
            self._wait(self._total, _FIRST)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._watcher.join()
        self.memory.stop()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(90)
        except subprocess.TimeoutExpired:
            print("  medallion did not end within 90 s of SIGTERM", flush=True)
        end(self._process)

    def lags(self, lands: Lands, files: int, gap: float) -> list[float]:
        """Lands files at a pace; for each the seconds from its rename until gold has it.

        A file that gold does not have in time has an endless lag.

        Raises:
            Failed: the run has ended.
        """
        landed: list[tuple[float, int]] = []
        began = time.monotonic()
        for number in range(files):
            time.sleep(max(0.0, began + number * gap - time.monotonic()))
            self._total += lands()
            landed.append((time.monotonic(), self._total))
        self._wait(self._total, _PATIENCE, must=False)
        seen = list(self._seen)
        found = []
        at = 0
        for moment, total in landed:
            while at < len(seen) and seen[at][1] < total:
                at += 1
            found.append(seen[at][0] - moment if at < len(seen) else math.inf)
        return found

    def check(self) -> None:
        """Gold has exactly what landed.

        Raises:
            Failed: it has not.
        """
        self._contender.check(self._work, self._source.expected())

    @property
    def _log(self) -> Path:
        return self._work / "log.txt"

    def _watch(self) -> None:
        import pyarrow.compute as pc
        from deltalake import DeltaTable

        assert self._contender.gold
        path = str(self._work / self._contender.gold)
        while not DeltaTable.is_deltatable(path):
            if self._done.wait(_LOOKS):
                return
        table, version = DeltaTable(path), -1
        while not self._done.wait(_LOOKS):
            table.update_incremental()
            if table.version() == version:
                continue
            version = table.version()
            rows = table.to_pyarrow_table(columns=["total_quantity"])
            self._seen.append((time.monotonic(), pc.sum(rows["total_quantity"]).as_py() or 0))

    def _wait(self, total: int, limit: float, *, must: bool = True) -> None:
        until = time.monotonic() + limit
        while not self._seen or self._seen[-1][1] < total:
            if self._process.poll() is not None:
                tail = self._log.read_text(encoding="utf-8", errors="replace")[-1500:]
                raise Failed(f"the run ended with {self._process.returncode}:\n{tail}")
            if time.monotonic() > until:
                if must:
                    raise Failed(f"gold has no {total} within {limit:g} s")
                return
            time.sleep(0.1)


def latency(folder: Path, paces: dict[float, int], rows: int) -> dict[str, Any]:
    """S3: the lag at each pace (files a second: how many files) of files of `rows` rows.

    Raises:
        Failed: the run ended, or gold is wrong.
    """
    source = Input(folder / "input").make(2, 1_000)
    found: dict[str, Any] = {}
    with Following(source, folder / OURS) as run:
        lands = lambda: source.add(1, rows, age=0)  # noqa: E731
        run.lags(lands, int(_WARM_UP), 1.0)
        for pace, files in paces.items():
            found[f"{pace:g}"] = summary(run.lags(lands, files, 1 / pace))
            print(f"  {pace:g} files a second: {found[f'{pace:g}']}", flush=True)
        run.check()
    return {"paces": found, "rows": rows}


def sustained(folder: Path, minutes: float, rates: list[int], step: float) -> dict[str, Any]:
    """S6: the highest of some rates that holds, then some minutes of it.

    Args:
        rates: rows a second, rising; each second lands one file.
        step: seconds for which each rate is tried.

    Raises:
        Failed: the run ended, no rate holds, or gold is wrong.
    """
    source = Input(folder / "input").make(2, 1_000)
    tried: dict[str, Any] = {}
    best = 0
    with Following(source, folder / f"{OURS}-ramp") as run:
        run.lags(lambda: source.add(1, 100, age=0), int(_WARM_UP), 1.0)
        for rate in rates:
            samples = Input(folder / f"rows-{rate}").make(0, 0)
            lands = copies(source, samples, rate)
            tried[str(rate)] = summary(run.lags(lands, int(step), 1.0))
            print(f"  {rate:,} rows a second: {tried[str(rate)]}", flush=True)
            if not holds(tried[str(rate)]):
                break
            best = rate
        run.check()
    if not best:
        raise Failed(f"{rates[0]:,} rows a second do not hold")
    shutil.rmtree(source.folder)
    source = Input(folder / "input").make(2, 1_000)
    samples = Input(folder / "rows-held").make(0, 0)
    with Following(source, folder / OURS) as run:
        run.lags(lambda: source.add(1, 100, age=0), int(_WARM_UP), 1.0)
        began = run.memory.samples[-1][0] if run.memory.samples else 0.0
        held = summary(run.lags(copies(source, samples, best), int(minutes * 60), 1.0))
        run.check()
        memory = [(at - began, used) for at, used in run.memory.samples if at >= began]
    return {"tried": tried, "rate": best, "minutes": minutes, "held": held, **_by_minute(memory)}


def summary(lags: list[float]) -> dict[str, Any]:
    """p50, p99 and growth of lags; files that gold never had are counted and left out."""
    visible = [lag for lag in lags if lag != math.inf]
    if not visible:
        return {"files": len(lags), "visible": 0}
    return {
        "files": len(lags),
        "visible": len(visible),
        "p50": round(quantile(visible, 0.5), 2),
        "p99": round(quantile(visible, 0.99), 2),
        "first_third": round(quantile(visible[: max(1, len(visible) // 3)], 0.5), 2),
        "last_third": round(quantile(visible[-max(1, len(visible) // 3) :], 0.5), 2),
        "growth": round(growth(visible), 2),
    }


def holds(lag: dict[str, Any]) -> bool:
    """Whether all files became visible, and the last third not later than the first."""
    if lag["visible"] < lag["files"]:
        return False
    return bool(lag["last_third"] <= _HOLDS * lag["first_third"] + _SLACK)


def copies(source: Input, samples: Input, rows: int) -> Lands:
    """Lands copies of one file: to make so many rows would take time from the run."""
    quantity = samples.add(1, rows)
    (sample,) = samples.sales.glob("*.json")

    def land() -> int:
        source.copy(sample)
        return quantity

    return land


def _by_minute(memory: list[tuple[float, float]]) -> dict[str, Any]:
    """The most MiB of each whole minute."""
    minutes: dict[int, float] = {}
    for at, used in memory:
        minutes[int(at // 60)] = max(used, minutes.get(int(at // 60), 0.0))
    return {"memory_mib": [round(used) for _, used in sorted(minutes.items())]}
