"""Says when each file is due."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from medallion_jobs.generator.plan import Plan

Wait = Callable[[float], bool]
"""Waits that many seconds, or less when asked to stop; returns whether to stop."""


def wait_all(seconds: float) -> bool:
    """Waits and never stops early."""
    time.sleep(seconds)
    return False


class Pace:
    """Hands out file numbers, each at its time.

    File n is due when its rows have come in: n intervals after the start. The schedule hangs on
    the start, so delays do not add up: after one, files follow without a pause until the rate
    holds again. A machine that cannot keep up shows in `behind`, and in fewer files when the
    duration is over first.

    Args:
        plan: the rate, the duration and the number of files.
        clock: seconds that never go back.
        wait: how to pass the time until the next file.
    """

    def __init__(
        self, plan: Plan, *, clock: Callable[[], float] = time.monotonic, wait: Wait = wait_all
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._wait = wait
        self._start = clock()
        self.behind = 0.0
        self.stopped = False

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    def numbers(self) -> Iterator[int]:
        """File numbers from 1. `behind` and `stopped` tell how it went."""
        for number in range(1, self._plan.file_count + 1):
            if self._plan.duration is not None and self.elapsed >= self._plan.duration:
                return
            due = number * self._plan.interval
            if self._wait(max(0.0, due - self.elapsed)):
                self.stopped = True
                return
            yield number
            # Taken once the file is there: making it is part of being late.
            if self._plan.rate:
                self.behind = max(self.behind, self.elapsed - due)
