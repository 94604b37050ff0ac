"""Where a query's state lies, and what its checkpoint's file names tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from lakes import GOLD, Lake, offset, touch_batches

from medallion_jobs.checkpoint import Checkpoint


def test_the_layout(lake: Lake) -> None:
    home = lake.home(GOLD)
    assert home.path == lake.root / "lake/_medallion/checkpoints/gold/sales_by_region_day"
    assert home.manifest == home.path / "manifest.json"
    assert home.lock == home.path / "lock"
    assert home.stop == home.path / "stop"
    assert home.checkpoint(3) == Checkpoint(home.path / "v3", "gold.sales_by_region_day/v3")


def test_generations_are_the_folders_that_are_there_in_order(lake: Lake) -> None:
    home = lake.home(GOLD)
    assert home.generations == []
    for name in ("v2", "v10", "v1", "vault", "v", "v1.bak", "w3"):
        (home.path / name).mkdir(parents=True)
    assert home.generations == [1, 2, 10]


def test_the_newest_batch_is_by_number_and_ignores_other_files(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "gold.x/v1")
    assert (checkpoint.latest_offsets, checkpoint.latest_commits) == (-1, -1)
    touch_batches(tmp_path / "offsets", 10)
    touch_batches(tmp_path / "commits", 9)
    for other in (".11.crc", "..12.0f.tmp.crc", ".12.0f.tmp", "99.compact", "٣"):
        (tmp_path / "offsets" / other).write_text("")
    assert (checkpoint.latest_offsets, checkpoint.latest_commits) == (10, 9)


def test_an_offset_is_the_last_line(tmp_path: Path) -> None:
    touch_batches(tmp_path / "offsets", 0, offset(7))
    assert '"reservoirVersion": 7' in Checkpoint(tmp_path, "gold.x/v1").offset(0)


@pytest.mark.parametrize(("folder", "removed"), [("state", 1), ("offsets", 0), ("commits", 0)])
def test_leftovers_go_only_where_no_batch_was_planned(
    tmp_path: Path, folder: str, removed: int
) -> None:
    touch_batches(tmp_path / folder, 0)
    (tmp_path / folder / ".1.8a.tmp").write_text("cut")
    (tmp_path / "tmp").mkdir()
    assert len(Checkpoint(tmp_path, "gold.x/v1").remove_leftovers()) == removed
    assert (tmp_path / folder / ".1.8a.tmp").exists() == (not removed)
    assert (tmp_path / folder / "0").exists()
