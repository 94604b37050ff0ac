"""Lets Ctrl-C and SIGTERM end a run after the file at hand."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from medallion_jobs.generator.pace import Wait

# How long a signal may go unnoticed; short enough to feel immediate.
_SLICE_SECONDS = 0.1


@contextmanager
def stopping_on_signals() -> Iterator[Wait]:
    """Gives a way to wait that ends early, and says so, once a signal has come.

    The first signal asks; a second one ends the process as it would have without us.
    """
    asked = False

    def ask(signum: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signum, before[signum])

    def wait(seconds: float) -> bool:
        # In slices: Python goes on sleeping after a handler has run.
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
