"""The metrics table: a row for each batch, once, and at a cost that stays flat."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from lakes import BRONZE, GOLD, Lake

from medallion_jobs import observe as metrics
from medallion_jobs.lake.tables import commit_of
from medallion_jobs.lake.tables.metrics_table import MOST_FILES
from medallion_jobs.observe.batch_table import COLUMNS, SECONDS, app_id
from medallion_jobs.observe.events import BatchDone
from medallion_jobs.report.query import run

BATCH = BatchDone(
    table="bronze.sales",
    batch=0,
    rows_in=100,
    rows_out=90,
    files=4,
    quarantined=10,
    seconds=2.0,
    backlog=7,
    remarks=("a.json: MISSING", "slow"),
    bytes=1_000,
    rescued=3,
    files_left=7,
    bytes_left=70,
    oldest_waiting_seconds=1.5,
    listing_seconds=0.25,
)


@pytest.fixture
def folder(lake: Lake) -> Path:
    return lake.paths(BRONZE).metrics


def rows(folder: Path) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = DeltaTable(folder).to_pyarrow_table().to_pylist()
    return told


def test_a_batch_is_a_row_with_all_that_is_known_of_it(folder: Path) -> None:
    assert metrics.BatchTable(folder).append(BATCH, 2, "r-1")
    [row] = rows(folder)
    assert list(row) == COLUMNS.names
    assert row.pop("at") == datetime.fromisoformat(BATCH.at)
    assert row == {
        "table_name": "bronze.sales",
        "generation": 2,
        "batch": 0,
        "run_id": "r-1",
        "files": 4,
        "bytes": 1_000,
        "rows_in": 100,
        "rows_out": 90,
        "rescued": 3,
        "quarantined": 10,
        "filtered": 0,
        "dropped": 0,
        "held": 0,
        "repeated": 0,
        "seconds": 2.0,
        "listing_seconds": 0.25,
        "files_left": 7,
        "bytes_left": 70,
        "oldest_waiting_seconds": 1.5,
        "files_per_second": 2.0,
        "backlog": 7,
        "remarks": ["a.json: MISSING", "slow"],
    }


def test_what_is_not_known_is_null(folder: Path) -> None:
    bare = BatchDone(table="gold.x", batch=3, rows_out=1, seconds=0.0, backlog=None)
    metrics.BatchTable(folder).append(bare, 1, "r-1")
    [row] = rows(folder)
    unknown = {name for name, value in row.items() if value is None}
    assert unknown == {
        "rows_in",
        "listing_seconds",
        "files_left",
        "bytes_left",
        "oldest_waiting_seconds",
        "backlog",
    }
    assert (row["files_per_second"], row["remarks"]) == (0.0, [])


def test_a_batch_that_is_run_again_has_one_row_of_its_generation(folder: Path) -> None:
    assert metrics.BatchTable(folder).append(BATCH, 1, "r-1")
    again = metrics.BatchTable(folder)
    assert not again.append(replace(BATCH, seconds=9.0), 1, "r-2")
    assert again.append(replace(BATCH, batch=1), 1, "r-2")
    assert again.append(BATCH, 2, "r-3")
    told = [(row["generation"], row["batch"], row["run_id"]) for row in rows(folder)]
    assert sorted(told) == [(1, 0, "r-1"), (1, 1, "r-2"), (2, 0, "r-3")]


def test_the_commit_itself_tells_how_long_the_batch_took(folder: Path) -> None:
    log = metrics.BatchTable(folder)
    for batch in range(3):
        log.append(replace(BATCH, batch=batch, seconds=batch + 0.5), 1, "r-1")
    commit = commit_of(folder, app_id("bronze.sales", 1), 1)
    assert commit
    assert float(commit.info[SECONDS]) == 1.5


def test_many_batches_are_few_data_files(folder: Path) -> None:
    """An append gets slower with the files there are, so that their number is kept down."""
    for start in (0, MOST_FILES - 10):
        log = metrics.BatchTable(folder)  # a run of its own takes up the count
        for batch in range(start, start + MOST_FILES - 10):
            assert log.append(replace(BATCH, batch=batch), 1, "r-1")
    batches = 2 * (MOST_FILES - 10)
    assert len(DeltaTable(folder).file_uris()) == batches - MOST_FILES + 1
    assert sorted(row["batch"] for row in rows(folder)) == list(range(batches))
    assert not metrics.BatchTable(folder).append(replace(BATCH, batch=batches - 1), 1, "r-2")


def test_the_batches_of_all_queries_are_one_view(lake: Lake) -> None:
    for ref, seconds in ((BRONZE, 1.0), (GOLD, 2.0)):
        log = metrics.BatchTable(lake.paths(ref).metrics)
        log.append(replace(BATCH, table=str(ref), seconds=seconds), 1, "r-1")
    columns, found = run(
        lake.config, "SELECT table_name, seconds FROM metrics.batches ORDER BY seconds"
    )
    assert columns == ["table_name", "seconds"]
    assert found == [(str(BRONZE), 1.0), (str(GOLD), 2.0)]
