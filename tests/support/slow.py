"""Transforms that a test can make take for ever: a plan that no machine gets to the end of."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# The functions whose batches do not end.
HANGS: set[str] = set()
_FOR_EVER = 10**15


def passing(rows: DataFrame) -> DataFrame:
    return _after_a_while(rows, "passing")


def poisonous(rows: DataFrame) -> DataFrame:
    return _after_a_while(rows, "poisonous")


def _after_a_while(rows: DataFrame, name: str) -> DataFrame:
    if name not in HANGS:
        return rows
    highest = rows.sparkSession.range(_FOR_EVER).agg(F.max(F.col("id") % 7).alias("highest"))
    return rows.crossJoin(highest).where("highest > 0").drop("highest")
