"""`medallion run --continuous`: side by side, read while it writes, and stopped cleanly."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from support.exact import assert_exact
from support.lake import ROOT, Lake, order
from support.processes import Medallion, completed

RUN = ("run", "all", "--continuous", "--interval", "1s", "--progress", "json")
TRICKLE = ("--rate", "200", "--rows", "50", "--duration", "4s", "--seed", "2", "--dirty", "0.05")


def test_files_flow_to_gold_under_the_eyes_of_readers_until_a_stop(
    lake: Lake, tmp_path: Path
) -> None:
    enough = tmp_path / "enough"
    with Medallion(lake, *RUN) as run, _reader(lake, enough) as reader:
        lake.generate(3, seed=1, dirty=0.05)
        run.wait_until(lambda: _batches(run, "gold.sales_by_region_day"))
        _second_run_is_refused(lake, run)
        code, said = completed(lake, "generate", *TRICKLE)
        assert code == 0, said
        truth = lake.truth()
        run.wait_until(lambda: _total(lake) == sum(_quantities(truth)))
        assert len(_batches(run, "gold.sales_by_region_day")) > 1

        code, said = completed(lake, "stop")
        assert code == 0, said
        assert run.wait(60) == 0, run.text
        enough.touch()
        told = json.loads(reader.communicate(timeout=60)[0])
    assert told["failures"] == []
    assert told["emptied"] == 0
    read = set(told["reads"])
    assert {"bronze/sales", "silver/sales", "gold/sales_by_region_day"} <= read
    assert {"_medallion/ledger/sales/events", "_medallion/quarantine/bronze/sales"} <= read
    assert_exact(lake, truth)


def test_sigterm_ends_a_run_cleanly_and_the_next_one_goes_on(lake: Lake) -> None:
    lake.generate(6, dirty=0.05)
    slow = lake.having("bronze.sales.source.max_files_per_trigger=1")
    with Medallion(slow, *RUN) as run:
        run.wait_until(lambda: _batches(run, "bronze.sales"))
        run.signal(signal.SIGTERM)
        started = time.monotonic()
        assert run.wait(60) == 0, run.text
        assert time.monotonic() - started < 30
        assert len(_batches(run, "bronze.sales")) < 6
        assert [e["facts"]["why"] for e in run.events if e.get("what") == "stopped"] == ["SIGTERM"]
    code, said = completed(lake, "run", "--progress", "json")
    assert code == 0, said
    assert_exact(lake)


def test_a_layer_that_fails_is_named_and_the_others_finish_their_batch(lake: Lake) -> None:
    lake.add_customers({7: "South"})
    lake.drop("one.json", order(customer_id=7))
    with Medallion(lake, *RUN) as run:
        assert run.wait(120) == 1, run.text
        assert "error: silver.sales" not in run.text  # the cause comes first, with its own words
        assert "silver.customers has more than one row for a key: customer_id=7" in run.text
        assert len(_batches(run, "bronze.sales")) == 1
    assert_exact(lake, layers=["bronze"])
    assert lake.rows("silver.sales") == []
    told = json.loads(lake.cli("status", "--json"))
    assert {one["table"]: one["state"] for one in told} == {
        "bronze.sales": "idle",
        "silver.sales": "idle",
        "gold.sales_by_region_day": "idle",
    }


def _second_run_is_refused(lake: Lake, run: Medallion) -> None:
    started = time.monotonic()
    code, said = completed(lake, "run")
    assert time.monotonic() - started < 3
    assert code == 75, said
    assert f"bronze.sales is running already, by pid {run.pid}" in said
    assert "medallion stop" in said


def _batches(run: Medallion, table: str) -> list[dict[str, object]]:
    return [e for e in run.events if e["event"] == "batch" and e["table"] == table]


def _total(lake: Lake) -> int:
    return sum(row["total_quantity"] or 0 for row in lake.rows("gold.sales_by_region_day"))


def _quantities(truth: object) -> list[int]:
    return [row[2] or 0 for row in truth.gold.elements()]  # type: ignore[attr-defined]


def _reader(lake: Lake, enough: Path) -> subprocess.Popen[str]:
    script = ROOT / "tests" / "support" / "reader.py"
    return subprocess.Popen(
        [sys.executable, str(script), str(lake.storage), str(enough)],
        stdout=subprocess.PIPE,
        text=True,
    )
