"""Values of typed files as they stand in `_rescued_data`, where `to_json` writes them."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    MapType,
    NumericType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from medallion_jobs.autoloader.readers.conversions import Make, is_broken
from medallion_jobs.autoloader.readers.foreign_types import Foreign
from medallion_jobs.lake.tables.json_text import JSON_TEXT

_TEXTS: dict[type[DataType], Make] = {
    BinaryType: F.base64,
    TimestampType: lambda value: F.date_format(value, JSON_TEXT["timestampFormat"]),
    TimestampNTZType: lambda value: F.date_format(value, JSON_TEXT["timestampNTZFormat"]),
}


def shown(kind: DataType) -> Make:
    """How a value is rescued: exactly, and as valid UTF-8."""
    return _changed(kind) or (lambda value: value)


def _changed(kind: DataType) -> Make | None:
    """The change to a value before `to_json`; None if it writes it exactly."""
    if isinstance(kind, Foreign):
        return kind.shown
    if isinstance(kind, StringType):
        return _valid
    if isinstance(kind, StructType):
        return _fields(kind)
    if isinstance(kind, ArrayType):
        element = _changed(kind.elementType)
        return element and (lambda array: F.transform(array, element))
    if isinstance(kind, MapType):
        return _entries(kind)
    return None


def _valid(text: Column) -> Column:
    return F.when(is_broken(text), F.base64(text.cast("binary"))).otherwise(text)


def _fields(kind: StructType) -> Make | None:
    if not any(_changed(field.dataType) for field in kind):
        return None

    def fields(struct: Column) -> Column:
        parts = [shown(f.dataType)(struct.getField(f.name)).alias(f.name) for f in kind]
        return F.when(struct.isNotNull(), F.struct(*parts))

    return fields


def _entries(kind: MapType) -> Make | None:
    key, change = _key(kind.keyType), _changed(kind.valueType)

    def entries(given: Column) -> Column:
        made = F.transform_values(given, lambda _, value: change(value)) if change else given
        if key is None:
            return made
        texts = F.transform(F.map_keys(given), key)
        are_distinct = F.size(texts) == F.size(F.array_distinct(texts))
        numbered = F.transform(texts, lambda text, at: F.concat(text, F.lit(" #"), at + 1))
        # No map may have a key twice.
        unique = F.when(are_distinct, texts).otherwise(numbered)
        named = F.map_from_arrays(unique, F.map_values(made))
        if not isinstance(kind.keyType, StringType):
            return named
        return F.when(F.exists(F.map_keys(given), is_broken), named).otherwise(made)

    return entries if key or change else None


def _key(kind: DataType) -> Make | None:
    """The text of a map's key; None if `to_json` writes it exactly.

    It writes moments as numbers, and bytes and nested values as names of Java objects.
    """
    if isinstance(kind, BooleanType | NumericType):
        return None
    if isinstance(kind, StructType | ArrayType | MapType):
        change = shown(kind)
        return lambda value: F.to_json(change(value), JSON_TEXT)
    change = _changed(kind) or _TEXTS.get(type(kind)) or (lambda value: value)
    return lambda value: change(value).cast("string")
