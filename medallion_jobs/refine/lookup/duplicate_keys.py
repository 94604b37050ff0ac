"""Duplicate keys in a dimension: refused, or one row is taken by a declared order.

A join with such a dimension would silently multiply rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from medallion_jobs.config import Lookup
from medallion_jobs.errors import DataError
from medallion_jobs.lake.tables.sql import col, column
from medallion_jobs.lake.values.type_walk import INCOMPARABLE, has
from medallion_jobs.refine.lookup import hidden_columns

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

RANK = "dimension rank"
_MAX_SHOWN = 3


class Checked:
    """Remembers the dimension versions whose keys were checked.

    Kept for the life of a stream: the check costs a pass over the dimension.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[object, ...], tuple[str, int]] = {}

    def has(self, lookup: Lookup, table_id: str, version: int) -> bool:
        return self._last.get(_use(lookup)) == (table_id, version)

    def note(self, lookup: Lookup, table_id: str, version: int) -> None:
        self._last[_use(lookup)] = (table_id, version)


def _use(lookup: Lookup) -> tuple[object, ...]:
    """Everything that the check depends on, besides the table's rows."""
    dates = (lookup.valid_from, lookup.valid_to) if lookup.as_of else ()
    return (lookup.table, tuple(lookup.on), dates)


def ranked(lookup: Lookup, table: DataFrame) -> DataFrame:
    """The table's rows with `RANK`: their number within the key by `one_by`, from 1.

    Ties are ordered by the taken columns, smallest first, so that the result is the same in
    every run.
    """
    ties = dict.fromkeys([*_dates(lookup), *lookup.take.values()])
    order = ", ".join(_sortable(name, table.schema[name].dataType) for name in ties)
    keys = ", ".join(map(column, lookup.on))
    # A new line after `one_by`: it may end with a comment.
    window = f"partition by {keys} order by {lookup.one_by}\n, {order}"
    return table.withColumn(RANK, F.expr(f"row_number() over ({window})"))


def _dates(lookup: Lookup) -> list[str]:
    return [lookup.valid_from, lookup.valid_to] if lookup.as_of else []


def _sortable(name: str, kind: DataType) -> str:
    return f"to_json(struct({column(name)}))" if has(kind, INCOMPARABLE) else column(name)


def refuse(lookup: Lookup, rows: DataFrame) -> None:
    """Checks that a join finds at most one row for each key.

    Args:
        rows: the dimension's side of the join; its keys are not null.

    Raises:
        DataError: it could find two.
    """
    if lookup.as_of is None:
        _refuse_duplicates(lookup, rows)
    else:
        _refuse_overlaps(lookup, rows)


def _refuse_duplicates(lookup: Lookup, rows: DataFrame) -> None:
    keys = [col(hidden_columns.key(number)) for number, _ in enumerate(lookup.on)]
    counts = rows.groupBy(*keys).agg(F.count(F.lit(1)).alias("times"))
    duplicates = _samples(lookup, counts.where("times > 1"), "times")
    if duplicates:
        shown = "; ".join(f"{row['key']} ({row['times']} times)" for row in duplicates)
        raise DataError(
            f"{lookup.table} has more than one row for a key: {shown}",
            code="dimension_duplicate_keys",
            untouched="nothing of the batch is written; a join would have duplicated its rows",
            next_step=f"leave one row for each {', '.join(lookup.on)} in {lookup.table}, "
            "or say which one to take by `one_by` of the lookup; then run again",
        )


def _refuse_overlaps(lookup: Lookup, rows: DataFrame) -> None:
    """Sorted by their begin, two neighbouring rows of a key overlap if any two rows do."""
    begin, end = col(hidden_columns.VALID_FROM), col(hidden_columns.VALID_TO)
    keys = [col(hidden_columns.key(number)) for number, _ in enumerate(lookup.on)]
    window = Window.partitionBy(*keys).orderBy(begin.asc_nulls_first(), end.asc_nulls_last())
    before = F.lag(F.struct(begin.alias("begin"), end.alias("end"))).over(window)
    valid = rows.where(begin.isNull() | end.isNull() | (begin < end)).withColumn("before", before)
    earlier = F.col("before")
    overlap = earlier.isNotNull() & (
        begin.isNull() | earlier["end"].isNull() | (begin < earlier["end"])
    )
    # As text: Python would convert timestamps to its own time zone.
    overlaps = valid.where(overlap).withColumns(
        {
            "first": _interval(earlier["begin"], earlier["end"]),
            "second": _interval(begin, end),
        }
    )
    found = _samples(lookup, overlaps, "first", "second")
    if found:
        shown = "; ".join(f"{row['key']}: {row['first']} and {row['second']}" for row in found)
        raise DataError(
            f"{lookup.table} has two rows for a key that are valid at the same time: {shown}",
            code="dimension_overlapping_validity",
            untouched="nothing of the batch is written; a join would have duplicated its rows",
            next_step=f"fix {lookup.valid_from} and {lookup.valid_to} in {lookup.table}, "
            "or say which row to take by `one_by` of the lookup; then run again",
        )


def _interval(begin: Column, end: Column) -> Column:
    texts = (F.coalesce(edge.cast("string"), F.lit("ever")) for edge in (begin, end))
    return F.concat_ws(" to ", *texts)


def _samples(lookup: Lookup, rows: DataFrame, *columns: str) -> list[Any]:
    """The first few rows by key: `key` as text, and the given columns."""
    keys = [col(hidden_columns.key(number)) for number, _ in enumerate(lookup.on)]
    parts = [
        F.concat(F.lit(f"{name}="), value.cast("string"))
        for name, value in zip(lookup.on, keys, strict=True)
    ]
    first = rows.orderBy(*keys, *columns).limit(_MAX_SHOWN)
    return first.select(F.concat_ws(", ", *parts).alias("key"), *columns).collect()
