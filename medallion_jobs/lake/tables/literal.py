"""Converts constants of a config to a column's type."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timezone
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    IntegralType,
    LongType,
    ShortType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

if TYPE_CHECKING:
    from pyspark.sql import Column

_BITS: Mapping[type[IntegralType], int] = {
    ByteType: 8,
    ShortType: 16,
    IntegerType: 32,
    LongType: 64,
}
_TRUTHS = {"true": True, "false": False}


def of(value: object, to: DataType) -> Column:
    """A value as a literal of the type.

    Raises:
        ValueError: the value does not fit the type; the message starts with the value.
    """
    converted: object
    if isinstance(to, BooleanType):
        converted = _TRUTHS.get(str(value).lower())
    elif isinstance(to, StringType):
        converted = str(value).lower() if isinstance(value, bool) else str(value)
    else:
        converted = None if isinstance(value, bool) else _scalar(value, to)
    if converted is None:
        raise ValueError(f"{value!r} is not a valid {to.simpleString()}")
    return F.lit(converted).cast(to)


def _scalar(value: object, to: DataType) -> object:
    """A value as a Python value of the type; None if it does not fit."""
    try:
        if isinstance(to, TimestampType | TimestampNTZType | DateType):
            return _moment(str(value), to)
        if isinstance(to, IntegralType):
            return _whole(Decimal(str(value)), 2 ** (_BITS[type(to)] - 1))
        if isinstance(to, DecimalType):
            return _decimal(Decimal(str(value)), to)
        if isinstance(to, DoubleType | FloatType):
            number = float(str(value))
            return number if isfinite(number) else None
    except (ValueError, InvalidOperation):
        return None
    raise ValueError(f"{value!r} cannot be a value of type {to.simpleString()}")


def _whole(number: Decimal, bound: int) -> int | None:
    fits = number == number.to_integral_value() and -bound <= number < bound
    return int(number) if fits else None


def _decimal(number: Decimal, to: DecimalType) -> Decimal | None:
    scaled = number.quantize(Decimal(1).scaleb(-to.scale))
    fits = scaled == number and abs(number) < Decimal(10) ** (to.precision - to.scale)
    return scaled if fits else None


def _moment(text: str, to: DataType) -> date | str:
    if isinstance(to, DateType):
        return date.fromisoformat(text)
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo:
        moment = moment.astimezone(timezone.utc).replace(tzinfo=None)
    # As text: Spark would take a datetime without a zone for local time of this machine.
    return moment.isoformat(sep=" ")
