"""`medallion maintain`: fewer files and a shorter log, and nothing that a query still needs."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from lakes import BRONZE, Lake, Medallion, batch_done, offset, touch_batches

from medallion_jobs import observe as metrics
from medallion_jobs.autoloader import FileEntry, Ledger, Outcome, State
from medallion_jobs.autoloader.archive import registrations
from medallion_jobs.checkpoint import Lock
from medallion_jobs.checkpoint.offsets import DeltaOffsets
from medallion_jobs.lake.tables import Txn, snapshot
from medallion_jobs.maintenance import lake as maintenance
from medallion_jobs.maintenance.upkeep import Upkeep
from medallion_jobs.report.status import status

WEEK = timedelta(days=7)
HOUR = timedelta(hours=1)
CHUNKS = 12
DISCOVERED, EVENTS = "ledger/sales/discovered", "ledger/sales/events"
METRICS = "metrics/bronze/sales"


@pytest.fixture
def ledger(lake: Lake) -> Ledger:
    """As after a run of `CHUNKS` batches of one file each, all read, with no log cleaned."""
    made = Ledger(lake.paths(BRONZE).ledger)
    made.ensure()
    log = metrics.BatchTable(lake.paths(BRONZE).metrics)
    for n in range(CHUNKS):
        file = FileEntry(n, f"file:/in/{n}.json", 1)
        made.admit([file])
        outcome = Outcome(file, State.COMMITTED, rows=1)
        made.record([outcome], Txn("bronze.sales/v1", n, "run"), 1)
        log.append(batch_done(BRONZE, n, files=1), 1, "run")
    lake.write(BRONZE, 0)
    lake.bind(BRONZE)
    read_up_to(lake, CHUNKS)
    return made


def read_up_to(lake: Lake, version: int) -> None:
    """A checkpoint of as many batches, of which the newest has read up to this version."""
    folder = lake.home(BRONZE).checkpoint(1).path
    for batch in range(version):
        (folder / "offsets").mkdir(parents=True, exist_ok=True)
        (folder / "offsets" / str(batch)).write_text(offset(batch + 2))
    touch_batches(folder / "commits", version - 1)


def maintain(lake: Lake, older_than: timedelta = WEEK) -> dict[str, Upkeep]:
    done = maintenance.maintain(lake.config, older_than, dry_run=False)
    return {one.table: one for one in done}


def age(folder: Path, days: int) -> None:
    """Makes everything in a folder older than it is."""
    at = time.time() - days * 86_400
    for path in folder.rglob("*"):
        os.utime(path, (at, at))


def paths_of(table: Path) -> list[str]:
    told: list[str] = DeltaTable(table).to_pyarrow_table().column("path").to_pylist()
    return sorted(told)


def log_versions(table: Path) -> list[int]:
    return sorted(int(entry.stem) for entry in (table / "_delta_log").glob("*.json"))


def test_small_files_become_one_and_nothing_is_lost(lake: Lake, ledger: Ledger) -> None:
    before = {table: paths_of(table) for table in (ledger.discovered, ledger.events)}
    done = maintain(lake)
    assert set(done) == {DISCOVERED, EVENTS, METRICS}
    for one in done.values():
        assert (one.files, one.files_after, one.skipped) == (CHUNKS, 1, "")
        assert one.bytes_after
        assert one.bytes_after < one.bytes
    assert {table: paths_of(table) for table in before} == before


def test_a_query_that_has_read_all_has_still_read_all(lake: Lake, ledger: Ledger) -> None:
    maintain(lake)
    left = DeltaOffsets(ledger.discovered).backlog(lake.home(BRONZE).checkpoint(1))
    assert left
    assert (left.files, left.rows) == (0, 0)
    (bronze, *_) = status(lake.config)
    assert (bronze.files_waiting, bronze.bytes_waiting) == (0, 0)
    ledger.admit([FileEntry(99, "file:/in/99.json", 5)])
    (bronze, *_) = status(lake.config)
    assert (bronze.behind, bronze.files_waiting, bronze.bytes_waiting) == (1, 1, 5)


def test_twice_is_as_good_as_once(lake: Lake, ledger: Ledger) -> None:
    maintain(lake)
    versions = [log_versions(table) for table in (ledger.discovered, ledger.events)]
    again = maintain(lake)
    assert {(one.files, one.files_after, one.removed) for one in again.values()} == {(1, 1, 0)}
    assert [log_versions(table) for table in (ledger.discovered, ledger.events)] == versions


def test_transactions_outlive_the_log(lake: Lake, ledger: Ledger) -> None:
    """By these a batch that is run again is known to be recorded."""
    maintain(lake)
    age(lake.config.state_path, 8)
    done = maintain(lake)
    assert done[EVENTS].log_entries > 0
    assert done[METRICS].log_entries > 0
    assert min(log_versions(ledger.events)) > CHUNKS
    there = snapshot(ledger.events)
    assert there
    assert there.txn("bronze.sales/v1") == CHUNKS - 1
    again = batch_done(BRONZE, CHUNKS - 1, files=1)
    assert not metrics.BatchTable(lake.paths(BRONZE).metrics).append(again, 1, "run")


def test_files_that_compaction_replaced_go_when_they_are_old(lake: Lake, ledger: Ledger) -> None:
    maintain(lake)
    assert len(list(ledger.events.glob("*.parquet"))) == CHUNKS + 1
    done = maintain(lake, timedelta(0))
    assert {one.removed for one in done.values()} == {CHUNKS}
    assert {one.removed for one in maintain(lake, timedelta(0)).values()} == {0}
    assert len(list(ledger.events.glob("*.parquet"))) == 1
    assert len(paths_of(ledger.events)) == CHUNKS


def test_of_files_that_no_commit_names_only_the_old_go(lake: Lake, ledger: Ledger) -> None:
    left, underway = (ledger.events / f"part-{name}.parquet" for name in ("left", "underway"))
    left.write_bytes(b"x")
    age(ledger.events, 8)
    underway.write_bytes(b"x")
    assert maintain(lake)[EVENTS].removed == 1
    assert (left.exists(), underway.exists()) == (False, True)


def test_a_chunk_stays_of_a_size_that_a_batch_can_take(
    lake: Lake, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "FILES_PER_CHUNK", 500)
    for n, size in enumerate((1, 390, 30, 5, 1_000, 1, 1, 200, 190, 2)):
        ledger.admit([FileEntry(at, f"file:/more/{n}-{'x' * 80}-{at}", 1) for at in range(size)])
    before = paths_of(ledger.discovered)
    read_up_to(lake, CHUNKS + 10)
    for _ in range(3):
        done = maintain(lake)[DISCOVERED]
        rows = pa.table(DeltaTable(ledger.discovered).get_add_actions()).column("num_records")
        # The chunk of 1,000 was one before; no other grows beyond 500.
        assert sorted(rows.to_pylist())[-1] == 1_000
        assert sorted(rows.to_pylist())[-2] <= 500
    assert done.files_after is not None
    assert done.files_after < CHUNKS + 10
    assert paths_of(ledger.discovered) == before


def behind(lake: Lake) -> None:
    Ledger(lake.paths(BRONZE).ledger).admit([FileEntry(99, "file:/in/99.json", 5)])


def planned_only(lake: Lake) -> None:
    (lake.home(BRONZE).checkpoint(1).path / "commits" / str(CHUNKS - 1)).unlink()


def was_reset(lake: Lake) -> None:
    lake.reset(BRONZE)


def never_ran(lake: Lake) -> None:
    lake.home(BRONZE).manifest.unlink()


@pytest.mark.parametrize(
    ("happen", "why"),
    [
        (behind, "has not read all of it"),
        (planned_only, "has not finished its newest batch"),
        (was_reset, "has not finished its newest batch"),
        (never_ran, "has no checkpoint"),
    ],
)
def test_what_a_query_has_yet_to_read_is_left_alone(
    lake: Lake, ledger: Ledger, happen: object, why: str
) -> None:
    assert callable(happen)
    happen(lake)
    age(lake.config.state_path, 40)
    before = {path: path.read_bytes() for path in ledger.discovered.rglob("*") if path.is_file()}
    done = maintain(lake)
    assert why in done[DISCOVERED].skipped
    assert {p: p.read_bytes() for p in ledger.discovered.rglob("*") if p.is_file()} == before
    assert done[EVENTS].files_after == 1


def test_the_log_stays_from_where_the_query_starts_again(lake: Lake, ledger: Ledger) -> None:
    """A start has Spark plan the newest batch again, though it is done."""
    log = ledger.discovered / "_delta_log"
    for version in (4, CHUNKS - 2, CHUNKS - 1, CHUNKS):
        DeltaTable(ledger.discovered, version=version).create_checkpoint()
    age(lake.config.state_path, 40)
    done = maintain(lake)[DISCOVERED]
    # The newest two offsets are versions 12 and 13: all from 11 on can be read.
    assert min(log_versions(ledger.discovered)) == CHUNKS - 1
    assert done.log_entries == (CHUNKS - 1) + 2
    assert (log / f"{CHUNKS - 1:020}.checkpoint.parquet").exists()
    assert DeltaTable(ledger.discovered, version=CHUNKS - 1).version() == CHUNKS - 1


def test_while_its_query_runs_all_of_it_is_left_alone(
    lake: Lake, ledger: Ledger, medallion: Medallion
) -> None:
    with Lock(lake.home(BRONZE).lock, str(BRONZE)):
        before = lake.files()
        answer = medallion("maintain")
        assert lake.files() == before
    assert answer.code == 0
    assert answer.out.count("its query is running") == 3


def test_it_holds_the_lock_while_it_works_and_frees_it(
    lake: Lake, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    carry_out = maintenance.upkeep.carry_out

    def watched(name: str, *rest: object) -> Upkeep:
        (bronze, *_) = status(lake.config)
        held.append((name, bronze.state))
        return carry_out(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(maintenance.upkeep, "carry_out", watched)
    maintain(lake)
    assert held == [(DISCOVERED, "running"), (EVENTS, "running"), (METRICS, "running")]
    assert status(lake.config)[0].state == "idle"


def test_a_dry_run_changes_nothing(lake: Lake, ledger: Ledger, medallion: Medallion) -> None:
    before = lake.files()
    answer = medallion("maintain", "--dry-run", "--json")
    assert lake.files() == before
    assert {one["table"]: one["files"] for one in json.loads(answer.out)} == {
        DISCOVERED: CHUNKS,
        EVENTS: CHUNKS,
        METRICS: CHUNKS,
    }
    assert not lake.home(BRONZE).lock.exists()


def test_as_a_command(ledger: Ledger, medallion: Medallion) -> None:
    answer = medallion("maintain", "--older-than", "12h")
    assert (answer.code, answer.err) == (0, "")
    header, _, *lines = answer.out.splitlines()
    assert header.split()[:3] == ["table", "files", "size"]
    assert [line.split()[:4] for line in lines] == [
        [name, str(CHUNKS), "->", "1"] for name in (DISCOVERED, EVENTS, METRICS)
    ]
    told = json.loads(medallion("maintain", "--json").out)
    assert [(one["table"], one["files_after"], one["skipped"]) for one in told] == [
        (name, 1, "") for name in (DISCOVERED, EVENTS, METRICS)
    ]


def test_before_any_run_there_is_nothing_to_do(lake: Lake, medallion: Medallion) -> None:
    answer = medallion("maintain", "--json")
    assert (answer.code, json.loads(answer.out)) == (0, [])
    assert list(lake.root.iterdir()) == []


@pytest.mark.parametrize("text", ["5m", "soon", "0d"])
def test_a_wrong_age_is_wrong_use(medallion: Medallion, text: str) -> None:
    answer = medallion("maintain", "--older-than", text)
    assert (answer.code, answer.out) == (2, "")
    assert text in answer.err


def test_registrations_that_are_no_longer_needed_go(lake: Lake, medallion: Medallion) -> None:
    """Those that an earlier version left in the source, unless another reader may clean there."""
    landing = Path(lake.config.landing_paths("sales")[0])
    me = registrations.Reader.of(lake.paths(BRONZE))
    landing.mkdir(parents=True)
    old = landing / "_medallion" / "readers" / f"{me}.json"

    content = {"pipeline": "sales", "table": "sales", "ledger": me.ledger, "storage": me.storage}

    def left_behind() -> None:
        assert registrations.register(str(landing), me) is None
        old.parent.mkdir(parents=True)
        old.write_text(json.dumps(content))

    left_behind()
    assert "would no longer be registered" in medallion("maintain", "--dry-run").err
    assert old.exists()
    keep = ("--set", "bronze.sales.source.register_as_reader=true")
    assert "registered" not in medallion("maintain", *keep).err
    assert old.exists()
    answer = medallion("maintain")
    assert (answer.code, answer.err.count("sales.sales is no longer registered in")) == (0, 1)
    assert not old.parent.parent.exists()
    assert not (landing / ".medallion").exists()
    assert "registered" not in medallion("maintain").err

    left_behind()
    other = registrations.Reader("her", "t", "/her/ledger", "/her")
    assert registrations.register(str(landing.parent), other) is None
    assert "stays registered" in medallion("maintain").err
    assert old.exists()
    drop = ("--set", "bronze.sales.source.register_as_reader=false")
    assert "is no longer registered" in medallion("maintain", *drop).err
    assert not old.exists()
    assert len(registrations.others(str(landing.parent), me)) == 1
