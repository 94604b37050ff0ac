"""Walks over Spark's types, and over values along their types."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, MapType, StructType, VariantType

# Spark neither compares nor sorts values with one of these inside.
INCOMPARABLE = (MapType, VariantType)


def is_nested(kind: DataType) -> bool:
    """Whether a type has inner types."""
    return isinstance(kind, StructType | ArrayType | MapType)


def parts(kind: DataType) -> Iterator[DataType]:
    """The type itself and all types inside it, each before those inside it."""
    yield kind
    if isinstance(kind, StructType):
        for field in kind:
            yield from parts(field.dataType)
    elif isinstance(kind, ArrayType):
        yield from parts(kind.elementType)
    elif isinstance(kind, MapType):
        yield from parts(kind.keyType)
        yield from parts(kind.valueType)


def has(kind: DataType, wanted: type[DataType] | tuple[type[DataType], ...]) -> bool:
    """Whether a type is one of the wanted types, or contains one."""
    return any(isinstance(part, wanted) for part in parts(kind))


def inside(value: Column, kind: DataType, convert: Callable[[Column, DataType], Column]) -> Column:
    """The value with the values directly inside it converted; keys of maps stay as they are."""
    match kind:
        case StructType():
            fields = [convert(value.getField(f.name), f.dataType).alias(f.name) for f in kind]
            return F.when(value.isNotNull(), F.struct(*fields))
        case ArrayType():
            return F.transform(value, lambda element: convert(element, kind.elementType))
        case MapType():
            return F.transform_values(value, lambda _, entry: convert(entry, kind.valueType))
        case _:
            return value
