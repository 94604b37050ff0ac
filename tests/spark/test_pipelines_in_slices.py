"""The pipelines beside sales, run again for each slice of their files: as if in one pass."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from support.pipelines import PIPELINES, PipelineLake, assert_exact


@pytest.mark.slow
def test_in_slices_with_restarts_between(tmp_path: Path, spark: object) -> None:
    _in_slices(PipelineLake.of("iot_sales", tmp_path), files=9, slices=2, seed=5)


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
