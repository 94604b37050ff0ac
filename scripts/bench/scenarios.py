"""S1 to S8: what each measures, how large it is, and who takes part."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import contenders, follow, loads, processes, starts
from bench.environment import HERE, rivals_python
from bench.inputs import Input
from bench.processes import Failed
from bench.shapes import SHAPES
from bench.starts import Size

Results = dict[str, Any]
_LONGEST = 600.0  # seconds for all rounds of one format
_LOADERS = ("notebook_tuned", "notebook_default", "declarative", "dlt", "polars", "duckdb")


@dataclass(frozen=True)
class Asked:
    """What the command line asks for.

    Attributes:
        quick: small sizes, to see that all works; its times mean nothing.
        long: the sizes of the issue for S5 and S6, which take hours.
        only: names of rivals; ours takes part anyway. Empty: all.
        files, rows: the large lake of S5; None for the usual size.
        minutes: how long S6 holds its rate; None for the usual time.
    """

    rounds: int = 3
    quick: bool = False
    long: bool = False
    only: tuple[str, ...] = ()
    files: int | None = None
    rows: int | None = None
    minutes: float | None = None

    def size(self, full: tuple[int, int], quick: tuple[int, int]) -> tuple[int, int]:
        """Files and rows of each."""
        return quick if self.quick else full

    def taking_part(self, *names: str) -> list[contenders.Contender]:
        """Ours, and those of these that are asked for.

        Raises:
            Failed: nobody has a name of `only`.
        """
        known = contenders.rivals(rivals_python())
        if unknown := set(self.only) - known.keys():
            raise Failed(f"no contender {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        chosen = [known[name] for name in names if not self.only or name in self.only]
        return [contenders.ours(), *chosen]


def first_run(asked: Asked, folder: Path) -> Results:
    """S1 and S8: an empty lake, 1,000 files of 1,000 rows."""
    files, rows = asked.size((1_000, 1_000), (20, 100))
    return _first_load(asked, folder, files, rows, asked.taking_part(*_LOADERS))


def many_small(asked: Asked, folder: Path) -> Results:
    """S4: an empty lake, 10,000 files of 10 rows."""
    files, rows = asked.size((10_000, 10), (200, 10))
    return _first_load(asked, folder, files, rows, asked.taking_part("notebook_default"))


def cold_increment(asked: Asked, folder: Path) -> Results:
    """S2: ten files of ten rows land in a lake that has read others."""
    files, rows = asked.size((20, 1_000), (5, 100))
    source = Input(folder / "input").make(files, rows)
    taking_part = asked.taking_part("reference", "submits", contenders.BERLIN)
    found = starts.increments(source, taking_part, asked.rounds, folder)
    return {"files": starts.FILES, "rows": starts.ROWS, **found}


def continuous(asked: Asked, folder: Path) -> Results:
    """S3: one file a second, then five, while the pipeline runs."""
    once, five = asked.size((200, 200), (10, 20))
    return follow.latency(folder, {1.0: once, 5.0: five}, rows=100)


def growth(asked: Asked, folder: Path) -> Results:
    """S5: S2 on a small and on a large lake."""
    small, large = Size(1_000, 1_000_000), Size(20_000, 5_000_000)
    if asked.quick:
        small, large = Size(50, 10_000), Size(300, 100_000)
    elif asked.long:
        large = Size(1_000_000, 50_000_000)
    large = Size(asked.files or large.files, asked.rows or large.rows)
    return starts.growth([small, large], asked.rounds, folder)


def sustained(asked: Asked, folder: Path) -> Results:
    """S6: the highest rate that holds, and the memory it takes."""
    if asked.quick:
        return follow.sustained(folder, asked.minutes or 0.25, [200, 500], step=10)
    rates = [1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 80_000]
    return follow.sustained(folder, asked.minutes or (10 if asked.long else 4), rates, step=45)


def formats(asked: Asked, folder: Path) -> Results:
    """S7: bronze of formats and widths, beside Spark's own reader."""
    files, rows = asked.size((100, 3_000), (5, 40))
    limit = _LONGEST / 6 if asked.quick else _LONGEST
    found: Results = {}
    for number, name in enumerate(SHAPES):
        place = folder / str(number)
        place.mkdir()
        sizes = [str(size) for size in (files, rows, asked.rounds)]
        line = [sys.executable, str(HERE / "formats.py"), name, str(place), *sizes]
        try:
            processes.run([line], place / "log.txt", limit=limit)
            found[name] = json.loads((place / "result.json").read_text(encoding="utf-8"))
        except Failed as failed:
            print(f"  {name}: {failed}", flush=True)
            found[name] = {"failed": str(failed).splitlines()[0]}
        else:
            times = found[name]["seconds"].items()
            each = ", ".join(f"{side} {median(series):.2f} s" for side, series in times)
            print(f"  {name:<18} {found[name]['rows']:,} rows: {each}", flush=True)
        shutil.rmtree(place)
    return {"files": files, "shapes": found}


def _first_load(
    asked: Asked,
    folder: Path,
    files: int,
    rows: int,
    taking_part: list[contenders.Contender],
) -> Results:
    source = Input(folder / "input").make(files, rows)
    fetching = [one for one in taking_part if one.name == "notebook_default"]
    if fetching and not asked.quick:
        print("  a small load that fetches packages, and does not count", flush=True)
        loads.first_load(Input(folder / "small").make(2, 10), fetching, 1, folder / "before")
    found = loads.first_load(source, taking_part, asked.rounds, folder)
    return {"files": files, "rows": rows, "mb": round(source.size / 1e6, 1), **found}


MEASURES: dict[str, Callable[[Asked, Path], Results]] = {
    "s1": first_run,
    "s2": cold_increment,
    "s3": continuous,
    "s4": many_small,
    "s5": growth,
    "s6": sustained,
    "s7": formats,
}
# S8 is the memory of S1.
ALSO = {"s8": "s1"}
LONG = ("s5", "s6")


def measure(name: str, asked: Asked, folder: Path) -> Results:
    """One scenario, in a folder of its own that is removed afterwards.

    Raises:
        Failed: ours failed, or its results are wrong.
    """
    place = folder / name
    before = processes.load()
    started = time.time()
    place.mkdir(parents=True)
    try:
        found = MEASURES[name](asked, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return {
        "quick": asked.quick,
        "rounds": asked.rounds,
        "started": time.strftime("%Y-%m-%d %H:%M", time.gmtime(started)),
        "took": round(time.time() - started),
        "load": [before, processes.load()],
        **found,
    }
