"""Writes the good rows of a batch to their silver table, in one commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, StringType, StructField, StructType

from medallion_jobs.config import SilverTable
from medallion_jobs.lake import tables
from medallion_jobs.lake.hidden_columns import DUMP
from medallion_jobs.lake.tables.scd_columns import DELETED, IS_CURRENT, VALID_FROM, VALID_TO
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine.write import (
    apply_changes,
    dedupe,
    scd2,
    snapshot,
    surrogate_key,
    upsert,
)
from medallion_jobs.refine.write.keyed_batch import WriteResult
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from datetime import datetime

    from pyspark.sql import DataFrame

__all__ = ["WriteResult", "extra_fields", "write"]


def extra_fields(
    table: SilverTable, columns: StructType, computed: StructType
) -> list[StructField]:
    """The columns that the write mode adds to the declared ones.

    Args:
        columns: the declared columns.
        computed: all columns of a computed row.
    """
    if table.apply_changes:
        return apply_changes.extra_fields(table.apply_changes, computed)
    if table.snapshot:
        return snapshot.extra_fields(table.snapshot, computed[DUMP].dataType)
    extra: list[StructField] = []
    if table.dedupe and table.dedupe.keys is None:
        extra.append(StructField(dedupe.ROW_KEY, StringType()))
    if table.write == "append":
        return extra
    moment = columns[table.sequence or ""].dataType
    if table.write == "scd2":
        extra.append(StructField(VALID_FROM, moment))
        extra.append(StructField(VALID_TO, moment))
        extra.append(StructField(IS_CURRENT, BooleanType()))
    if table.deletes and table.deletes.how == "soft":
        extra.append(StructField(DELETED, BooleanType()))
        if table.write == "upsert":
            extra.append(StructField(upsert.VALUES_SEQUENCE, moment))
    return extra


def write(
    rows: DataFrame,
    table: SilverTable,
    path: Location,
    columns: Sequence[str],
    txn: tables.Txn,
    *,
    tombstones: Location,
    changes: Location,
    marks: DataFrame | None = None,
    watermark: datetime | None = None,
) -> WriteResult:
    """Writes a batch's good rows in one commit with `txn`, even if nothing changes.

    The rows are computed once. Except for a plain append they are cached while this runs.

    Args:
        rows: the table's columns, those that `kinds_of_change` name, `_row_key` for a whole-row
            dedupe; other columns are not written.
        columns: the declared columns, in order.
        tombstones: the path of the tombstones, for `deletes: hard`.
        changes: the path of the change log, for `apply_changes`.
        marks: the marks of transactions in the batch, for `apply_changes.transactional`.
        watermark: with `within: watermark` the table's rows before this time are not searched
            for duplicates. None: there is no watermark yet.

    Raises:
        DataError: a change has no sequence; nothing was written.
    """
    if table.apply_changes:
        return apply_changes.write(rows, table, path, columns, txn, log_path=changes, marks=marks)
    if table.surrogate_key:
        rows = surrogate_key.with_key(rows, table)
        columns = (table.surrogate_key, *columns)
    if table.write == "upsert":
        return upsert.write(rows, table, path, columns, txn, tombstones_path=tombstones)
    if table.write == "scd2":
        return scd2.write(rows, table, path, columns, txn, tombstones_path=tombstones)
    if table.dedupe:
        own = [] if table.dedupe.keys else [dedupe.ROW_KEY]
        written = [c for c in columns if c not in own] + own
        since = None
        if table.dedupe.within == "watermark" and table.watermark and watermark is not None:
            moment = table.watermark.column
            since = col(moment) >= F.lit(watermark).cast(rows.schema[moment].dataType)
        return dedupe.write(rows, table.dedupe, path, written, txn, since=since)
    appended = tables.append(rows.select(*(col(c) for c in columns)), path, txn)
    return WriteResult(appended, tables.rows_written(path, txn))
