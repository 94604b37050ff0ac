"""`medallion run --continuous`: side by side, read while it writes, and stopped cleanly."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.exact import assert_exact
from support.lake import ROOT, Lake, order
from support.processes import PATIENCE, Medallion, completed, quick, seconds_of_work

RUN = ("run", "all", "--continuous", "--interval", "1s", "--progress", "json")
TRICKLE = ("--rate", "100", "--rows", "50", "--duration", "4s", "--seed", "2", "--dirty", "0.05")


def test_sigterm_then_on_to_gold_under_the_eyes_of_readers_until_a_stop(
    lake: Lake, tmp_path: Path
) -> None:
    lake.generate(4, dirty=0.05)
    slow = lake.having("bronze.sales.source.max_files_per_trigger=1")
    with Medallion(slow, *RUN) as run:
        run.wait_until(lambda: _batches(run, "bronze.sales"))
        run.signal(signal.SIGTERM)
        assert run.wait() == 0, run.text
        assert len(_batches(run, "bronze.sales")) < 4
        assert _why_stopped(run) == "SIGTERM"

    # The next one takes up the rest, and what comes while it runs.
    with Medallion(lake, *RUN) as run, _reader(lake, tmp_path / "told") as reader:
        run.wait_until(lambda: _batches(run, "gold.sales_by_region_day"))
        _second_run_is_refused(lake, run)
        code, said = completed(lake, "generate", *TRICKLE)
        assert code == 0, said
        truth = lake.truth()
        run.wait_until(lambda: _total(lake) == sum(_quantities(truth)))
        assert len(_batches(run, "gold.sales_by_region_day")) > 1
        code, said = completed(lake, "stop")
        assert code == 0, said
        assert run.wait() == 0, run.text
    assert_exact(lake, truth)
    assert reader.wait(PATIENCE) == 0
    told = json.loads((tmp_path / "told").read_text())
    assert told["failures"] == []
    assert told["emptied"] == 0
    read = set(told["reads"])
    assert {"bronze/sales", "silver/sales", "gold/sales_by_region_day"} <= read
    assert {"_medallion/ledger/sales/events", "_medallion/quarantine/bronze/sales"} <= read


def test_a_layer_that_fails_is_named_and_the_others_finish_their_batch(lake: Lake) -> None:
    lake.add_customers({7: "South"})
    lake.drop("one.json", order(customer_id=7))
    with Medallion(lake, *RUN, "--set", "trigger.restart.on_give_up=stop") as run:
        assert run.wait() == 1, run.text
        cause = "silver.customers has more than one row for a key: customer_id=7"
        (failed,) = [event for event in run.events if event["event"] == "table_failed"]
        assert failed["table"] == "silver.sales"
        assert cause in failed["what"]
        assert f"error: {cause}" in run.text
        (summary,) = [event for event in run.events if event["event"] == "summary"]
        assert summary["not_run"] == {"gold.sales_by_region_day": "silver.sales"}
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
    took, code, said = seconds_of_work(lake, "run")
    assert code == 75, said
    assert took < quick()
    assert f"bronze.sales is already running: pid {run.pid}" in said
    assert "medallion stop" in said


def _batches(run: Medallion, table: str) -> list[dict[str, object]]:
    return [e for e in run.events if e["event"] == "batch" and e["table"] == table]


def _total(lake: Lake) -> int:
    return sum(row["total_quantity"] or 0 for row in lake.rows("gold.sales_by_region_day"))


def _quantities(truth: object) -> list[int]:
    return [row[2] or 0 for row in truth.gold.elements()]  # type: ignore[attr-defined]


def _why_stopped(run: Medallion) -> str:
    (why,) = [str(e["facts"]["why"]) for e in run.events if e.get("what") == "stopped"]
    return why


@contextmanager
def _reader(lake: Lake, told: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Reads all tables in a process of its own until the context is left."""
    script = ROOT / "tests" / "support" / "reader.py"
    enough = told.with_name("enough")
    with told.open("wb") as out:
        reader = subprocess.Popen(
            [sys.executable, str(script), str(lake.storage), str(enough)], stdout=out
        )
    try:
        yield reader
    finally:
        enough.touch()
        reader.wait(PATIENCE)


def test_silver_and_gold_follow_a_commit_before_the_interval_is_over(lake: Lake) -> None:
    lake.generate(2, rows=20)
    with Medallion(lake, "run", "--continuous", "--interval", "1h", "--progress", "json") as run:
        # The first batch of complete mode has no rows yet.
        run.wait_until(lambda: "gold.sales_by_region_day" in _tables_with_rows(run))
        run.signal(signal.SIGTERM)
        assert run.wait() == 0, run.text
    assert len(lake.rows("silver.sales")) == 40


def _tables_with_rows(run: Medallion) -> set[str]:
    return {e["table"] for e in run.events if e["event"] == "batch" and e["rows_in"]}
