"""`medallion verify` without a JVM: which versions belong together, and accounts of rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from lakes import BRONZE, GOLD, SILVER, Lake, Medallion, offset, touch_batches, write_table

from medallion_jobs.autoloader import FileEntry, Ledger, Outcome, State
from medallion_jobs.checkpoint import Logic
from medallion_jobs.engine.stream import Written
from medallion_jobs.errors import TransientError, UsageError
from medallion_jobs.lake import paths
from medallion_jobs.lake.tables import Txn, snapshot
from medallion_jobs.observe.batch_table import BatchTable
from medallion_jobs.observe.events import BatchDone
from medallion_jobs.refine.quarantine import releases
from medallion_jobs.report.verify.pairs import Pair, pair_of

APP = "silver.sales/v1"
AT = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
ONE = FileEntry(1_700_000_000_000_000, "file:/in/one.json", 10)
TWO = FileEntry(1_700_000_000_000_001, "file:/in/two.json", 10)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, quick_duck: None) -> None:
    from medallion_jobs.report import query

    monkeypatch.setattr("medallion_jobs.report.verify.lake.connect", query.connect)


# Which version of gold stands for which of silver


def pair(lake: Lake, logic: Logic | None = None) -> Pair:
    return pair_of(lake.config, GOLD, logic or lake.logic)


def plan(lake: Lake, batch: int, position: str) -> None:
    """Has gold's checkpoint reach a position of silver by a batch."""
    offsets = lake.home(GOLD).checkpoint(1).path / "offsets"
    (offsets / str(batch)).write_text(position)


def test_gold_stands_for_what_its_newest_batch_has_read(ran: Lake) -> None:
    ran.write(SILVER, 1)
    plan(ran, 0, offset(1))
    assert (pair(ran).version, pair(ran).source_version, pair(ran).batch) == (0, 0, 0)
    # A batch that was done and left no commit counts.
    plan(ran, 1, offset(2))
    assert pair(ran).source_version == 0
    touch_batches(ran.home(GOLD).checkpoint(1).path / "commits", 1)
    assert (pair(ran).version, pair(ran).source_version) == (0, 1)
    # So does one that is in the table and not noted yet.
    ran.write(SILVER, 2)
    plan(ran, 2, offset(3))
    ran.write(GOLD, 2)
    assert (pair(ran).version, pair(ran).source_version, pair(ran).batch) == (1, 2, 2)


def said(lake: Lake, logic: Logic | None = None) -> str:
    with pytest.raises(UsageError) as refused:
        pair(lake, logic)
    assert refused.value.exit_code == 2
    assert "medallion run gold" in refused.value.next_step
    return refused.value.what


def test_what_cannot_be_compared_is_told(ran: Lake) -> None:
    assert "the config has changed since it ran: a: '' became 'b'" in said(
        ran, Logic(state={"a": "b"})
    )
    plan(ran, 0, offset(1, 0))
    assert "stopped after reading a version of its source only in part" in said(ran)
    plan(ran, 0, offset(2))
    assert "has read version 1 of silver.sales, which is at 0" in said(ran)
    plan(ran, 0, offset(1))
    (file,) = DeltaTable(ran.path(SILVER)).file_uris()
    Path(file).unlink()
    assert "1 of 1 data files of version 0 are missing" in said(ran)
    ran.write(GOLD, 7)
    assert "its checkpoint has no batch 7" in said(ran)
    ran.reset(GOLD)
    assert "it was reset, and has not run since" in said(ran)


def test_incremental_gold_takes_the_snapshot_that_it_begins_with_as_a_whole(ran: Lake) -> None:
    plan(ran, 0, offset(0, 0, in_snapshot=True))
    assert "only in part" in said(ran)
    table = ran.config.gold[GOLD.name].model_copy(update={"mode": "incremental"})
    config = ran.config.model_copy(update={"gold": {GOLD.name: table}})
    assert pair_of(config, GOLD, ran.logic).source_version == 0


def test_a_table_that_never_ran_cannot_be_verified(lake: Lake, medallion: Medallion) -> None:
    answer = medallion("verify", "--layers", "--json")
    assert answer.code == 2
    told = json.loads(answer.out)
    assert (told["right"], told["gold"], told["layers"]) == (False, [], [])
    whys = {one["why"].partition(" cannot")[0]: one["next"] for one in told["not_compared"]}
    assert set(whys) == {str(BRONZE), str(SILVER), str(GOLD)}
    assert answer.err.count("error:") == 3


def test_a_reset_meanwhile_is_worth_a_retry(ran: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def reset_then_look(path: Path, version: int | None = None) -> object:
        if path == ran.path(GOLD):
            ran.reset(GOLD)
        return snapshot(path, version)

    monkeypatch.setattr("medallion_jobs.report.verify.pairs.snapshot", reset_then_look)
    with pytest.raises(TransientError):
        pair(ran)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("gold.none",), "no table gold.none"),
        (("silver.sales",), "medallion verify silver.sales --layers"),
    ],
)
def test_a_wrong_table_is_wrong_use(
    words: tuple[str, ...], told: str, medallion: Medallion
) -> None:
    answer = medallion("verify", *words)
    assert (answer.code, answer.out) == (2, "")
    assert told in answer.err


# Bronze


def bronze_rows(lake: Lake, batch: int, rows: Mapping[tuple[str, int], int], app: int = 1) -> None:
    """A batch's commit to bronze: by file and version, how many rows."""
    listed = [key for key, count in rows.items() for _ in range(count)]
    data = pa.table(
        {
            "_input_file": pa.array([path for path, _ in listed], pa.string()),
            "_file_version": pa.array([version for _, version in listed], pa.int32()),
        }
    )
    done = CommitProperties(app_transactions=[Transaction(f"bronze.sales/v{app}", batch)])
    write_deltalake(lake.path(BRONZE), data, mode="append", commit_properties=done)


@pytest.fixture
def ledger(lake: Lake) -> Ledger:
    made = Ledger(lake.paths(BRONZE).ledger)
    made.ensure()
    made.admit([ONE, TWO])
    bronze_rows(lake, 0, {(ONE.path, 1): 3, (TWO.path, 1): 2})
    settled = [Outcome(ONE, State.COMMITTED, rows=3), Outcome(TWO, State.COMMITTED, rows=2)]
    made.record(settled, Txn("bronze.sales/v1", 0, "run"), 1)
    lake.bind(BRONZE)
    return made


def checks(medallion: Medallion, table: str) -> tuple[int, dict[str, Any], list[str]]:
    answer = medallion("verify", table, "--layers", "--json")
    (audit,) = json.loads(answer.out)["layers"]
    return answer.code, {one["what"]: one for one in audit["checks"]}, audit["remarks"]


def test_bronze_is_what_the_ledger_tells(lake: Lake, ledger: Ledger, medallion: Medallion) -> None:
    code, found, remarks = checks(medallion, "bronze.sales")
    assert (code, remarks) == (0, [])
    rows = found["rows of each file"]
    assert (rows["expected"], rows["found"], rows["wrong"]) == (5, 5, 0)
    # The content of a file is replaced: of the older one, all or nothing is there.
    newer = FileEntry(ONE.modified_us, ONE.path, 11, 2)
    ledger.admit([newer])
    bronze_rows(lake, 1, {(ONE.path, 2): 4})
    ledger.record([Outcome(newer, State.COMMITTED, rows=4)], Txn("bronze.sales/v1", 1, "r"), 1)
    assert checks(medallion, "bronze.sales")[0] == 0
    DeltaTable(lake.path(BRONZE)).delete("_file_version = 1 AND _input_file LIKE '%one%'")
    assert checks(medallion, "bronze.sales")[0] == 0
    # A batch that is not in the ledger yet is under way.
    bronze_rows(lake, 2, {("file:/in/three.json", 1): 9})
    code, found, remarks = checks(medallion, "bronze.sales")
    assert (code, found["rows of each file"]["found"]) == (0, 6)
    assert "1 of its files are not counted" in remarks[0]


def test_a_table_that_cannot_be_read_is_told(
    lake: Lake, ledger: Ledger, medallion: Medallion
) -> None:
    (file,) = DeltaTable(lake.path(BRONZE)).file_uris()
    Path(file).unlink()
    answer = medallion("verify", "bronze.sales", "--layers")
    assert (answer.code, answer.out) == (2, "")
    assert "bronze.sales cannot be verified, because it cannot be read" in answer.err


def test_differences_of_bronze_are_named(lake: Lake, ledger: Ledger, medallion: Medallion) -> None:
    bronze_rows(lake, 1, {(TWO.path, 1): 1, ("file:/in/x.json", 1): 2})
    ledger.record([Outcome(ONE, State.COMMITTED, rows=3, bad=1)], Txn("bronze.sales/v1", 1, "r"), 1)
    code, found, _ = checks(medallion, "bronze.sales")
    assert code == 1
    rows, bad = found["rows of each file"], found["bad lines of each file"]
    assert rows["mismatches"] == [
        {"where": f"{TWO.path}, batch 0 of v1", "expected": 2, "found": 3},
        {"where": "file:/in/x.json, not in the ledger", "expected": 0, "found": 2},
    ]
    assert bad["mismatches"] == [{"where": f"{ONE.path}, batch 1 of v1", "expected": 1, "found": 0}]
    text = medallion("verify", "bronze.sales", "--layers", "--show", "1").out
    assert TWO.path in text
    assert "x.json" not in text


# Silver


class Silver:
    """A silver table, its source and what its batches told, made piece by piece."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.log = BatchTable(lake.paths(SILVER).metrics)

    def batch(self, number: int, rows_in: int, rows_out: int, **counts: Any) -> None:
        """A batch: its source's commit, its own, its checkpoint and its metrics."""
        write_table(self.lake.path(BRONZE), rows_in)
        self.commit((APP, number), rows_out, AT + timedelta(hours=number))
        version = DeltaTable(self.lake.path(BRONZE)).version()
        folder = self.lake.home(SILVER).checkpoint(1).path
        touch_batches(folder / "offsets", number, offset(version + 1))
        touch_batches(folder / "commits", number)
        self.tell(number, rows_in, rows_out, **counts)

    def commit(self, txn: tuple[str, int], rows: int, at: datetime = AT) -> None:
        done = CommitProperties(app_transactions=[Transaction(*txn)])
        data = pa.table({"n": pa.array(range(rows), pa.int64())})
        path = self.lake.path(SILVER)
        write_deltalake(path, data, mode="append", commit_properties=done)
        # What Spark's writer says of a commit, and delta-rs says otherwise.
        notes = {"moment": at.isoformat(), "lookups": {}, "newest": None, "logic": ""}
        metrics = {"numOutputRows": str(rows)}
        log = path / "_delta_log" / f"{DeltaTable(path).version():020}.json"
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        for action in actions:
            if info := action.get("commitInfo"):
                info.update(userMetadata=json.dumps(notes), operationMetrics=metrics)
        log.write_text("".join(json.dumps(action) + "\n" for action in actions))

    def tell(self, number: int, rows_in: int | None, rows_out: int, **counts: Any) -> None:
        done = BatchDone(
            table=str(SILVER),
            batch=number,
            rows_in=rows_in,
            rows_out=rows_out,
            seconds=1.0,
            backlog=None,
            at=AT.isoformat(),
            **counts,
        )
        assert self.log.append(done, 1, "run")

    def park(self, kind: str, *ids: str, batch: int = 0) -> Path:
        places = self.lake.paths(SILVER)
        path = {"quarantine": places.quarantine, "held": places.held}[kind]
        at = pa.array([AT + timedelta(hours=batch)] * len(ids), pa.timestamp("us", "UTC"))
        rows = {"id": list(ids), "generation": pa.array([1] * len(ids), pa.int32()), "since": at}
        write_deltalake(path, pa.table(rows), mode="append")
        return path

    def claim(self, parked_rows: Path, how: str, app_id: str, number: int, *ids: str) -> None:
        releases.ensure(parked_rows)
        said = {"app_id": app_id, "number": number, "how": how, "run_id": "r", "at": AT}
        rows = [{"id": one, **said, "reason": None} for one in ids]
        table = pa.Table.from_pylist(rows, schema=releases.COLUMNS)
        write_deltalake(paths.releases(parked_rows), table, mode="append")


@pytest.fixture
def silver(lake: Lake) -> Silver:
    made = Silver(lake)
    made.batch(0, 10, 6, filtered=1, dropped=1, quarantined=1, held=1)
    made.park("quarantine", "q0")
    made.park("held", "h0")
    lake.bind(SILVER)
    return made


def parts(medallion: Medallion) -> dict[str, int]:
    code, found, _ = checks(medallion, "silver.sales")
    assert code == 0, found
    counted: dict[str, int] = found["rows accounted for"]["parts"]
    return counted


def test_every_row_that_was_read_is_somewhere(silver: Silver, medallion: Medallion) -> None:
    aside = {"filtered": 1, "dropped": 1, "in quarantine": 1, "waiting": 1}
    assert parts(medallion) == {"in the table": 6, **aside}
    silver.batch(1, 4, 2, held=2)
    held = silver.park("held", "h1", "h2", batch=1)
    assert parts(medallion) == {"in the table": 8, **aside, "waiting": 3}
    # One goes on: first its claim, which counts for nothing, then the commit that takes it in.
    silver.claim(held, "released", f"{APP}/released", 0, "h0")
    assert parts(medallion)["waiting"] == 3
    silver.commit((f"{APP}/released", 0), 1)
    assert parts(medallion) == {"in the table": 9, **aside, "waiting": 2}
    # One goes to quarantine, cut off so that it is in both; one is dropped.
    silver.park("quarantine", "h1", batch=1)
    assert parts(medallion)["in quarantine"] == 2
    silver.claim(held, "quarantined", "", 0, "h1")
    silver.claim(held, "dropped", "", 0, "h2")
    assert parts(medallion) == {
        "in the table": 9,
        "filtered": 1,
        "dropped": 2,
        "in quarantine": 2,
    }
    # A row of quarantine is put back; another one dismissed, which stays what it is.
    quarantine = silver.lake.paths(SILVER).quarantine
    silver.claim(quarantine, "replayed", f"{APP}/replayed", 0, "q0")
    silver.commit((f"{APP}/replayed", 0), 1)
    releases.dismiss(quarantine, ["h1"], "no use", "r")
    assert parts(medallion)["in quarantine"] == 1


def test_a_batch_of_which_not_all_is_noted_is_left_out(
    silver: Silver, medallion: Medallion
) -> None:
    silver.commit((APP, 1), 5, AT + timedelta(hours=1))
    silver.park("held", "later", batch=1)
    assert parts(medallion)["in the table"] == 6


def test_a_lost_row_is_missed(silver: Silver, medallion: Medallion) -> None:
    DeltaTable(silver.lake.path(SILVER)).delete("n = 3")
    code, found, _ = checks(medallion, "silver.sales")
    assert code == 1
    wrong = {what: one for what, one in found.items() if not one["right"]}
    assert set(wrong) == {"rows accounted for", "rows in the table"}
    assert (wrong["rows in the table"]["expected"], wrong["rows in the table"]["found"]) == (6, 5)
    assert "DELETE by none of its queries" in wrong["rows in the table"]["mismatches"][0]["where"]


def test_a_batch_that_does_not_add_up_is_named(silver: Silver, medallion: Medallion) -> None:
    silver.batch(1, 5, 3, filtered=1)
    code, found, _ = checks(medallion, "silver.sales")
    assert code == 1
    assert found["rows of each batch"]["mismatches"] == [
        {"where": "batch 1 of v1", "expected": 5, "found": 4}
    ]


def test_what_a_cut_off_run_did_not_count_is_unknown(silver: Silver, medallion: Medallion) -> None:
    remarks = Written.by_earlier_run(0).remarks
    silver.batch(1, 5, 3, remarks=remarks)
    code, found, _ = checks(medallion, "silver.sales")
    assert code == 0
    account = found["rows accounted for"]
    assert (account["expected"] - account["found"], account["unknown"]) == (2, 2)
    DeltaTable(silver.lake.path(SILVER)).delete("n = 3")
    assert checks(medallion, "silver.sales")[0] == 1


def test_without_the_metrics_of_a_batch_there_is_no_account(
    silver: Silver, medallion: Medallion
) -> None:
    silver.batch(1, 5, 5)
    DeltaTable(silver.lake.paths(SILVER).metrics).alter.set_table_properties(
        {"delta.appendOnly": "false"}
    )
    DeltaTable(silver.lake.paths(SILVER).metrics).delete("batch = 0")
    code, found, told = checks(medallion, "silver.sales")
    assert (code, found) == (0, {})
    assert "no row for batch 0" in told[0]


def test_where_rows_become_many_what_holds_is_compared(
    silver: Silver, medallion: Medallion
) -> None:
    answer = medallion(
        "verify", "silver.sales", "--layers", "--set", "silver.sales.explode.item=items"
    )
    assert answer.code == 0
    assert "rows read" in answer.out
    assert "rows in the table" in answer.out
    assert "not compared: `explode` turns a row into several" in answer.err
