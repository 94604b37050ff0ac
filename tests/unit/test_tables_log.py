"""What a table's log tells, without a JVM."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from lakes import write_table

from medallion_jobs.lake.tables import actions, commit_of, commits, files_since, snapshot
from medallion_jobs.refine.lookup import changed_files
from medallion_jobs.sinks.postgres.changed import none_changed


@pytest.fixture(scope="module")
def _table_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "my table"
    for rows, txn in (
        (1, ("silver.x/v1", 0)),
        (2, ("silver.x/v1", 1)),
        (4, None),
        (8, ("silver.x/v1", 4)),
    ):
        write_table(path, rows, txn)
    return path


@pytest.fixture
def table(tmp_path: Path, _table_once: Path) -> Path:
    """Batches 0, 1 and 4 of silver.x/v1, with a commit of somebody else between."""
    return Path(shutil.copytree(_table_once, tmp_path / "my table"))


@pytest.mark.parametrize("made", [(), ("t",), ("t", "_delta_log")])
def test_no_table_is_no_snapshot(tmp_path: Path, made: tuple[str, ...]) -> None:
    tmp_path.joinpath(*made).mkdir(parents=True, exist_ok=True)
    assert snapshot(tmp_path / "t") is None
    assert list(commits(tmp_path / "t", 0)) == []
    assert commit_of(tmp_path / "t", "silver.x/v1", 0) is None


def test_a_snapshot_counts_by_the_log_alone(table: Path) -> None:
    for data in table.glob("*.parquet"):
        data.unlink()
    there = snapshot(table)
    assert there
    assert (there.version, there.files, there.rows) == (3, 4, 15)
    assert there.id == str(DeltaTable(table).metadata().id)


def test_a_snapshot_of_an_older_version(table: Path) -> None:
    there = snapshot(table, 1)
    assert there
    assert (there.version, there.rows, there.txn("silver.x/v1")) == (1, 3, 1)


def test_a_snapshot_keeps_to_its_version(table: Path) -> None:
    there = snapshot(table)
    write_table(table, 16)
    assert there
    assert there.rows == 15


def test_the_newest_batch_of_an_application(table: Path) -> None:
    there = snapshot(table)
    assert there
    assert there.txn("silver.x/v1") == 4
    assert there.txn("silver.x/v2") == -1


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    DeltaTable.create(tmp_path / "t", pa.schema([pa.field("n", pa.int64())]))
    there = snapshot(tmp_path / "t")
    assert there
    assert (there.rows, there.files, there.version) == (0, 0, 0)


def test_commits_from_a_version_on_oldest_first(table: Path) -> None:
    found = list(commits(table, 1))
    assert [one.version for one in found] == [1, 2, 3]
    assert [dict(one.txns) for one in found] == [{"silver.x/v1": 1}, {}, {"silver.x/v1": 4}]
    assert [added.rows for one in found for added in one.added] == [2, 4, 8]
    assert all(added.path.is_file() for one in found for added in one.added)
    assert list(commits(table, 4)) == []


def test_a_removed_file_is_no_added_one(table: Path) -> None:
    write_deltalake(table, pa.table({"n": pa.array([1], pa.int64())}), mode="overwrite")
    [newest] = commits(table, 4)
    assert [added.rows for added in newest.added] == [1]
    there = snapshot(table)
    assert there
    assert there.rows == 1


@pytest.mark.parametrize(("batch", "version"), [(0, 0), (1, 1), (4, 3)])
def test_the_commit_of_a_batch(table: Path, batch: int, version: int) -> None:
    found = commit_of(table, "silver.x/v1", batch)
    assert found
    assert found.version == version


@pytest.mark.parametrize(("app_id", "batch"), [("silver.x/v1", 3), ("silver.x/v1", 5), ("y", 0)])
def test_no_commit_of_a_batch_that_was_not_written(table: Path, app_id: str, batch: int) -> None:
    assert commit_of(table, app_id, batch) is None


def test_a_commit_as_spark_writes_it(tmp_path: Path) -> None:
    log = tmp_path / "t" / "_delta_log"
    log.mkdir(parents=True)
    actions: list[dict[str, Any]] = [
        {
            "commitInfo": {
                "timestamp": 1_700_000_000_123,
                "operationMetrics": {"numOutputRows": "7"},
            }
        },
        {"txn": {"appId": "gold.x/v1", "version": 2, "lastUpdated": 1}},
        {"add": {"path": "a%20b%2525.parquet", "stats": '{"numRecords":7}'}},
        {"add": {"path": "c.parquet"}},
    ]
    (log / f"{0:020}.json").write_text("\n".join(map(json.dumps, actions)))
    [found] = commits(tmp_path / "t", 0)
    assert (found.rows, found.at_ms, dict(found.txns)) == (7, 1_700_000_000_123, {"gold.x/v1": 2})
    assert [(added.path.name, added.rows) for added in found.added] == [
        ("a b%25.parquet", 7),
        ("c.parquet", None),
    ]


def test_what_does_not_tell_is_told_as_nothing(tmp_path: Path) -> None:
    log = tmp_path / "t" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text('{"protocol": {}}\n')
    [found] = commits(tmp_path / "t", 0)
    assert (found.rows, found.at_ms, found.added, dict(found.txns)) == (0, 0, (), {})


# U+0085 is what an ellipsis of windows-1252 becomes when it is read as latin-1.
ENDS_OF_LINES = "a\u0085b\u2028c\u2029d\x0be\x0cf\x1cg"


def test_statistics_may_hold_what_unicode_takes_for_the_end_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "t"
    for place in range(3):
        rows = {"id": [place], "note": [f"{ENDS_OF_LINES}{place}"]}
        write_deltalake(path, pa.table(rows), mode="append")
    text = (path / "_delta_log" / f"{1:020}.json").read_text(encoding="utf-8")
    # The premise: they stand in the log as they are.
    assert len(text.splitlines()) > len(text.strip("\n").split("\n"))
    assert [commit.added[0].rows for commit in commits(path, 0)] == [1, 1, 1]
    [added] = [action["add"] for action in actions(path, 1) or () if "add" in action]
    assert json.loads(added["stats"])["minValues"]["note"].startswith("a\u0085b\u2028c")
    found = changed_files(path, 0, 2, ["id"])
    assert found is not None
    assert len(found.data) == 2
    assert not none_changed(path, 0, 2)
    assert files_since(path) == 3


@pytest.mark.parametrize(
    ("operation", "may_change"),
    [
        ("OPTIMIZE", False),
        ("VACUUM START", False),
        ("VACUUM END", False),
        ("SET TBLPROPERTIES", False),
        ("ADD COLUMNS", False),
        ("COMPUTE STATS", False),
        ("CREATE TABLE", False),
        ("CREATE TABLE AS SELECT", True),
        ("WRITE", True),
        ("MERGE", True),
        ("DELETE", True),
        ("RESTORE", True),
        ("DROP COLUMNS", True),
        ("an operation of tomorrow", True),
        (None, True),
    ],
)
def test_which_operations_may_change_rows(
    table: Path, operation: str | None, may_change: bool
) -> None:
    info = {} if operation is None else {"operation": operation}
    log = table / "_delta_log" / f"{4:020}.json"
    log.write_text(json.dumps({"commitInfo": {"timestamp": 1, **info}}) + "\n")
    [commit] = commits(table, 4)
    assert commit.may_change_rows is may_change
