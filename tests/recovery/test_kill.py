"""`kill -9`, and the same command again: row-exact tables, and nothing to do by hand."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
from support.exact import assert_exact
from support.lake import Lake
from support.processes import Medallion, completed

from medallion_jobs.checkpoint import QueryFolder, lock
from medallion_jobs.config import TableRef
from medallion_jobs.lake.paths import TablePaths

# A kill comes after so many batches of a run at most, and so many seconds later: within a batch,
# between two, or before the first, on a quick machine and on a slow one.
MOST_BATCHES, MOST_SECONDS = 5, 4.0


@pytest.fixture
def thirty(lake: Lake) -> Lake:
    """Thirty dirty files, for six batches of bronze."""
    lake = lake.having("bronze.sales.source.max_files_per_trigger=5")
    lake.generate(30, rows=50, dirty=0.1, new_column_from=20)
    return lake


@pytest.mark.parametrize(
    "kills", [1, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
@pytest.mark.timeout(900)
def test_the_driver_killed_at_random_moments(thirty: Lake, kills: int) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    moments = random.Random(seed)
    killed: list[tuple[int, float]] = []
    while len(killed) < kills:
        batches, seconds = moments.randint(0, MOST_BATCHES), moments.uniform(0, MOST_SECONDS)
        with Medallion(thirty, "run", "--progress", "json") as run:
            if _is_running_after(run, batches, seconds):
                run.signal(signal.SIGKILL)
                killed.append((batches, round(seconds, 1)))
                continue
            assert run.wait() == 0, run.text
            # It was done before its moment came: more files for the kills to come.
            thirty.generate(10, rows=50, seed=moments.randrange(1_000_000), dirty=0.1)
    print(f"killed after (batches, seconds): {killed}")
    code, said = completed(thirty, "run", "--progress", "json")
    assert code == 0, said
    assert_exact(thirty)


def _is_running_after(run: Medallion, batches: int, seconds: float) -> bool:
    """Waits for the session and so many batches, then for the seconds, or until the run ends."""

    def told() -> int:
        return sum(e["event"] == "batch" or e["table"] == "session" for e in run.events)

    while run.is_running and told() <= batches:
        time.sleep(0.02)
    deadline = time.monotonic() + seconds
    while run.is_running and time.monotonic() < deadline:
        time.sleep(0.02)
    return run.is_running


@pytest.mark.slow
def test_the_jvm_killed_in_the_midst(thirty: Lake) -> None:
    home = QueryFolder.of(TablePaths(thirty.config, TableRef("bronze", "sales")))
    with Medallion(thirty, "run", "--progress", "json") as run:
        run.wait_until(lambda: [e for e in run.events if e["event"] == "batch"])
        holder = lock.read(home.lock)
        assert holder
        os.kill(holder["jvm"]["pid"], signal.SIGKILL)
        assert run.wait() not in (0, 2), run.text
    code, said = completed(thirty, "run", "--progress", "json")
    assert code == 0, said
    assert_exact(thirty)
