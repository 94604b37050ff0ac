"""Each kind of check as an expression: true if a row is good, never null.

Text in a config is cast to the type of its column: the column is not cast row by row, and a text
that is no number does not stop the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    DecimalType,
    FloatType,
    NumericType,
    StringType,
    TimestampType,
)

from medallion_jobs.config import Expectation
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.sql import col

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
# Holds every 64-bit integer.
_LONG = DecimalType(20, 0)

Types = Mapping[str, DataType]


def types_of(rows: DataFrame) -> Types:
    """The types of columns by their names in lower case: Spark ignores case."""
    return {field.name.casefold(): field.dataType for field in rows.schema.fields}


def good(rule: Expectation, types: Types, moment: datetime) -> Column:
    """Whether a row keeps a rule that needs no other rows; never null.

    Args:
        moment: when the batch started, with a time zone; `recent` counts from it.

    Raises:
        UsageError: the rule compares a numeric column with a text that is no number.
    """
    kept = reduce(and_, _parts(rule, types, moment))
    return F.ifnull(kept, F.lit(False))


def _parts(rule: Expectation, types: Types, moment: datetime) -> list[Column]:
    if rule.check is not None:
        return [F.expr(rule.check)]
    if rule.not_null is not None:
        return [col(name).isNotNull() for name in rule.not_null]
    if rule.in_set is not None:
        return [
            col(name).isin([_literal(value, name, types) for value in values])
            for name, values in rule.in_set.items()
        ]
    if rule.matches is not None:
        return [_fits(name, pattern, types) for name, pattern in rule.matches.items()]
    if rule.between is not None:
        return [
            col(name).between(_literal(least, name, types), _literal(most, name, types))
            for name, (least, most) in rule.between.items()
        ]
    spans = rule.recent or {}
    return [_is_recent(name, span, types, moment) for name, span in spans.items()]


def _fits(name: str, pattern: str, types: Types) -> Column:
    text = col(name)
    if not isinstance(types.get(name.casefold()), StringType):
        text = text.cast("string")
    # `$` would allow a line break after the text.
    return text.rlike(rf"\A(?:{pattern})\z")


def _is_recent(name: str, span: timedelta, types: Types, moment: datetime) -> Column:
    of, at = types.get(name.casefold()), col(name)
    if isinstance(of, StringType):
        at = at.try_cast("timestamp")
    elif not isinstance(of, TimestampType):
        at = at.cast("timestamp")
    # As decimals: an integer or timestamp literal becomes part of the generated code, which
    # would then be compiled again for each batch.
    age = _whole((moment - _EPOCH) // _MICROSECOND) - F.unix_micros(at).cast(_LONG)
    return age.between(_whole(0), _whole(span // _MICROSECOND))


def _whole(number: int, of: DecimalType = _LONG) -> Column:
    """A decimal made from an integer: Spark computes with it ten times as fast."""
    return F.lit(number).cast(of)


def _literal(value: object, name: str, types: Types) -> Column:
    """A value of the config in the type of its column, so that the column needs no cast."""
    of = types.get(name.casefold())
    if isinstance(of, StringType):
        return F.lit(value) if isinstance(value, str) else F.lit(value).cast("string")
    if isinstance(of, NumericType) and isinstance(value, str):
        value = _number(value, name, of)
    if isinstance(of, DecimalType) and isinstance(value, int | float | Decimal):
        value = Decimal(str(value))
        if value == int(value) and abs(value) < 10 ** (of.precision - of.scale):
            return _whole(int(value), of)
    if isinstance(value, str) and of is not None:
        return F.lit(value).cast(of)
    # 0.1 as a double and as a float are different numbers.
    return F.lit(value).cast(of) if isinstance(of, FloatType) else F.lit(value)


def _number(text: str, name: str, of: DataType) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise UsageError(
            f"{name} is {of.simpleString()}, and a rule compares it with the text {text!r}",
            code="rule_types_differ",
            untouched="nothing of the batch is written",
            next_step="fix the rule in the config: write a number without quotes",
        ) from None
