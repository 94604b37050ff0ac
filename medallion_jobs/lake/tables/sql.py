"""Names, types and text literals in Spark SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# A type in Spark's JSON format: a mapping for a struct, array or map, a name for any other type.
JsonType: TypeAlias = "str | Mapping[str, Any]"

# Characters that Delta refuses in names of a table without column mapping.
NOT_IN_NAMES = r"[ ,;{}()\n\t=]"
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SQL_NAMES = {"byte": "tinyint", "short": "smallint", "integer": "int", "long": "bigint"}
# The keys of a type's inner types, by its kind.
INNER = {"array": ("elementType",), "map": ("keyType", "valueType"), "struct": ("fields",)}


def column(name: str) -> str:
    """A column or another name, quoted."""
    return "`" + name.replace("`", "``") + "`"


def quoted(name: str) -> str:
    """A name, in backticks only if it needs them."""
    return name if _PLAIN_NAME.fullmatch(name) else column(name)


def unquoted(text: str) -> str:
    """The name of an identifier in SQL, with or without backticks."""
    return text[1:-1].replace("``", "`") if text.startswith("`") else text


def col(name: str, of: str | None = None) -> Column:
    """A column by its exact name: dots and other characters have no special meaning.

    Args:
        of: the alias of the DataFrame that has it, or the struct that has it as a field.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415 (names need no Spark)

    return F.col(column(name) if of is None else f"{column(of)}.{column(name)}")


def over_row(rows: DataFrame, sql: str) -> Column:
    """An SQL expression over the row; the exact name of a column always means that column."""
    from pyspark.sql import functions as F  # noqa: PLC0415

    return col(sql) if sql in rows.columns else F.expr(sql)


def type_text(json_type: JsonType, *, always_quoted: bool = False) -> str:
    """A type in SQL, such as `struct<name: string>`."""
    if isinstance(json_type, str):
        return _SQL_NAMES.get(json_type, json_type)
    if json_type["type"] != "struct":
        inner = [type_text(t, always_quoted=always_quoted) for _, t in inner_types(json_type)]
        return f"{json_type['type']}<{', '.join(inner)}>"
    named = column if always_quoted else quoted
    fields = [
        f"{named(field['name'])}: {type_text(field['type'], always_quoted=always_quoted)}"
        + ("" if field["nullable"] else " not null")
        for field in json_type["fields"]
    ]
    return f"struct<{', '.join(fields)}>"


def inner_types(json_type: JsonType) -> Iterator[tuple[str, JsonType]]:
    """The types directly inside a type, by the names of fields, `element`, `key` or `value`."""
    if isinstance(json_type, str):
        return
    if json_type["type"] == "struct":
        yield from ((field["name"], field["type"]) for field in json_type["fields"])
        return
    for key in INNER[json_type["type"]]:
        yield key.removesuffix("Type"), json_type[key]


def namable(name: str) -> bool:
    """Whether a column of a table, or a field inside one, can have this name."""
    return bool(name) and not re.search(NOT_IN_NAMES, name)


def unnamable(json_type: JsonType) -> Iterator[str]:
    """The names in a type that Delta refuses."""
    for name, inner in inner_types(json_type):
        if not namable(name):
            yield name
        yield from unnamable(inner)


def table(path: Location) -> str:
    """The SQL name of the Delta table at a path."""
    return f"delta.{column(str(path))}"


def text(value: str) -> str:
    """A text literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
