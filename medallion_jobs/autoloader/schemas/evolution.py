"""Schema evolution: new columns and wider types from files."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from typing import Any

from pyspark.sql.types import (
    ArrayType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StructField,
    StructType,
    TimestampNTZType,
)

from medallion_jobs.autoloader.readers.file_types import NOT_STORED
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.sql import column, namable, quoted, type_text
from medallion_jobs.lake.values import type_walk

_INTEGERS = (ByteType, ShortType, IntegerType, LongType)
# Digits before the point that a decimal must have to hold any value of an integer type.
_DIGITS: dict[type[DataType], int] = {ByteType: 10, ShortType: 10, IntegerType: 10, LongType: 20}
_DOUBLES = (ByteType, ShortType, IntegerType, FloatType)
# What to do if a bronze table has columns that its config no longer has.
OTHER_LAKE = (
    "declare these columns as the table has them (`schema`, `schema_hints`); or load all files "
    "into another lake: medallion run --config FILE --set storage.root=./another-lake"
)
# Delta needs this explicitly when an existing table gets its first TIMESTAMP_NTZ column.
_SUPPORTS_NTZ = "SET TBLPROPERTIES ('delta.feature.timestampNtz' = 'supported')"


def merge(current: StructType, seen: StructType, *, reserved: Collection[str] = ()) -> StructType:
    """The schema with the columns that files bring, added at the end; in structs too.

    Existing types stay. Not added are a name that differs from an existing one only by letter
    case, a name that a table cannot have, a column without a type yet (only nulls, a struct
    without fields), and a type that Delta cannot store (an interval, a time of day).

    Args:
        reserved: names of columns that files may not bring, such as `_rescued_data`.
    """
    return _grown(current, seen, widens=False, reserved=reserved)


def widened(current: StructType, seen: StructType, *, reserved: Collection[str] = ()) -> StructType:
    """As `merge`, and types become as wide as in the files, as far as Delta can widen them."""
    return _grown(current, seen, widens=True, reserved=reserved)


def _grown(
    current: StructType, seen: StructType, *, widens: bool, reserved: Collection[str] = ()
) -> StructType:
    brought = {field.name: field.dataType for field in seen}
    fields = [
        StructField(
            field.name,
            _taking(field.dataType, brought[field.name], widens),
            field.nullable,
            field.metadata,
        )
        if field.name in brought
        else field
        for field in current
    ]
    taken = {name.lower() for name in (*current.names, *reserved)}
    return StructType([*fields, *_addable(seen, taken)])


def _taking(current: DataType, seen: DataType, widens: bool) -> DataType:
    if isinstance(current, StructType) and isinstance(seen, StructType):
        return _grown(current, seen, widens=widens)
    if isinstance(current, ArrayType) and isinstance(seen, ArrayType):
        return ArrayType(
            _taking(current.elementType, seen.elementType, widens), current.containsNull
        )
    if isinstance(current, MapType) and isinstance(seen, MapType):
        wide_key = widens and is_wider(current.keyType, seen.keyType)
        return MapType(
            seen.keyType if wide_key else current.keyType,
            _taking(current.valueType, seen.valueType, widens),
            current.valueContainsNull,
        )
    return seen if widens and is_wider(current, seen) else current


def _addable(seen: StructType, taken: Collection[str]) -> Iterator[StructField]:
    """The fields that can be added, given the lower-case names that are taken."""
    used = set(taken)
    for field in seen:
        kind = storable(field.dataType)
        if kind is not None and namable(field.name) and field.name.lower() not in used:
            used.add(field.name.lower())
            yield StructField(field.name, kind)


def storable(kind: DataType) -> DataType | None:
    """A type as a new column can have it, nullable throughout; None if Delta cannot store it."""
    if isinstance(kind, NOT_STORED):
        return None
    if isinstance(kind, StructType):
        fields = list(_addable(kind, ()))
        return StructType(fields) if fields else None
    if isinstance(kind, ArrayType):
        element = storable(kind.elementType)
        return None if element is None else ArrayType(element)
    if isinstance(kind, MapType):
        key, value = storable(kind.keyType), storable(kind.valueType)
        return None if key is None or value is None else MapType(key, value)
    return kind


def is_wider(narrow: DataType, wide: DataType) -> bool:
    """Whether Delta can widen a column's type so, without rewriting its files.

    As in the table of Delta's protocol (type widening); an integer becomes a decimal only if
    every value of its type fits.
    """
    if isinstance(wide, DecimalType):
        if isinstance(narrow, DecimalType):
            more, digits = wide.precision - narrow.precision, wide.scale - narrow.scale
            return narrow != wide and more >= digits >= 0
        needs = _DIGITS.get(type(narrow))
        return needs is not None and wide.precision - wide.scale >= needs
    if isinstance(wide, _INTEGERS) and isinstance(narrow, _INTEGERS):
        return _INTEGERS.index(type(wide)) > _INTEGERS.index(type(narrow))
    if isinstance(wide, DoubleType):
        return isinstance(narrow, _DOUBLES)
    return isinstance(narrow, DateType) and isinstance(wide, TimestampNTZType)


def alterations(
    table: StructType, wanted: StructType, name: str = "the table", *, widens: bool = True
) -> list[str]:
    """The clauses after `ALTER TABLE x` that give a Delta table the wanted columns and types.

    The table may have more columns and wider types; they stay.

    Args:
        name: the table's name in messages.
        widens: whether types may become wider.

    Raises:
        UsageError: a column has a type that Delta cannot change to the wanted one.
    """
    added, changed, wrong, whole = list[str](), list[str](), list[str](), list[str]()
    for path, has, wants in _differences(table, wanted, ""):
        text = type_text(wants.jsonValue(), always_quoted=True)
        if has is None:
            added.append(f"{path} {text}")
        elif widens and isinstance(has, DataType) and is_wider(has, wants):
            changed.append(f"{path} TYPE {text}")
        elif isinstance(has, str):
            wrong.append(f"{path}: the table has {column(has)}, of another letter case")
        elif not is_wider(wants, has):
            wrong.append(f"{path}: the table has {has.simpleString()}, wanted is {text}")
            named = (quoted(name) for name in table.names if column(name) == path)
            whole += [shlex.quote(f"{name}:{text}") for name in named]
    if wrong:
        promoted = f"medallion schema promote {name} {' '.join(whole)}"
        raise UsageError(
            f"{name} has columns of other types than its config has now:\n  " + "\n  ".join(wrong),
            code="column_types_changed",
            untouched="the table, its files and its recorded schemas; nothing was written",
            next_step=f"to change the types of the table, see what it would do: `{promoted}`; or "
            f"{OTHER_LAKE}"
            if len(whole) == len(wrong)
            else OTHER_LAKE,
        )
    had, has_now = (type_walk.has(kind, TimestampNTZType) for kind in (table, wanted))
    return [
        *([_SUPPORTS_NTZ] if has_now and not had else []),
        *([f"ADD COLUMNS ({', '.join(added)})"] if added else []),
        *([f"ALTER COLUMN {', '.join(changed)}"] if changed else []),
    ]


def _differences(
    table: DataType, wanted: DataType, path: str
) -> Iterator[tuple[str, DataType | str | None, Any]]:
    """The differences: path, existing type (or a name that differs by case, or None), wanted."""
    if isinstance(table, StructType) and isinstance(wanted, StructType):
        by_name = {field.name: field.dataType for field in table}
        by_case = {name.lower(): name for name in by_name}
        for field in wanted:
            below = f"{path}.{column(field.name)}".removeprefix(".")
            if field.name in by_name:
                yield from _differences(by_name[field.name], field.dataType, below)
            else:
                yield below, by_case.get(field.name.lower()), field.dataType
    elif isinstance(table, ArrayType) and isinstance(wanted, ArrayType):
        yield from _differences(table.elementType, wanted.elementType, f"{path}.element")
    elif isinstance(table, MapType) and isinstance(wanted, MapType):
        yield from _differences(table.keyType, wanted.keyType, f"{path}.key")
        yield from _differences(table.valueType, wanted.valueType, f"{path}.value")
    elif type(table) is not type(wanted) or table.simpleString() != wanted.simpleString():
        yield path, table, wanted
