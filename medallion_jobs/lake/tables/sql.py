"""Names, types and texts as they stand in Spark's SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# A type in the JSON form that Spark itself writes: a struct, array or map is a mapping, any
# other type its name.
JsonType: TypeAlias = "str | Mapping[str, Any]"

# What Delta refuses in a name, where a table has no column mapping.
NOT_IN_NAMES = r"[ ,;{}()\n\t=]"
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SQL_NAMES = {"byte": "tinyint", "short": "smallint", "integer": "int", "long": "bigint"}
# What a type has inside, by its kind.
INNER = {"array": ("elementType",), "map": ("keyType", "valueType"), "struct": ("fields",)}


def column(name: str) -> str:
    """A column, or another name, to the letter."""
    return "`" + name.replace("`", "``") + "`"


def quoted(name: str) -> str:
    """A name as people write it: in backticks where it needs them."""
    return name if _PLAIN_NAME.fullmatch(name) else column(name)


def unquoted(text: str) -> str:
    """The name that stands in SQL, in backticks or without."""
    return text[1:-1].replace("``", "`") if text.startswith("`") else text


def col(name: str, of: str | None = None) -> Column:
    """A column by its name to the letter: whatever is in it means nothing else.

    Args:
        of: the alias of the frame that has it, or the struct that has it as a field.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415 (without Spark, names do)

    return F.col(column(name) if of is None else f"{column(of)}.{column(name)}")


def over_row(rows: DataFrame, sql: str) -> Column:
    """SQL over the row; the name of a column is that column, whatever else it could mean."""
    from pyspark.sql import functions as F  # noqa: PLC0415

    return col(sql) if sql in rows.columns else F.expr(sql)


def type_text(json_type: JsonType, *, always_quoted: bool = False) -> str:
    """A type as SQL takes it, such as `struct<name: string>`."""
    if isinstance(json_type, str):
        return _SQL_NAMES.get(json_type, json_type)
    if json_type["type"] != "struct":
        inner = [
            type_text(json_type[k], always_quoted=always_quoted) for k in INNER[json_type["type"]]
        ]
        return f"{json_type['type']}<{', '.join(inner)}>"
    named = column if always_quoted else quoted
    fields = [
        f"{named(field['name'])}: {type_text(field['type'], always_quoted=always_quoted)}"
        + ("" if field["nullable"] else " not null")
        for field in json_type["fields"]
    ]
    return f"struct<{', '.join(fields)}>"


def namable(name: str) -> bool:
    """Whether a column of a table, or a field inside one, can have this name."""
    return bool(name) and not re.search(NOT_IN_NAMES, name)


def unnamable(json_type: JsonType) -> Iterator[str]:
    """The names in a type that no column of a table, and no field inside one, can have."""
    if isinstance(json_type, str):
        return
    if json_type["type"] != "struct":
        for key in INNER[json_type["type"]]:
            yield from unnamable(json_type[key])
        return
    for field in json_type["fields"]:
        if not namable(field["name"]):
            yield field["name"]
        yield from unnamable(field["type"])


def table(path: Location) -> str:
    """The Delta table at a path."""
    return f"delta.{column(str(path))}"


def text(value: str) -> str:
    """A text between quotes."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
