"""`medallion status` and `medallion query` as commands: exit codes and shapes."""

from __future__ import annotations

import csv
import io
import json
import os
import time

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from lakes import BRONZE, GOLD, SILVER, Lake, Medallion

from medallion_jobs.autoloader import FileEntry, Ledger, Outcome, State
from medallion_jobs.checkpoint import Lock
from medallion_jobs.lake.tables import Txn

KEYS = {
    "table",
    "state",
    "rows",
    "generation",
    "batch",
    "batch_at",
    "batch_seconds",
    "is_orphaned",
    "rebuild",
    "behind",
    "files_waiting",
    "bytes_waiting",
    "oldest_waiting_seconds",
    "files_aside",
    "old_rows",
    "aside_example",
    "broken",
    "warning",
    "messages",
    "behind_unknown",
    "age_seconds",
    "quarantined_rows",
    "held_rows",
    "last_outcome",
    "last_run",
    "last_at",
    "last_code",
    "last_error",
    "holder",
}


@pytest.mark.usefixtures("ran")
def test_status_as_json(lake: Lake, medallion: Medallion) -> None:
    with Lock(lake.home(SILVER).lock, str(SILVER)):
        answer = medallion("status", "--json")
    assert (answer.code, answer.err) == (0, "")
    rows = json.loads(answer.out)
    assert all(set(row) == KEYS for row in rows)
    assert [(row["table"], row["state"]) for row in rows] == [
        (str(BRONZE), "idle"),
        (str(SILVER), "running"),
        (str(GOLD), "idle"),
    ]
    assert rows[1]["holder"]["pid"] == os.getpid()
    assert rows[0]["holder"] is None


@pytest.mark.usefixtures("ran")
def test_status_as_a_table(lake: Lake, medallion: Medallion) -> None:
    with Lock(lake.home(SILVER).lock, str(SILVER)):
        header, _, *lines = medallion("status").out.splitlines()
    assert header.split()[:4] == ["table", "state", "rows", "generation"]
    assert [line.split()[:5] for line in lines] == [
        [str(BRONZE), "idle", "3", "v1", "0"],
        [str(SILVER), "running", "3", "v1", "0"],
        [str(GOLD), "idle", "3", "v1", "0"],
    ]
    assert f"pid {os.getpid()} on " in lines[1]


def test_status_of_waiting_files(lake: Lake, medallion: Medallion) -> None:
    hour_ago = int((time.time() - 3 * 3600) * 1_000_000)
    ledger = Ledger(lake.paths(BRONZE).ledger)
    ledger.ensure()
    ledger.admit(
        [FileEntry(hour_ago, "file:/a", 1_200_000), FileEntry(hour_ago + 1, "file:/b", 34)]
    )
    (bronze, *others) = json.loads(medallion("status", "--json").out)
    assert (bronze["files_waiting"], bronze["bytes_waiting"]) == (2, 1_200_034)
    assert bronze["oldest_waiting_seconds"] == pytest.approx(3 * 3600, abs=60)
    assert {one["files_waiting"] for one in others} == {None}
    header, _, line, *_ = medallion("status").out.splitlines()
    assert header.split()[-4:] == ["waiting", "oldest", "held", "by"]
    assert line.split()[-7:] == ["2", "files,", "1.2", "MB", "3", "h", "-"]


def test_status_of_files_put_aside(lake: Lake, medallion: Medallion) -> None:
    ledger = Ledger(lake.paths(BRONZE).ledger)
    ledger.ensure()
    file = FileEntry(1, "file:/in/x.parquet", 18)
    ledger.admit([file])
    outcome = Outcome(file, State.QUARANTINED, error="no parquet")
    ledger.record([outcome], Txn("bronze.sales/v1", 0, "run"), 1)
    (bronze, *_) = json.loads(medallion("status", "--json").out)
    assert (bronze["files_aside"], bronze["aside_example"]) == (1, "/in/x.parquet: no parquet")
    *_, line = medallion("status").out.splitlines()
    assert line == (
        "put aside: bronze.sales: 1 file could not be read, such as /in/x.parquet: no parquet; "
        "see: medallion files --state quarantined"
    )


def test_status_before_any_run_makes_nothing(lake: Lake, medallion: Medallion) -> None:
    answer = medallion("status")
    assert answer.code == 0
    assert answer.out.count("never ran") == 3
    assert list(lake.root.iterdir()) == []


@pytest.fixture
def gold(lake: Lake, quick_duck: None) -> None:
    rows = pa.table({"region": ["North", None, 'a "b", c'], "total_quantity": [12, 3, 0]})
    write_deltalake(lake.path(GOLD), rows)


SQL = f"SELECT * FROM {GOLD} ORDER BY total_quantity DESC"
ROWS = [("North", 12), (None, 3), ('a "b", c', 0)]


@pytest.mark.usefixtures("gold")
@pytest.mark.parametrize("form", [("--json",), ("--format", "json")])
def test_query_as_json(medallion: Medallion, form: tuple[str, ...]) -> None:
    answer = medallion("query", SQL, *form)
    assert (answer.code, answer.err) == (0, "")
    assert json.loads(answer.out) == [
        {"region": region, "total_quantity": total} for region, total in ROWS
    ]


@pytest.mark.usefixtures("quick_duck")
def test_numbers_in_json_are_exact(medallion: Medallion) -> None:
    sql = "SELECT sum(n) AS whole, 0.10::DECIMAL(4, 2) AS money, 0.5 AS half FROM range(4) AS t(n)"
    assert json.loads(medallion("query", sql, "--json").out) == [
        {"whole": 6, "money": "0.10", "half": "0.5"}
    ]


@pytest.mark.usefixtures("gold")
def test_query_as_csv(medallion: Medallion) -> None:
    read = list(csv.reader(io.StringIO(medallion("query", SQL, "-f", "csv").out)))
    assert read == [["region", "total_quantity"], ["North", "12"], ["", "3"], ['a "b", c', "0"]]


@pytest.mark.usefixtures("gold")
def test_query_as_a_table(medallion: Medallion) -> None:
    header, _, *lines = medallion("query", SQL).out.splitlines()
    assert header.split() == ["region", "total_quantity"]
    assert [line.split()[0] for line in lines] == ["North", "-", "a"]


@pytest.mark.usefixtures("gold")
def test_a_wrong_query_is_2_and_prints_no_data(medallion: Medallion) -> None:
    answer = medallion("query", "SELECT * FROM gold.nothing")
    assert (answer.code, answer.out) == (2, "")
    assert str(GOLD) in answer.err


def test_a_terminal_is_not_steered_by_data(
    lake: Lake, medallion: Medallion, quick_duck: None
) -> None:
    write_deltalake(lake.path(GOLD), pa.table({"region": ["\x1b[31mred\r\n"]}))
    out = medallion("query", f"SELECT region FROM {GOLD}").out
    assert "\x1b" not in out
    assert "[31mred" in out
    assert len(out.splitlines()) == 3


def test_with_a_connection_of_its_own(lake: Lake, medallion: Medallion) -> None:
    """The other tests share one; this is the whole way, loading DuckDB's extension offline."""
    write_deltalake(lake.path(GOLD), pa.table({"n": [1, 2]}))
    answer = medallion("query", f"SELECT sum(n) AS s FROM {GOLD}", "--json")
    assert json.loads(answer.out) == [{"s": 3}]
