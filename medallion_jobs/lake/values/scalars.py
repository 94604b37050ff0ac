"""Strict parsing of the text of one value, of a type without inner types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    IntegralType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

if TYPE_CHECKING:
    from pyspark.sql import Column

# Reader options with the formats of timestamps and dates, as Spark datetime patterns.
TIMESTAMP_FORMAT, DATE_FORMAT = "timestampFormat", "dateFormat"
# How exactly the text of a number has to come back from the value, and of a timestamp.
NUMBERS, NANOSECONDS = "numbers", "nanoseconds"
PADDED, ROUNDED, TRUNCATE = "padded", "rounded", "truncate"
_NO_NUMBERS = (float("nan"), float("inf"), float("-inf"))
# Java also takes "1d" and "0x1p3" for doubles.
_UNSIGNED = r"(?:[0-9]++\.?[0-9]*+|\.[0-9]++)"
_EXPONENT = r"(?:[eE][+-]?[0-9]++)?"
_NUMBER = rf"^\s*+[+-]?{_UNSIGNED}{_EXPONENT}\s*+$"
# Without leading zeros and without a plus sign, which a number does not give back.
_PLAIN_NUMBER = rf"^\s*+-?(?!0[0-9]){_UNSIGNED}{_EXPONENT}\s*+$"
_PADDED_WHOLE = r"^\s*+([+-]?[0-9]++)(?:\.0*+)?\s*+$"
_PLAIN_WHOLE = r"^\s*+(-?(?!0[0-9])[0-9]++)(?:\.0*+)?\s*+$"
# Significant digits that every double, or float, gives back.
_DOUBLE_DIGITS, _FLOAT_DIGITS = 15, 6
_A_DAY = r"^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOMENT_OF_A_DAY = _A_DAY + r"([ T]|\s*$)"
_ONLY_A_DAY = _A_DAY + r"([ T]00:00(:00(\.0*)?)?(Z|\+00:00)?)?\s*$"
# Digits of a second below the microsecond that are not all zero.
_BELOW_MICROSECOND = r"[.,][0-9]{6}[0-9]*[1-9]"
_OFFSET = r":[0-9.]+\s*([+-][0-9:]+|[A-Za-z].*)$"
_UTC = r"(Z|UTC|[+-]00(:?00)?)\s*$"


def value(text: Column, kind: DataType, options: Mapping[str, str] | None = None) -> Column:
    """The value of a text; null if the text does not fit the type, or is null.

    Args:
        kind: a type without inner types.
        options: may hold `timestampFormat` and `dateFormat`; `numbers`, by default exact:
            `padded` also takes leading zeros and plus signs, `rounded` also digits that a
            double does not hold; `nanoseconds: truncate` cuts digits below the microsecond.
    """
    options = options or {}
    if isinstance(kind, TimestampType | TimestampNTZType | DateType):
        return _moment(text, kind, options)
    if isinstance(kind, BooleanType):
        # A cast also accepts "y", "1" and similar texts.
        return F.when(F.lower(F.trim(text)).isin("true", "false"), text.try_cast(kind))
    if isinstance(kind, NumericType):
        return _number(text, kind, options)
    return text if isinstance(kind, StringType) else text.try_cast(kind)


def _number(text: Column, kind: DataType, options: Mapping[str, str]) -> Column:
    is_padded = options.get(NUMBERS) in (PADDED, ROUNDED)
    if isinstance(kind, IntegralType):
        whole = F.regexp_extract(text, _PADDED_WHOLE if is_padded else _PLAIN_WHOLE, 1)
        return whole.try_cast(kind)
    number = text.try_cast(kind)
    fits = text.rlike(_NUMBER if is_padded else _PLAIN_NUMBER)
    if isinstance(kind, DecimalType):
        # Most numbers are so short that one look is enough.
        is_plain = text.rlike(rf"^-?(?:0|[1-9][0-9]*+)(?:\.[0-9]{{1,{max(kind.scale, 1)}}}+)?+$")
        is_plain = is_plain if kind.scale else F.lit(False)
        fits = is_plain | (fits & _has_scale(text, kind.scale))
    else:
        # "NaN" and "Infinity" do not fit: one of them makes every sum useless.
        fits = fits & ~number.isin(*_NO_NUMBERS)
        if options.get(NUMBERS) != ROUNDED:
            fits = fits & _comes_back(text, number, kind)
    return F.when(fits, number)


def _has_scale(text: Column, scale: int) -> Column:
    """Whether a number has no more digits after the point; a cast would round: 1.005 to 1.01."""
    # Digits count up to the last that is not zero.
    digits = F.length(F.regexp_extract(text, r"\.([^eE]*[^0eE\s])", 1))
    exponent = F.regexp_extract(text, "[eE](.*)", 1).try_cast("int")
    return digits - F.coalesce(exponent, F.lit(0)) <= scale


def _comes_back(text: Column, number: Column, kind: DataType) -> Column:
    """Whether a double or float has all digits of a text, and is 0 only if the text is."""
    most = _DOUBLE_DIGITS if isinstance(kind, DoubleType) else _FLOAT_DIGITS
    given, kept = _digits(text), _digits(number.cast("string"))
    # Java sometimes writes a digit more than is needed to name a number.
    is_kept = (given == kept) | ((F.length(given) > most) & (F.length(given) < F.length(kept)))
    is_short = F.length(F.trim(text)) <= most
    return F.when(number == 0, given == "").otherwise(
        is_short | (F.length(given) <= most) | is_kept
    )


def _digits(number: Column) -> Column:
    """The significant digits of a number's text."""
    digits = F.regexp_replace(F.regexp_replace(number, "[eE].*", ""), "[^0-9]", "")
    return F.rtrim(F.ltrim(digits, F.lit("0")), F.lit("0"))


def _moment(text: Column, kind: DataType, options: Mapping[str, str]) -> Column:
    pattern = options.get(DATE_FORMAT if isinstance(kind, DateType) else TIMESTAMP_FORMAT)
    if pattern is not None:
        read = F.try_to_timestamp(text, F.lit(pattern)).cast(kind)
    elif isinstance(kind, DateType):
        # A cast drops the time of day, and takes any number for a year.
        read = F.when(text.rlike(_ONLY_A_DAY), text.try_cast(kind))
    else:
        # A cast takes "10:15" for today, which is another day in each replay.
        read = F.when(text.rlike(_MOMENT_OF_A_DAY), text.try_cast(kind))
    if isinstance(kind, TimestampNTZType):
        # A cast drops the offset.
        read = F.when(~text.rlike(_OFFSET) | text.rlike(_UTC), read)
    is_cut = options.get(NANOSECONDS) == TRUNCATE or isinstance(kind, DateType)
    return read if is_cut else F.when(has_no_nanoseconds(text), read)


def has_no_nanoseconds(text: Column) -> Column:
    """Whether a timestamp's text has no digits below the microsecond, other than zeros."""
    return ~text.rlike(_BELOW_MICROSECOND)
