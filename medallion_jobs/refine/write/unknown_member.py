"""The unknown member of a dimension, kept in its table: there from the start, and once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medallion_jobs.refine import lookup

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from medallion_jobs.refine.batch import Refinery


def ensure_member(refinery: Refinery, spark: SparkSession) -> bool:
    """Adds the row where the table lacks it; whether it did.

    No batch writes a row of this key, so one that is there is this one.
    """
    if refinery.table.unknown_member is None:
        return False
    rows = spark.read.format("delta").load(str(refinery.path))
    if rows.where(lookup.is_member(rows, refinery.table)).limit(1).count():
        return False
    made = lookup.member(refinery.table, rows.schema)
    row = spark.range(1).select(*(value.alias(name) for name, value in made.items()))
    row.write.format("delta").mode("append").save(str(refinery.path))
    return True
