"""A canonical form of values that can be compared and written as text, even for maps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    MapType,
    StructField,
    StructType,
    VariantType,
)

from medallion_jobs.lake.tables.json_text import JSON_TEXT
from medallion_jobs.lake.values.type_walk import has

if TYPE_CHECKING:
    from pyspark.sql import Column


# All that `canonical` changes, besides arrays of these.
_REWRITTEN = (StructType, MapType, VariantType)


def canonical(value: Column, kind: DataType) -> Column:
    """The value in a comparable form: struct fields sorted by name, maps as sorted entries.

    Nulls stay nulls. Values that Spark can compare stay as they are.
    """
    if isinstance(kind, VariantType):
        return F.to_json(value)
    if isinstance(kind, StructType):
        return F.when(value.isNotNull(), _struct(value, kind))
    if isinstance(kind, MapType):
        return F.array_sort(F.transform(F.map_entries(value), lambda entry: _entry(entry, kind)))
    if isinstance(kind, ArrayType) and has(kind.elementType, _REWRITTEN):
        return F.transform(value, lambda element: canonical(element, kind.elementType))
    return value


def text(columns: Iterable[Column]) -> Column:
    """Named canonical columns as a JSON object, without nulls."""
    return F.to_json(F.struct(*columns), JSON_TEXT)


def _struct(value: Column, kind: StructType) -> Column:
    return F.struct(*(_field(value, field) for field in sorted(kind, key=lambda f: f.name)))


def _field(value: Column, field: StructField) -> Column:
    return canonical(value.getField(field.name), field.dataType).alias(field.name)


def _entry(entry: Column, kind: MapType) -> Column:
    return F.struct(
        canonical(entry["key"], kind.keyType).alias("key"),
        canonical(entry["value"], kind.valueType).alias("value"),
    )
