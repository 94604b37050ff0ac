"""`kill -9` at each point of a batch, and what may come after it: no row is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable
from support.dies_at import POINTS
from support.exact import assert_exact
from support.lake import Lake
from support.oracle import Truth
from support.processes import Medallion

SCRIPT = Path(__file__).parents[1] / "support" / "dies_at.py"
# Which batches bronze has when the process dies: the first only, or the second too.
IN_BRONZE = {
    "after_discovery": 0,
    "after_the_offset": 1,
    "during_the_bronze_write": 1,
    "after_the_bronze_commit": 2,
    "before_the_ledger_events": 2,
    "before_the_commit_log": 2,
}
# The one after which most is left to do; the others with `-m slow`.
IN_CI = ("after_the_bronze_commit",)


@pytest.fixture(
    scope="module",
    params=[p if p in IN_CI else pytest.param(p, marks=pytest.mark.slow) for p in POINTS],
)
def killed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Six dirty files in three batches, of which the second was cut off."""
    point: str = request.param
    lake = Lake.at(tmp_path_factory.mktemp(point), "bronze.sales.source.max_files_per_trigger=2")
    lake.generate(6, rows=50, dirty=0.2)
    with Medallion(
        lake, "run", "bronze", "--progress", "json", script=SCRIPT, DIES_AT=point
    ) as run:
        assert run.wait() == -9, run.text
    table = DeltaTable(lake.path("bronze.sales"))
    appended = [c for c in table.history() if c["operation"] == "WRITE"]
    assert len(appended) == IN_BRONZE[point]
    return lake


def test_restart(killed: Lake, spark: object, tmp_path: Path) -> None:
    lake = killed.copy(tmp_path)
    lake.run()
    assert_exact(lake)
    versions = lake.versions()
    lake.run()
    assert lake.versions() == versions


def test_reset_and_restart(killed: Lake, spark: object, tmp_path: Path) -> None:
    lake = killed.copy(tmp_path)
    lake.reset("bronze.sales")
    lake.run("bronze")
    assert_exact(lake, layers=["bronze"])


def test_a_file_is_deleted_before_the_restart(killed: Lake, spark: object, tmp_path: Path) -> None:
    """Its rows are in bronze already, or it is reported."""
    landing = tmp_path / "kept"
    lake = killed.copy(tmp_path)
    truth = lake.truth()
    # Of the second batch: the oldest of those that a cut-off batch may have read.
    landed = lake.folder.glob("*.json*")
    file = sorted(landed, key=lambda path: path.stat().st_mtime_ns)[2]
    file.rename(landing)
    try:
        lake.run("bronze")
        told = lake.files()[str(file)]
        rest = {path: read for path, read in truth.files.items() if path != str(file)}
        if told["state"] == "MISSING":
            assert "gone" in told["error"]
            others = lake.files()
            del others[str(file)]
            assert {one["state"] for one in others.values()} == {"COMMITTED"}
            rows = lake.rows("bronze.sales")
            assert len(rows) == Truth(rest, truth.regions).bronze.total()
        else:
            # Bronze had it; its bad lines are gone with it, and the ledger says how many
            # records it has of the file.
            assert told["state"] == "COMMITTED"
            assert told["rows"] == len(truth.files[str(file)].rows)
            assert len(lake.rows("bronze.sales")) == truth.bronze.total()
    finally:
        landing.rename(file)
