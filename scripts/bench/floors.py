"""What the figures have to reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.contenders import BERLIN, OURS
from bench.figures import Figure, ratio
from bench.follow import holds

Results = dict[str, Any]
_SETTLED = 3  # minutes of S6 after which memory must not grow
_GROWTH = 1.1


@dataclass(frozen=True)
class Floor:
    """A limit, and what was measured.

    Attributes:
        scenario: `s1` and so on.
        text: what is compared.
        limit: as the page shows it.
        found: as the page shows it.
        met: None if a quick run cannot tell, or something was not measured.
    """

    scenario: str
    text: str
    limit: str
    found: str
    met: bool | None


def judged(results: Results) -> list[Floor]:
    """The floors of all scenarios that were measured."""
    found = []
    for name, judge in _JUDGES.items():
        measured = results["scenarios"].get(name)
        if measured:
            found += [
                Floor(name, text, limit, shown, None if measured["quick"] else met)
                for text, limit, shown, met in judge(measured)
            ]
    return found


_Judged = Iterator[tuple[str, str, str, bool | None]]


def _at_least(text: str, seconds: Results, over: str, limit: float) -> _Judged:
    """How many times as fast ours is."""
    figure = _ratio(seconds, over, OURS)
    met = None if figure is None else figure.middle >= limit
    yield text, f"at least {limit:g} x", _shown(figure), met


def _at_most(text: str, seconds: Results, over: str, under: str, limit: float) -> _Judged:
    figure = _ratio(seconds, over, under)
    met = None if figure is None else figure.middle <= limit
    yield text, f"at most {limit:g} x", _shown(figure), met


def _ratio(seconds: Results, over: str, under: str) -> Figure | None:
    if over not in seconds or under not in seconds:
        return None
    return ratio(seconds[over], seconds[under])


def _shown(figure: Figure | None) -> str:
    return "not measured" if figure is None else figure.shown(2, " x")


def _s1(found: Results) -> _Judged:
    seconds = found["seconds"]
    yield from _at_least("as fast as the tuned notebook", seconds, "notebook_tuned", 1.5)
    yield from _at_least("as fast as the notebook with defaults", seconds, "notebook_default", 3.5)
    yield from _at_least("as fast as Spark Declarative Pipelines", seconds, "declarative", 1.0)
    yield from _at_least("as fast as dlt", seconds, "dlt", 1.0)


def _s2(found: Results) -> _Judged:
    seconds = found["seconds"]
    yield from _at_most("as long as the bare session", seconds, OURS, "reference", 1.0)
    yield from _at_least("as fast as three spark-submits", seconds, "submits", 8.0)
    yield from _at_most("TZ=Europe/Berlin over UTC", seconds, BERLIN, OURS, 1.03)


def _s3(found: Results) -> _Judged:
    slow, fast = found["paces"]["1"], found["paces"]["5"]
    for quantile, limit in (("p50", 3.0), ("p99", 6.0)):
        lag = slow.get(quantile)
        shown = "nothing became visible" if lag is None else f"{lag:.2f} s"
        met = lag is not None and lag <= limit and slow["visible"] == slow["files"]
        yield f"{quantile} at one file a second", f"at most {limit:g} s", shown, met
    shown = f"{fast['growth']:.2f} x" if fast["visible"] else "nothing became visible"
    yield "last third over first at five a second", "does not grow", shown, holds(fast)


def _s4(found: Results) -> _Judged:
    yield from _at_least(
        "as fast as the notebook with defaults", found["seconds"], "notebook_default", 5.0
    )


def _s5(found: Results) -> _Judged:
    names = [name for name in found["titles"] if name.startswith(f"{OURS}_incremental_")]
    small, large = sorted(names, key=lambda name: int(name.rpartition("_")[2]))
    yield from _at_most(
        "large lake over small, gold incremental", found["seconds"], large, small, 1.25
    )


def _s6(found: Results) -> _Judged:
    held = found["held"]
    shown = f"{held['growth']:.2f} x" if held["visible"] else "nothing became visible"
    yield f"lag at {found['rate']:,} rows a second", "does not grow", shown, holds(held)
    memory = found["memory_mib"]
    text, limit = f"memory after minute {_SETTLED}", f"within {_GROWTH - 1:.0%}"
    if len(memory) <= _SETTLED:
        yield text, limit, "not measured", None
        return
    grown = max(memory[_SETTLED:]) / memory[_SETTLED - 1]
    yield text, limit, f"{grown - 1:+.0%}", grown <= _GROWTH


def _s7(found: Results) -> _Judged:
    failed = [name for name, shape in found["shapes"].items() if "failed" in shape]
    shown = f"not {', '.join(failed)}" if failed else "all"
    yield "formats and widths that are loaded", "all", shown, not failed


_JUDGES = {"s1": _s1, "s2": _s2, "s3": _s3, "s4": _s4, "s5": _s5, "s6": _s6, "s7": _s7}
