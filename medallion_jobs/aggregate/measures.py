"""Measures: aggregates of a group's rows, and how later rows update them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from operator import and_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    LongType,
)

from medallion_jobs.aggregate.text import has_distinct, recognised
from medallion_jobs.config import Measure
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.sql import col, over_row
from medallion_jobs.lake.tables.sql_text import normalised
from medallion_jobs.lake.values.type_walk import inside

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# From the value of a group and that of its new rows, the value of both.
Combined = Callable[["Column", "Column"], "Column"]

# A sum of two decimals has at most this many digits; at least this many digits after the point
# are exact.
_MOST_DIGITS, _KEPT_AFTER_POINT = 38, 6


def aggregate(rows: DataFrame, measure: Measure, *, by_sets: bool) -> Column:
    """The measure as an aggregate over `rows`.

    Args:
        by_sets: count distinct values in a set, the only way that works in a stream. Otherwise
            Spark's count(DISTINCT) is better: it can spill to disk.

    Raises:
        UsageError: the SQL has a DISTINCT that cannot be counted in a set.
    """
    known = recognised(measure)
    if known.kind is None:
        if by_sets and has_distinct(known.of):
            raise UsageError(
                f"`{known.of}`: Spark does not support DISTINCT in a stream or in sessions",
                code="distinct_not_streamable",
                untouched="nothing was written",
                next_step="use `count_distinct`, or an aggregate over collect_set(…); without "
                "sessions, `mode: incremental` supports it",
            )
        return F.expr(known.of)
    # In a measure given as SQL, `a.b` is the field of a struct, never a column.
    read = F.expr if measure.kind is None else partial(over_row, rows)
    if known.kind in ("first", "last"):
        return _by_order(rows, known)
    value = _counted(known, read)
    if known.kind == "count_distinct":
        if not by_sets:
            return F.count_distinct(value)
        kind = rows.select(value.alias("value")).schema["value"].dataType
        return F.size(F.collect_set(_comparable(value, kind))).cast("bigint")
    if known.kind == "approx_count_distinct":
        return F.approx_count_distinct(value, known.error)
    if known.kind in ("min", "max"):
        value = _without_negative_zero(rows, value)
    simple = {"sum": F.sum, "count": F.count, "min": F.min, "max": F.max, "avg": F.avg}
    return simple[known.kind](value)


def combined(measure: Measure, kind: DataType) -> Combined | None:
    """How added rows update a measure; None if the result would not be exact.

    Sums of floating-point numbers depend on the order of the rows, so they are not exact.

    Args:
        kind: the measure's type in the table.
    """
    known = recognised(measure).kind
    if known == "count":
        return lambda old, new: F.coalesce(old, F.lit(0)) + F.coalesce(new, F.lit(0))
    # Like Spark's min and max: nulls are ignored, and NaN is the largest.
    if known == "min":
        return F.least
    if known == "max":
        return F.greatest
    if known == "sum" and _adds_up_exactly(kind):
        return lambda old, new: F.coalesce((old + new).cast(kind), old, new)
    return None


def _adds_up_exactly(kind: DataType) -> bool:
    if isinstance(kind, DecimalType):
        return kind.precision < _MOST_DIGITS or kind.scale <= _KEPT_AFTER_POINT
    return isinstance(kind, LongType)


def described(measure: Measure) -> str:
    """The measure as text: different for different measures."""
    if measure.kind is None:
        return normalised(measure.of)
    parts = [f"{measure.kind}({normalised(measure.of)})"]
    if measure.by:
        parts.append(f"by {', '.join(measure.by)}")
    if measure.where:
        parts.append(f"where {normalised(measure.where)}")
    if measure.kind == "approx_count_distinct":
        parts.append(f"error {measure.error}")
    return " ".join(parts)


def _counted(measure: Measure, read: Callable[[str], Column]) -> Column:
    """The value if the row passes the measure's `where`, else null, which measures ignore."""
    value = F.lit(1) if measure.of.strip() == "*" else read(measure.of)
    return F.when(read(measure.where), value) if measure.where else value


def _by_order(rows: DataFrame, measure: Measure) -> Column:
    """The value of the first or last row; among ties, the smallest or largest value."""
    order = [col(name) for name in measure.by or ()]
    counts = [column.isNotNull() for column in order]
    if measure.where:
        counts.append(over_row(rows, measure.where))
    named = [column.alias(f"by {place}") for place, column in enumerate(order)]
    row = F.struct(*named, _without_negative_zero(rows, over_row(rows, measure.of)).alias("value"))
    extreme = F.min if measure.kind == "first" else F.max
    return extreme(F.when(reduce(and_, counts), row))["value"]


def _without_negative_zero(rows: DataFrame, value: Column) -> Column:
    """The value, but 0.0 for -0.0: they are equal, and Spark keeps whichever came first."""
    kind = rows.select(value.alias("value")).schema["value"].dataType
    return value + F.lit(0).cast(kind) if isinstance(kind, FloatType | DoubleType) else value


def _comparable(value: Column, kind: DataType) -> Column:
    """The value in a form in which equal values are one element of a set.

    In a set, NaN does not equal NaN.
    """
    if isinstance(kind, FloatType | DoubleType):
        return (value + F.lit(0).cast(kind)).cast("string")
    return inside(value, kind, _comparable)
