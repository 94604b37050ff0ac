"""Makes `Observation` return its counts even if a query's result is empty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from medallion_jobs.lake import tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# If a stage returns no rows, this rule replaces the plan, and the observation in that stage is
# lost: `Observation.get` then fails.
_EXCLUDED = "spark.sql.adaptive.optimizer.excludedRules"
_EMPTY_RULE = "org.apache.spark.sql.execution.adaptive.AQEPropagateEmptyRelation"


@contextmanager
def observing(spark: SparkSession) -> Iterator[None]:
    """Wraps the action that computes an observed DataFrame."""
    excluded = str(spark.conf.get(_EXCLUDED, ""))
    rules = ",".join(filter(None, (excluded, _EMPTY_RULE)))
    with tables.with_conf(spark, {_EXCLUDED: rules}):
        yield
