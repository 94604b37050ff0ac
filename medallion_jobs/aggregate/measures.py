"""Measures: what is computed of a group's rows, and how it goes on with rows that come later."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from operator import and_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    LongType,
    StructType,
)

from medallion_jobs.aggregate.text import has_distinct, normalised, told_apart
from medallion_jobs.config import Measure
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.sql import col, over_row

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# The value of a group that has one, and that of its new rows, made one.
Combined = Callable[["Column", "Column"], "Column"]

# A sum of two decimals has this many digits at most; of those after the point, it keeps this
# many for certain.
_MOST_DIGITS, _KEPT_AFTER_POINT = 38, 6


def aggregate(rows: DataFrame, measure: Measure, *, by_sets: bool) -> Column:
    """The measure as an aggregate over `rows`.

    Args:
        by_sets: different values are counted in a set, the only way in which a stream can.
            Elsewhere Spark's own way is better: it can spill to disk.

    Raises:
        UsageError: SQL with a DISTINCT that cannot be counted in a set.
    """
    known = told_apart(measure)
    if known.kind is None:
        if by_sets and has_distinct(known.of):
            raise UsageError(
                f"`{known.of}`: in a stream, and in sessions, Spark has no DISTINCT",
                untouched="nothing was written",
                next_step="take `count_distinct`, or an aggregate over collect_set(…); without "
                "sessions, `mode: incremental` takes it as it is",
            )
        return F.expr(known.of)
    # A measure that is a text of SQL names a field of a struct by `a.b`, never a column.
    read = F.expr if measure.kind is None else partial(over_row, rows)
    if known.kind in ("first", "last"):
        return _by_order(rows, known)
    value = _that_count(known, read)
    if known.kind == "count_distinct":
        if not by_sets:
            return F.count_distinct(value)
        kind = rows.select(value.alias("value")).schema["value"].dataType
        return F.size(F.collect_set(_comparable(value, kind))).cast("bigint")
    if known.kind == "approx_count_distinct":
        return F.approx_count_distinct(value, known.error)
    if known.kind in ("min", "max"):
        value = _one_zero(rows, value)
    simple = {"sum": F.sum, "count": F.count, "min": F.min, "max": F.max, "avg": F.avg}
    return simple[known.kind](value)


def combined(measure: Measure, kind: DataType) -> Combined | None:
    """How a value goes on with that of rows that were added; None where it cannot, exactly.

    Sums of floating-point numbers depend on the order of the rows, so they cannot.

    Args:
        kind: the measure's type in the table.
    """
    known = told_apart(measure).kind
    if known == "count":
        return lambda old, new: F.coalesce(old, F.lit(0)) + F.coalesce(new, F.lit(0))
    # What Spark's own min and max are made of: nulls left out, NaN the largest.
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


def said(measure: Measure) -> str:
    """A text that is another one where the measure is another one."""
    if measure.kind is None:
        return normalised(measure.of)
    words = [f"{measure.kind}({normalised(measure.of)})"]
    if measure.by:
        words.append(f"by {', '.join(measure.by)}")
    if measure.where:
        words.append(f"where {normalised(measure.where)}")
    if measure.kind == "approx_count_distinct":
        words.append(f"error {measure.error}")
    return " ".join(words)


def _that_count(measure: Measure, read: Callable[[str], Column]) -> Column:
    """The value where the row counts for the measure, else null, which no measure counts."""
    value = F.lit(1) if measure.of.strip() == "*" else read(measure.of)
    return F.when(read(measure.where), value) if measure.where else value


def _by_order(rows: DataFrame, measure: Measure) -> Column:
    """The value of the first or last row; of rows that stand alike, the smallest or largest."""
    order = [col(name) for name in measure.by or ()]
    counts = [one.isNotNull() for one in order]
    if measure.where:
        counts.append(over_row(rows, measure.where))
    named = [one.alias(f"by {place}") for place, one in enumerate(order)]
    row = F.struct(*named, _one_zero(rows, over_row(rows, measure.of)).alias("value"))
    extreme = F.min if measure.kind == "first" else F.max
    return extreme(F.when(reduce(and_, counts), row))["value"]


def _one_zero(rows: DataFrame, value: Column) -> Column:
    """The value, but 0.0 for -0.0: Spark takes them for equal, and keeps which came first."""
    kind = rows.select(value.alias("value")).schema["value"].dataType
    return value + F.lit(0).cast(kind) if isinstance(kind, FloatType | DoubleType) else value


def _comparable(value: Column, kind: DataType) -> Column:
    """The value in a form whose equals are one element of a set, as they are one group.

    A set takes each NaN for another one.
    """
    if isinstance(kind, FloatType | DoubleType):
        return (value + F.lit(0).cast(kind)).cast("string")
    if isinstance(kind, StructType):
        fields = [
            _comparable(value.getField(one.name), one.dataType).alias(one.name) for one in kind
        ]
        return F.when(value.isNotNull(), F.struct(*fields))
    if isinstance(kind, ArrayType):
        return F.transform(value, lambda one: _comparable(one, kind.elementType))
    return value
