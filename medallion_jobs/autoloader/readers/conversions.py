"""How values of a file's type become values of a column's type.

A value is taken if the column holds it exactly: its type is the same or wider, or, of numbers, this
value happens to be the same in both types. Any other value is null, and is rescued.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ByteType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    NullType,
    ShortType,
    StringType,
)

Make: TypeAlias = Callable[[Column], Column]
# Decimal digits that each integer type needs.
_DIGITS = {ByteType: 3, ShortType: 5, IntegerType: 10, LongType: 19}
_ORDER = (ByteType, ShortType, IntegerType, LongType)
_BINARY = (FloatType, DoubleType)
# The first double that is no bigint. Spark casts it to the largest bigint, and that back to it.
_TOO_LARGE = 2.0**63


@dataclass(frozen=True)
class Conversion:
    """What becomes of a value of a file's type in a column.

    Attributes:
        value: the value as the wanted type, without the parts that do not fit; None if no value
            fits.
        misfit: whether some part does not fit; null counts as false. None if every value fits.
        is_new: whether it has a nested field that could be added to the wanted type.
        as_it_is: whether a value that fits is taken without a change.
    """

    value: Make | None
    misfit: Make | None = None
    is_new: bool = False
    as_it_is: bool = False

    def or_null(self, wanted: DataType) -> Make:
        """The value; null if no value fits."""
        return self.value or (lambda _: F.lit(None).cast(wanted))


def same(value: Column) -> Column:
    """The value itself."""
    return value


SAME = Conversion(same, as_it_is=True)
NOTHING_FITS = Conversion(None, Column.isNotNull)


def scalar(has: DataType, wanted: DataType) -> Conversion:
    """The conversion between two types that are not nested."""
    if isinstance(has, NullType):
        return Conversion(lambda _: F.lit(None).cast(wanted))
    if type(has) is StringType and type(wanted) is StringType:
        return Conversion(
            lambda text: F.when(F.is_valid_utf8(text), text), is_broken, as_it_is=True
        )
    if is_wider(has, wanted):
        return SAME if has == wanted else Conversion(lambda value: value.cast(wanted))
    return _of_numbers(has, wanted)


def is_wider(data_type: DataType, other: DataType) -> bool:
    """Whether every value of a type that is not nested is also a value of `other`."""
    if isinstance(data_type, _ORDER):
        if isinstance(other, _ORDER):
            return _ORDER.index(type(data_type)) <= _ORDER.index(type(other))
        if isinstance(other, DecimalType):
            return other.precision - other.scale >= _DIGITS[type(data_type)]
        return isinstance(other, DoubleType) and not isinstance(data_type, LongType)
    if isinstance(data_type, DecimalType) and isinstance(other, DecimalType):
        whole = other.precision - other.scale >= data_type.precision - data_type.scale
        return whole and other.scale >= data_type.scale
    return data_type == other or (
        isinstance(data_type, FloatType) and isinstance(other, DoubleType)
    )


def is_broken(text: Column) -> Column:
    """Whether a text is not UTF-8; other engines cannot read a column that has one."""
    return ~F.is_valid_utf8(text)


def has_repeated(keys: Column) -> Column:
    """Whether a key is there twice; DuckDB cannot read a map with such keys."""
    return F.size(keys) != F.size(F.array_distinct(keys))


def _of_numbers(has: DataType, wanted: DataType) -> Conversion:
    """Takes the numbers that are the same after the cast and back, to the sign of a zero."""
    numbers = (*_ORDER, *_BINARY, DecimalType)
    if not isinstance(has, numbers) or not isinstance(wanted, numbers):
        return NOTHING_FITS
    both = (has, wanted)
    is_binary = any(isinstance(kind, _BINARY) for kind in both)
    if is_binary and any(isinstance(kind, DecimalType) for kind in both):
        return NOTHING_FITS  # 0.1 is a decimal, but not a double

    def misfit(value: Column) -> Column:
        back = value.try_cast(wanted).try_cast(has).cast("string")
        fits = back == value.cast("string")
        if is_binary:
            fits = fits & (value.cast("double") < _TOO_LARGE)
        return value.isNotNull() & ~F.coalesce(fits, F.lit(False))

    return Conversion(lambda value: F.when(~misfit(value), value.try_cast(wanted)), misfit)
