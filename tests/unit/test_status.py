"""How each query stands, by the files alone."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta, timezone

import pytest
from lakes import BRONZE, GOLD, SILVER, Lake, offset, touch_batches, write_table

from medallion_jobs.checkpoint import Lock
from medallion_jobs.report.status import Status, status


def by_table(lake: Lake) -> dict[str, Status]:
    return {one.table: one for one in status(lake.config)}


def test_before_any_run(lake: Lake) -> None:
    found = status(lake.config)
    assert [one.table for one in found] == [str(BRONZE), str(SILVER), str(GOLD)]
    assert {one.state for one in found} == {"never ran"}
    assert {(one.rows, one.generation, one.batch, one.behind) for one in found} == {
        (None, None, None, None)
    }
    assert lake.files() == {}


@pytest.mark.usefixtures("ran")
def test_after_a_run(lake: Lake) -> None:
    found = by_table(lake)
    assert {(one.state, one.rows, one.generation, one.batch) for one in found.values()} == {
        ("idle", 3, 1, 0)
    }
    assert {one.behind for one in found.values()} == {0}
    for one in found.values():
        assert one.batch_at
        assert abs(datetime.now(timezone.utc) - one.batch_at) < timedelta(minutes=1)


@pytest.mark.usefixtures("ran")
def test_the_backlog_is_what_the_source_has_more(lake: Lake) -> None:
    lake.write(SILVER, 1, rows=40)
    write_table(lake.source(BRONZE), rows=7)
    found = by_table(lake)
    assert {table: one.behind for table, one in found.items()} == {
        str(BRONZE): 7,
        str(SILVER): 0,
        str(GOLD): 40,
    }


@pytest.mark.usefixtures("ran")
def test_after_a_reset_nothing_is_written_and_all_is_behind(lake: Lake) -> None:
    lake.reset(SILVER)
    one = by_table(lake)[str(SILVER)]
    assert (one.state, one.rows, one.generation) == ("idle", 3, 2)
    assert (one.batch, one.batch_at, one.behind) == (None, None, 3)


@pytest.mark.usefixtures("ran")
def test_a_table_that_was_removed_has_no_rows(lake: Lake) -> None:
    shutil.rmtree(lake.path(GOLD))
    one = by_table(lake)[str(GOLD)]
    assert (one.rows, one.batch, one.generation) == (None, None, 1)


@pytest.mark.usefixtures("ran")
def test_a_batch_that_is_planned_but_not_written(lake: Lake) -> None:
    lake.write(SILVER, 1, rows=40)
    folder = lake.home(GOLD).checkpoint(1).path / "offsets"
    touch_batches(folder, 1, offset(2))
    touch_batches(folder, 0, offset(1))
    one = by_table(lake)[str(GOLD)]
    assert (one.batch, one.behind) == (0, 0)


@pytest.mark.usefixtures("ran")
def test_a_running_and_a_killed_query(lake: Lake) -> None:
    with Lock(lake.home(GOLD).lock, str(GOLD)):
        text = lake.home(GOLD).lock.read_bytes()
        found = by_table(lake)
        assert {table: one.state for table, one in found.items()} == {
            str(BRONZE): "idle",
            str(SILVER): "idle",
            str(GOLD): "running",
        }
        assert found[str(GOLD)].holder
    born = b'"born": "'
    lake.home(GOLD).lock.write_bytes(text.replace(born, born + b"0"))
    assert by_table(lake)[str(GOLD)].state == "died"
