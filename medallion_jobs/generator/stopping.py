"""Lets Ctrl-C and SIGTERM end a run after the current file."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from medallion_jobs.generator.pace import Wait

# The longest time until a signal is noticed; short enough to feel immediate.
_SLICE_SECONDS = 0.1


@contextmanager
def stopping_on_signals() -> Iterator[Wait]:
    """Yields a function to wait, which ends early and returns True once a signal has come.

    The first signal asks the run to stop; a second one has its usual effect on the process.
    """
    asked = False

    def ask(signum: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signum, before[signum])

    def wait(seconds: float) -> bool:
        # In slices: Python continues a sleep after a signal handler has run.
        until = time.monotonic() + seconds
        while not asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_SECONDS))
        return asked

    before: dict[int, Any] = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
    }
    for number in before:
        signal.signal(number, ask)
    try:
        yield wait
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
