"""Values of rows in a form that can be compared: equal if they are equal in Spark."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from math import isnan
from typing import Any

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    MapType,
    StructType,
    TimestampNTZType,
    TimestampType,
)


def in_utc(value: Any, kind: DataType) -> Any:
    """The value with UTC for timestamps without a zone; Spark would use the local zone."""
    if value is None:
        return None
    if isinstance(kind, TimestampType) and isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    if isinstance(kind, StructType) and isinstance(value, Mapping):
        return {field.name: in_utc(value.get(field.name), field.dataType) for field in kind}
    if isinstance(kind, ArrayType):
        return [in_utc(item, kind.elementType) for item in value]
    if isinstance(kind, MapType):
        return {key: in_utc(item, kind.valueType) for key, item in value.items()}
    return value


def comparable(value: Any, kind: DataType) -> Any:
    """A hashable value that is equal to another one if both are equal in Spark."""
    if value is None:
        return None
    if isinstance(kind, StructType) and isinstance(value, Mapping):
        return tuple(
            (field.name, comparable(value.get(field.name), field.dataType)) for field in kind
        )
    if isinstance(kind, ArrayType) and isinstance(value, list | tuple):
        return tuple(comparable(item, kind.elementType) for item in value)
    if isinstance(kind, MapType):
        pairs = value.items() if isinstance(value, Mapping) else value
        return frozenset(
            (comparable(key, kind.keyType), comparable(item, kind.valueType)) for key, item in pairs
        )
    return _scalar(value, kind)


def _scalar(value: Any, kind: DataType) -> Any:
    if isinstance(value, bool) != isinstance(kind, BooleanType):
        return f"{value!r}, a {type(value).__name__}"  # 1 is True in Python
    if isinstance(kind, TimestampType | TimestampNTZType) and isinstance(value, datetime):
        return in_utc(value, kind).astimezone(timezone.utc) if kind == TimestampType() else value
    if isinstance(kind, DecimalType):
        try:
            return Decimal(str(value))
        except InvalidOperation:
            return value
    if isinstance(kind, DoubleType | FloatType) and isinstance(value, float) and isnan(value):
        return "NaN"
    return value
