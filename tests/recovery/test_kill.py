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

# Seconds after the session is there: a run of these thirty files then takes 20 to 30 s, and its
# first batch is done after 8 to 10.
LATEST = 22.0


@pytest.fixture
def thirty(lake: Lake) -> Lake:
    """Thirty dirty files, for six batches of bronze."""
    lake = lake.having("bronze.sales.source.max_files_per_trigger=5")
    lake.generate(30, rows=50, dirty=0.1, new_column_from=20)
    return lake


@pytest.mark.parametrize(
    "kills", [2, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
@pytest.mark.timeout(900)
def test_the_driver_killed_at_random_moments(thirty: Lake, kills: int) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    moments = random.Random(seed)
    killed = []
    for number in range(kills):
        with Medallion(thirty, "run", "--progress", "json") as run:
            moment = moments.uniform(0, LATEST)
            run.wait_until(lambda: any(e["table"] == "session" for e in run.events))
            deadline = time.monotonic() + moment
            while run.is_running and time.monotonic() < deadline:
                time.sleep(0.02)
            if not run.is_running:
                assert run.wait() == 0, run.text
                # It was done before its moment came: more files for the kills to come.
                thirty.generate(10, rows=50, seed=1_000 + number, dirty=0.1)
                continue
            run.signal(signal.SIGKILL)
            killed.append((round(moment, 1), len([e for e in run.events if e["event"] == "batch"])))
    print(f"killed at (seconds, batches done): {killed}")
    assert killed
    code, said = completed(thirty, "run", "--progress", "json")
    assert code == 0, said
    assert_exact(thirty)


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
