"""Strict casts of one value, and the rescue of values that cannot be cast.

A cast here never changes a value. A number that would lose digits, a `NaN` or a year outside the
calendar does not fit: it becomes null, and a hidden column records it. Texts are read as the
autoloader reads them (lake/values/scalars.py), and leading zeros and plus signs may go.
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
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from medallion_jobs.errors import NoSuchColumn, UsageError
from medallion_jobs.lake.columns import RESCUED
from medallion_jobs.lake.hidden_columns import is_hidden
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.lake.values import scalars
from medallion_jobs.lake.values.type_walk import is_nested

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructField

# A name among `formats`: ISO 8601, as the autoloader reads timestamps.
ISO = "iso"
MOMENTS = (TimestampType, TimestampNTZType, DateType)
_NO_NUMBERS = (float("nan"), float("inf"), float("-inf"))
# Who asks for a number wants no zeros before it; bronze has the text as it came.
_OPTIONS = {scalars.NUMBERS: scalars.PADDED}
_TO_DATE = {**_OPTIONS, scalars.NANOSECONDS: scalars.TRUNCATE}
# Python and SQL have no dates outside these; most are milliseconds read as seconds.
_FIRST, _LAST = "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"
_IN_QUOTES = r"'[^']*'"


def named(rows: DataFrame, name: str) -> StructField:
    """The column of this name; as in SQL, letter case does not matter.

    Raises:
        NoSuchColumn: there is no such column.
    """
    for field in rows.schema:
        if field.name.lower() == name.lower():
            return field
    known = [column for column in rows.columns if not is_hidden(column)]
    raise NoSuchColumn(
        "the row",
        [name],
        known,
        code="no_such_column",
        untouched="nothing was written",
        next_step="fix the table in the config, then: medallion validate",
    )


def replaced(
    rows: DataFrame, name: str, *instead: Column, beside: Sequence[Column] = ()
) -> DataFrame:
    """The rows with the column `name` replaced by `instead`, and with `beside` at the end."""
    columns: list[Column] = []
    for column in rows.columns:
        columns += instead if column == name else [col(column)]
    return rows.select(*columns, *beside)


def wrong(problem: str) -> UsageError:
    """The error for a declared transform that cannot be applied to the rows."""
    return UsageError(
        problem,
        code="invalid_cast_format",
        untouched="nothing was written",
        next_step="fix the table in the config, then: medallion validate",
    )


def value(column: Column, has: DataType, to: DataType, formats: Sequence[str]) -> Column:
    """A column cast to another type; null if it is null, or if the cast would change its value.

    Dates and timestamps must still be checked by `in_calendar`, once they are computed.

    Args:
        has, to: the column's type and the wanted one; they are different.
        formats: Spark's datetime patterns of dates and timestamps in texts and numbers.

    Raises:
        UsageError: one of the types is nested.
    """
    for kind in (has, to):
        if is_nested(kind):
            raise wrong(
                f"`cast` does not support {kind.simpleString()}: use `parse` for JSON text, "
                "`flatten` or `explode` for its parts, or `columns` for SQL"
            )
    if formats and isinstance(has, StringType | NumericType):
        return _by_formats(column.cast("string"), to, formats)
    if isinstance(has, StringType):
        return _of_text(column, to)
    return _of_value(column, has, to)


def _of_text(text: Column, to: DataType) -> Column:
    if isinstance(to, MOMENTS):
        return _of_iso(text, to)
    return scalars.value(text, to, _OPTIONS)


def _of_iso(text: Column, to: DataType) -> Column:
    # Read as a date or a timestamp_ntz, a text would lose its offset.
    options = _TO_DATE if isinstance(to, DateType) else _OPTIONS
    return scalars.value(text, TimestampType(), options).cast(to)


def _of_value(column: Column, has: DataType, to: DataType) -> Column:
    changed = column.try_cast(to)
    if isinstance(to, StringType):
        return changed
    if isinstance(to, MOMENTS):
        # A cast to a date drops the time of day: that is allowed.
        return changed
    if isinstance(to, FloatType) and isinstance(has, DoubleType):
        return F.when(~changed.isin(*_NO_NUMBERS), changed)
    return F.when(changed.try_cast(has) == column, changed)


def _by_formats(text: Column, to: DataType, formats: Sequence[str]) -> Column:
    readings = [
        _of_iso(text, to)
        if pattern == ISO
        else F.try_to_timestamp(F.trim(text), F.lit(pattern)).cast(to)
        for pattern in formats
    ]
    read = F.coalesce(*readings)
    return read if isinstance(to, DateType) else F.when(scalars.has_no_nanoseconds(text), read)


def in_calendar(value: Column, kind: DataType) -> Column:
    """The value; null if it is a date or timestamp outside the years 1 to 9999."""
    if not isinstance(kind, MOMENTS):
        return value
    return F.when(value.between(F.lit(_FIRST).cast(kind), F.lit(_LAST).cast(kind)), value)


def check_formats(spark: SparkSession, formats: Sequence[str], to: DataType) -> None:
    """Checks formats up front: Spark would find a wrong one only at the first row.

    Raises:
        UsageError: Spark does not know a pattern, a pattern has no year, or the type is not a
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
                f"{pattern!r} is not a datetime pattern of Spark; see "
                "https://spark.apache.org/docs/latest/sql-ref-datetime-pattern.html"
            ) from error
        if "y" not in re.sub(_IN_QUOTES, "", pattern):
            raise wrong(f"the pattern {pattern!r} has no year (y): all values would be in 1970")


def rescue(rows: DataFrame, texts: Mapping[str, Column], done: str) -> DataFrame:
    """Adds texts to `_rescued_data`, and the column itself if the rows lack it.

    Args:
        texts: by column, the text that could not be read; null if there is none.
        done: the step that failed, such as `cast`: the prefix of a key that `_rescued_data`
            has already.

    Raises:
        UsageError: `_rescued_data` is not a string column.
    """
    some = F.greatest(F.lit(False), *(text.isNotNull() for text in texts.values()))
    own = {name.lower(): name for name in rows.columns}
    if RESCUED not in own:
        return rows.withColumn(RESCUED, F.when(some, _object(texts)))
    if not isinstance(named(rows, RESCUED).dataType, StringType):
        raise wrong(f"{RESCUED} is not a string column, so nothing can be rescued into it")
    existing = col(own[RESCUED])
    keys = F.when(existing.rlike(r"\}\s*$"), F.json_object_keys(existing))
    beside = {}
    for name, text in texts.items():
        taken = F.array_contains(keys, name)
        beside[name] = F.when(~taken, text)
        beside[f"{done} {name}"] = F.when(taken, text)
    comma = F.when(F.size(keys) > 0, ",").otherwise("")
    joined = F.concat(
        F.regexp_replace(existing, r"\}\s*$", ""), comma, F.substr(_object(beside), F.lit(2))
    )
    # The existing text may be no JSON object: then it becomes a value like the others.
    merged = (
        F.when(existing.isNull(), _object(texts))
        .when(keys.isNull(), _object({RESCUED: existing, **texts}))
        .otherwise(joined)
    )
    rescued = F.when(some, merged).otherwise(existing)
    return replaced(rows, own[RESCUED], rescued.alias(own[RESCUED]))


def _object(texts: Mapping[str, Column]) -> Column:
    """The texts as a JSON object, without those that are null."""
    return F.to_json(F.struct(*(text.alias(name) for name, text in texts.items())))
