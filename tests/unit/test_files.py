"""`medallion files`: the ledger as a command shows it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from lakes import Answer, Lake, Medallion

from medallion_jobs import places
from medallion_jobs.autoloader import Found, Ledger, Outcome, State
from medallion_jobs.cli.files import STATES
from medallion_jobs.report.files import COLUMNS, SUMMARY_COLUMNS
from medallion_jobs.tables import Txn

pytestmark = pytest.mark.usefixtures("quick_duck")

GOOD = Found(1_700_000_000_000_000, "file:/in/good.json", 10)
EMPTY = Found(1_700_000_000_000_001, "file:/in/empty.json", 0)
NEW = Found(1_700_000_000_000_002, "file:/in/new%0A.json", 5)


@pytest.fixture(autouse=True)
def _ledger(lake: Lake) -> None:
    ledger = Ledger(places.ledger(lake.config, "sales"))
    ledger.ensure()
    ledger.admit([GOOD, EMPTY, NEW])
    outcomes = [
        Outcome(GOOD, State.COMMITTED, rows=9, rescued=2, bad=1),
        Outcome(EMPTY, State.SKIPPED, error="empty file"),
    ]
    ledger.record(outcomes, Txn("bronze.sales/v1", 0, "run"), 1)


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


def paths(answer: Answer) -> list[str]:
    return [row["path"] for row in json.loads(answer.out)]


def test_filters(medallion: Medallion) -> None:
    assert paths(medallion("files", "--json", "--path", "good")) == [GOOD.path]
    assert paths(medallion("files", "--json", "--path", "*em*")) == [EMPTY.path]
    assert paths(medallion("files", "--json", "--state", "DISCOVERED")) == [NEW.path]
    assert paths(medallion("files", "--json", "--since", "2099-01-01")) == []
    assert len(paths(medallion("files", "--json", "--since", "1h"))) == 3
    an_hour_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    for moment in (f"{an_hour_ago:%Y-%m-%dT%H:%M}", f"{an_hour_ago:%Y-%m-%dT%H:%M:%SZ}"):
        assert len(paths(medallion("files", "--json", "--since", moment))) == 3


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


def test_the_states_are_those_of_the_ledger() -> None:
    assert set(STATES) == {"DISCOVERED", *(state.value for state in State)}
