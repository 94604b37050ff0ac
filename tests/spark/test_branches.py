"""Independent branches go on: a failed table stops those that read it, and nothing else."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import slow
from support.branches import RULE, Branches
from support.disk import Disk, small_disk
from support.lake import Lake
from support.own import OwnLake

from medallion_jobs.checkpoint import Lock, QueryFolder, lock
from medallion_jobs.config import TableRef
from medallion_jobs.errors import DataError, TransientError, UsageError
from medallion_jobs.lake.paths import TablePaths

FAILING = ("refused", "source", "taken", "batch", "disk")


@pytest.fixture
def branches(tmp_path: Path) -> Branches:
    """Two branches that are right, and one for each kind of reason to fail."""
    gold = ("ok", "also", "batch")
    made = Branches.of(tmp_path, "ok", "also", *FAILING, gold=gold, facts=True)
    for name in ("ok", "also", *FAILING):
        made.land(name, 1, 2, 3)
    return made


@pytest.fixture
def few(tmp_path: Path) -> Branches:
    """One that is right, one whose disk fails, and one whose batch fails."""
    made = Branches.of(tmp_path, "ok", "disk", "batch", gold=("ok", "batch"))
    for name in ("ok", "disk", "batch"):
        made.land(name, 1, 2, 3)
    return made


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """The disk of silver.disk."""
    with small_disk(Lake.at(tmp_path).path("silver.disk")) as disk:
        yield disk


def query_folder(branches: Branches, layer: str, name: str) -> QueryFolder:
    ref = TableRef(layer, name)  # type: ignore[arg-type]
    return QueryFolder.of(TablePaths(branches.lake.config, ref))


def test_of_seven_branches_five_fail_and_two_end_exact(
    branches: Branches, disk: Disk, spark: object
) -> None:
    manifest = query_folder(branches, "bronze", "refused").manifest
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{")
    landing = branches.lake.landing / "source"
    landing.rename(landing.with_name("away"))
    branches.land("batch", 1000)
    held = Lock(query_folder(branches, "bronze", "taken").lock, "bronze.taken")
    with disk.read_only():
        error = branches.run()
    held.release()

    branches.assert_exact("ok", "also", gold=["ok", "also"])
    assert branches.failed == {
        "bronze.refused": "manifest_unreadable",
        "bronze.source": "no_landing_folder",
        "bronze.taken": "query_already_running",
        "silver.batch": "rule_failed_batch",
        "silver.disk": "storage_failed",
    }, error
    # A wrong folder is the worst of these; the lock and the disk alone would be 75.
    assert isinstance(error, UsageError)
    assert (error.code, error.exit_code) == ("tables_failed", 2)
    assert "5 of 18 tables failed" in error.what
    for table in branches.failed:
        assert f"  {table}: " in error.what
        assert f"{table}: " in error.next_step
    summary = branches.summary
    assert summary.not_run == {
        "silver.refused": "bronze.refused",
        "silver.source": "bronze.source",
        "silver.taken": "bronze.taken",
        "silver.facts": "silver.batch",  # which it looks its rows up in
        "gold.batch": "silver.batch",
    }
    assert len(summary.done) == 8
    # What failed is free at once for another run.
    assert not any(lock.is_running(path) for path in branches.lake.checkpoints.rglob("lock"))

    # Each cause is taken away: the next run does what is left.
    manifest.unlink()
    landing.with_name("away").rename(landing)
    text = branches.lake.config_file.read_text(encoding="utf-8")
    branches.lake.configure(text.replace("otherwise: fail", "otherwise: quarantine"))
    assert branches.run() is None
    good = branches.landed["batch"].pop()
    assert good == (3, 1000)
    branches.assert_exact("ok", "also", *FAILING, gold=["ok", "also", "batch"])
    branches.landed["facts"] = branches.landed["ok"]
    branches.assert_exact("facts")


@pytest.mark.slow
def test_where_only_one_table_fails_its_own_error_ends_the_run(
    branches: Branches, spark: object
) -> None:
    branches.land("batch", 1000)
    error = branches.run()
    assert isinstance(error, DataError)
    assert (error.code, error.exit_code) == ("rule_failed_batch", 1)
    assert RULE in error.what
    assert set(branches.summary.not_run) == {"silver.facts", "gold.batch"}
    branches.assert_exact("ok", "also", "disk", gold=["ok", "also"])


def test_a_query_that_fails_starts_again_and_one_that_cannot_is_given_up(
    few: Branches, disk: Disk, spark: object
) -> None:
    names = ("ok", "disk", "batch")

    def tell() -> None:
        few.wait_for(*names)
        with disk.read_only():
            for name in names:
                few.land(name, 10, 11)
            few.wait_for("ok", "batch")
            failed = "failed for a cause that may pass"
            few.until(lambda: len(few.notes("silver.disk", failed)) > 3)
        few.wait_for("disk")
        few.land("batch", 1000)
        few.until(lambda: few.notes("gold.batch", "not run"))
        # Its lock is free while the others go on.
        few.until(lambda: not lock.is_running(query_folder(few, "silver", "batch").lock))
        assert lock.is_running(query_folder(few, "silver", "ok").lock)
        for name in names:
            few.land(name, 20)
        few.wait_for("ok", "disk", gold=["ok"])

    error = few.run_beside(tell)
    assert isinstance(error, DataError)
    assert few.failed == {"silver.batch": "rule_failed_batch"}
    assert few.summary.not_run == {"gold.batch": "silver.batch"}
    assert few.notes("silver.disk", "started again")
    few.assert_exact("ok", "disk", gold=["ok"])


# Longer than a batch takes on a slow machine.
_TIMEOUT = "12s"
_SLOW = """
    pipeline: slow
    python_packages: [support]
    trigger: {batch_timeout: %s, restart: {first_delay: 500ms}}
    bronze:
      passing: {source: &files {format: json, schema: 'id BIGINT, n BIGINT', min_age: 1ms}}
      poisonous: {source: *files}
    silver:
      passing: {from: bronze.passing, transform: support.slow:passing}
      poisonous: {from: bronze.poisonous, transform: support.slow:poisonous}
"""


@pytest.fixture
def slow_branches(tmp_path: Path) -> Iterator[Branches]:
    made = Branches(OwnLake.of(tmp_path, _SLOW % _TIMEOUT))
    for name in ("passing", "poisonous"):
        made.land(name, 1, 2)
    yield made
    slow.HANGS.clear()


def test_a_batch_that_hangs_is_cancelled(slow_branches: Branches, spark: object) -> None:
    slow.HANGS.add("poisonous")
    error = slow_branches.run()
    assert isinstance(error, TransientError)
    assert (error.code, error.exit_code) == ("batch_timeout", 75)
    assert f"silver.poisonous: batch 0 took longer than {_TIMEOUT}" in error.what
    slow_branches.assert_exact("passing")
    assert slow_branches.rows("poisonous") == []
    slow.HANGS.clear()
    assert slow_branches.run() is None
    slow_branches.assert_exact("passing", "poisonous")


@pytest.mark.slow
def test_a_batch_that_hangs_each_time_is_poison(slow_branches: Branches, spark: object) -> None:
    def tell() -> None:
        branches = slow_branches
        branches.wait_for("passing", "poisonous")
        slow.HANGS.update(("passing", "poisonous"))
        for name in ("passing", "poisonous"):
            branches.land(name, 3)
        branches.until(lambda: branches.notes("silver.passing", "cancels its batch"))
        slow.HANGS.remove("passing")
        branches.wait_for("passing")
        branches.until(lambda: branches.failed)
        branches.land("passing", 4)
        branches.wait_for("passing")

    error = slow_branches.run_beside(tell)
    assert isinstance(error, DataError)
    assert error.code == "poison_batch"
    # Which batch it is depends on how many there were while the files came.
    assert re.search(r"silver\.poisonous: batch \d+ has failed 3 times in the same way", error.what)
    assert "it reads: bronze.poisonous, version" in error.what
    assert len(slow_branches.notes("silver.poisonous", "cancels its batch")) == 3
    slow_branches.assert_exact("passing")
    slow.HANGS.clear()
    assert slow_branches.run() is None
    slow_branches.assert_exact("passing", "poisonous")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nothing_is_lost_in_three_minutes_of_failures(
    few: Branches, disk: Disk, spark: object
) -> None:
    names = ("ok", "disk")

    def tell() -> None:
        end = time.monotonic() + 180
        while time.monotonic() < end:
            again = time.monotonic() + 20
            with disk.read_only():
                fails_until = time.monotonic() + 5
                while time.monotonic() < fails_until:
                    for name in names:
                        few.land(name, *range(20))
                    time.sleep(0.5)
            while time.monotonic() < again:
                for name in names:
                    few.land(name, *range(20))
                time.sleep(0.5)
        few.wait_for(*names, gold=["ok"])

    assert few.run_beside(tell) is None
    assert len(few.notes("silver.disk", "started again")) >= 9
    few.assert_exact(*names, gold=["ok"])
