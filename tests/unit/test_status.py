"""How each query stands, by the files alone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from deltalake import DeltaTable
from lakes import BRONZE, GOLD, SILVER, Lake, batch_done, offset, touch_batches

from medallion_jobs import observe as metrics
from medallion_jobs.autoloader import FileEntry, Ledger, Outcome, State
from medallion_jobs.checkpoint import Lock
from medallion_jobs.lake.tables import Txn
from medallion_jobs.report.status import Status, status

MICROS = 1_700_000_000_000_000


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
        assert abs(datetime.now(timezone.utc) - one.batch_at) < timedelta(hours=1)


@pytest.mark.usefixtures("ran")
def test_the_backlog_is_what_the_source_has_more(lake: Lake) -> None:
    lake.write(SILVER, 1, rows=40)
    lake.write(BRONZE, 1, rows=7)
    found = by_table(lake)
    assert {table: one.behind for table, one in found.items()} == {
        str(BRONZE): 0,
        str(SILVER): 7,
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


@pytest.fixture
def ledger(lake: Lake) -> Ledger:
    """Three chunks of 1, 2 and 3 files, in versions 1 to 3."""
    made = Ledger(lake.paths(BRONZE).ledger)
    made.ensure()
    for chunk in (1, 2, 3):
        names = range(10 * chunk, 11 * chunk)
        made.admit([FileEntry(MICROS - n * 1_000_000, f"file:/{n}", 10**chunk) for n in names])
    return made


def waiting(lake: Lake) -> tuple[int | None, int | None, float | None]:
    one = by_table(lake)[str(BRONZE)]
    return one.files_waiting, one.bytes_waiting, one.oldest_waiting_seconds


def bound(lake: Lake, *offsets: str, commits: int) -> None:
    """A bronze query that has planned batches up to `offsets` and finished those to `commits`."""
    lake.write(BRONZE, 0)
    lake.bind(BRONZE)
    checkpoint = lake.home(BRONZE).checkpoint(1)
    for batch, text in enumerate(offsets):
        (checkpoint.path / "offsets").mkdir(parents=True, exist_ok=True)
        (checkpoint.path / "offsets" / str(batch)).write_text(text)
    touch_batches(checkpoint.path / "commits", commits)


@pytest.mark.usefixtures("ledger")
def test_before_the_first_batch_all_files_wait(lake: Lake) -> None:
    files, size, oldest = waiting(lake)
    assert (files, size) == (6, 10 + 200 + 3_000)
    age = datetime.now(timezone.utc).timestamp() - (MICROS / 1_000_000 - 32)
    assert oldest == pytest.approx(age, abs=60)


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("offsets", "commits", "left"),
    [
        # A batch that is planned and not done holds files that wait.
        ((offset(2), offset(4)), 0, (5, 3_200)),
        ((offset(2), offset(4)), 1, (0, 0)),
        ((offset(3, 0),), 0, (0, 0)),
        ((offset(3, -1),), 0, (3, 3_000)),
        # The query began with a snapshot of version 2, which holds the first two chunks.
        ((offset(2, 0, in_snapshot=True),), 0, (5, 3_200)),
        ((offset(2, 1, in_snapshot=True),), 0, (3, 3_000)),
        ((offset(3, 2, in_snapshot=True),), 0, (0, 0)),
    ],
)
def test_files_wait_behind_the_newest_batch_that_is_done(
    lake: Lake, offsets: tuple[str, ...], commits: int, left: tuple[int, int]
) -> None:
    bound(lake, *offsets, commits=commits)
    files, size, oldest = waiting(lake)
    assert (files, size) == left
    if len(offsets) == commits + 1:
        assert by_table(lake)[str(BRONZE)].behind == files
    assert (oldest is None) == (files == 0)


def test_where_the_log_no_longer_tells_nothing_is_claimed(lake: Lake, ledger: Ledger) -> None:
    bound(lake, offset(1), commits=0)
    DeltaTable(ledger.discovered).create_checkpoint()
    assert waiting(lake)[:2] == (6, 3_210)
    for version in (0, 1):
        (ledger.discovered / "_delta_log" / f"{version:020}.json").unlink()
    assert waiting(lake) == (None, None, None)


@pytest.mark.usefixtures("ran")
def test_how_long_the_newest_batch_took(lake: Lake) -> None:
    log = metrics.BatchTable(lake.paths(GOLD).metrics)
    for batch, seconds in ((0, 1.5), (1, 9.0)):
        log.append(batch_done(GOLD, batch, seconds=seconds), 1, "r-1")
    found = by_table(lake)
    assert found[str(GOLD)].batch == 0
    assert found[str(GOLD)].batch_seconds == 1.5
    assert found[str(SILVER)].batch_seconds is None


def test_files_that_could_not_be_read(lake: Lake, ledger: Ledger) -> None:
    """Told as long as they are not read again, whichever batch was the last."""
    lake.write(BRONZE, 0)
    lake.bind(BRONZE)
    assert by_table(lake)[str(BRONZE)].files_aside == 0
    good, bad, worse = (FileEntry(MICROS, f"file:/{name}", 10) for name in ("g", "b%20d", "w"))
    ledger.admit([good, bad, worse])
    for number, outcomes in enumerate(
        (
            [Outcome(bad, State.QUARANTINED, error="no parquet")],
            [Outcome(good, State.COMMITTED, rows=1)],
            [Outcome(worse, State.QUARANTINED, error="worse")],
        )
    ):
        ledger.record(outcomes, Txn("bronze.sales/v1", number, "run"), 1)
    one = by_table(lake)[str(BRONZE)]
    assert (one.files_aside, one.aside_example) == (2, "/w: worse")
    ledger.retry([worse])
    one = by_table(lake)[str(BRONZE)]
    assert (one.files_aside, one.aside_example) == (1, "/b d: no parquet")
    # A new content waits to be read.
    ledger.admit([replace(bad, version=2)])
    assert by_table(lake)[str(BRONZE)].files_aside == 0
    newer = Outcome(replace(bad, version=2), State.COMMITTED, rows=1)
    still = Outcome(worse, State.QUARANTINED, error="still")
    ledger.record([newer, still], Txn("bronze.sales/v1", 3, "run"), 1)
    one = by_table(lake)[str(BRONZE)]
    assert (one.files_aside, one.aside_example) == (1, "/w: still")
    assert by_table(lake)[str(SILVER)].files_aside is None
