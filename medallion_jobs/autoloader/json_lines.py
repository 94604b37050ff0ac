"""JSON lines to typed rows, by Spark's own expressions and strictly.

Spark's JSON reader takes much for good that is not: two objects on a line, text behind an
object, `"1,25"` as 125.00, a repeated key, a key that it does not know. Here a line is first
parsed as an array of maps of strings: put between a bracket and an end mark of ours, it
holds one object if the array is that object and the mark, for Spark reads no further than
the bracket that closes the array. Each column is then cast from its text with `try_cast`.
A line that is not one object is bad and goes to quarantine; a value that does not fit its
column, or whose key no column bears, is rescued: kept as JSON in `_rescued_data`, and the
row is good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    MapType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

RESCUED = "_rescued_data"
_OBJECTS = "__objects"
_END = "__end_of_line"
_OBJECT_AND_END = 2
_DECIMAL_DIGITS = 38  # the most that Spark's decimals have
_A_DAY = r"^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]|\s*$)"
_NO_NUMBERS = (float("nan"), float("inf"), float("-inf"))
# Characters of a line that a quarantine row keeps. 64 KiB shows what a line is without
# letting one line of a gigabyte fill the table.
LINE_LIMIT = 64 * 1024


def parse(lines: DataFrame) -> DataFrame:
    """Adds what is parsed of `value`; blank lines, which are no records, are left out.

    Args:
        lines: with a column `value`, one line each.
    """
    blank = F.trim(F.col("value"), F.lit(" \t\r\ufeff")) == ""
    bracketed = F.concat(F.lit("["), F.col("value"), F.lit(f',{{"{_END}":""}}]'))
    objects = F.from_json(
        bracketed,
        "array<map<string,string>>",
        {"allowNonNumericNumbers": "false", "allowSingleQuotes": "false"},
    )
    return lines.where(~blank).withColumn(_OBJECTS, objects)


def is_good() -> Column:
    """Whether a parsed line holds one JSON object, in which no key is repeated."""
    keys = F.map_keys(_first())
    return F.coalesce(
        (F.size(_OBJECTS) == _OBJECT_AND_END)
        & _is_whole()
        & (F.size(keys) == F.size(F.array_distinct(keys))),
        F.lit(False),
    )


def reason() -> Column:
    """Why a line is bad, in words."""
    return (
        F.when(~_is_whole(), "not valid JSON")
        .when(F.size(_OBJECTS) > _OBJECT_AND_END, "more than one JSON object on the line")
        .when(_first().isNotNull(), "a key is repeated in the JSON object")
        .when(F.expr("try_parse_json(value)").isNotNull(), "valid JSON, but not an object")
        .otherwise("not valid JSON")
    )


def columns(schema: StructType) -> list[Column]:
    """The columns of `schema`, and `_rescued_data`, from a good line."""
    texts = _first()
    known = F.array(*[F.lit(field.name) for field in schema])
    values = {field.name: _value(texts[field.name], field.dataType) for field in schema}
    misfits = [
        F.when(texts[name].isNotNull() & value.isNull(), F.lit(name))
        for name, value in values.items()
    ]
    unfit = F.concat(F.array_compact(F.array(*misfits)), F.array_except(F.map_keys(texts), known))
    rescued = F.when(
        F.size(unfit) > 0,
        F.to_json(F.map_filter(texts, lambda key, _: F.array_contains(unfit, key))),
    )
    return [*(value.alias(name) for name, value in values.items()), rescued.alias(RESCUED)]


def _first() -> Column:
    return F.get(_OBJECTS, F.lit(0))


def _is_whole() -> Column:
    """Whether the line ends where the array's last but one element does."""
    return F.map_contains_key(F.try_element_at(_OBJECTS, F.lit(-1)), _END)


def _value(text: Column, kind: DataType) -> Column:
    if isinstance(kind, StructType | ArrayType | MapType):
        return F.from_json(text, kind.simpleString(), {"mode": "PERMISSIVE"})
    value = text.try_cast(kind)
    if isinstance(kind, TimestampType | TimestampNTZType | DateType):
        # A cast takes "10:15" for today's, which is another day at each replay, and any
        # number for a year.
        return F.when(text.rlike(_A_DAY), value)
    if isinstance(kind, BooleanType):
        # A cast takes "y", "1" and their like too.
        return F.when(F.lower(F.trim(text)).isin("true", "false"), value)
    if isinstance(kind, DecimalType):
        # A cast rounds: 1.005 would be 1.01. The same text with all the digits that there
        # is room for behind the point must give the same number.
        whole_digits = kind.precision - kind.scale
        exact = text.try_cast(DecimalType(_DECIMAL_DIGITS, _DECIMAL_DIGITS - whole_digits))
        return F.when(exact == value, value)
    if isinstance(kind, DoubleType | FloatType):
        # "NaN" and "Infinity" are texts; one of them makes every sum over it worthless.
        return F.when(~value.isin(*_NO_NUMBERS), value)
    return value
