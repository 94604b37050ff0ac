"""Dedupe: of duplicate rows, one is kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from medallion_jobs.config import Dedupe
from medallion_jobs.lake import tables
from medallion_jobs.lake.columns import RESCUED, RESCUED_FILE
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.lake.values import canonical
from medallion_jobs.refine.write import merge_plan
from medallion_jobs.refine.write.keyed_batch import (
    PLACE,
    Ranked,
    WriteResult,
    existing,
    in_table,
    ranked,
    same_key,
    stable_order,
)
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

ROW_KEY = "_row_key"
# 32 hex digits are 128 bits: a collision among 10^12 rows has a chance of 1 in 10^15.
_DIGITS = 32


def row_key(row: Column, schema: StructType, *, technical: Collection[str]) -> Column:
    """A hash of the whole row as it was read: 32 hex digits, never null.

    It is the same for rows that differ only in technical columns (file, load time, batch), in
    the order of a map's keys, or in columns that one of them lacks and that are null in the
    other: a column that is added later does not change the keys of older rows.

    Args:
        row: a struct of the row as it was read.
        schema: the type of that struct.
        technical: names of fields that are ignored. Of `_rescued_data`, if it is among them,
            only the file's name is ignored.
    """
    fields = sorted(
        (f for f in schema if f.name not in technical or f.name == RESCUED), key=lambda f: f.name
    )
    values = [_value(row, field).alias(field.name) for field in fields]
    # A struct needs at least one field; as a null this one does not get into the text.
    empty = F.lit(None).cast("string").alias("")
    return F.substring(F.sha2(canonical.text([*values, empty]), 256), 1, _DIGITS)


def _value(row: Column, field: StructField) -> Column:
    value = row.getField(field.name)
    if field.name == RESCUED and isinstance(field.dataType, StringType):
        return without_file(value)
    return canonical.canonical(value, field.dataType)


def without_file(rescued: Column) -> Column:
    """Rescued data without the file's name; unchanged if it is no JSON object."""
    texts = F.from_json(rescued, "map<string,string>")
    rest = F.map_filter(texts, lambda key, _: key != RESCUED_FILE)
    entries = F.to_json(F.array_sort(F.map_entries(rest)))
    return F.coalesce(entries, rescued)


def write(
    rows: DataFrame,
    dedupe: Dedupe,
    path: Location,
    columns: Sequence[str],
    txn: tables.Txn,
    *,
    since: Column | None,
) -> WriteResult:
    """Writes the rows that the table lacks or, with `keep`, that are better than the table's.

    Args:
        columns: the columns to write.
        since: a condition on the table's rows that are searched for duplicates; None: all.
    """
    keys = dedupe.keys or (ROW_KEY,)
    others = [c for c in columns if c not in keys]
    # If all columns are keys, duplicates are identical.
    order = stable_order(rows, others or keys)
    if dedupe.keep != "first":
        best = col(dedupe.order_by or "")
        highest = dedupe.keep == "highest"
        order.insert(0, best.desc_nulls_last() if highest else best.asc_nulls_last())
    where = F.lit(True) if since is None else since
    with ranked(rows, keys, order) as batch:
        if dedupe.keep == "first":
            return _first(batch, path, columns, txn, where)
        return _best(batch, path, columns, txn, where, dedupe=dedupe)


def _first(
    batch: Ranked, path: Location, columns: Sequence[str], txn: tables.Txn, where: Column
) -> WriteResult:
    """Appends the rows whose key is new; the table stays append-only."""
    new = batch.frame.where(col(PLACE) == 1)
    found = in_table(batch, path, batch.keys, where)
    new = new.join(found, same_key(batch), "left_anti")
    written = tables.append(new.select(*(col(c) for c in columns)), path, txn)
    rows_out = tables.rows_written(path, txn)
    return WriteResult(written, rows_out, repeated=batch.count - rows_out)


def _best(
    batch: Ranked,
    path: Location,
    columns: Sequence[str],
    txn: tables.Txn,
    where: Column,
    *,
    dedupe: Dedupe,
) -> WriteResult:
    """Inserts the rows whose key is new, and replaces rows that are strictly worse."""
    order_by = dedupe.order_by or ""
    best = batch.frame.where(col(PLACE) == 1)
    new, old = col(order_by), col(existing(order_by))
    better = (new > old) if dedupe.keep == "highest" else (new < old)
    better = F.coalesce(better, new.isNotNull() & old.isNull())
    planned = merge_plan.with_actions(
        best,
        in_table(batch, path, list(dict.fromkeys([*batch.keys, order_by])), where),
        batch,
        lambda is_known: F.when(~is_known, merge_plan.INSERT).when(better, merge_plan.UPDATE),
    )
    plan = merge_plan.MergePlan(
        match=batch.keys,
        within=batch.range,
        columns=columns,
        update={c: merge_plan.source(c) for c in columns},
    )
    done = merge_plan.carry_out(planned, path, txn, plan)
    repeated = batch.count - done.rows_out - done.updated
    return WriteResult(done.written, done.rows_out, done.updated, repeated=repeated)
