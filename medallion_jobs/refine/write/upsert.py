"""Upsert: one row for each key, its newest change, in whatever order changes arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.config import SilverTable
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables.scd_columns import DELETED
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
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

VALUES_SEQUENCE = "_values_sequence"
# Hidden columns: whether a change deletes its key; a key's newest change and newest delete;
# whether the values of the change are newer than the table's.
GONE = "deletes its key"
_CHANGE, _DELETE, _FRESH = "newest change", "newest delete", "has newer values"


def with_gone(rows: DataFrame, table: SilverTable) -> DataFrame:
    """Adds `GONE`, by the table's `deletes.when`; null counts as no delete."""
    gone = F.expr(table.deletes.when) if table.deletes else F.lit(False)
    return rows.withColumn(GONE, F.coalesce(gone, F.lit(False)))


def write(
    rows: DataFrame,
    table: SilverTable,
    path: Location,
    columns: Sequence[str],
    txn: tables.Txn,
    *,
    tombstones_path: Location,
) -> WriteResult:
    """Inserts new keys, and updates keys whose change is newer than the table's row.

    Args:
        columns: the columns of a change, without those that this write mode adds.
        tombstones_path: the path of the tombstones.
    """
    keys, sequence = table.keys or (), table.sequence or ""
    others = [c for c in columns if c not in (*keys, sequence)]
    order = [col(sequence).desc_nulls_last(), *by_file(rows), *stable_order(rows, others)]
    rows = with_gone(rows, table)
    with ranked(rows, keys, order, by=[col(GONE)], same=sequence) as batch:
        refuse_null(batch, sequence, path)
        upsert = _Upsert(batch, path, tuple(columns), table, txn)
        if table.deletes is None:
            return upsert.plain()
        return upsert.soft() if table.deletes.how == "soft" else upsert.hard(tombstones_path)


class _Upsert:
    """The upsert of one batch; one method for each kind of delete."""

    def __init__(
        self,
        batch: Ranked,
        path: Location,
        columns: tuple[str, ...],
        table: SilverTable,
        txn: tables.Txn,
    ) -> None:
        self._batch, self._path, self._columns = batch, path, columns
        self._sequence, self._surrogate = table.sequence or "", table.surrogate_key
        self._txn = txn
        self._others = [c for c in columns if c not in (*batch.keys, self._sequence)]

    def plain(self) -> WriteResult:
        newest = self._batch.frame.where(col(PLACE) == 1)
        newer = col(self._sequence) > col(existing(self._sequence))
        planned = merge_plan.with_actions(
            newest,
            self._found(self._sequence),
            self._batch,
            lambda is_known: F.when(~is_known, merge_plan.INSERT).when(newer, merge_plan.UPDATE),
        )
        return self._carried_out(planned, self._columns, self._update_all())

    def soft(self) -> WriteResult:
        """Soft deletes: the row of a deleted key stays, with the values of its last change."""
        change, delete = (col(c)[self._sequence] for c in (_CHANGE, _DELETE))
        old = col(existing(self._sequence))
        was_gone = F.coalesce(col(existing(DELETED)), F.lit(False))
        last, gone = F.greatest(change, delete), F.coalesce(delete >= change, delete.isNotNull())
        values = F.coalesce(col(_CHANGE), col(_DELETE))
        # A row that is not deleted has the values of its newest change.
        old_values = F.when(was_gone, col(existing(VALUES_SEQUENCE))).otherwise(old)
        fresh = F.when(change.isNotNull(), old_values.isNull() | (change > old_values))
        fresh = fresh.otherwise(old_values.isNull() & (last > old))
        later = (last > old) | ((last == old) & gone & ~was_gone)
        # A new key has no row to compare with.
        fresh, later = (F.when(old.isNull(), F.lit(True)).otherwise(x) for x in (fresh, later))
        planned = merge_plan.with_actions(
            self._newest(),
            self._found(self._sequence, DELETED, VALUES_SEQUENCE),
            self._batch,
            lambda is_known: F.when(~is_known, merge_plan.INSERT).when(
                fresh | later, merge_plan.UPDATE
            ),
        )
        planned = planned.withColumns(
            {
                **{c: values[c] for c in self._others},
                self._sequence: F.when(later, last).otherwise(old),
                DELETED: F.when(later, gone).otherwise(was_gone),
                VALUES_SEQUENCE: F.when(fresh, change).otherwise(old_values),
                _FRESH: fresh,
            }
        )
        added = (DELETED, VALUES_SEQUENCE)
        update = {c: merge_plan.source(c) for c in (self._sequence, *added)}
        for c in self._others:
            new, was = merge_plan.source(c), merge_plan.target(c)
            update[c] = f"CASE WHEN {merge_plan.source(_FRESH)} THEN {new} ELSE {was} END"
        return self._carried_out(planned, (*self._columns, *added), update)

    def hard(self, tombstones_path: Location) -> WriteResult:
        """Hard deletes: the row is deleted; older changes that arrive later are ignored."""
        deleted = self._batch.frame.where(col(GONE) & ~col(AGAIN))
        deletes = deleted.count()
        keys = self._batch.keys
        if deletes:
            tombstones.add(deleted, keys, self._sequence, tombstones_path, self._txn)
        kind = self._batch.frame.schema[self._sequence].dataType
        newest = tombstones.with_deletions(self._newest(), keys, kind, tombstones_path, self._txn)
        change, deleted_up_to = col(_CHANGE)[self._sequence], col(tombstones.DELETED_UP_TO)
        is_live = F.coalesce(change > deleted_up_to, change.isNotNull())
        old = col(existing(self._sequence))
        planned = merge_plan.with_actions(
            newest,
            self._found(self._sequence),
            self._batch,
            lambda is_known: (
                F.when(~is_known, F.when(is_live, merge_plan.INSERT))
                .when(is_live & (change > old), merge_plan.UPDATE)
                .when(~is_live & (old <= deleted_up_to), merge_plan.REMOVE)
            ),
        )
        values = {c: col(_CHANGE)[c] for c in (*self._others, self._sequence)}
        planned = planned.withColumns(values)
        return self._carried_out(planned, self._columns, self._update_all(), deletes)

    def _found(self, *columns: str) -> DataFrame:
        """The table's rows that have a key of the batch."""
        return in_table(self._batch, self._path, [*self._batch.keys, *columns], F.lit(True))

    def _newest(self) -> DataFrame:
        """One row for each key, with its newest change and its newest delete."""
        row = F.struct(*(col(c) for c in self._columns))
        first = self._batch.frame.where(col(PLACE) == 1)
        return first.groupBy(*(col(k) for k in self._batch.keys)).agg(
            _newest_of(row, ~col(GONE), self._sequence).alias(_CHANGE),
            _newest_of(row, col(GONE), self._sequence).alias(_DELETE),
        )

    def _update_all(self) -> dict[str, str]:
        return {c: merge_plan.source(c) for c in (*self._others, self._sequence)}

    def _carried_out(
        self, planned: DataFrame, columns: Sequence[str], update: dict[str, str], deletes: int = 0
    ) -> WriteResult:
        batch = self._batch
        # Fact tables hold the surrogate key of a row, so an update never changes it.
        update = {c: sql for c, sql in update.items() if c != self._surrogate}
        plan = merge_plan.MergePlan(batch.keys, batch.range, columns, update, self._surrogate)
        done = merge_plan.carry_out(planned, self._path, self._txn, plan)
        effective = done.rows_out + done.updated + deletes
        return replace(done, repeated=batch.again, ignored=batch.count - batch.again - effective)


def _newest_of(row: Column, which: Column, sequence: str) -> Column:
    # Rows whose order is null do not take part.
    return F.max_by(row, F.when(which, col(sequence)))
