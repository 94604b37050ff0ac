"""`medallion files`: the ledger as a command shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from lakes import BRONZE, Answer, Lake, Medallion

from medallion_jobs.autoloader import FileEntry, Ledger, Outcome, State, to_uri
from medallion_jobs.cli.files import STATES
from medallion_jobs.lake.tables import Txn, commits
from medallion_jobs.report.files import COLUMNS, SUMMARY_COLUMNS

pytestmark = pytest.mark.usefixtures("quick_duck")

GOOD = FileEntry(1_700_000_000_000_000, "file:/in/good.json", 10)
EMPTY = FileEntry(1_700_000_000_000_001, "file:/in/empty.json", 0)
NEW = FileEntry(1_700_000_000_000_002, "file:/in/new%0A.json", 5)


@pytest.fixture(autouse=True)
def ledger(lake: Lake) -> Ledger:
    ledger = Ledger(lake.paths(BRONZE).ledger)
    ledger.ensure()
    ledger.admit([GOOD, EMPTY, NEW])
    outcomes = [
        Outcome(GOOD, State.COMMITTED, rows=9, rescued=2, bad=1),
        Outcome(EMPTY, State.SKIPPED, error="empty file"),
    ]
    ledger.record(outcomes, Txn("bronze.sales/v1", 0, "run"), 1)
    return ledger


def test_json_has_every_column_of_every_file(medallion: Medallion) -> None:
    answer = medallion("files", "--json")
    assert answer.code == 0
    assert answer.err == ""
    rows = {row["path"]: row for row in json.loads(answer.out)}
    assert set(rows) == {GOOD.path, EMPTY.path, NEW.path}
    assert all(tuple(row) == COLUMNS for row in rows.values())
    good = rows[GOOD.path]
    assert (good["state"], good["rows"], good["rescued"], good["bad"]) == ("COMMITTED", 9, 2, 1)
    assert datetime.fromisoformat(good["modified"]).tzinfo


def test_json_of_the_summary(medallion: Medallion) -> None:
    rows = json.loads(medallion("files", "--summary", "--json").out)
    assert all(tuple(row) == SUMMARY_COLUMNS for row in rows)
    assert {row["state"]: row["files"] for row in rows} == {
        "COMMITTED": 1,
        "SKIPPED": 1,
        "DISCOVERED": 1,
    }


def test_a_table_is_a_line_a_file(medallion: Medallion) -> None:
    lines = medallion("files").out.splitlines()
    assert lines[0].split() == list(COLUMNS)
    assert len(lines) == 2 + 3
    assert "empty file" in medallion("files", "--state", "skipped").out


def paths_of(answer: Answer) -> list[str]:
    return [row["path"] for row in json.loads(answer.out)]


def test_filters(medallion: Medallion) -> None:
    assert paths_of(medallion("files", "--json", "--path", "good")) == [GOOD.path]
    assert paths_of(medallion("files", "--json", "--path", "*em*")) == [EMPTY.path]
    assert paths_of(medallion("files", "--json", "--state", "DISCOVERED")) == [NEW.path]
    assert paths_of(medallion("files", "--json", "--since", "2099-01-01")) == []
    assert len(paths_of(medallion("files", "--json", "--since", "1h"))) == 3
    an_hour_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    for moment in (f"{an_hour_ago:%Y-%m-%dT%H:%M}", f"{an_hour_ago:%Y-%m-%dT%H:%M:%SZ}"):
        assert len(paths_of(medallion("files", "--json", "--since", moment))) == 3


@pytest.mark.parametrize(
    ("option", "value", "named"), [("--state", "LOST", STATES), ("--since", "noon", ("noon", "2h"))]
)
def test_a_wrong_filter_is_wrong_use(
    medallion: Medallion, option: str, value: str, named: tuple[str, ...]
) -> None:
    answer = medallion("files", option, value)
    assert (answer.code, answer.out) == (2, "")
    for word in (value, *named):
        assert word in answer.err


def test_what_happened_to_a_file_after_its_batch_keeps_its_rows(
    ledger: Ledger, medallion: Medallion
) -> None:
    ledger.note([GOOD], State.ARCHIVING)
    ledger.note([GOOD], State.ARCHIVED)
    (good,) = json.loads(medallion("files", "--json", "--state", "archived").out)
    assert (good["path"], good["rows"], good["rescued"], good["bad"]) == (GOOD.path, 9, 2, 1)
    assert (good["attempts"], good["batch"], good["generation"]) == (1, 0, 1)


def test_each_version_of_a_path_is_a_file(ledger: Ledger, medallion: Medallion) -> None:
    second = replace(GOOD, version=2, size=99)
    ledger.admit([second])
    rows = json.loads(medallion("files", "--json", "--path", "good").out)
    assert [(row["version"], row["size"], row["state"], row["attempts"]) for row in rows] == [
        (1, 10, "COMMITTED", 1),
        (2, 99, "DISCOVERED", 0),
    ]


def retry(medallion: Medallion, *words: str) -> Answer:
    return medallion("files", "retry", *words)


def state(medallion: Medallion, file: FileEntry) -> tuple[str, int]:
    (row,) = json.loads(medallion("files", "--json", "--path", file.path).out)
    return row["state"], row["attempts"]


def test_retry_shows_what_it_would_do(lake: Lake, ledger: Ledger, medallion: Medallion) -> None:
    before = lake.files()
    answer = retry(medallion)
    assert answer.code == 0
    assert EMPTY.path in answer.out
    assert GOOD.path not in answer.out
    assert "--yes" in answer.err
    assert lake.files() == before


def test_a_retried_file_waits_again_and_its_next_event_counts(
    ledger: Ledger, medallion: Medallion
) -> None:
    assert retry(medallion, "--state", "skipped", "--yes").code == 0
    assert state(medallion, EMPTY) == ("DISCOVERED", 1)
    (row,) = json.loads(medallion("files", "--json", "--path", "empty").out)
    assert row["first_seen"] < row["last_seen"]
    ledger.record([Outcome(EMPTY, State.COMMITTED, rows=1)], Txn("bronze.sales/v1", 1, "run"), 1)
    assert state(medallion, EMPTY) == ("COMMITTED", 2)
    assert state(medallion, GOOD) == ("COMMITTED", 1)


def test_a_retried_file_is_taken_as_it_is_now(
    tmp_path: Path, ledger: Ledger, medallion: Medallion
) -> None:
    mended = tmp_path / "m\u00e9nd ed.json"
    mended.write_text("{}\n")
    bad, gone = FileEntry(7, to_uri(str(mended)), 1), FileEntry(8, "file:/in/gone.json", 4)
    ledger.admit([bad, gone])
    outcomes = [Outcome(bad, State.QUARANTINED, error="broken"), Outcome(gone, State.MISSING)]
    ledger.record(outcomes, Txn("bronze.sales/v1", 1, "run"), 1)
    assert retry(medallion, "--yes").code == 0
    last = DeltaTable(ledger.discovered).version()
    (added,) = next(iter(commits(ledger.discovered, last))).added
    taken = {row["path"]: row for row in pq.read_table(added.path).to_pylist()}
    assert set(taken) == {bad.path, gone.path, EMPTY.path}
    assert taken[bad.path]["size"] == 3
    assert taken[bad.path]["modified"].timestamp() == pytest.approx(mended.stat().st_mtime)
    assert (taken[gone.path]["size"], taken[gone.path]["modified"].microsecond) == (4, 8)


@pytest.mark.parametrize("words", [("--state", "COMMITTED"), ("--path", "good")])
def test_a_file_whose_rows_are_in_bronze_is_not_retried(
    lake: Lake, medallion: Medallion, words: tuple[str, ...]
) -> None:
    before = lake.files()
    answer = retry(medallion, *words, "--yes")
    assert (answer.code, answer.out) == (2, "")
    assert "rows" in answer.err
    assert "duplicate" in answer.err
    assert lake.files() == before


def test_a_file_with_nothing_but_bad_records_is_retried(
    ledger: Ledger, medallion: Medallion
) -> None:
    bad, blank = FileEntry(5, "file:/in/bad.json", 8), FileEntry(6, "file:/in/blank.json", 1)
    ledger.admit([bad, blank])
    outcomes = [Outcome(bad, State.COMMITTED, bad=8), Outcome(blank, State.COMMITTED)]
    ledger.record(outcomes, Txn("bronze.sales/v1", 1, "run"), 1)
    for words in (("--path", "/in/"), ("--state", "committed"), ()):
        answer = retry(medallion, *words)
        assert answer.code == 0
        assert bad.path in answer.out
        assert GOOD.path not in answer.out
        assert blank.path not in answer.out
    assert "COMMITTED: it has no records" in retry(medallion, "--path", "/in/").err
    assert retry(medallion, "--path", "bad", "--yes").code == 0
    assert state(medallion, bad) == ("DISCOVERED", 1)
    ledger.record([Outcome(bad, State.COMMITTED, rows=8)], Txn("bronze.sales/v1", 2, "run"), 1)
    assert state(medallion, bad) == ("COMMITTED", 2)
    assert retry(medallion, "--path", "bad").code == 2


def test_what_is_not_retried_of_the_files_that_were_named(
    ledger: Ledger, medallion: Medallion
) -> None:
    older = FileEntry(1, "file:/in/changed.json", 1)
    ledger.admit([older])
    outcome = Outcome(older, State.QUARANTINED, error="broken")
    ledger.record([outcome], Txn("bronze.sales/v1", 1, "run"), 1)
    ledger.admit([replace(older, version=2)])
    answer = retry(medallion, "--path", "/in/")
    assert EMPTY.path in answer.out
    assert older.path not in answer.out
    for why in ("COMMITTED", "a newer version", "already waits for its batch"):
        assert why in answer.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("files", "retry", "--state", "DISCOVERED"), "QUARANTINED"),
        (("files", "retry", "--state", "LOST"), "QUARANTINED"),
        (("files", "--state", "MISSING", "retry"), "options come after"),
    ],
)
def test_wrong_use_of_retry(medallion: Medallion, words: tuple[str, ...], named: str) -> None:
    answer = medallion(*words)
    assert (answer.code, answer.out) == (2, "")
    assert named in answer.err


def test_the_states_are_those_of_the_ledger() -> None:
    assert set(STATES) == {"DISCOVERED", *(state.value for state in State)}
