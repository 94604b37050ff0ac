"""Independent branches go on: a failed table stops those that read it, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.branches import RULE, Branches
from support.disk import Disk, small_disk

from medallion_jobs.checkpoint import Lock, QueryFolder, lock
from medallion_jobs.config import TableRef
from medallion_jobs.errors import DataError, UsageError
from medallion_jobs.lake.paths import TablePaths

FAILING = ("refused", "source", "lock", "batch", "disk")


@pytest.fixture
def branches(tmp_path: Path) -> Branches:
    """Two branches that are right, and one for each kind of reason to fail."""
    gold = ("ok", "also", "batch")
    made = Branches.of(tmp_path, "ok", "also", *FAILING, gold=gold, facts=True)
    for name in ("ok", "also", *FAILING):
        made.land(name, 1, 2, 3)
    return made


@pytest.fixture
def disk(branches: Branches) -> Iterator[Disk]:
    """The disk of silver.disk."""
    with small_disk(branches.lake.path("silver.disk")) as disk:
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
    held = Lock(query_folder(branches, "bronze", "lock").lock, "bronze.lock")
    with disk.read_only():
        error = branches.run()
    held.release()

    branches.assert_exact("ok", "also", gold=["ok", "also"])
    assert branches.failed == {
        "bronze.refused": "manifest_unreadable",
        "bronze.source": "no_landing_folder",
        "bronze.lock": "query_already_running",
        "silver.batch": "rule_failed_batch",
        "silver.disk": "storage_failed",
    }
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
        "silver.lock": "bronze.lock",
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
    branches: Branches, disk: Disk, spark: object
) -> None:
    def tell() -> None:
        names = ["ok", "also", "disk", "batch"]
        branches.wait_for(*names)
        with disk.read_only():
            for name in names:
                branches.land(name, 10, 11)
            branches.wait_for("ok", "also", "batch")
            failed = "failed for a cause that may pass"
            branches.until(lambda: len(branches.notes("silver.disk", failed)) > 3)
        branches.wait_for("disk")
        branches.land("batch", 1000)
        branches.until(lambda: branches.notes("gold.batch", "not run"))
        # Its lock is free while the others go on.
        folder = query_folder(branches, "silver", "batch")
        branches.until(lambda: not lock.is_running(folder.lock))
        assert lock.is_running(query_folder(branches, "silver", "ok").lock)
        for name in ("ok", "also", "disk", "batch"):
            branches.land(name, 20)
        branches.wait_for("ok", "also", "disk")

    error = branches.run_beside(tell)
    assert isinstance(error, DataError)
    assert branches.failed == {"silver.batch": "rule_failed_batch"}
    assert set(branches.summary.not_run) == {"silver.facts", "gold.batch"}
    assert branches.notes("silver.disk", "started again")
    branches.assert_exact("ok", "also", "disk", gold=["ok", "also"])
