"""Two hundred dirty files, by real commands: every table right, every file accounted for."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, NamedTuple

import pytest
from support.exact import assert_exact
from support.lake import ROOT, Lake
from support.processes import PATIENCE, SHORT_LIVED, quick, seconds_of_work

FILES, ROWS = 200, 250
SHORT_RUN = ("--driver-java-options", SHORT_LIVED)


class Big(NamedTuple):
    """A finished lake, and the lines that its run wrote to stdout."""

    lake: Lake
    lines: list[str]


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Big:
    lake = Lake.at(tmp_path_factory.mktemp("big"))
    lake.generate(FILES, rows=ROWS, seed=11, dirty=0.05, new_column_from=100)
    done = subprocess.run(
        [sys.executable, "-m", "medallion_jobs", "run", *lake.arguments],
        cwd=lake.storage.parent,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Big(lake, done.stdout.splitlines())


def test_every_table_equals_the_oracle_and_every_file_balances(big: Big) -> None:
    truth = assert_exact(big.lake)
    assert len(truth.files) == FILES
    assert {file.lines for file in truth.files.values()} == {ROWS}


def test_progress_is_json_with_one_line_for_each_batch(big: Big) -> None:
    events = [json.loads(line) for line in big.lines]
    told = [(e["table"], e["batch"]) for e in events if e["event"] == "batch"]
    assert len(told) == len(set(told))
    by_table = {table: sum(t == table for t, _ in told) for table, _ in told}
    listed = json.loads(big.lake.cli("checkpoint", "list", "--json"))
    assert by_table == {one["table"]: one["batches"] for one in listed}
    bronze = next(e for e in events if e["event"] == "batch" and e["table"] == "bronze.sales")
    assert bronze["files"] == FILES
    assert bronze["rows_in"] == FILES * ROWS == bronze["rows_out"] + bronze["quarantined"]


@pytest.mark.parametrize(
    "command",
    [("status",), ("query", "SELECT * FROM gold.sales_by_region_day")],
    ids=["status", "query"],
)
def test_what_needs_no_jvm_answers_at_once(big: Big, command: tuple[str, ...]) -> None:
    took, code, said = seconds_of_work(big.lake, *command)
    assert code == 0, said
    assert took < quick()


# Fewer files, and each job once: tests/e2e/test_bare_submit.py.
@pytest.mark.slow
def test_spark_submit_of_the_three_jobs_gives_the_same_tables(
    big: Big, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Orders lie around midnight, UTC: where local time counted, gold's days would differ.
    monkeypatch.setenv("TZ", "America/New_York")
    lake = Lake(tmp_path_factory.mktemp("submitted") / "lake", big.lake.landing)
    lake.generate(0)
    for layer in ("bronze", "silver", "gold"):
        done = subprocess.run(
            [str(ROOT / "scripts" / "submit"), layer, *lake.arguments, "--", *SHORT_RUN],
            cwd=lake.storage.parent,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        events = [json.loads(x) for x in done.stdout.splitlines() if x.startswith("{")]
        assert [e["table"] for e in events if e["event"] == "batch"] == _queries(events, layer)
    assert_exact(lake, big.lake.truth())


def _queries(events: list[dict[str, Any]], layer: str) -> list[str]:
    (ended,) = [e["table"] for e in events if e.get("what") == "done"]
    assert ended.startswith(f"{layer}.")
    return [ended]
