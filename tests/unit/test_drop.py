"""Tables that the config left, and what is removed only after a time."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from lakes import BRONZE, GOLD, SILVER, Lake, Medallion, touch_batches, write_table

from medallion_jobs.checkpoint import Lock, manifest
from medallion_jobs.config import TableRef

pytestmark = pytest.mark.usefixtures("ran")
OLD = TableRef("silver", "old_orders")


@pytest.fixture(autouse=True)
def _orphan(lake: Lake, ran: Lake) -> None:
    leave(lake, OLD, lake.config.pipeline)


def leave(lake: Lake, ref: TableRef, pipeline: str) -> None:
    """Makes a table of this pipeline that the config does not name."""
    write_table(lake.path(ref), rows=4)
    write_table(lake.paths(ref).quarantine)
    manifest.write(lake.home(ref), manifest.first(lake.home(ref), pipeline))


def trash(lake: Lake) -> list[Path]:
    return sorted((lake.root / "lake" / "_medallion" / "trash").glob("*"))


def test_status_and_query_show_it(lake: Lake, medallion: Medallion) -> None:
    leave(lake, TableRef("silver", "of_others"), "another")
    rows = json.loads(medallion("status", "--json").out)
    assert [row["table"] for row in rows if row["state"] == "orphaned"] == [str(OLD)]
    assert f"medallion drop {OLD}" in medallion("status").out
    answer = medallion("query", f"SELECT count(*) FROM {OLD}")
    assert "4" in answer.out
    assert f"{OLD} is orphaned" in answer.err
    assert "orphaned" not in medallion("query", f"SELECT count(*) FROM {SILVER}").err
    shown = medallion("destroy").out
    assert str(lake.path(OLD)) in shown
    assert "of_others" not in shown


def test_it_is_moved_to_the_trash(lake: Lake, medallion: Medallion) -> None:
    before = lake.files()
    assert medallion("drop", str(OLD)).code == 0
    assert lake.files() == before

    answer = medallion("drop", str(OLD), "--yes")
    assert answer.code == 0
    assert f"{OLD}: 4 rows" in answer.out
    assert not lake.path(OLD).exists()
    assert not lake.home(OLD).path.exists()
    (moved,) = trash(lake)
    assert (moved / "silver" / OLD.name / "_delta_log").is_dir()
    assert (moved / "_medallion/quarantine/silver" / OLD.name).is_dir()
    assert (moved / "_medallion/checkpoints/silver" / OLD.name / "manifest.json").is_file()
    assert all(row["state"] != "orphaned" for row in json.loads(medallion("status", "--json").out))
    assert medallion("drop", str(OLD), "--yes").code == 2


def test_a_drop_that_was_interrupted_is_repeated(lake: Lake, medallion: Medallion) -> None:
    (lake.root / "elsewhere").mkdir()
    lake.path(OLD).rename(lake.root / "elsewhere" / "moved")
    assert f"{OLD}: 0 rows" in medallion("drop", str(OLD), "--yes").out
    assert not lake.home(OLD).path.exists()


def test_what_is_not_dropped(lake: Lake, medallion: Medallion) -> None:
    leave(lake, TableRef("silver", "of_others"), "another")
    leave(lake, TableRef("silver", "customers"), lake.config.pipeline)
    before = lake.files()
    for name, code in (
        (str(SILVER), "table of the config"),
        ("silver.of_others", "has written no table"),
        ("silver.customers", "is still read, by silver.sales"),
        ("silver.nothing", "has written no table"),
    ):
        answer = medallion("drop", name, "--yes")
        assert answer.code == 2
        assert code in answer.err
    with Lock(lake.home(OLD).lock, str(OLD)):
        assert medallion("drop", str(OLD), "--yes").code == 75
    assert lake.files() == before


def test_maintain_empties_the_trash_after_a_time(lake: Lake, medallion: Medallion) -> None:
    medallion("drop", str(OLD), "--yes")
    (young,) = trash(lake)
    stamp = (datetime.now(timezone.utc) - timedelta(days=8)).strftime("%Y%m%dT%H%M%SZ")
    old = young.rename(young.with_name(f"{stamp}-silver.older"))
    leave(lake, OLD, lake.config.pipeline)
    medallion("drop", str(OLD), "--yes")

    assert "would be removed: the dropped table" in medallion("maintain", "--dry-run").err
    assert old.exists()
    assert "removed: the dropped table" in medallion("maintain").err
    assert [path.name.partition("-")[2] for path in trash(lake)] == [str(OLD)]


def test_maintain_removes_old_checkpoints(lake: Lake, medallion: Medallion) -> None:
    for ref in (BRONZE, SILVER, GOLD):
        lake.reset(ref)
    recorded = manifest.read(lake.home(SILVER))
    assert recorded is not None
    first, second = recorded.generations
    opened = datetime.now(timezone.utc) - timedelta(days=8)
    old = (first, second.model_copy(update={"opened_at": opened}))
    manifest.write(lake.home(SILVER), recorded.model_copy(update={"generations": old}))
    touch_batches(lake.home(SILVER).checkpoint(2).path / "offsets", 0)

    assert "an earlier checkpoint of silver.sales" in medallion("maintain").err
    assert lake.home(SILVER).generations == [2]
    assert lake.home(GOLD).generations == [1]
