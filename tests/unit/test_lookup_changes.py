"""Which files hold what the commits of a dimension wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from medallion_jobs.refine.lookup import changed_files

FILE = {"partitionValues": {}, "size": 1, "modificationTime": 1, "dataChange": True}


def add(path: Path, *ids: int, **more: object) -> None:
    data = {"id": pa.array(ids, pa.int64()), "region": ["South"] * len(ids)}
    write_deltalake(path, pa.table(data), mode="append", **more)  # type: ignore[arg-type]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Keys 1 to 3 in version 0, 4 in version 1, 5 and 6 in version 2."""
    path = tmp_path / "my dim"
    for ids in ((1, 2, 3), (4,), (5, 6)):
        add(path, *ids)
    return path


def keys(path: Path, since: int | None, to: int) -> list[int] | None:
    files = changed_files(path, since, to, ["id"])
    if files is None:
        return None
    assert files.feed == ()
    return sorted(key for file in files.data for key in pq.read_table(file)["id"].to_pylist())


def commit(path: Path, *actions: dict[str, object]) -> None:
    version = DeltaTable(path).version() + 1
    log = path / "_delta_log" / f"{version:020}.json"
    log.write_text("".join(json.dumps(action) + "\n" for action in actions))


@pytest.mark.parametrize(
    ("since", "to", "expected"),
    [(0, 2, [4, 5, 6]), (1, 2, [5, 6]), (0, 1, [4]), (2, 2, []), (-1, 0, None)],
)
def test_only_the_files_of_the_commits_between(
    table: Path, since: int, to: int, expected: list[int] | None
) -> None:
    # Version 0 makes the table, so it brings a schema: all that waits is to be tried.
    assert keys(table, since, to) == expected


@pytest.mark.parametrize(("since", "to"), [(None, 2), (2, 1), (7, 8), (1, 3)])
def test_nothing_is_told_of_versions_that_are_not_there(
    table: Path, since: int | None, to: int
) -> None:
    assert keys(table, since, to) is None


def test_nothing_is_told_once_the_log_is_cleaned(table: Path) -> None:
    DeltaTable(table).create_checkpoint()
    (table / "_delta_log" / f"{1:020}.json").unlink()
    assert keys(table, 0, 2) is None
    assert keys(table, 1, 2) == [5, 6]


def test_nothing_is_told_once_a_file_is_vacuumed(table: Path) -> None:
    DeltaTable(table).delete("id = 4")
    assert keys(table, 0, 3) == [4, 5, 6]
    DeltaTable(table).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert keys(table, 0, 3) is None
    assert keys(table, 1, 3) == [5, 6]


def test_a_compaction_brings_no_key(table: Path) -> None:
    DeltaTable(table).optimize.compact()
    assert DeltaTable(table).version() == 3
    assert keys(table, 2, 3) == []
    assert keys(table, 1, 3) == [5, 6]


def test_a_rewritten_file_counts_as_a_whole(table: Path) -> None:
    DeltaTable(table).update({"region": "'North'"}, predicate="id = 5")
    assert keys(table, 2, 3) == [5, 6]


def test_nothing_is_told_across_a_change_of_schema(table: Path) -> None:
    data = pa.table({"id": pa.array([7], pa.int64()), "region": ["x"], "new": [1]})
    write_deltalake(table, data, mode="append", schema_mode="merge")
    assert keys(table, 2, 3) is None
    write_deltalake(table, data, mode="append")
    assert keys(table, 3, 4) == [7]


def test_nothing_is_told_across_a_restore(table: Path) -> None:
    DeltaTable(table).restore(1)
    assert keys(table, 2, 3) is None


def test_a_file_that_only_lost_rows_brings_no_key(table: Path) -> None:
    """So does Delta write a deletion vector: the file leaves and is there again."""
    (file,) = [one.name for one in changed_files(table, 1, 2, ["id"]).data]  # type: ignore[union-attr]
    commit(
        table,
        {"commitInfo": {"operation": "DELETE", "timestamp": 1}},
        {"remove": {"path": file, "dataChange": True}},
        {"add": {"path": file, **FILE}},
    )
    assert changed_files(table, 2, 3, ["id"]).data == ()  # type: ignore[union-attr]


def test_a_change_feed_stands_for_the_files_beside_it(table: Path) -> None:
    (table / "_change_data").mkdir()
    (table / "_change_data" / "a b.parquet").touch()
    (table / "b.parquet").touch()
    commit(
        table,
        {"add": {"path": "b.parquet", **FILE}},
        {"cdc": {"path": "_change_data/a%20b.parquet", **FILE}},
    )
    files = changed_files(table, 1, 3, ["id"])
    assert files
    assert files.feed == (table / "_change_data" / "a b.parquet",)
    assert [pq.read_metadata(one).num_rows for one in files.data] == [2]


def test_nothing_is_told_of_columns_that_are_not_in_the_files(tmp_path: Path) -> None:
    path = tmp_path / "parts"
    for ids in ((1,), (2,)):
        add(path, *ids, partition_by=["region"])
    assert changed_files(path, 0, 1, ["id", "region"]) is None
    assert changed_files(path, 0, 1, ["id"])
