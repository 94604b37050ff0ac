"""The types of a file's columns: as they are read, and as columns of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar, cast

from pyspark.sql import types
from pyspark.sql.types import (
    ArrayType,
    CalendarIntervalType,
    DataType,
    DayTimeIntervalType,
    MapType,
    NullType,
    StructField,
    StructType,
    VariantType,
    YearMonthIntervalType,
)

from medallion_jobs.autoloader.readers.conversions import is_wider
from medallion_jobs.autoloader.readers.file_schemas import BrokenHeadError
from medallion_jobs.autoloader.readers.foreign_types import Foreign
from medallion_jobs.lake.tables.sql import namable

# Types that Delta, or another reader of its tables, does not store.
NOT_STORED = (
    NullType,
    CalendarIntervalType,
    DayTimeIntervalType,
    YearMonthIntervalType,
    VariantType,
    # Spark 4.0 does not have them.
    *(
        getattr(types, name)
        for name in ("TimeType", "GeographyType", "GeometryType")
        if hasattr(types, name)
    ),
)
Kind = TypeVar("Kind", bound=DataType)


def as_read(kind: Kind) -> Kind:
    """The type that Spark's reader is asked for."""
    return _replaced(kind, lambda leaf: leaf.read if isinstance(leaf, Foreign) else leaf)


def as_column(kind: Kind) -> Kind:
    """The type of a new column; NullType in place of each type that no table stores."""

    def stored(leaf: DataType) -> DataType:
        if isinstance(leaf, Foreign):
            return leaf.new_column
        return NullType() if isinstance(leaf, NOT_STORED) else leaf

    return _replaced(kind, stored)


def with_foreign(schema: StructType, leaves: Iterable[Foreign | None]) -> StructType:
    """A schema with some of its innermost types replaced.

    Args:
        leaves: one for each innermost type, from first to last; None leaves it as it is.
    """
    given = iter(leaves)
    return _replaced(schema, lambda leaf: next(given) or leaf)


def _replaced(kind: Kind, leaf: Callable[[DataType], DataType]) -> Kind:
    return cast(Kind, _with_leaves(kind, leaf))


def _with_leaves(kind: DataType, leaf: Callable[[DataType], DataType]) -> DataType:
    if isinstance(kind, StructType):
        return StructType(
            [StructField(f.name, _with_leaves(f.dataType, leaf), f.nullable) for f in kind]
        )
    if isinstance(kind, ArrayType):
        return ArrayType(_with_leaves(kind.elementType, leaf), kind.containsNull)
    if isinstance(kind, MapType):
        key = _with_leaves(kind.keyType, leaf)
        return MapType(key, _with_leaves(kind.valueType, leaf), kind.valueContainsNull)
    return leaf(kind)


def has_column(kind: DataType) -> bool:
    """Whether a table can have a column for this type of a file."""
    return _is_stored(as_column(kind))


def _is_stored(kind: DataType) -> bool:
    if isinstance(kind, StructType):
        return any(namable(field.name) and _is_stored(field.dataType) for field in kind)
    if isinstance(kind, ArrayType):
        return _is_stored(kind.elementType)
    if isinstance(kind, MapType):
        return _is_stored(kind.keyType) and _is_stored(kind.valueType)
    return not isinstance(kind, NullType)


def merged(schemas: Sequence[StructType]) -> StructType:
    """All columns of files, each with its first type, or a wider one if files have it."""
    fields: dict[str, StructField] = {}
    for field in (field for schema in schemas for field in as_column(schema)):
        if not namable(field.name):
            continue
        known = fields.get(field.name.lower())
        kind = field.dataType if known is None else _both(known.dataType, field.dataType)
        name = field.name if known is None else known.name
        fields[field.name.lower()] = StructField(name, kind)
    return StructType(list(fields.values()))


def _both(data_type: DataType, other: DataType) -> DataType:
    """A type with the fields of both; if not nested, the first type or the wider one."""
    if isinstance(data_type, StructType) and isinstance(other, StructType):
        return merged([data_type, other])
    if isinstance(data_type, ArrayType) and isinstance(other, ArrayType):
        return ArrayType(_both(data_type.elementType, other.elementType))
    if isinstance(data_type, MapType) and isinstance(other, MapType):
        return MapType(
            _both(data_type.keyType, other.keyType), _both(data_type.valueType, other.valueType)
        )
    return other if not _is_stored(data_type) or is_wider(data_type, other) else data_type


def check_names(schema: StructType) -> None:
    """Refuses a file with names that differ only by case, side by side: Spark mixes them up.

    Raises:
        BrokenHeadError: it has such columns, or such fields of one.
    """
    duplicates = sorted(_duplicates(schema, ""))
    if duplicates:
        raise BrokenHeadError(f"columns that differ by case alone: {', '.join(duplicates)}")


def _duplicates(kind: DataType, above: str) -> Iterator[str]:
    if isinstance(kind, StructType):
        counts = Counter(name.lower() for name in kind.names)
        yield from {above + name for name in kind.names if counts[name.lower()] > 1}
        for field in kind:
            yield from _duplicates(field.dataType, f"{above}{field.name}.")
    elif isinstance(kind, ArrayType):
        yield from _duplicates(kind.elementType, above)
    elif isinstance(kind, MapType):
        yield from _duplicates(kind.keyType, above)
        yield from _duplicates(kind.valueType, above)
