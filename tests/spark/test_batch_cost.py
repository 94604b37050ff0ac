"""What a small batch costs does not grow: its Spark jobs and SQL executions, counted.

Counts do not depend on the machine, as seconds do. A change that needs more of them has to say so
here, and in docs/decisions/0004-starting-quickly.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.exact import assert_exact
from support.lake import Lake, batches, order

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Cost(NamedTuple):
    """What Spark ran."""

    jobs: int
    executions: int


# For 3 files of 100 rows, in a run that is not the table's first: its start and its one batch.
MOST = {"bronze": Cost(5, 11), "silver": Cost(6, 13), "gold": Cost(4, 10)}

# For a source that only has other files than before, with the same rows.
AFTER_OPTIMIZE = Cost(2, 6)


@pytest.fixture
def cost(spark: SparkSession) -> Callable[[], Cost]:
    """How many jobs and executions there were until now."""

    def so_far() -> Cost:
        scheduler = spark.sparkContext._jsc.sc().dagScheduler()
        bus = spark.sparkContext._jsc.sc().listenerBus()
        bus.waitUntilEmpty(60_000)
        executions = spark._jsparkSession.sharedState().statusStore().executionsList()
        newest = executions.apply(executions.size() - 1).executionId() if executions.size() else -1
        return Cost(int(scheduler.numTotalJobs()), int(newest) + 1)

    return so_far


def test_a_small_batch_of_each_layer(lake: Lake, cost: Callable[[], Cost]) -> None:
    for number in range(3):
        for file in range(3):
            rows = [order(order_id=f"o-{number}-{file}-{row}") for row in range(100)]
            lake.drop(f"{number}-{file}.json", *rows)
        found = {}
        for layer in MOST:
            before = cost()
            lake.run(layer)
            after = cost()
            found[layer] = Cost(*(more - less for more, less in zip(after, before, strict=True)))
    assert len(lake.rows("silver.sales")) == 900
    assert all(found[layer].jobs <= most.jobs for layer, most in MOST.items()), found
    assert all(found[layer].executions <= most.executions for layer, most in MOST.items()), found


def test_a_batch_after_optimize_reads_nothing(
    lake: Lake, spark: SparkSession, cost: Callable[[], Cost]
) -> None:
    for number in range(3):
        lake.drop(f"{number}.json", order(order_id=f"o-{number}"))
        lake.run()
    for table in ("bronze.sales", "silver.sales"):
        (done,) = spark.sql(f"OPTIMIZE delta.`{lake.path(table)}`").select("metrics").collect()
        assert done["metrics"]["numFilesRemoved"] == 3
    before = cost()
    (batch,) = batches(lake.run("silver"), "silver.sales")
    found = Cost(*(more - less for more, less in zip(cost(), before, strict=True)))
    assert (batch.rows_in, batch.rows_out) == (0, 0)
    lake.run("gold")
    lake.drop("more.json", order(order_id="o-more"))
    lake.run()
    assert_exact(lake)
    assert found.jobs <= AFTER_OPTIMIZE.jobs, found
    assert found.executions <= AFTER_OPTIMIZE.executions, found
