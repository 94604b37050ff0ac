"""Values of typed files as they stand in `_rescued_data`, where `to_json` writes them."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    MapType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from medallion_jobs.autoloader.readers.conversions import Make, has_repeated, is_broken
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


def _entries(kind: MapType) -> Make:
    key, value = _key(kind.keyType), shown(kind.valueType)

    def entries(given: Column) -> Column:
        texts = F.transform(F.map_keys(given), key)
        numbered = F.transform(texts, lambda text, at: F.concat(text, F.lit(" #"), at + 1))
        # In JSON, the last of several values with the same key would hide the others.
        unique = F.when(has_repeated(texts), numbered).otherwise(texts)
        return F.map_from_arrays(unique, F.transform(F.map_values(given), value))

    return entries


def _key(kind: DataType) -> Make:
    """The text of a map's key.

    By itself, `to_json` writes moments as numbers, and bytes as names of Java objects.
    """
    if isinstance(kind, StructType | ArrayType | MapType):
        change = shown(kind)
        return lambda value: F.to_json(change(value), JSON_TEXT)
    text = _changed(kind) or _TEXTS.get(type(kind)) or (lambda value: value)
    return lambda value: text(value).cast("string")
