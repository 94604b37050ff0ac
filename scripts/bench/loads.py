"""S1, S4 and S8: a first load of many files, by all contenders in turn; time and memory."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.contenders import OURS, Contender
from bench.inputs import Gold, Input
from bench.processes import Failed


def first_load(
    source: Input, contenders: Sequence[Contender], rounds: int, folder: Path
) -> dict[str, Any]:
    """Each loads all of the input into an empty folder, in turn, round by round.

    A time counts only if gold is right. A rival that fails is left out from then on.

    Raises:
        Failed: ours failed, or its gold is wrong.
    """
    expected = source.expected()
    series = Series(contenders)
    for number in range(rounds):
        for one in series.taking_part():
            work = folder / f"{one.name}-{number}"
            series.round(one, source, work, expected)
            shutil.rmtree(work, ignore_errors=True)
    return series.results()


class Series:
    """The rounds of several contenders."""

    def __init__(self, contenders: Sequence[Contender]) -> None:
        self._contenders = contenders
        self._seconds: dict[str, list[float]] = {one.name: [] for one in contenders}
        self._peaks: dict[str, list[float]] = {one.name: [] for one in contenders}
        self._failed: dict[str, str] = {}

    def taking_part(self) -> list[Contender]:
        """Those that did not fail."""
        return [one for one in self._contenders if one.name not in self._failed]

    def round(
        self, one: Contender, source: Input, work: Path, expected: Gold, *, counts: bool = True
    ) -> None:
        """One load of one contender, checked, then counted.

        Raises:
            Failed: ours failed.
        """
        try:
            measured = one.load(source, work)
            one.check(work, expected)
        except Failed as failed:
            if one.name.startswith(OURS):
                raise
            print(f"  {one.name}: {failed}", flush=True)
            self._failed[one.name] = str(failed).splitlines()[0]
            return
        remark = "" if counts else "  (does not count)"
        peak = "" if measured.peak is None else f", {measured.peak:,.0f} MiB"
        print(f"  {one.name:<18} {measured.seconds:7.2f} s{peak}{remark}", flush=True)
        if counts:
            self._seconds[one.name].append(round(measured.seconds, 3))
            if measured.peak is not None:
                self._peaks[one.name].append(round(measured.peak, 1))

    def results(self) -> dict[str, Any]:
        """Seconds and peaks by name, without those that failed."""
        names = [one.name for one in self.taking_part()]
        return {
            "titles": {one.name: one.title for one in self._contenders},
            "seconds": {name: self._seconds[name] for name in names},
            "peak_mib": {name: self._peaks[name] for name in names if self._peaks[name]},
            "failed": self._failed,
        }
