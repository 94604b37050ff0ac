"""Infers the types of csv columns: a type is taken only if it holds each text as it is.

So `01234` and `+5` are texts, and a number of more digits than a double holds is a decimal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    TimestampType,
)

from medallion_jobs.autoloader.readers import csv_numbers
from medallion_jobs.autoloader.readers.frames import at
from medallion_jobs.lake.values import scalars, strict

NAME, TEXT = "name", "text"
# A number as it is written out again: no plus, no leading zeros, no minus before a bare zero.
_NUMBER = r"^(?!-0(\.0*)?([eE]|$))-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$"
_MOST_DIGITS = 38  # of a decimal
_OF_DOUBLE = 15  # decimal digits that each double holds
# A cast to a date drops a time after it.
_A_DAY = r"^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}\s*$"
_OTHERS: Sequence[tuple[str, DataType]] = (
    ("dates", DateType()),
    ("timestamps", TimestampType()),
    ("booleans", BooleanType()),
)


def texts_of(rows: DataFrame, names: Sequence[str]) -> DataFrame:
    """All fields of rows, one a row: the name of the column, and the text."""
    fields = (
        F.struct(F.lit(name).alias(NAME), F.col(at(n)).alias(TEXT)) for n, name in enumerate(names)
    )
    return rows.select(F.inline(F.array(*fields))).where(F.trim(TEXT) != "")


def inferred(texts: DataFrame, options: Mapping[str, str]) -> dict[str, DataType]:
    """By column, the type that holds all its texts; string if no other does."""
    text = F.col(TEXT)
    number = csv_numbers.plain(text, options)
    # An exponent moves the point: such a number is a double or a text.
    mantissa = F.regexp_replace(number, "[eE].*|^-", "")
    whole = F.regexp_extract(mantissa, r"^[0-9]*", 0)
    fraction = F.regexp_extract(mantissa, r"\.([0-9]*)", 1)
    digits = F.length(F.regexp_replace(F.concat(whole, fraction), "^0+", ""))
    long = number.try_cast("bigint")
    is_double = (digits <= _OF_DOUBLE) & strict.fits(number, DoubleType())
    found = texts.groupBy(NAME).agg(
        _all(number.rlike(_NUMBER)).alias("numbers"),
        _all(~F.contains(number, F.lit(".")) & ~number.rlike("[eE]")).alias("whole"),
        _all(number.try_cast("int").isNotNull()).alias("int"),
        _all(long.isNotNull()).alias("long"),
        _all(is_double).alias("doubles"),
        _all(~number.rlike("[eE]")).alias("decimals"),
        F.max(F.length(whole)).alias("before"),
        F.max(F.length(fraction)).alias("after"),
        *(_all(_fits(text, kind, options)).alias(name) for name, kind in _OTHERS),
    )
    return {row[NAME]: _type(row) for row in found.collect()}


def _fits(text: Column, kind: DataType, options: Mapping[str, str]) -> Column:
    fits = strict.fits(text, kind, options)
    is_plain_date = isinstance(kind, DateType) and scalars.DATE_FORMAT not in options
    return fits & text.rlike(_A_DAY) if is_plain_date else fits


def _all(holds: Column) -> Column:
    return F.every(F.coalesce(holds, F.lit(False)))


def _type(row: Row) -> DataType:
    if row["numbers"]:
        return _number(row)
    return next((kind for name, kind in _OTHERS if row[name]), StringType())


def _number(row: Row) -> DataType:
    if row["whole"] and row["long"]:
        return IntegerType() if row["int"] else LongType()
    if row["doubles"] and not row["whole"]:
        return DoubleType()
    precision = row["before"] + row["after"]
    if row["decimals"] and precision <= _MOST_DIGITS:
        return DecimalType(precision, row["after"])
    return StringType()
