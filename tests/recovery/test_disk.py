"""A disk that is full or read-only: told with its path, and no harm to the next run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.disk import Disk, small_disk
from support.exact import assert_exact
from support.lake import Lake
from support.processes import completed

from medallion_jobs.errors import TransientError

KILOBYTE = 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def small(disk: Disk, tmp_path: Path) -> Lake:
    """A lake on the small disk; its landing folder is on another."""
    lake = Lake(disk.path / "lake", tmp_path / "landing", Lake.at(tmp_path).settings)
    lake.generate(3, dirty=0.1)
    return lake


@pytest.mark.slow
def test_a_full_disk_is_told_wherever_it_is_met(disk: Disk, small: Lake, spark: object) -> None:
    # The less is free, the earlier a run ends: at its locks, at the first table, in a batch.
    told = [_told(disk, small, free) for free in (0, 16, 32, 64, 96, 128)]
    failed = [error for error in told if error]
    assert len(failed) >= 3
    for error in failed:
        assert error.exit_code == 75
        assert "No space left on device" in error.what
        assert str(disk.path) in error.what
    small.run()
    assert_exact(small)


def test_the_command_ends_with_75_and_the_next_one_is_exact(
    disk: Disk, small: Lake, spark: object
) -> None:
    with disk.read_only():
        code, said = completed(small, "run", "--progress", "json")
    assert code == 75, said
    assert f"Read-only file system: {disk.path}" in said

    with disk.filled(free=64 * KILOBYTE):
        code, said = completed(small, "run", "--progress", "json")
    assert code == 75, said
    assert f"No space left on device: {disk.path}" in said

    small.run()
    assert_exact(small)


def _told(disk: Disk, lake: Lake, free: int) -> TransientError | None:
    """What a run ends with that finds so many kilobytes free, if they do not suffice."""
    with disk.filled(free=free * KILOBYTE):
        try:
            lake.run()
        except TransientError as error:
            return error
    return None
