"""`medallion maintain --optimize`: when it is due, and what files somebody has yet to read."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from lakes import BRONZE, GOLD, SILVER, Lake, Medallion, offset, write_table

from medallion_jobs.checkpoint import Lock
from medallion_jobs.lake import tables
from medallion_jobs.maintenance.readers import reason_to_keep

DAY = timedelta(days=1)


def aged(table: Path, version: int, days: int) -> None:
    """Makes a commit older than it is."""
    file = table / "_delta_log" / f"{version:020}.json"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        if "commitInfo" in line:
            line["commitInfo"]["timestamp"] = int((time.time() - days * 86_400) * 1000)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.utime(file, (time.time() - days * 86_400,) * 2)


def test_files_are_counted_since_the_last_optimize(tmp_path: Path) -> None:
    path = tmp_path / "table"
    assert tables.files_since(path) == 0
    for _ in range(5):
        write_table(path)
    assert tables.files_since(path) == 5
    DeltaTable(path).optimize.compact()
    assert tables.files_since(path) == 0
    write_table(path)
    write_table(path)
    assert tables.files_since(path) == 2
    write_deltalake(path, pa.table({"n": pa.array([1], pa.int64())}), mode="overwrite")
    # One file in place of three: fewer than OPTIMIZE left.
    assert tables.files_since(path) == 0
    for _ in range(3):
        write_table(path)
    cut_off(path, 10)
    assert tables.files_since(path) == 2


def cut_off(table: Path, version: int) -> None:
    """Takes away the log before a version, as upkeep does."""
    DeltaTable(table).create_checkpoint()
    for older in range(version):
        (table / "_delta_log" / f"{older:020}.json").unlink()


@pytest.fixture
def lake_behind(lake: Lake) -> Lake:
    """Silver has read versions 0 and 1 of bronze, which has five, of ten days."""
    lake.run_all()
    for batch in range(1, 5):
        lake.write(BRONZE, batch)
    for version in range(5):
        aged(lake.path(BRONZE), version, 10 - version)
    at(lake, 0, offset(2))
    return lake


def at(lake: Lake, batch: int, text: str) -> None:
    (lake.home(SILVER).checkpoint(1).path / "offsets" / str(batch)).write_text(text)


def test_a_reader_that_is_behind_keeps_files(lake_behind: Lake) -> None:
    lake = lake_behind
    # The next version for it is 2, of eight days ago.
    told = reason_to_keep(lake.config, BRONZE, 7 * DAY)
    assert told == "silver.sales has yet to read the changes after version 1"
    assert reason_to_keep(lake.config, BRONZE, 9 * DAY) == ""
    # In the midst of version 1 it still needs that, of nine days ago.
    at(lake, 0, offset(1, 0))
    assert "version 0" in reason_to_keep(lake.config, BRONZE, 8.5 * DAY)
    at(lake, 0, offset(4, 0, in_snapshot=True))
    assert reason_to_keep(lake.config, BRONZE, DAY) == ""
    at(lake, 0, offset(5))
    assert reason_to_keep(lake.config, BRONZE, DAY) == ""


def test_a_batch_that_is_not_done_is_read_again(lake_behind: Lake) -> None:
    lake = lake_behind
    at(lake, 1, offset(5))
    assert "version 1" in reason_to_keep(lake.config, BRONZE, 7 * DAY)
    (lake.home(SILVER).checkpoint(1).path / "commits" / "1").write_text("v1\n{}")
    assert reason_to_keep(lake.config, BRONZE, DAY) == ""


def test_who_begins_anew_needs_nothing_old(lake_behind: Lake) -> None:
    lake = lake_behind
    lake.reset(SILVER)
    assert reason_to_keep(lake.config, BRONZE, DAY) == ""


def test_a_dimension_stays_as_an_unfinished_batch_has_seen_it(lake_behind: Lake) -> None:
    lake = lake_behind
    dimension = lake.config.silver["sales"].lookups[0].table
    path = lake.path(dimension)
    for version in range(3):
        write_table(path)
        aged(path, version, 20)
    at(lake, 1, offset(5))
    notes = {"lookups": {str(dimension): 0}}
    said = CommitProperties(
        app_transactions=[Transaction(lake.home(SILVER).checkpoint(1).app_id, 1)],
        custom_metadata={"userMetadata": json.dumps(notes)},
    )
    rows = pa.table({"n": pa.array([1], pa.int64())})
    write_deltalake(lake.path(SILVER), rows, mode="append", commit_properties=said)
    assert reason_to_keep(lake.config, dimension, 7 * DAY) == (
        "silver.sales has yet to read the changes after version 0"
    )
    assert reason_to_keep(lake.config, dimension, 21 * DAY) == ""


def test_a_log_that_is_cut_off_before_the_reader(lake_behind: Lake) -> None:
    cut_off(lake_behind.path(BRONZE), 3)
    assert "no longer in the log" in reason_to_keep(lake_behind.config, BRONZE, 7 * DAY)


def test_where_all_queries_run_no_jvm_is_started(lake: Lake, medallion: Medallion) -> None:
    lake.run_all()
    locks = [Lock(lake.home(ref).lock, str(ref)) for ref in (BRONZE, SILVER, GOLD)]
    before = lake.files()
    try:
        answer = medallion("maintain", "--optimize", "--json")
    finally:
        for lock in locks:
            lock.release()
    assert [(one["table"], one["skipped"]) for one in json.loads(answer.out)] == [
        (str(ref), "its query is running") for ref in (BRONZE, SILVER, GOLD)
    ]
    assert lake.files() == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("bronze.sales",), "table names need --optimize"),
        (("--optimize", "bronze.nothing"), "has no table bronze.nothing"),
        (("--optimize", "bronze.sales"), "never written: bronze.sales"),
    ],
)
def test_wrong_use(medallion: Medallion, words: tuple[str, ...], says: str) -> None:
    answer = medallion("maintain", *words)
    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err
