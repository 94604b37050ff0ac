"""Declared schemas: parsed from DDL, and compared with the columns of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pyspark.sql.types import (
    ArrayType,
    ByteType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    ShortType,
    StructType,
)

from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.sql import col

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


# A file stores the small integers alike.
_INT32 = (ByteType, ShortType, IntegerType)
_FITTING = ((_INT32, _INT32), (LongType, _INT32), (DoubleType, (FloatType, *_INT32)))


def parse_ddl(ddl: str) -> StructType:
    """The schema of a DDL text, such as `id bigint not null, name string`."""
    schema = StructType.fromDDL(ddl)
    if not isinstance(schema, StructType):
        raise UsageError(f"not a list of columns: {ddl}", code="invalid_ddl")
    return schema


def conform(rows: DataFrame, declared: StructType) -> DataFrame:
    """The declared columns of the rows, in the declared order.

    Does not check nullability: a null in a NOT NULL column fails the write.

    Raises:
        UsageError: the rows lack declared columns, or have them with another type.
    """
    has = _types(rows.schema)
    if wrong := list(differences(rows.schema, declared).values()):
        raise UsageError(
            "the columns are not the declared ones:\n  "
            + "\n  ".join(wrong)
            + f"\n  the rows have: {', '.join(f'{name} {kind}' for name, kind in has.items())}",
            code="columns_differ",
            untouched="nothing was written",
            next_step="fix `columns`, `lookups` or `schema` of the table in the config",
        )
    return rows.select(*[col(name) for name in declared.names])


def differences(has: StructType, declared: StructType) -> dict[str, str]:
    """The declared columns that rows lack, or have with another type; each with a message."""
    types = _types(has)
    return {
        name: f"{name}: declared as {kind}, but "
        + (f"it is {types[name]}" if name in types else "missing")
        for name, kind in _types(declared).items()
        if types.get(name) != kind
    }


def _types(schema: StructType) -> dict[str, str]:
    return {field.name: field.dataType.simpleString() for field in schema}


def unmergeable(has: DataType, wanted: DataType, path: str = "") -> Iterator[str]:
    """What keeps Delta from adding rows of one type to a table of another; needs no JVM.

    Names what is certain: not new fields, nor a number for a column of larger numbers.
    """
    if isinstance(has, StructType) and isinstance(wanted, StructType):
        kinds = {field.name.lower(): field.dataType for field in has}
        for field in wanted:
            if (kind := kinds.get(field.name.lower())) is not None:
                yield from unmergeable(kind, field.dataType, f"{path}.{field.name}".lstrip("."))
    elif isinstance(has, ArrayType) and isinstance(wanted, ArrayType):
        yield from unmergeable(has.elementType, wanted.elementType, f"{path}.element")
    elif isinstance(has, MapType) and isinstance(wanted, MapType):
        yield from unmergeable(has.keyType, wanted.keyType, f"{path}.key")
        yield from unmergeable(has.valueType, wanted.valueType, f"{path}.value")
    elif type(has) is not type(wanted) or has.simpleString() != wanted.simpleString():
        fits = (isinstance(has, big) and isinstance(wanted, small) for big, small in _FITTING)
        if not any(fits) and not isinstance(wanted, NullType):
            yield f"{path}: it is {has.simpleString()}, and would be {wanted.simpleString()}"
