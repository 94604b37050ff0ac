"""The schedule of files: when each file is due."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from medallion_jobs.generator.plan import Plan

Wait = Callable[[float], bool]
"""Waits that many seconds, or less if asked to stop; returns whether to stop."""


def wait_all(seconds: float) -> bool:
    """Waits and never stops early."""
    time.sleep(seconds)
    return False


class Pace:
    """Yields file numbers, each when it is due.

    File n is due when its rows would have arrived: n intervals after the start. Due times are
    counted from the start, so delays do not add up: after a delay, files follow without a pause
    until the rate is right again. If the machine cannot keep up, `behind` grows, and there may
    be fewer files when the duration is over.

    Args:
        plan: the rate, the duration and the number of files.
        clock: a monotonic clock, in seconds.
        wait: waits until the next file is due.

    Attributes:
        behind: how late the latest file was, in seconds.
        stopped: whether `wait` asked to stop.
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
        """The file numbers, from 1; updates `behind` and `stopped`."""
        for number in range(1, self._plan.file_count + 1):
            if self._plan.duration is not None and self.elapsed >= self._plan.duration:
                return
            due = number * self._plan.interval
            if self._wait(max(0.0, due - self.elapsed)):
                self.stopped = True
                return
            yield number
            # Measured once the file is written: the time to make it counts.
            if self._plan.rate:
                self.behind = max(self.behind, self.elapsed - due)
