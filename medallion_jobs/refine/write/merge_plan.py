"""The action for each row of a keyed batch, and the commit that carries the actions out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.lake import tables
from medallion_jobs.lake.tables.sql import col, column
from medallion_jobs.lake.values.canonical import canonical
from medallion_jobs.refine.write import surrogate_key
from medallion_jobs.refine.write.keyed_batch import Ranked, WriteResult, existing, kept, same_key
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from delta.tables import DeltaMergeBuilder
    from pyspark.sql import Column, DataFrame

# A hidden column: the action for the row; null: none.
ACTION = "merge action"
INSERT, UPDATE, REMOVE, REPEATED, IGNORED = "insert", "update", "remove", "repeated", "ignored"
_IS_KNOWN, _IS_WANTED = "is in the table", "is wanted"


@dataclass(frozen=True)
class MergePlan:
    """How actions change the table.

    Attributes:
        match: the columns by which a row of the table is matched; nulls are equal.
        within: SQL condition on the table's rows that are searched for a match.
        columns: the columns that an insert writes.
        update: the columns that an update sets, each with its SQL.
        surrogate: the column of the surrogate key, which no two rows may share.
    """

    match: Sequence[str]
    within: str
    columns: Sequence[str]
    update: Mapping[str, str]
    surrogate: str | None = None


def source(name: str) -> str:
    """A column of the planned row, in the SQL of an update."""
    return f"{tables.SOURCE}.{column(name)}"


def target(name: str) -> str:
    """A column of the table's row before the update, in the SQL of an update."""
    return f"{tables.TARGET}.{column(name)}"


def with_actions(
    rows: DataFrame, found: DataFrame, batch: Ranked, action: Callable[[Column], Column]
) -> DataFrame:
    """Joins rows, one for each key, with the table's row of the same key, and adds `ACTION`.

    Args:
        found: the result of `keyed_batch.in_table`, at most one row for each key.
        action: gives the action from whether the table has the key.
    """
    found = found.withColumn(_IS_KNOWN, F.lit(True))
    rows = rows.join(found, same_key(batch), "left")
    return rows.withColumn(ACTION, action(F.coalesce(col(_IS_KNOWN), F.lit(False))))


def difference(wanted: DataFrame, stands: DataFrame, match: Sequence[str]) -> DataFrame:
    """The rows that a table should have or has, with the `ACTION` that makes it what it should be.

    Args:
        wanted: the rows that the table should have.
        stands: the rows of the table that they take the place of; others stay.
        match: the columns that identify a row; never null.
    """
    names = wanted.columns
    stands = stands.select(
        *(col(name).alias(existing(name)) for name in names), F.lit(True).alias(_IS_KNOWN)
    )
    same = reduce(and_, (col(name) == col(existing(name)) for name in match))
    planned = wanted.withColumn(_IS_WANTED, F.lit(True)).join(stands, same, "full")

    def comparable(name: str) -> Column:
        return canonical(col(name), planned.schema[name].dataType)

    differ = (
        ~comparable(name).eqNullSafe(comparable(existing(name)))
        for name in names
        if name not in match
    )
    action = (
        F.when(col(_IS_KNOWN).isNull(), INSERT)
        .when(col(_IS_WANTED).isNull(), REMOVE)
        .when(reduce(or_, differ, F.lit(False)), UPDATE)
    )
    identity = {name: F.coalesce(col(name), col(existing(name))) for name in match}
    return planned.withColumns({ACTION: action, **identity})


def carry_out(planned: DataFrame, path: Location, txn: tables.Txn, plan: MergePlan) -> WriteResult:
    """Writes the actions in one commit: a MERGE, or an append if there are only inserts.

    A MERGE rewrites a file for any of its rows that match, changed or not: so it gets only
    rows with an action that changes the table.

    Args:
        planned: rows with `ACTION`.
    """
    with kept(planned) as rows:
        counted = rows.groupBy(col(ACTION)).count().collect()
        counts = {row[ACTION]: row["count"] for row in counted}
        if plan.surrogate and counts.get(INSERT):
            new = rows.where(col(ACTION) == INSERT)
            surrogate_key.refuse_shared(new, path, plan.surrogate, plan.match)
        if counts.get(UPDATE) or counts.get(REMOVE):
            effective = rows.where(col(ACTION).isin(INSERT, UPDATE, REMOVE))
            changes = tables.merge(effective, path, txn, _on(plan), _clauses(plan))
        else:
            new = rows.where(col(ACTION) == INSERT)
            tables.append(new.select(*(col(c) for c in plan.columns)), path, txn)
            changes = tables.changes(path, txn)
        return WriteResult(
            written=changes.written,
            rows_out=changes.inserted,
            updated=changes.updated,
            deleted=changes.deleted,
            repeated=counts.get(REPEATED, 0),
            ignored=counts.get(IGNORED, 0),
        )


def _is(action: str) -> str:
    return f"{source(ACTION)} = '{action}'"


def _on(plan: MergePlan) -> str:
    same = " AND ".join(f"{target(c)} <=> {source(c)}" for c in plan.match)
    # A key that is new to the searched part of the table is inserted, whatever the rest has.
    return f"NOT {_is(INSERT)} AND {same} AND {plan.within}"


def _clauses(plan: MergePlan) -> Callable[[DeltaMergeBuilder], DeltaMergeBuilder]:
    def add(builder: DeltaMergeBuilder) -> DeltaMergeBuilder:
        return (
            builder.whenMatchedDelete(_is(REMOVE))
            .whenMatchedUpdate(_is(UPDATE), {column(c): sql for c, sql in plan.update.items()})
            .whenNotMatchedInsert(_is(INSERT), {column(c): source(c) for c in plan.columns})
        )

    return add
