"""What a run leaves behind, however it ends: a record, its log, and what commands say of them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from lakes import BRONZE, CONFIG, GOLD, SILVER, Lake, Medallion, batch_done
from support import objects
from support.disk import small_disk

from medallion_jobs.checkpoint import Lock
from medallion_jobs.config import load
from medallion_jobs.errors import DataError
from medallion_jobs.observe import BatchTable
from medallion_jobs.observe.events import Note, RunSummary, TableFailed
from medallion_jobs.report.query import run as query
from medallion_jobs.runs import Record, Recorder, log_file, recorded, store
from medallion_jobs.runs.log_file import private_folder
from medallion_jobs.storage import Location

TABLES = [str(BRONZE), str(SILVER), str(GOLD)]
FAULT = DataError(
    f"{SILVER}: the batch failed: no", code="batch_failed", untouched="all", next_step="fix it"
)


def records(lake: Lake) -> list[dict[str, Any]]:
    """The records as any program reads them, the oldest first."""
    return [json.loads(file.read_text()) for file in sorted(lake.runs.glob("*.json"))]


def log_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(record["log"]).read_text().splitlines()]


def overrides(lake: Lake) -> list[str]:
    return [word for word in lake.arguments if "=" in word]


@contextmanager
def a_run(lake: Lake, command: str = "run") -> Iterator[Recorder]:
    with recorded(command, CONFIG, None, overrides(lake)) as recorder:
        recorder.config(lambda: load(CONFIG, None, overrides(lake), {}))
        recorder.covers(TABLES)
        yield recorder


@pytest.fixture
def ready(lake: Lake) -> Lake:
    """What a run needs before it starts a JVM: a landing folder, and the dimension."""
    from lakes import write_table

    from medallion_jobs.config import TableRef

    (lake.root / "landing" / "sales").mkdir(parents=True)
    write_table(lake.path(TableRef("silver", "customers")))
    return lake


def _no_java(patch: pytest.MonkeyPatch, _: Lake) -> None:
    patch.setenv("JAVA_HOME", "/nowhere")
    patch.setenv("PATH", "/nowhere")


def _no_landing(_: pytest.MonkeyPatch, lake: Lake) -> None:
    (lake.root / "landing" / "sales").rmdir()


def _with_bronze(_: pytest.MonkeyPatch, lake: Lake) -> None:
    from lakes import write_table

    write_table(lake.path(BRONZE), rows=0)


def _raising(error: BaseException) -> Callable[[pytest.MonkeyPatch, Lake], None]:
    def prepare(patch: pytest.MonkeyPatch, _: Lake) -> None:
        def build(*_: object, **__: object) -> None:
            raise error

        patch.setattr("medallion_jobs.engine.session.build", build)

    return prepare


# How a run is made to fail, with which options; its exit code, its code and its outcome.
Case = tuple[Callable[[pytest.MonkeyPatch, Lake], None] | None, tuple[str, ...], int, str, str]
FAILURES: dict[str, Case] = {
    "no JVM": (_no_java, (), 2, "no_java", "failed"),
    "no landing folder": (_no_landing, (), 2, "no_landing_folder", "failed"),
    "bad config": (None, ("--set", "gold.x.no=1"), 2, "config_has_mistakes", "failed"),
    "missing lookup": (
        _with_bronze,
        ("silver", "--set", "silver.sales.lookups.0.table=silver.none"),
        *(2, "dimension_missing", "failed"),
    ),
    "Ctrl-C": (_raising(KeyboardInterrupt()), (), 130, "interrupted", "stopped"),
    "bug": (_raising(ValueError("oops")), (), 3, "bug", "failed"),
}


@pytest.mark.parametrize("case", FAILURES.values(), ids=FAILURES)
def test_each_failure_leaves_a_record_and_is_named(
    case: Case, ready: Lake, medallion: Medallion, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, words, exit_code, code, outcome = case
    with monkeypatch.context() as patch:
        if prepare:
            prepare(patch, ready)
        answer = medallion("run", "--progress", "json", *words)
    assert answer.code == exit_code, answer.err
    (record,) = records(ready)
    assert (record["error_code"], record["exit_code"], record["outcome"]) == (
        code,
        exit_code,
        outcome,
    )
    assert record["ended"] >= record["started"]
    assert record["command"] == "run"
    assert record["line"].startswith("medallion run --progress json")

    listed = medallion("runs", "--failed")
    assert (listed.code, code in listed.out) == (0, True)
    shown = medallion("runs", "show", "last")
    assert record["run_id"] in shown.out
    assert code in shown.out
    logged = medallion("runs", "show", record["run_id"][-6:], "--log").out
    assert [json.loads(line)["event"] for line in logged.splitlines()][::2] != []
    assert code in logged

    status = medallion("status")
    assert re.search(rf"{outcome} \d+ s ago: {code}", status.out)
    assert f"see: medallion runs show {record['run_id']}" in status.out
    checked = medallion("check")
    assert checked.code == 1
    assert re.search(rf"not fine: \S+: {outcome} \d+ s ago: {code}", checked.out)


def test_the_commands_work_with_a_config_with_mistakes(ready: Lake, medallion: Medallion) -> None:
    bad = ("--set", "gold.x.nonsense=1")
    medallion("run", *bad)
    assert "config_has_mistakes" in medallion("runs", *bad).out
    assert "gold.x" in medallion("runs", "show", "last", *bad).out
    assert medallion("check", *bad).code == 2


def test_counts_come_from_events(lake: Lake) -> None:
    with a_run(lake) as recorder:
        emit = recorder.listening(lambda _: None)
        emit(replace(batch_done(BRONZE, 0, files=2), rows_in=10, rows_out=8, quarantined=2))
        emit(replace(batch_done(BRONZE, 1, files=1), rows_in=None, rows_out=1, rescued=1))
        emit(Note(str(BRONZE), "done"))
        emit(replace(batch_done(SILVER, 0), rows_in=9, rows_out=4, held=3, dropped=2))
    (record,) = records(lake)
    bronze, silver, gold = record["tables"]
    assert (bronze["batches"], bronze["files"], bronze["rows_in"]) == (2, 3, 10)
    assert (bronze["rows_out"], bronze["quarantined"], bronze["rescued"]) == (9, 2, 1)
    assert (silver["rows_out"], silver["held"], silver["dropped"]) == (4, 3, 2)
    assert gold["batches"] == 0
    assert {one["outcome"] for one in record["tables"]} == {"ok"}
    assert [line["event"] for line in log_of(record)] == [
        *("started", "batch", "batch", "note", "batch")
    ]


@pytest.mark.usefixtures("lake")
def test_a_failed_table_is_told_from_those_it_kept_from_running(lake: Lake) -> None:
    with suppress(DataError), a_run(lake) as recorder:
        emit = recorder.listening(lambda _: None)
        emit(batch_done(BRONZE, 0))
        emit(Note(str(BRONZE), "done"))
        raise FAULT
    with suppress(DataError), a_run(lake) as recorder:
        emit = recorder.listening(lambda _: None)
        emit(batch_done(BRONZE, 0))
        emit(TableFailed.of(str(SILVER), FAULT))
        raise FAULT
    with suppress(DataError), a_run(lake) as recorder:
        emit = recorder.listening(lambda _: None)
        emit(batch_done(BRONZE, 0))
        emit(TableFailed.of(str(SILVER), FAULT))
        emit(RunSummary((str(BRONZE),), {str(SILVER): FAULT.code}, {str(GOLD): str(SILVER)}))
        raise FAULT
    outcomes = [
        [(one["outcome"], one["error_code"]) for one in record["tables"]]
        for record in records(lake)
    ]
    cut = ("not run", "batch_failed")
    assert outcomes == [
        [("ok", ""), ("failed", "batch_failed"), cut],
        [("stopped", "batch_failed"), ("failed", "batch_failed"), cut],
        [("ok", ""), ("failed", "batch_failed"), cut],
    ]
    assert records(lake)[2]["tables"][2]["error"] == f"{SILVER} failed"
    assert {record["next_step"] for record in records(lake)} == {"fix it"}


def test_a_run_that_was_asked_to_stop_is_fine(lake: Lake, medallion: Medallion) -> None:
    with a_run(lake) as recorder:
        recorder.listening(lambda _: None)(Note("run", "stopped", {"why": "asked"}))
    assert [one["outcome"] for one in records(lake)] == ["stopped"]
    assert medallion("runs", "--failed", "--json").out == "[]\n"
    assert medallion("check").code == 0


KILLED = """
import sys
from pathlib import Path
from medallion_jobs.config import load
from medallion_jobs.runs import recorded
config, *overrides = sys.argv[1:]
with recorded("run", Path(config), None, overrides) as recorder:
    recorder.config(lambda: load(Path(config), None, overrides, {}))
    recorder.covers(["bronze.sales", "silver.sales", "gold.sales_by_region_day"])
    recorder.jvm_log.write_text("2026-11-30 12:00:00 ERROR X: password=unmasked\\n")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_killed_run_is_closed_by_the_next(lake: Lake, medallion: Medallion) -> None:
    command = [sys.executable, "-c", KILLED, str(CONFIG), *overrides(lake)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        assert '"last_outcome": "running"' in medallion("status", "--json").out
        assert medallion("check").code == 0
        process.send_signal(signal.SIGKILL)
    (record,) = records(lake)
    assert record["outcome"] == "running"  # nobody has closed it yet, but readers know
    assert re.search(r"died \d+ s ago: run_died", medallion("status").out)
    assert medallion("check").code == 1
    private = private_folder(record["run_id"])
    assert private.exists()

    assert medallion("maintain").code == 0
    record, maintained = records(lake)
    assert (record["outcome"], record["error_code"]) == ("died", "run_died")
    assert {one["outcome"] for one in record["tables"]} == {"died"}
    assert maintained["outcome"] == "ok"
    assert not private.exists()
    assert "unmasked" not in Path(record["log"]).read_text()
    # Maintenance is no run of the tables: what is known of them stays.
    assert "run_died" in medallion("check").out


@pytest.mark.parametrize(
    ("host", "silent", "outcome"),
    [
        ("elsewhere", 10, "running"),
        ("elsewhere", 3600, "died"),
        (socket.gethostname(), 10, "died"),
    ],
)
def test_who_is_alive(host: str, silent: int, outcome: str, lake: Lake) -> None:
    beat = (datetime.now(timezone.utc) - timedelta(seconds=silent)).isoformat()
    known = Record("r", "run", host=host, pid=os.getpid(), born="1", started=beat, beat=beat)
    assert known.as_it_is.outcome == outcome


def test_a_run_that_finds_the_lock_held_does_not_hide_the_one_that_holds_it(
    ready: Lake, medallion: Medallion
) -> None:
    with a_run(ready), Lock(ready.home(BRONZE).lock, str(BRONZE)):
        assert medallion("run").code == 75
        assert [one["last_outcome"] for one in json.loads(medallion("status", "--json").out)] == [
            "running"
        ] * 3
        assert medallion("check").code == 0
    first, second = records(ready)
    assert (first["outcome"], second["error_code"]) == ("ok", "query_already_running")
    assert medallion("check").code == 1


def test_the_rows_of_all_runs_are_a_table(lake: Lake) -> None:
    with a_run(lake) as recorder:
        recorder.listening(lambda _: None)(replace(batch_done(BRONZE, 0), rows_in=7))
    with suppress(DataError), a_run(lake):
        raise FAULT
    sql = (
        "SELECT run_id, outcome, error_code, rows_in, started <= ended AS ordered, "
        "len(tables) AS n, tables[1].outcome AS first FROM metrics.runs ORDER BY started"
    )
    _, rows = query(lake.config, sql)
    assert rows == [
        (records(lake)[0]["run_id"], "ok", "", 7, True, 3, "ok"),
        (records(lake)[1]["run_id"], "failed", "batch_failed", 0, True, 3, "not run"),
    ]


def test_a_record_that_cannot_be_written_is_said_once_and_hides_nothing(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.runs.parent.mkdir(parents=True)
    lake.runs.write_text("in the way")
    with pytest.raises(DataError, match="the batch failed"), a_run(lake) as recorder:
        recorder.listening(lambda _: None)(batch_done(BRONZE, 0))
        raise FAULT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: the record of this run is not complete: ")
    assert str(lake.runs) in line


def test_a_full_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = OSError(28, "No space left on device")
    with small_disk(tmp_path / "disk") as disk:
        lake = Lake(disk.path)
        # It gets full while a run goes on: the record has room for its end.
        with ExitStack() as filled, suppress(OSError), a_run(lake):
            filled.enter_context(disk.filled(free=0))
            raise full
        assert [one["outcome"] for one in records(lake)] == ["failed"]
        with a_run(lake):
            pass
        capsys.readouterr()
        # It is full from the start: the record takes the place of the spare file.
        with disk.filled(free=0), suppress(OSError), a_run(lake):
            raise full
        assert [one["outcome"] for one in records(lake)] == ["failed", "ok", "failed"]
        assert records(lake)[2]["exit_code"] == 3
        # It still is: what ended the run is not hidden.
        ended = pytest.raises(OSError, match="No space left")
        with disk.filled(free=0), ended as raised, a_run(lake):
            raise full
        assert raised.value is full
        assert len(records(lake)) == 3
        assert "the record of this run is not complete: No space left" in capsys.readouterr().err


def test_secrets_are_masked_everywhere(
    ready: Lake, medallion: Medallion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "medallion_jobs.engine.session.build",
        lambda *_, **__: (_ for _ in ()).throw(ValueError("jdbc://ann:hunter-2@db/x")),
    )
    monkeypatch.setenv("PASSWORD_OF_LAKE", "s3cret-of-lake")
    words = ("--set", "spark.conf.spark.hadoop.fs.s3a.secret.key=${env:PASSWORD_OF_LAKE}")
    medallion("run", *words)
    medallion("run", "--set", "gold.x.sinks.0.password=hunter-2", *words)
    texts = [file.read_text() for file in ready.runs.rglob("*") if file.is_file()]
    assert len(texts) == 5
    assert not [text for text in texts if "hunter-2" in text or "s3cret" in text]
    # The command, and the next step.
    assert medallion("runs", "show", "last").out.count("gold.x.sinks.0.password=***") == 2


def test_the_log_takes_over_what_the_jvm_writes(lake: Lake) -> None:
    entry = "2026-11-30 12:00:0{} ERROR Executor: no\n\tat a.b(C.scala:1)\n"
    with a_run(lake) as recorder:
        assert recorder.jvm_log
        recorder.jvm_log.write_text(entry.format(1) + "half")
        recorder._log.gather()
        with recorder.jvm_log.open("a") as out:
            out.write(" a line\n" + entry.format(2))
        private = recorder.jvm_log.parent
        assert private.stat().st_mode & 0o077 == 0
    assert not private.exists()
    texts = [line["text"] for line in log_of(records(lake)[0]) if line["event"] == "jvm"]
    assert texts == [entry.format(1).rstrip(), "half a line", entry.format(2).rstrip()]


def test_logs_are_bounded(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_LOGS", 2)
    monkeypatch.setattr(log_file, "MOST_BYTES", 2000)
    for name in ("20200101-000000-aaaaaa", "20990101-000000-aaaaaa"):
        (lake.runs / "logs").mkdir(parents=True, exist_ok=True)
        (lake.runs / "logs" / f"{name}.log").touch()
    for _ in range(4):
        with a_run(lake) as recorder:
            emit = recorder.listening(lambda _: None)
            for number in range(20):
                emit(Note("x", f"note {number}"))
    logs = sorted(file.stem for file in (lake.runs / "logs").iterdir())
    assert len(logs) == 2
    assert logs[-1].startswith("2099")
    lines = (lake.runs / "logs" / f"{logs[0]}.log").read_text().splitlines()
    assert sum(map(len, lines)) < 2000
    assert json.loads(lines[-1])["what"] == "note 19"


def test_older_records_move_into_a_table(
    lake: Lake, medallion: Medallion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST_RECORDS", 3)
    monkeypatch.setattr(store, "KEPT_AS_FILES", 1)
    ids, kept = [], None
    for number in range(6):
        with a_run(lake) as recorder:
            recorder.listening(lambda _: None)(replace(batch_done(BRONZE, 0), rows_in=number))
        ids.append(recorder.id)
        kept = kept or next(lake.runs.glob("*.json")).read_text()
    assert [one["run_id"] for one in records(lake)] == ids[3:]
    table = DeltaTable(lake.runs.parent / "metrics" / "runs")
    moved = table.to_pyarrow_table().sort_by("run_id").to_pylist()
    assert [row["run_id"] for row in moved] == ids[:3]
    assert moved[2]["tables"][0]["rows_in"] == moved[2]["rows_in"] == 2
    # A run that was killed in the midst left a file of a record that is in the table.
    (lake.runs / f"{ids[0]}.json").write_text(kept)
    sql = "SELECT run_id, rows_in, started, tables[1].rows_in FROM metrics.runs ORDER BY run_id"
    _, rows = query(lake.config, sql)
    assert [row[0] for row in rows] == ids
    assert [(row[1], row[3]) for row in rows] == [(number, number) for number in range(6)]
    with a_run(lake) as recorder:
        pass
    _, rows = query(lake.config, sql)
    assert [row[0] for row in rows] == [*ids, recorder.id]
    assert not (lake.runs / f"{ids[0]}.json").exists()
    assert medallion("destroy", "--yes").code == 0
    assert not (lake.runs.parent / "metrics" / "runs").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 0, ""),
        (("--max-age", "26h"), 0, ""),
        (("--max-quarantine", "10%"), 0, ""),
        (("--max-quarantine", "9.9%"), 1, f"{BRONZE}: 1 of 10 rows (10.00%) were quarantined"),
        (("--max-quarantine", "1"), 0, ""),
        (("--max-quarantine", "0"), 1, f"{BRONZE}: 1 of 10 rows"),
        (("--max-held", "0"), 0, ""),
        (("--max-quarantine", "many"), 2, "neither a share"),
        (("--max-age", "soon"), 2, "not a duration"),
    ],
)
def test_the_limits_of_check(
    words: tuple[str, ...], code: int, said: str, lake: Lake, medallion: Medallion
) -> None:
    with a_run(lake) as recorder:
        emit = recorder.listening(lambda _: None)
        emit(replace(batch_done(BRONZE, 0), rows_in=10, rows_out=9, quarantined=1))
    answer = medallion("check", *words)
    assert answer.code == code
    assert said in answer.out + answer.err
    if code < 2:
        found = json.loads(medallion("check", "--json", *words).out)
        assert found["fine"] == (code == 0)
        assert [one["table"] for one in found["tables"]] == TABLES


def test_a_run_that_did_not_take_place_is_not_fine(lake: Lake, medallion: Medallion) -> None:
    assert medallion("check").code == 0  # nothing has failed
    answer = medallion("check", "--max-age", "26h")
    assert answer.code == 1
    assert answer.out.count("no run has loaded it in the last 26 h") == 3
    with a_run(lake):
        pass
    assert medallion("check", "--max-age", "26h").code == 0
    (file,) = lake.runs.glob("*.json")
    old = (datetime.now(timezone.utc) - timedelta(hours=30)).isoformat()
    file.write_text(json.dumps({**json.loads(file.read_text()), "ended": old, "started": old}))
    assert (
        "not fine: bronze.sales: last up to date 30 h ago"
        in medallion("check", "--max-age", "26h").out
    )
    assert medallion("check").code == 0


def test_runs_are_found_by_time_and_by_a_part_of_their_id(lake: Lake, medallion: Medallion) -> None:
    with a_run(lake):
        pass
    (record,) = records(lake)
    (lake.runs / "20250101-000000-abcdef.json").write_text(
        json.dumps({**record, "run_id": "20250101-000000-abcdef", "of_a_later_version": 1})
    )
    (lake.runs / "20250102-000000-abcdef.json").write_text("{")
    assert len(json.loads(medallion("runs", "--json").out)) == 2
    assert len(json.loads(medallion("runs", "--json", "--since", "2d").out)) == 1
    assert len(json.loads(medallion("runs", "--json", "--limit", "1").out)) == 1
    assert "20250101-000000-abcdef" in medallion("runs", "show", "20250101").out
    answer = medallion("runs", "show", "202")
    assert (answer.code, "more than one run" in answer.err) == (2, True)
    assert medallion("runs", "show", "none").code == 2
    answer = medallion("runs", "show", "20250101", "--log")
    assert (answer.code, "is gone" in answer.err) == (2, True)


def test_destroy_removes_the_records_of_its_pipeline(lake: Lake, medallion: Medallion) -> None:
    with a_run(lake):
        pass
    (record,) = records(lake)
    other = lake.runs / "20250101-000000-abcdef.json"
    other.write_text(json.dumps({**record, "run_id": other.stem, "pipeline": "other"}))
    assert medallion("destroy", "--yes").code == 0
    assert list(lake.runs.glob("*.json")) == [other]
    other.unlink()
    assert medallion("destroy", "--yes").code == 0
    assert not lake.runs.exists()


def test_in_a_store(
    store: objects.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, medallion: Medallion
) -> None:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    root = store.at(tmp_path.name)
    words = ("--set", f"storage.root={root}", "--set", "gold.x.nonsense=1")
    monkeypatch.setattr("lakes.Lake.arguments", ["--config", str(CONFIG)])
    assert medallion("run", *words).code == 2
    found: list[Location] = list((root / "_medallion").rglob("*"))
    assert len(found) == 2
    assert "config_has_mistakes" in medallion("runs", *words).out
    assert "config_has_mistakes" in medallion("runs", "show", "last", "--log", *words).out
    assert medallion("check", *words[:2]).code == 1


def test_a_job_under_spark_submit_leaves_one_too(
    ready: Lake, monkeypatch: pytest.MonkeyPatch, medallion: Medallion
) -> None:
    from medallion_jobs import bronze  # it imports pyspark
    from medallion_jobs.engine import runner

    monkeypatch.setattr(runner.session, "check_submitted", lambda _: None)  # starts no JVM
    _no_landing(monkeypatch, ready)
    monkeypatch.setattr(sys, "argv", ["/x/bronze.py", *ready.arguments])
    with pytest.raises(SystemExit):
        runner.submitted(bronze.streams)
    (record,) = records(ready)
    assert (record["command"], record["error_code"]) == ("bronze.py", "no_landing_folder")
    assert [one["table"] for one in record["tables"]] == [str(BRONZE)]
    status = json.loads(medallion("status", "--json").out)
    assert [one["last_code"] for one in status] == ["no_landing_folder", None, None]


def test_the_queries_of_the_docs_run(lake: Lake) -> None:
    with a_run(lake) as recorder:
        done = batch_done(SILVER, 0)
        recorder.listening(lambda _: None)(done)
        BatchTable(lake.paths(SILVER).metrics).append(done, 1, recorder.id)
    page = (CONFIG.parents[1] / "docs" / "runs.md").read_text()
    queries = re.findall(r'medallion query "(.*)"', page)
    assert len(queries) == 3
    assert [len(query(lake.config, sql)[1]) for sql in queries] == [1, 1, 1]


def test_the_page_of_the_doctor_has_its_codes() -> None:
    root = CONFIG.parents[1]
    source = "".join(
        file.read_text() for file in (root / "medallion_jobs/report/doctor").glob("*.py")
    )
    codes = set(re.findall(r'(?:Finding\(|return )\s*"([a-z_]+)",', source))
    assert len(codes) > 10
    page = (root / "docs" / "doctor.md").read_text()
    assert {code for code in codes if f"`{code}`" not in page} == set()
