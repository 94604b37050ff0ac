"""The pipelines beside sales, whole: silver and gold equal what the landed files call for."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.pipelines import PIPELINES, PipelineLake, assert_exact


@pytest.mark.parametrize("name", PIPELINES)
def test_in_one_pass(name: str, tmp_path: Path, spark: object) -> None:
    lake = PipelineLake.of(name, tmp_path)
    lake.generate(9, rows=60, seed=3, dirty=0.05)
    lake.run()
    assert_exact(lake)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", PIPELINES)
def test_twenty_seeds(name: str, seed: int, tmp_path: Path, spark: object) -> None:
    lake = PipelineLake.of(name, tmp_path)
    lake.generate(9, rows=100, seed=seed, dirty=0.03 * (seed % 3))
    lake.run()
    assert_exact(lake)
