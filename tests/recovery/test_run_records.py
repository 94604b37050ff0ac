"""Runs as processes of their own that end badly: each leaves a record with its code, and a log."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from support import objects
from support.disk import small_disk
from support.lake import Lake
from support.processes import Medallion, completed
from support.stored import StoredLake

from medallion_jobs.checkpoint import QueryFolder
from medallion_jobs.config import TableRef
from medallion_jobs.lake.paths import TablePaths

RUN = ("run", "--progress", "json")
BREAKS = (
    *("--set", "silver.sales.expect.many.check=quantity > 1000"),
    *("--set", "silver.sales.expect.many.otherwise=fail"),
)


def records(lake: Lake) -> list[dict[str, Any]]:
    """The newest last."""
    return list(reversed(json.loads(lake.cli("runs", "--json"))))


def named(lake: Lake, code: str, table: str = "silver.sales") -> list[dict[str, Any]]:
    """Checks that the newest run is shown with its code wherever a person looks; gives its log."""
    newest = records(lake)[-1]
    assert newest["error_code"] == code
    status = {one["table"]: one for one in json.loads(lake.cli("status", "--json"))}
    assert (status[table]["last_code"], status[table]["last_run"]) == (code, newest["run_id"])
    checked, said = completed(lake, "check")
    assert checked == 1
    assert f"not fine: {table}: {newest['outcome']}" in said
    log = lake.cli("runs", "show", newest["run_id"], "--log").splitlines()
    assert code in log[-1]
    return [json.loads(line) for line in log]


def test_a_killed_run_and_a_broken_rule(lake: Lake) -> None:
    lake.generate(3)
    with Medallion(lake, *RUN, "--continuous") as run:
        # Not in the midst of a batch of silver, whose logic is another in the next run.
        run.wait_until(lambda: [e for e in run.events if e.get("table", "").startswith("gold.")])
        assert [one["last_outcome"] for one in json.loads(lake.cli("status", "--json"))] == [
            "running"
        ] * 3
        run.signal(signal.SIGKILL)
        assert run.wait() == -9
    assert records(lake)[-1]["outcome"] == "died"

    lake.generate(3, seed=2)
    code, said = completed(lake, *RUN, *BREAKS)
    assert code == 1, said
    died, failed = records(lake)
    assert (died["outcome"], died["error_code"]) == ("died", "run_died")
    assert (failed["outcome"], failed["exit_code"]) == ("failed", 1)
    log = named(lake, "rule_failed_batch")
    # The JVM's own words are in the log, and were not on the console.
    (trace, *_) = [line["text"] for line in log if line["event"] == "jvm"]
    assert "\n\tat org.apache.spark." in trace
    assert "at org.apache.spark." not in said
    told = {one["table"]: one["outcome"] for one in failed["tables"]}
    assert told == {
        "bronze.sales": "ok",
        "silver.sales": "failed",
        "gold.sales_by_region_day": "not run",
    }
    # By another engine: the rows of the batches have the ids of their runs.
    batches = DeltaTable(TablePaths(lake.config, TableRef("bronze", "sales")).metrics)
    rows = batches.to_pyarrow_table().sort_by("batch").to_pylist()
    assert [row["run_id"] for row in rows] == [died["run_id"], failed["run_id"]]
    assert failed["tables"][0]["rows_in"] == rows[-1]["rows_in"]


@pytest.mark.slow
def test_ctrl_c(lake: Lake) -> None:
    lake = lake.having("bronze.sales.source.max_files_per_trigger=1")
    lake.generate(30)
    with Medallion(lake, *RUN) as run:
        run.wait_until(lambda: [e for e in run.events if e["event"] == "batch"])
        run.signal(signal.SIGINT)
        assert run.wait() == 75, run.text
    assert records(lake)[-1]["outcome"] == "stopped"
    named(lake, "stopped_early")


@pytest.mark.slow
def test_a_file_that_nothing_can_read(lake: Lake) -> None:
    lake.generate(1)
    lake.drop_bytes("poison.json.gz", b"no gzip")
    assert completed(lake, *RUN)[0] == 0
    code, said = completed(lake, "check")
    assert (code, "1 file could not be read, such as" in said) == (1, True)
    lake.drop_bytes("more.json.gz", b"no gzip either")
    code, said = completed(lake, *RUN, "--set", "on_all_aside=fail")
    assert code == 1, said
    named(lake, records(lake)[-1]["error_code"], "bronze.sales")


@pytest.mark.slow
def test_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        lake = Lake(disk.path / "lake", tmp_path / "landing", Lake.at(tmp_path).settings)
        lake.generate(3)
        assert completed(lake, *RUN)[0] == 0
        for free in (0, 64, 128):
            lake.generate(3, seed=free + 1)
            with disk.filled(free=free * 1024):
                code, said = completed(lake, *RUN)
            assert code == 75, said
            assert "No space left on device" in said.splitlines()[-3]
            last = records(lake)[-1]
            assert (last["outcome"], last["exit_code"]) == ("failed", 75)
            assert "No space left on device" in last["error"]
            assert completed(lake, "check")[0] == 1
            code, said = completed(lake, *RUN)
            assert code == 0, said
            assert completed(lake, "check")[0] == 0


@pytest.mark.slow
def test_a_cluster_that_does_not_answer(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_SPARK_AUTH_SECRET", "nobody-knows-it")
    lake.generate(1)
    code, said = completed(lake, *RUN, "--set", "spark.master=spark://127.0.0.1:9")
    assert code == 75, said
    log = named(lake, "cluster_refused_job")
    assert "nobody-knows-it" not in json.dumps(log)


@pytest.mark.slow
def test_a_lost_lease_in_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with objects.running() as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        lake = StoredLake.in_store(store, tmp_path)
        lake.generate(3)
        lease = QueryFolder.of(TablePaths(lake.config, TableRef("silver", "sales"))).lock
        with Medallion(lake, *RUN, "--continuous", "--interval", "1s") as run:
            run.wait_until(lambda: [e for e in run.events if e["table"].startswith("gold")])
            holder = json.loads(lease.read_text())
            lease.write_text(json.dumps({**holder, "host": "elsewhere", "pid": 1}))
            lake.generate(3, seed=2)
            run.wait_until(lambda: [e for e in run.events if e["event"] == "table_failed"])
            run.signal(signal.SIGTERM)  # bronze goes on until then
            assert run.wait() == 75, run.text
        log = named(lake, "query_already_running")
        assert "elsewhere" in json.dumps(log)
