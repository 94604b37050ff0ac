"""A row for each change of a key, with the time for which it was valid (Kimball's type 2).

A history is computed anew from what the table has of the batch's keys and from the batch; the
commit carries the difference. So it comes out the same in whatever order changes arrive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from medallion_jobs.config import SilverTable
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables.scd_columns import DELETED, IS_CURRENT, VALID_FROM, VALID_TO
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine.write import merge_plan, tombstones
from medallion_jobs.refine.write.keyed_batch import (
    AGAIN,
    PLACE,
    Ranked,
    WriteResult,
    by_file,
    in_table,
    ranked,
    refuse_null,
    stable_order,
    there,
)
from medallion_jobs.refine.write.upsert import GONE, with_gone
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Hidden columns: whether a row of a history is in the table, with which end, and as a delete;
# whether the table has it already.
_OLD, _WAS_TO, _WAS_GONE, _KNOWN = "is old", "was valid to", "was a delete", "is known"


def write(
    rows: DataFrame,
    table: SilverTable,
    path: Location,
    columns: Sequence[str],
    txn: tables.Txn,
    *,
    graves: Location,
) -> WriteResult:
    """Puts each change at its place in its key's history.

    Args:
        columns: the columns of a change, without those that this way of writing adds.
        graves: the table of tombstones.
    """
    keys, sequence = table.keys or (), table.sequence or ""
    others = [c for c in columns if c not in (*keys, sequence)]
    # Of a change and a delete at the same moment the delete counts.
    order = [col(GONE).desc(), *by_file(rows), *stable_order(rows, others)]
    rows = with_gone(rows, table)
    with ranked(rows, keys, order, by=[col(sequence)]) as batch:
        refuse_null(batch, sequence, path)
        how = table.deletes.how if table.deletes else None
        changes = _beside_old(batch, sequence, path, soft=how == "soft")
        deletes = 0
        if how == "hard":
            dead = batch.frame.where(col(GONE) & ~col(AGAIN))
            deletes = dead.count()
            if deletes:
                tombstones.bury(dead, keys, sequence, graves, txn)
            kind = batch.frame.schema[sequence].dataType
            changes = tombstones.with_graves(changes, keys, kind, graves, txn)
        marks = (VALID_FROM, VALID_TO, IS_CURRENT, *((DELETED,) if how == "soft" else ()))
        plan = merge_plan.MergePlan(
            match=(*keys, VALID_FROM),
            within=batch.range,
            columns=(*columns, *marks),
            update={c: merge_plan.source(c) for c in marks if c != VALID_FROM},
            surrogate=table.surrogate_key,
        )
        history = _history(changes, keys, sequence, hard=how == "hard")
        done = merge_plan.carry_out(history, path, txn, plan)
        return replace(done, repeated=done.repeated + batch.again)


def _beside_old(batch: Ranked, sequence: str, path: Location, *, soft: bool) -> DataFrame:
    """The batch's changes, and of the table's what their histories need: never their values."""
    changes = batch.frame.where(col(PLACE) == 1).withColumn(_OLD, F.lit(False))
    deleted = (DELETED,) if soft else ()
    found = in_table(batch, path, [*batch.keys, VALID_FROM, VALID_TO, *deleted], F.lit(True))
    was_gone = F.coalesce(col(there(DELETED)), F.lit(False)) if soft else F.lit(False)
    old = found.select(
        *(col(there(k)).alias(k) for k in batch.keys),
        col(there(VALID_FROM)).alias(sequence),
        col(there(VALID_TO)).alias(_WAS_TO),
        was_gone.alias(_WAS_GONE),
        was_gone.alias(GONE),
        F.lit(True).alias(_OLD),
    )
    return changes.unionByName(old, allowMissingColumns=True)


def _history(changes: DataFrame, keys: Sequence[str], sequence: str, *, hard: bool) -> DataFrame:
    """Each change with its validity, and what becomes of it."""
    # The table's row comes before one of the batch at the same moment.
    at = Window.partitionBy(*(col(k) for k in keys)).orderBy(col(sequence), col(_OLD).desc())
    moment, no = col(sequence), F.lit(False)
    following = F.lead(moment).over(at)
    twice = following.eqNullSafe(moment)
    gone = col(GONE) | F.coalesce(twice & F.lead(col(GONE)).over(at), no)
    until = F.when(twice, F.lead(moment, 2).over(at)).otherwise(following)
    changes = changes.withColumns(
        {
            _KNOWN: F.lag(moment).over(at).eqNullSafe(moment),
            VALID_FROM: moment,
            # A delete is valid for no time at all, so that no moment finds it.
            VALID_TO: F.when(gone, moment).otherwise(until),
            DELETED: gone,
        }
    )
    buried = F.coalesce(moment <= col(tombstones.GRAVE), no) if hard else no
    changed = ~col(VALID_TO).eqNullSafe(col(_WAS_TO)) | (col(DELETED) != col(_WAS_GONE))
    action = (
        F.when(col(_OLD) & buried, merge_plan.REMOVE)
        .when(col(_OLD), F.when(changed, merge_plan.UPDATE))
        .when(buried, F.when(~col(GONE), merge_plan.IGNORED))
        .when(col(_KNOWN), merge_plan.REPEATED)
        .otherwise(merge_plan.INSERT)
    )
    return changes.withColumns({IS_CURRENT: col(VALID_TO).isNull(), merge_plan.ACTION: action})
