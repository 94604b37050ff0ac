"""Writes the unknown member of a dimension to its table, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medallion_jobs.refine import lookup

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from medallion_jobs.refine.batch import Refinery


def ensure_member(refinery: Refinery, spark: SparkSession) -> bool:
    """Inserts the row if the table lacks it.

    No batch writes a row with this key, so a row that has it is the unknown member.

    Returns:
        Whether the row was inserted.
    """
    if refinery.table.unknown_member is None:
        return False
    rows = spark.read.format("delta").load(str(refinery.path))
    if rows.where(lookup.is_member(rows, refinery.table)).limit(1).count():
        return False
    constants = lookup.member(refinery.table, rows.schema)
    row = spark.range(1).select(*(value.alias(name) for name, value in constants.items()))
    row.write.format("delta").mode("append").save(str(refinery.path))
    return True
