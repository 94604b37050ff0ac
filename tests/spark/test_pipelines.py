"""The pipelines beside sales, whole: silver and gold equal what the landed files call for."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from support.pipelines import PIPELINES, PipelineLake, assert_exact


@pytest.mark.parametrize("name", PIPELINES)
def test_in_one_pass(name: str, tmp_path: Path, spark: object) -> None:
    lake = PipelineLake.of(name, tmp_path)
    lake.generate(9, rows=60, seed=3, dirty=0.05)
    lake.run()
    assert_exact(lake)


@pytest.mark.parametrize("name", PIPELINES)
def test_in_slices_with_restarts_between(name: str, tmp_path: Path, spark: object) -> None:
    _in_slices(PipelineLake.of(name, tmp_path), files=9, slices=3, seed=5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", PIPELINES)
def test_twenty_seeds(name: str, seed: int, tmp_path: Path, spark: object) -> None:
    lake = PipelineLake.of(name, tmp_path)
    lake.generate(9, rows=100, seed=seed, dirty=0.03 * (seed % 3))
    lake.run()
    assert_exact(lake)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PIPELINES)
def test_thirty_slices(name: str, tmp_path: Path, spark: object) -> None:
    _in_slices(PipelineLake.of(name, tmp_path), files=40, slices=30, seed=7)


def _in_slices(lake: PipelineLake, *, files: int, slices: int, seed: int) -> None:
    """Files land in random slices, in their order; each slice is a run of its own."""
    staged = lake.stage(files, rows=60, seed=seed, dirty=0.05)
    cuts = sorted(Random(seed).sample(range(1, files), slices - 1))
    for begin, end in zip([0, *cuts], [*cuts, files], strict=True):
        lake.land(path for brought in staged[begin:end] for path in brought)
        lake.run()
    assert_exact(lake)
