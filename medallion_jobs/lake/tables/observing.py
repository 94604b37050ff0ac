"""Counts that are observed while rows are written, told also where no row comes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from medallion_jobs.lake import tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# This rule replaces a plan of which a stage came out empty, and with it what was observed in
# that stage: `Observation.get` then fails.
_EXCLUDED = "spark.sql.adaptive.optimizer.excludedRules"
_EMPTY_RULE = "org.apache.spark.sql.execution.adaptive.AQEPropagateEmptyRelation"


@contextmanager
def observing(spark: SparkSession) -> Iterator[None]:
    """To be held around the action that computes an observed frame."""
    excluded = str(spark.conf.get(_EXCLUDED, ""))
    rules = ",".join(filter(None, (excluded, _EMPTY_RULE)))
    with tables.with_conf(spark, {_EXCLUDED: rules}):
        yield
