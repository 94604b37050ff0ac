"""What becomes of each row of a keyed batch, and the one commit that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.lake import tables
from medallion_jobs.lake.tables.sql import col, column
from medallion_jobs.refine.write import surrogate_key
from medallion_jobs.refine.write.keyed_batch import Ranked, WriteResult, kept, same_key
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from delta.tables import DeltaMergeBuilder
    from pyspark.sql import Column, DataFrame

# A hidden column: what becomes of the row; null, nothing.
ACTION = "what becomes of it"
INSERT, UPDATE, REMOVE, REPEATED, IGNORED = "insert", "update", "remove", "repeated", "ignored"
_IS_THERE = "is there"


@dataclass(frozen=True)
class MergePlan:
    """How verdicts change the table.

    Attributes:
        match: columns by which a row of the table is found, nulls equal.
        within: SQL of the rows among which it is looked for.
        columns: the columns of a row that is inserted.
        update: the columns that an update sets, each with its SQL.
        surrogate: the column of the surrogate key, which no two rows may share.
    """

    match: Sequence[str]
    within: str
    columns: Sequence[str]
    update: Mapping[str, str]
    surrogate: str | None = None


def source(name: str) -> str:
    """A column of the verdict, in the SQL of an update."""
    return f"{tables.SOURCE}.{column(name)}"


def target(name: str) -> str:
    """A column of the table as it was, in the SQL of an update."""
    return f"{tables.TARGET}.{column(name)}"


def beside_table(
    rows: DataFrame, found: DataFrame, batch: Ranked, action: Callable[[Column], Column]
) -> DataFrame:
    """Judges rows, one a key, beside the table's row of the same key.

    Args:
        found: what `keyed.in_table` gave, at most one row a key.
        action: from whether the table has the key, the verdict.
    """
    found = found.withColumn(_IS_THERE, F.lit(True))
    rows = rows.join(found, same_key(batch), "left")
    return rows.withColumn(ACTION, action(F.coalesce(col(_IS_THERE), F.lit(False))))


def carry_out(judged: DataFrame, path: Location, txn: tables.Txn, plan: MergePlan) -> WriteResult:
    """One commit with the transaction: a MERGE, or an append where nothing is to be changed.

    A MERGE writes a file again for any of its rows that match, changed or not: so it gets
    only rows that do something.
    """
    with kept(judged) as verdicts:
        counted = verdicts.groupBy(col(ACTION)).count().collect()
        counts = {row[ACTION]: row["count"] for row in counted}
        if plan.surrogate and counts.get(INSERT):
            new = verdicts.where(col(ACTION) == INSERT)
            surrogate_key.refuse_shared(new, path, plan.surrogate, plan.match)
        if counts.get(UPDATE) or counts.get(REMOVE):
            effective = verdicts.where(col(ACTION).isin(INSERT, UPDATE, REMOVE))
            changes = tables.merge(effective, path, txn, _on(plan), _clauses(plan))
        else:
            new = verdicts.where(col(ACTION) == INSERT)
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
    # What is new to the searched part of the table is added, whatever the rest of it has.
    return f"NOT {_is(INSERT)} AND {same} AND {plan.within}"


def _clauses(plan: MergePlan) -> Callable[[DeltaMergeBuilder], DeltaMergeBuilder]:
    def add(builder: DeltaMergeBuilder) -> DeltaMergeBuilder:
        return (
            builder.whenMatchedDelete(_is(REMOVE))
            .whenMatchedUpdate(_is(UPDATE), {column(c): sql for c, sql in plan.update.items()})
            .whenNotMatchedInsert(_is(INSERT), {column(c): source(c) for c in plan.columns})
        )

    return add
