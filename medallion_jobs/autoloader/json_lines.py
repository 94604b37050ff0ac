"""JSON lines to typed rows, by Spark's own expressions and strictly.

Spark's JSON reader takes much for good that is not: two objects on a line, text behind an
object, `"1,25"` as 125.00, a repeated key, a key that it does not know. Here a line is first
parsed as an array of maps of strings: it holds one object if, put between brackets, it is
an array of length one. Each column is then cast from its text with `try_cast`. A line that is not
one object is bad and goes to quarantine; a value that does not fit its column, or whose key
no column bears, is rescued: kept as JSON in `_rescued_data`, and the row is good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)
from pyspark.sql.types import ArrayType, MapType, StructType

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

RESCUED = "_rescued_data"
_OBJECTS = "__objects"
# Characters of a line that a quarantine row keeps. 64 KiB shows what a line is without
# letting one line of a gigabyte fill the table.
LINE_LIMIT = 64 * 1024


def parse(lines: DataFrame) -> DataFrame:
    """Adds what is parsed of `value`; blank lines, which are no records, are left out.

    Args:
        lines: with a column `value`, one line each.
    """
    blank = F.trim(F.col("value"), F.lit(" \t\r\ufeff")) == ""
    bracketed = F.concat(F.lit("["), F.col("value"), F.lit("]"))
    objects = F.from_json(
        bracketed, "array<map<string,string>>", {"allowNonNumericNumbers": "false"}
    )
    return lines.where(~blank).withColumn(_OBJECTS, objects)


def is_good() -> Column:
    """Whether a parsed line holds one JSON object, in which no key is repeated."""
    only = F.get(_OBJECTS, F.lit(0))
    keys = F.map_keys(only)
    return F.coalesce(
        (F.size(_OBJECTS) == 1)
        & only.isNotNull()
        & (F.size(keys) == F.size(F.array_distinct(keys))),
        F.lit(False),
    )


def reason() -> Column:
    """Why a line is bad, in words."""
    objects = F.col(_OBJECTS)
    return (
        F.when(F.size(objects) > 1, "more than one JSON object on the line")
        .when(F.get(objects, F.lit(0)).isNotNull(), "a key is repeated in the JSON object")
        .when(F.expr("try_parse_json(value)").isNotNull(), "valid JSON, but not an object")
        .otherwise("not valid JSON")
    )


def columns(schema: StructType) -> list[Column]:
    """The columns of `schema`, and `_rescued_data`, from a good line."""
    texts = F.col(_OBJECTS)[0]
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


def _value(text: Column, kind: DataType) -> Column:
    if isinstance(kind, StructType | ArrayType | MapType):
        return F.from_json(text, kind.simpleString(), {"mode": "PERMISSIVE"})
    return text.try_cast(kind)
