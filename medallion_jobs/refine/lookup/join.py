"""The lookup join: each row stays, once, and a miss is marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.config import Lookup
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine.lookup import hidden_columns, keys
from medallion_jobs.refine.lookup.dimension import Dimension

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_PICKED = "dimension picked"


def join_all(rows: DataFrame, dimensions: Sequence[Dimension]) -> DataFrame:
    """Fetches the columns of each dimension, in order.

    Every row stays, once, with all its columns; `how` and `on_miss` are for later. Beside
    the columns that are taken come two hidden ones for each lookup (`marks.miss`,
    `marks.missed`).

    Raises:
        UsageError: a column that is taken would stand in the row twice.
    """
    for place, dimension in enumerate(dimensions):
        rows = _joined(rows, dimension, place)
    return rows


def _joined(rows: DataFrame, dimension: Dimension, place: int) -> DataFrame:
    lookup, side = dimension.lookup, dimension.rows
    new = _new_columns(rows, lookup)
    row_keys = keys.of_row(rows, lookup, side)
    matches = hidden_columns.all_of(
        value == col(hidden_columns.key(number)) for number, value in enumerate(row_keys.values())
    )
    if lookup.as_of is None:
        found = rows.join(side, matches, "left")
    else:
        moment = keys.moment_of_row(rows, lookup.as_of, side)
        found = _joined_as_of(rows, side, matches, moment)
    picked = col(_PICKED) if _PICKED in found.columns else None
    # No key of a dimension is null, so this one is only where the row has found none.
    is_missed = (col(hidden_columns.key(0)) if picked is None else picked).isNull()
    what = F.struct(
        keys.canonical(row_keys).alias("key"),
        keys.said(rows, lookup).alias("said"),
    )

    def taken(name: str) -> Column:
        value = (
            col(hidden_columns.taken(name))
            if picked is None
            else picked[hidden_columns.taken(name)]
        )
        unknown = dimension.unknown.get(name)
        # A row that waits takes it too; it goes on as it was read, and looks again.
        return value if unknown is None else F.when(is_missed, unknown).otherwise(value)

    return found.select(
        *[col(name) for name in rows.columns],
        *[taken(name).alias(here) for here, name in new.items()],
        is_missed.alias(hidden_columns.miss(place)),
        F.when(is_missed, what).alias(hidden_columns.missed(place)),
    )


def _joined_as_of(rows: DataFrame, side: DataFrame, matches: Column, moment: Column) -> DataFrame:
    """Rows beside the dimension's row of their moment."""
    if hidden_columns.VERSIONS not in side.columns:
        begin, end = col(hidden_columns.VALID_FROM), col(hidden_columns.VALID_TO)
        return rows.join(side, matches & _valid(begin, end, moment), "left")
    valid = F.filter(
        col(hidden_columns.VERSIONS),
        lambda one: _valid(one[hidden_columns.VALID_FROM], one[hidden_columns.VALID_TO], moment),
    )
    return rows.join(side, matches, "left").withColumn(_PICKED, F.get(valid, F.lit(0)))


def _valid(begin: Column, end: Column, moment: Column) -> Column:
    """From the begin on and before the end; a null edge is open, a null moment is nowhere."""
    return (
        moment.isNotNull() & (begin.isNull() | (begin <= moment)) & (end.isNull() | (moment < end))
    )


def _new_columns(rows: DataFrame, lookup: Lookup) -> dict[str, str]:
    """What is added to the row: the name here to the name in the dimension.

    A key that is taken under the name that it has in the row is there already.
    """
    new = {here: name for here, name in lookup.take.items() if lookup.on.get(name) != here}
    # Spark does not tell letter cases apart.
    there = {name.casefold(): name for name in rows.columns}
    taken = [
        f"{here} (it has {there[here.casefold()]})" for here in new if here.casefold() in there
    ]
    if taken:
        raise UsageError(
            f"the row has a column already that the lookup in {lookup.table} takes: "
            + ", ".join(taken),
            untouched="nothing of the batch is written",
            next_step="take it under another name: `take: {name_here: name_in_the_dimension}`",
        )
    return new
