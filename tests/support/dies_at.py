"""`medallion`, but it kills itself with -9 at a named point of bronze's second batch.

DIES_AT names the point; the first batch goes through.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medallion_jobs.autoloader.ledger.ledger import Ledger
from medallion_jobs.autoloader.loader import AutoLoader
from medallion_jobs.autoloader.loading.sinks import DeltaSink
from medallion_jobs.cli import main

POINTS = (
    "after_discovery",
    "after_the_offset",
    "during_the_bronze_write",
    "after_the_bronze_commit",
    "before_the_ledger_events",
    "before_the_commit_log",
)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def at_second_call(call: Callable[..., Any], before: bool) -> Callable[..., Any]:
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2 and before:
            die()
        result = call(*args, **kwargs)
        if calls == 2:
            die()
        return result

    return wrapped


def write_and_die_meanwhile(write: Callable[..., bool]) -> Callable[..., bool]:
    """Dies when a data file of the second batch is there and its commit is not."""
    calls = 0

    def wrapped(self: DeltaSink, *args: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == 2:
            known = data_files(self.path)
            threading.Thread(target=die_at_a_new_file, args=(self.path, known)).start()
        written = write(self, *args)
        if calls == 2:
            die()  # too late for the middle, but dead all the same
        return written

    return wrapped


def data_files(table: Path) -> set[str]:
    return {path.name for path in table.glob("*.parquet")}


def die_at_a_new_file(table: Path, known: set[str]) -> None:
    while data_files(table) <= known:
        time.sleep(0.001)
    die()


def discovery_and_die(poll: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(self: AutoLoader) -> Any:
        poll(self)
        die()

    return wrapped


def arm(point: str) -> None:
    if point == "after_discovery":
        AutoLoader.discover = discovery_and_die(AutoLoader.discover)  # type: ignore[method-assign]
    elif point == "after_the_offset":
        AutoLoader.write = at_second_call(AutoLoader.write, before=True)  # type: ignore[method-assign]
    elif point == "during_the_bronze_write":
        DeltaSink.write = write_and_die_meanwhile(DeltaSink.write)  # type: ignore[method-assign]
    elif point == "after_the_bronze_commit":
        DeltaSink.write = at_second_call(DeltaSink.write, before=False)  # type: ignore[method-assign]
    elif point == "before_the_ledger_events":
        Ledger.record = at_second_call(Ledger.record, before=True)  # type: ignore[method-assign]
    elif point == "before_the_commit_log":
        AutoLoader.write = at_second_call(AutoLoader.write, before=False)  # type: ignore[method-assign]
    else:
        raise SystemExit(f"DIES_AT={point}: there is {', '.join(POINTS)}")


if __name__ == "__main__":
    arm(os.environ["DIES_AT"])
    main()
