"""A run whose lock somebody else has taken over writes no further batch."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from support.lake import Lake, order

from medallion_jobs.checkpoint import Lock
from medallion_jobs.errors import LockHeld


def test_a_batch_is_not_written_by_a_run_that_lost_its_lock(
    spark: SparkSession, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: Lock) -> None:
        raise LockHeld("bronze.sales is already running: pid 7 on elsewhere", holder={})

    lake.drop("one.json", order())
    with monkeypatch.context() as taken_over:
        taken_over.setattr(Lock, "confirm", lost)
        with pytest.raises(LockHeld, match="pid 7 on elsewhere") as ended:
            lake.run("bronze")
    assert ended.value.exit_code == 75
    assert lake.rows("bronze.sales") == []
    lake.run("bronze")
    assert len(lake.rows("bronze.sales")) == 1
