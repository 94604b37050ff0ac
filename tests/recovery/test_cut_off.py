"""Killed between bronze's commit and that of its quarantine: the bad lines are not lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.exact import assert_exact
from support.lake import Lake
from support.processes import Medallion

SCRIPT = Path(__file__).parents[1] / "support" / "dies_before_the_quarantine.py"


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake.at(tmp_path_factory.mktemp("cut_off"))
    lake.generate(4, rows=50, dirty=0.2)
    with Medallion(lake, "run", "bronze", "--progress", "json", script=SCRIPT) as run:
        assert run.wait() == 137, run.text
    assert lake.rows("bronze.sales")
    return lake


@pytest.mark.parametrize("reset", [False, True])
def test_the_next_run_quarantines_the_bad_lines_of_the_batch(
    cut_off: Lake, spark: object, tmp_path: Path, reset: bool
) -> None:
    lake = cut_off.copy(tmp_path)
    before = lake.rows("bronze.sales")
    if reset:
        lake.reset("bronze.sales")
    lake.run()
    assert lake.truth().quarantine
    assert_exact(lake)
    assert len(lake.rows("bronze.sales")) == len(before)
