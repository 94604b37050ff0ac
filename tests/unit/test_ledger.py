"""The ledger: each file once, each chunk a commit, each batch's events once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from lakes import BRONZE, Lake

from medallion_jobs.autoloader import FileEntry, Ledger, Outcome, State
from medallion_jobs.autoloader.ledger.ledger import Compared
from medallion_jobs.autoloader.ledger.tables import Loaded
from medallion_jobs.lake.tables import Txn, commits, snapshot
from medallion_jobs.report.files import COLUMNS, SUMMARY_COLUMNS, Wanted, files, summary

A, B, C, D = (
    FileEntry(1_700_000_000_000_000 + at, f"file:/in/{name}", size)
    for at, (name, size) in enumerate({"a.json": 10, "b%20b.json": 20, "ć.json": 0, "d": 5}.items())
)


@pytest.fixture
def ledger(lake: Lake) -> Ledger:
    made = Ledger(lake.paths(BRONZE).ledger)
    made.ensure()
    return made


def versions(ledger: Ledger) -> list[int]:
    found = [snapshot(table) for table in (ledger.discovered, ledger.events)]
    return [one.version for one in found if one]


def batch(number: int, generation: int = 1) -> Txn:
    return Txn(f"bronze.sales/v{generation}", number, "run")


def test_it_is_made_once(ledger: Ledger) -> None:
    ledger.ensure()
    assert versions(ledger) == [0, 0]


def test_its_tables_cannot_be_rewritten(ledger: Ledger) -> None:
    for table in (ledger.discovered, ledger.events):
        log = (table / "_delta_log" / f"{0:020}.json").read_text()
        assert '"delta.appendOnly":"true"' in log


def test_a_chunk_is_one_commit_and_one_data_file(ledger: Ledger) -> None:
    ledger.admit([A, B])
    ledger.admit([C])
    assert [[added.rows for added in one.added] for one in commits(ledger.discovered, 1)] == [
        [2],
        [1],
    ]


def test_a_large_chunk_is_one_data_file_too(ledger: Ledger) -> None:
    ledger.admit([FileEntry(at, f"file:/{at:0>200}", 1) for at in range(5_000)])
    [commit] = commits(ledger.discovered, 1)
    assert [added.rows for added in commit.added] == [5_000]


def newer(file: FileEntry) -> FileEntry:
    """The path with other content."""
    return replace(file, modified_us=file.modified_us + 10**9, size=file.size + 1)


def test_what_is_admitted_is_known_by_its_path_and_never_by_age(ledger: Ledger) -> None:
    assert ledger.compare([A, B, C]).new == [A, B, C]
    ledger.admit([A, B])
    assert ledger.compare([A, B, C]) == Compared(new=[C])
    older = FileEntry(0, "file:/in/older", 1)
    assert ledger.compare([older]).new == [older]


def test_another_run_knows_what_this_one_admitted(ledger: Ledger) -> None:
    ledger.admit([A, B])
    assert Ledger(ledger.folder).compare([A, B, C]).new == [C]


@pytest.mark.parametrize("anew", [False, True])
def test_other_content_is_a_newer_version(ledger: Ledger, anew: bool) -> None:
    ledger.admit([A, B])
    ledger.record([Outcome(A, State.COMMITTED), Outcome(B, State.COMMITTED)], batch(0), 1)
    second = replace(newer(A), version=2)
    assert Ledger(ledger.folder).compare([newer(A), B]) == Compared(changed=[second])
    ledger.admit([second])
    assert ledger.is_superseded(A)
    assert not ledger.is_superseded(second)
    told = Ledger(ledger.folder) if anew else ledger
    assert told.compare([newer(A), B]) == Compared()
    third = replace(newer(newer(A)), version=3)
    assert told.compare([newer(newer(A))]).changed == [third]


@pytest.mark.parametrize("anew", [False, True])
def test_what_was_read_later_than_listed_is_no_change(ledger: Ledger, anew: bool) -> None:
    ledger.admit([A])
    ledger.record([Outcome(newer(A), State.COMMITTED)], batch(0), 1)
    told = Ledger(ledger.folder) if anew else ledger
    assert told.compare([newer(A)]) == Compared()


@pytest.mark.parametrize("state", [State.QUARANTINED, State.SKIPPED, State.MISSING])
@pytest.mark.parametrize("anew", [False, True])
def test_a_file_that_gave_no_row_is_new_when_it_is_other_than_it_was(
    ledger: Ledger, state: State, anew: bool
) -> None:
    ledger.admit([A, B])
    ledger.record([Outcome(A, state), Outcome(B, State.COMMITTED)], batch(0), 1)
    told = Ledger(ledger.folder) if anew else ledger
    found = told.compare([newer(A), B])
    assert (found.new if state is State.MISSING else found.again) == [newer(A)]
    assert not found.changed
    # Gone and back, it is new as it was; the others are as unreadable as before.
    assert told.compare([A]).new == ([A] if state is State.MISSING else [])


@pytest.mark.parametrize("anew", [False, True])
def test_what_waits_is_what_has_no_event(ledger: Ledger, anew: bool) -> None:
    ledger.admit([A, B])
    ledger.admit([C])
    ledger.record([Outcome(A, State.COMMITTED)], batch(0), 1)
    assert sorted((Ledger(ledger.folder) if anew else ledger).waiting()) == [B, C]


@pytest.mark.parametrize("anew", [False, True])
def test_a_newer_version_waits_whatever_is_told_of_the_older(ledger: Ledger, anew: bool) -> None:
    second = replace(newer(A), version=2)
    ledger.admit([A])
    ledger.admit([second])
    ledger.record([Outcome(A, State.SKIPPED)], batch(0), 1)
    assert list((Ledger(ledger.folder) if anew else ledger).waiting()) == [second]


def test_what_waits_to_be_read_again_is_not_settled(ledger: Ledger) -> None:
    later = datetime.now(timezone.utc) + timedelta(days=1)
    ledger.admit([A, B])
    read = [Outcome(A, State.COMMITTED, rows=3, bad=1), Outcome(B, State.COMMITTED, rescued=2)]
    ledger.record(read, batch(0), 1)
    assert ledger.committed_until(later) == [A, B]
    assert ledger.committed_until(later - timedelta(days=2)) == []
    ledger.admit([replace(newer(A), version=2)])
    assert ledger.committed_until(later) == [B]
    ledger.note([B], State.ARCHIVED, "deleted")
    assert (ledger.committed_until(later), ledger.in_state(State.ARCHIVED)) == ([], [B])
    assert ledger.committed() == {A.key: Loaded(3, 0, 1), B.key: Loaded(0, 2, 0)}
    ledger.record([Outcome(A, State.COMMITTED, rows=4)], batch(0, 2), 2)
    assert ledger.committed()[A.key] == Loaded(4, 0, 0)


def test_a_file_that_was_loaded_is_known_by_its_generation(ledger: Ledger) -> None:
    ledger.admit([A, B])
    outcomes = [
        Outcome(A, State.COMMITTED, rows=1),
        Outcome(B, State.QUARANTINED),
        Outcome(C, State.COMMITTED, bad=1),  # it may be read again
    ]
    ledger.record(outcomes, batch(0), 1)
    assert ledger.loaded_in(1, [A, B, C]) == {A.key}
    assert ledger.loaded_in(2, [A, B, C]) == set()


@pytest.mark.parametrize("anew", [False, True])
def test_a_retry_waits_as_it_is_now(ledger: Ledger, anew: bool) -> None:
    ledger.admit([A])
    ledger.record([Outcome(A, State.QUARANTINED)], batch(0), 1)
    assert ledger.retry([newer(A)]) == 1
    told = Ledger(ledger.folder) if anew else ledger
    assert list(told.waiting()) == [newer(A)]
    assert told.compare([newer(A)]) == Compared()


def test_discovery_begins_once(ledger: Ledger) -> None:
    assert not ledger.has_started
    ledger.mark_started()
    assert Ledger(ledger.folder).has_started


def test_a_batch_is_recorded_once(ledger: Ledger) -> None:
    ledger.admit([A])
    for rows in (1, 2):
        ledger.record([Outcome(A, State.COMMITTED, rows=rows)], batch(0), 1)
    assert versions(ledger)[1] == 1
    [event] = commits(ledger.events, 1)
    assert dict(event.txns) == {"bronze.sales/v1": 0}
    ledger.record([Outcome(A, State.COMMITTED)], batch(1), 1)
    ledger.record([Outcome(A, State.COMMITTED)], batch(0), 1)
    assert versions(ledger)[1] == 2
    ledger.record([Outcome(A, State.COMMITTED)], batch(0, generation=2), 2)
    assert versions(ledger)[1] == 3


# --- read back, as `medallion files` does


def told(lake: Lake, **wanted: object) -> list[dict[str, object]]:
    rows = files(lake.config, Wanted(**wanted))  # type: ignore[arg-type]
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


@pytest.mark.usefixtures("quick_duck")
def test_a_file_is_discovered_until_its_first_event(lake: Lake, ledger: Ledger) -> None:
    ledger.admit([A])
    [row] = told(lake)
    assert row["table_name"] == "bronze.sales"
    assert (row["path"], row["state"], row["size"]) == (A.path, "DISCOVERED", 10)
    assert row["modified"] == datetime.fromtimestamp(A.modified_us / 10**6, timezone.utc)
    assert (row["rows"], row["batch"], row["error"], row["updated_at"]) == (None,) * 4
    assert row["attempts"] == 0


@pytest.mark.usefixtures("quick_duck")
def test_the_newest_event_wins_and_all_are_counted(lake: Lake, ledger: Ledger) -> None:
    ledger.admit([A])
    ledger.record([Outcome(A, State.QUARANTINED, error="truncated")], batch(0), 1)
    ledger.record([Outcome(A, State.COMMITTED, rows=7, rescued=2, bad=3)], batch(0, 2), 2)
    [row] = told(lake)
    assert (row["state"], row["rows"], row["rescued"], row["bad"]) == ("COMMITTED", 7, 2, 3)
    assert (row["attempts"], row["generation"], row["batch"]) == (2, 2, 0)
    assert row["error"] is None


@pytest.mark.usefixtures("quick_duck")
def test_every_state_and_what_is_asked_for(lake: Lake, ledger: Ledger) -> None:
    before = datetime.now(timezone.utc)
    ledger.admit([A, B, C, D])
    ledger.record(
        [
            Outcome(A, State.COMMITTED, rows=4, rescued=1, bad=1),
            Outcome(B, State.COMMITTED, rows=2),
            Outcome(C, State.SKIPPED, error="empty file"),
        ],
        batch(0),
        1,
    )
    assert [row["state"] for row in told(lake)] == [
        "COMMITTED",
        "COMMITTED",
        "DISCOVERED",
        "SKIPPED",
    ]
    assert [row["error"] for row in told(lake, state="skipped")] == ["empty file"]
    assert [row["path"] for row in told(lake, path="b%20b")] == [B.path]
    assert [row["path"] for row in told(lake, path="*/in/*.json")] == [A.path, B.path, C.path]
    assert len(told(lake, since=before)) == 4
    assert told(lake, since=datetime.now(timezone.utc)) == []
    totals = [
        dict(zip(SUMMARY_COLUMNS, row, strict=True)) for row in summary(lake.config, Wanted())
    ]
    assert totals[0] == {
        "table_name": "bronze.sales",
        "state": "COMMITTED",
        "files": 2,
        "bytes": 30,
        "rows": 6,
        "rescued": 1,
        "bad": 1,
    }
    assert [(row["state"], row["files"]) for row in totals[1:]] == [
        ("DISCOVERED", 1),
        ("SKIPPED", 1),
    ]


def test_no_ledger_tells_of_no_files(lake: Lake) -> None:
    assert files(lake.config, Wanted()) == []
    assert summary(lake.config, Wanted()) == []
