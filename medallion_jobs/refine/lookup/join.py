"""The lookup join: each row stays, once, with hidden columns that record a miss."""

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
    """Adds the columns of each dimension, in order.

    Every row stays, once, with all its columns; `miss_policy` applies `how` and `on_miss`.
    Each lookup also adds two hidden columns (`hidden_columns.miss`, `hidden_columns.missed`).

    Raises:
        UsageError: the row already has a column of the name of a taken one.
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
    # Keys of a dimension are never null, so a null key means no match.
    is_missed = (col(hidden_columns.key(0)) if picked is None else picked).isNull()
    missed_key = F.struct(
        keys.canonical(row_keys).alias("key"),
        keys.described(rows, lookup).alias("text"),
    )

    def taken(name: str) -> Column:
        value = (
            col(hidden_columns.taken(name))
            if picked is None
            else picked[hidden_columns.taken(name)]
        )
        unknown = dimension.unknown.get(name)
        # Held rows get it, too: they are parked as they were read, and looked up again.
        return value if unknown is None else F.when(is_missed, unknown).otherwise(value)

    return found.select(
        *[col(name) for name in rows.columns],
        *[taken(name).alias(here) for here, name in new.items()],
        is_missed.alias(hidden_columns.miss(place)),
        F.when(is_missed, missed_key).alias(hidden_columns.missed(place)),
    )


def _joined_as_of(rows: DataFrame, side: DataFrame, matches: Column, moment: Column) -> DataFrame:
    """Rows with the dimension's row that is valid at their moment."""
    if hidden_columns.VERSIONS not in side.columns:
        begin, end = col(hidden_columns.VALID_FROM), col(hidden_columns.VALID_TO)
        return rows.join(side, matches & _valid(begin, end, moment), "left")
    valid = F.filter(
        col(hidden_columns.VERSIONS),
        lambda row: _valid(row[hidden_columns.VALID_FROM], row[hidden_columns.VALID_TO], moment),
    )
    return rows.join(side, matches, "left").withColumn(_PICKED, F.get(valid, F.lit(0)))


def _valid(begin: Column, end: Column, moment: Column) -> Column:
    """Whether begin <= moment < end; a null edge is open, a null moment is never inside."""
    return (
        moment.isNotNull() & (begin.isNull() | (begin <= moment)) & (end.isNull() | (moment < end))
    )


def _new_columns(rows: DataFrame, lookup: Lookup) -> dict[str, str]:
    """The columns to add: by their new name, the name in the dimension.

    Without keys that are taken under their name in the row: the row has them already.
    """
    new = {here: name for here, name in lookup.take.items() if lookup.on.get(name) != here}
    # Spark ignores letter case in names.
    existing = {name.casefold(): name for name in rows.columns}
    taken = [
        f"{here} (it has {existing[here.casefold()]})"
        for here in new
        if here.casefold() in existing
    ]
    if taken:
        raise UsageError(
            f"the row has a column already that the lookup in {lookup.table} takes: "
            + ", ".join(taken),
            code="lookup_column_exists",
            untouched="nothing of the batch is written",
            next_step="take it under another name: `take: {name_here: name_in_the_dimension}`",
        )
    return new
