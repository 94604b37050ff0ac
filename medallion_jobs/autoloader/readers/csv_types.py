"""Finds a common type for a column that has different types in several csv files."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql.types import (
    DataType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    NullType,
    StringType,
    StructType,
)

_WHOLE = (IntegerType, LongType)


def common_types(schemas: Iterable[StructType]) -> dict[str, DataType]:
    """By column, the type that can hold the values of all files; string if no other can."""
    kinds: dict[str, DataType] = {}
    for schema in schemas:
        for field in schema:
            kinds[field.name] = _common(kinds.get(field.name, NullType()), field.dataType)
    return kinds


def _common(data_type: DataType, other: DataType) -> DataType:
    if data_type == other or isinstance(other, NullType):
        return data_type
    if isinstance(data_type, NullType):
        return other
    if isinstance(data_type, _WHOLE) and isinstance(other, _WHOLE):
        return LongType()
    numbers = (*_WHOLE, DecimalType, DoubleType)
    if isinstance(data_type, numbers) and isinstance(other, numbers):
        return DoubleType()
    return StringType()
