"""`kill -9` at each point of a silver batch and of rows that waited: none is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.dies_in_silver import POINTS
from support.lake import rows_at
from support.pipelines import PipelineLake, assert_exact
from support.processes import Medallion

SCRIPT = Path(__file__).parents[1] / "support" / "dies_in_silver.py"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("point", POINTS)
def test_killed(point: str, tmp_path: Path, spark: object) -> None:
    lake = PipelineLake.of("iot_sales", tmp_path)
    staged = lake.stage(9, rows=40, seed=11, dirty=0.1)
    # Customers who come late are waited for after the first part, and are there in the second.
    for part in (staged[:4], staged[4:]):
        lake.land(path for brought in part for path in brought)
        lake.run("bronze")
        with Medallion(lake, "run", "silver", script=SCRIPT, DIES_AT=point) as run:
            assert run.wait() in (-9, 0), run.text
        lake.run("silver")
    assert_exact(lake, ["silver"])
    parked = lake.rows("quarantine/silver/sales_enriched")
    assert len({row["id"] for row in parked}) == len(parked)
    silver = len(lake.rows("silver.sales_enriched"))
    open_now = _open(lake)
    assert len(lake.rows("bronze.iot_sales_raw")) == silver + len(parked) + open_now


def _open(lake: PipelineLake) -> int:
    """Rows that still wait: those of which no claim tells that they left."""
    claims = lake.path("held/silver/sales_enriched/_claims")
    gone = {row["id"] for row in rows_at(claims)} if claims.exists() else set()
    return sum(row["id"] not in gone for row in lake.rows("held/silver/sales_enriched"))
