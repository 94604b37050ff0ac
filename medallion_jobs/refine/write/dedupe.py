"""Repeated rows, of which one is kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from medallion_jobs.config.silver import Dedupe
from medallion_jobs.lake import tables
from medallion_jobs.lake.columns import RESCUED
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.lake.values import canonical
from medallion_jobs.refine.write import merge_plan
from medallion_jobs.refine.write.keyed_batch import (
    PLACE,
    Ranked,
    WriteResult,
    in_table,
    ranked,
    same_key,
    stable_order,
    there,
)
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

ROW_KEY = "_row_key"
# The key under which bronze's rescued data names the file.
_FILE = "_file_path"
# 32 hex digits are 128 bits: among 10^12 rows, two alike by chance are one in 10^15.
_DIGITS = 32


def row_key(row: Column, schema: StructType, *, technical: Collection[str]) -> Column:
    """What tells a row apart by all that was read: 32 hex digits, null in no case.

    The same for rows that differ only in what bronze says of them (file, load time, batch), in
    the order of a map's keys, or in columns that one of them lacks and that are null in the
    other: a column that is added later does not change the keys of older rows.

    Args:
        row: a struct of the row as it was read.
        schema: the fields of that struct.
        technical: names of fields that do not tell rows apart. Of `_rescued_data`, should it be
            among them, only the file's name is left out.
    """
    fields = sorted(
        (f for f in schema if f.name not in technical or f.name == RESCUED), key=lambda f: f.name
    )
    values = [_value(row, field).alias(field.name) for field in fields]
    # The empty column is left out, being null; a struct needs one at least.
    nothing = F.lit(None).cast("string").alias("")
    return F.substring(F.sha2(canonical.text([*values, nothing]), 256), 1, _DIGITS)


def _value(row: Column, field: StructField) -> Column:
    value = row.getField(field.name)
    if field.name == RESCUED and isinstance(field.dataType, StringType):
        return _without_file(value)
    return canonical.canonical(value, field.dataType)


def _without_file(rescued: Column) -> Column:
    """Rescued data without the file's name; as it is where it is no JSON object."""
    texts = F.from_json(rescued, "map<string,string>")
    rest = F.map_filter(texts, lambda key, _: key != _FILE)
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
    """Writes those rows that are not there yet, or better than what is there.

    Args:
        columns: the columns to write.
        since: repeats are looked for among the table's rows for which this is true.
    """
    keys = dedupe.keys or (ROW_KEY,)
    others = [c for c in columns if c not in keys]
    # Where the keys are all there is, repeats are alike.
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
    """Adds the rows whose key is new; the table stays one that is only added to."""
    fresh = batch.frame.where(col(PLACE) == 1)
    found = in_table(batch, path, batch.keys, where)
    fresh = fresh.join(found, same_key(batch), "left_anti")
    written = tables.append(fresh.select(*(col(c) for c in columns)), path, txn)
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
    """Adds the rows whose key is new, and replaces those that are strictly worse."""
    order_by = dedupe.order_by or ""
    best = batch.frame.where(col(PLACE) == 1)
    new, old = col(order_by), col(there(order_by))
    better = (new > old) if dedupe.keep == "highest" else (new < old)
    better = F.coalesce(better, new.isNotNull() & old.isNull())
    judged = merge_plan.beside_table(
        best,
        in_table(batch, path, list(dict.fromkeys([*batch.keys, order_by])), where),
        batch,
        lambda is_there: F.when(~is_there, merge_plan.INSERT).when(better, merge_plan.UPDATE),
    )
    plan = merge_plan.MergePlan(
        match=batch.keys,
        within=batch.range,
        columns=columns,
        update={c: merge_plan.source(c) for c in columns},
    )
    done = merge_plan.carry_out(judged, path, txn, plan)
    repeated = batch.count - done.rows_out - done.updated
    return WriteResult(done.written, done.rows_out, done.updated, repeated=repeated)
