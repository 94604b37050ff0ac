"""SCD type 2 (Kimball): a row for each change of a key, with the time when it was valid.

For the keys of the batch the history is computed again from the table's rows and the batch; the
commit writes the difference. So the result does not depend on the order in which changes arrive.
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
    existing,
    in_table,
    ranked,
    refuse_null,
    stable_order,
)
from medallion_jobs.refine.write.upsert import GONE, with_gone
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Hidden columns: whether a row comes from the table, its end there, whether it is a delete there;
# whether a change of the batch is in the table already.
_OLD, _WAS_TO, _WAS_GONE, _KNOWN = "is old", "was valid to", "was a delete", "is known"


def write(
    rows: DataFrame,
    table: SilverTable,
    path: Location,
    columns: Sequence[str],
    txn: tables.Txn,
    *,
    tombstones_path: Location,
) -> WriteResult:
    """Inserts each change at its place in the history of its key.

    Args:
        columns: the columns of a change, without those that this write mode adds.
        tombstones_path: the path of the tombstones.
    """
    keys, sequence = table.keys or (), table.sequence or ""
    others = [c for c in columns if c not in (*keys, sequence)]
    # Of a change and a delete at the same time the delete wins.
    order = [col(GONE).desc(), *by_file(rows), *stable_order(rows, others)]
    rows = with_gone(rows, table)
    with ranked(rows, keys, order, by=[col(sequence)]) as batch:
        refuse_null(batch, sequence, path)
        how = table.deletes.how if table.deletes else None
        changes = _beside_old(batch, sequence, path, soft=how == "soft")
        deletes = 0
        if how == "hard":
            deleted = batch.frame.where(col(GONE) & ~col(AGAIN))
            deletes = deleted.count()
            if deletes:
                tombstones.add(deleted, keys, sequence, tombstones_path, txn)
            kind = batch.frame.schema[sequence].dataType
            changes = tombstones.with_deletions(changes, keys, kind, tombstones_path, txn)
        added = (VALID_FROM, VALID_TO, IS_CURRENT, *((DELETED,) if how == "soft" else ()))
        plan = merge_plan.MergePlan(
            match=(*keys, VALID_FROM),
            within=batch.range,
            columns=(*columns, *added),
            update={c: merge_plan.source(c) for c in added if c != VALID_FROM},
            surrogate=table.surrogate_key,
        )
        history = _history(changes, keys, sequence, hard=how == "hard")
        done = merge_plan.carry_out(history, path, txn, plan)
        return replace(done, repeated=done.repeated + batch.again)


def _beside_old(batch: Ranked, sequence: str, path: Location, *, soft: bool) -> DataFrame:
    """The batch's changes, and those of the table with the same keys, without their values."""
    changes = batch.frame.where(col(PLACE) == 1).withColumn(_OLD, F.lit(False))
    deleted = (DELETED,) if soft else ()
    found = in_table(batch, path, [*batch.keys, VALID_FROM, VALID_TO, *deleted], F.lit(True))
    was_gone = F.coalesce(col(existing(DELETED)), F.lit(False)) if soft else F.lit(False)
    old = found.select(
        *(col(existing(k)).alias(k) for k in batch.keys),
        col(existing(VALID_FROM)).alias(sequence),
        col(existing(VALID_TO)).alias(_WAS_TO),
        was_gone.alias(_WAS_GONE),
        was_gone.alias(GONE),
        F.lit(True).alias(_OLD),
    )
    return changes.unionByName(old, allowMissingColumns=True)


def _history(changes: DataFrame, keys: Sequence[str], sequence: str, *, hard: bool) -> DataFrame:
    """Each change with its validity and its action."""
    # The table's row comes before one of the batch at the same time.
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
            # The validity of a delete is empty, so that no `as_of` lookup finds it.
            VALID_TO: F.when(gone, moment).otherwise(until),
            DELETED: gone,
        }
    )
    is_deleted = F.coalesce(moment <= col(tombstones.DELETED_UP_TO), no) if hard else no
    changed = ~col(VALID_TO).eqNullSafe(col(_WAS_TO)) | (col(DELETED) != col(_WAS_GONE))
    action = (
        F.when(col(_OLD) & is_deleted, merge_plan.REMOVE)
        .when(col(_OLD), F.when(changed, merge_plan.UPDATE))
        .when(is_deleted, F.when(~col(GONE), merge_plan.IGNORED))
        .when(col(_KNOWN), merge_plan.REPEATED)
        .otherwise(merge_plan.INSERT)
    )
    return changes.withColumns({IS_CURRENT: col(VALID_TO).isNull(), merge_plan.ACTION: action})
