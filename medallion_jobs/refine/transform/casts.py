"""One value read as a type, strictly; and what is kept of a value that cannot be.

A cast here never changes a value: a number that would lose digits, a `NaN`, a year that no
calendar has do not fit, and are null beside a mark. Texts are read as the autoloader reads
them (autoloader/formats/values.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.errors import PySparkException
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    DateType,
    DoubleType,
    FloatType,
    IntegralType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from medallion_jobs.errors import UsageError
from medallion_jobs.lake.columns import RESCUED
from medallion_jobs.lake.hidden_columns import is_hidden
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.lake.values import strict

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructField

# Among the formats: as the autoloader reads a moment.
ISO = "iso"
MOMENTS = (TimestampType, TimestampNTZType, DateType)
_NO_NUMBERS = (float("nan"), float("inf"), float("-inf"))
# Java also takes "1d" and "0x1p3" for doubles.
_NUMBER = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"
_WHOLE_WITH_POINT = r"^\s*([+-]?[0-9]+)\.0*\s*$"
# Outside of these, neither Python nor SQL has a date: mostly milliseconds taken for seconds.
_FIRST, _LAST = "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"
_IN_QUOTES = r"'[^']*'"


def named(rows: DataFrame, name: str) -> StructField:
    """The column of this name; as in SQL, letter case does not matter.

    Raises:
        UsageError: there is none.
    """
    for field in rows.schema:
        if field.name.lower() == name.lower():
            return field
    known = [column for column in rows.columns if not is_hidden(column)]
    raise wrong(f"there is no column {name}; there are: {', '.join(known)}")


def replaced(
    rows: DataFrame, name: str, *instead: Column, beside: Sequence[Column] = ()
) -> DataFrame:
    """The rows with other columns in the place of one, and more columns at the end."""
    columns: list[Column] = []
    for column in rows.columns:
        columns += instead if column == name else [col(column)]
    return rows.select(*columns, *beside)


def wrong(what: str) -> UsageError:
    """A declared transform that cannot be applied to the rows that are there."""
    return UsageError(
        what,
        untouched="nothing was written",
        next_step="mend the table in the config, then: medallion validate",
    )


def value(column: Column, has: DataType, to: DataType, formats: Sequence[str]) -> Column:
    """A column as another type; null where it is null, or where its value would change.

    Moments are still to be held against the calendar, by `in_calendar`, once they are computed.

    Args:
        has, to: its type and the wanted one, of which none is nested and which are not equal.
        formats: how moments are written in texts and numbers, as Spark's datetime patterns.

    Raises:
        UsageError: a nested type.
    """
    for kind in (has, to):
        if strict.is_nested(kind):
            raise wrong(
                f"a cast cannot go through {kind.simpleString()}: take `parse` for JSON text, "
                "`flatten` or `explode` for what is in it, or `columns` for SQL"
            )
    if formats and isinstance(has, StringType | NumericType):
        return _by_formats(column.cast("string"), to, formats)
    if isinstance(has, StringType):
        return _of_text(column, to)
    return _of_value(column, has, to)


def _of_text(text: Column, to: DataType) -> Column:
    if isinstance(to, MOMENTS):
        # Read as any other type of a moment, a text would lose its offset.
        return strict.value(text, TimestampType()).cast(to)
    read = strict.value(text, to)
    if isinstance(to, IntegralType):
        whole = F.regexp_extract(text, _WHOLE_WITH_POINT, 1).try_cast(to)
        return F.coalesce(read, whole)
    if isinstance(to, DoubleType | FloatType):
        return F.when(text.rlike(_NUMBER), read)
    return read


def _of_value(column: Column, has: DataType, to: DataType) -> Column:
    changed = column.try_cast(to)
    if isinstance(to, StringType):
        return changed
    if isinstance(to, MOMENTS):
        # A date is the day of a moment: this much, a cast to it does take away.
        return changed
    if isinstance(to, FloatType) and isinstance(has, DoubleType):
        return F.when(~changed.isin(*_NO_NUMBERS), changed)
    return F.when(changed.try_cast(has) == column, changed)


def _by_formats(text: Column, to: DataType, formats: Sequence[str]) -> Column:
    tried = [
        strict.value(text, TimestampType())
        if pattern == ISO
        else F.try_to_timestamp(F.trim(text), F.lit(pattern))
        for pattern in formats
    ]
    return F.coalesce(*tried).cast(to)


def in_calendar(value: Column, kind: DataType) -> Column:
    """A value; null where it is a moment before the year 1 or after the year 9999."""
    if not isinstance(kind, MOMENTS):
        return value
    return F.when(value.between(F.lit(_FIRST).cast(kind), F.lit(_LAST).cast(kind)), value)


def check_formats(spark: SparkSession, formats: Sequence[str], to: DataType) -> None:
    """Holds formats against Spark, which would find a wrong one only at the first row.

    Raises:
        UsageError: a pattern that Spark does not know, or that has no year; another type than a
            date or a timestamp.
    """
    if formats and not isinstance(to, MOMENTS):
        raise wrong(f"`formats` are for dates and timestamps, not for {to.simpleString()}")
    jvm: Any = spark._jvm
    for pattern in formats:
        if pattern == ISO:
            continue
        formatters = jvm.org.apache.spark.sql.catalyst.util.TimestampFormatter
        try:
            formatter = formatters.apply(pattern, jvm.java.time.ZoneId.of("UTC"), True)
            formatter.validatePatternString(True)
        except PySparkException as error:
            raise wrong(
                f"{pattern!r} is not a datetime pattern of Spark's; these are: "
                "https://spark.apache.org/docs/latest/sql-ref-datetime-pattern.html"
            ) from error
        if "y" not in re.sub(_IN_QUOTES, "", pattern):
            raise wrong(f"the pattern {pattern!r} has no year (y): all would be of 1970")


def rescue(rows: DataFrame, texts: Mapping[str, Column], done: str) -> DataFrame:
    """Keeps texts in `_rescued_data`, beside what is there; without such a column, adds it.

    Args:
        texts: by column, the text of what could not be read; null where there is none.
        done: the key that says what was done to them, such as `cast`; it tells a text apart from
            one that is there under the same name.

    Raises:
        UsageError: `_rescued_data` is not a column of texts.
    """
    some = F.greatest(F.lit(False), *(text.isNotNull() for text in texts.values()))
    own = {name.lower(): name for name in rows.columns}
    if RESCUED not in own:
        return rows.withColumn(RESCUED, F.when(some, _object(texts)))
    if not isinstance(named(rows, RESCUED).dataType, StringType):
        raise wrong(f"{RESCUED} is not a column of texts, so nothing can be rescued into it")
    there = col(own[RESCUED])
    keys = F.when(there.rlike(r"\}\s*$"), F.json_object_keys(there))
    beside = {}
    for name, text in texts.items():
        taken = F.array_contains(keys, name)
        beside[name] = F.when(~taken, text)
        beside[f"{done} {name}"] = F.when(taken, text)
    comma = F.when(F.size(keys) > 0, ",").otherwise("")
    joined = F.concat(
        F.regexp_replace(there, r"\}\s*$", ""), comma, F.substr(_object(beside), F.lit(2))
    )
    # What is there may be no JSON object: then it is a text like the others.
    united = (
        F.when(there.isNull(), _object(texts))
        .when(keys.isNull(), _object({RESCUED: there, **texts}))
        .otherwise(joined)
    )
    return replaced(rows, own[RESCUED], F.when(some, united).otherwise(there).alias(own[RESCUED]))


def _object(texts: Mapping[str, Column]) -> Column:
    """A JSON object's text, without those that are null."""
    return F.to_json(F.struct(*(text.alias(name) for name, text in texts.items())))
