"""A row as JSON text, and back without loss.

Spark's own JSON cuts timestamps to milliseconds, loses the era of a year, writes map keys as
Scala prints them, and gives null for what it cannot read. Here values without a JSON form are
written as SQL text, which a cast reads back, and a map whose keys are not text as a list of
entries. Text that cannot be read back fails the query.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DayTimeIntervalType,
    FractionalType,
    IntegralType,
    MapType,
    NullType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    YearMonthIntervalType,
)

from medallion_jobs.lake.values.type_walk import inside, is_nested, parts

# JSON has these types, or Spark's JSON reads back exactly what it wrote.
_AS_JSON = (IntegralType, FractionalType, StringType, BooleanType, BinaryType)
# Types whose SQL text is exact.
_AS_SQL = (
    DateType,
    TimestampType,
    TimestampNTZType,
    DayTimeIntervalType,
    YearMonthIntervalType,
    NullType,
)
_WRITE = {"ignoreNullFields": "false"}
_READ = {
    # The default mode gives null for what cannot be read.
    "mode": "FAILFAST",
    # A row may have a column of the default name, but none with a space.
    "columnNameOfCorruptRecord": "corrupt record",
    "maxStringLen": str(2**31 - 1),
}

_Convert = Callable[[Column, DataType], Column]


def to_text(row: Column, schema: StructType) -> Column:
    """A struct as JSON text; null as null.

    Args:
        schema: the struct's type, without the columns that `unkeepable` gives.
    """
    return F.to_json(_written(row, schema), _WRITE)


def from_text(text: Column, schema: StructType) -> Column:
    """The struct that `to_text` wrote.

    Args:
        schema: the wanted type; columns that the text lacks are null, columns that the schema
            lacks are left out.

    Text that `to_text` did not write, or that does not fit the type, fails the query.
    """
    parsed = F.from_json(text, _struct_of(schema), _READ)
    # Bound to a name: otherwise Spark parses the text once for each column.
    return F.element_at(F.transform(F.array(parsed), lambda row: _read(row, schema)), 1)


def unkeepable(schema: StructType) -> list[str]:
    """The columns, as `name type`, that cannot be read back without loss."""
    return [
        f"{field.name} {field.dataType.simpleString()}"
        for field in schema
        if not all(map(_is_kept, parts(field.dataType)))
    ]


def _is_kept(kind: DataType) -> bool:
    return is_nested(kind) or isinstance(kind, (*_AS_JSON, *_AS_SQL))


def _is_plain(kind: DataType) -> bool:
    """Whether Spark's JSON is exact for the type and all types inside it."""
    return not any(
        isinstance(part, _AS_SQL) or (isinstance(part, MapType) and part.keyType != StringType())
        for part in parts(kind)
    )


def _type_of(kind: DataType) -> DataType:
    """The type that a value has in the JSON."""
    match kind:
        case StructType():
            return _struct_of(kind)
        case ArrayType():
            return ArrayType(_type_of(kind.elementType))
        case MapType() if kind.keyType == StringType():
            return MapType(StringType(), _type_of(kind.valueType))
        case MapType():
            return ArrayType(_type_of(_entry(kind)))
        case _:
            return StringType() if isinstance(kind, _AS_SQL) else kind


def _struct_of(kind: StructType) -> StructType:
    return StructType([StructField(field.name, _type_of(field.dataType)) for field in kind])


def _entry(kind: MapType) -> StructType:
    return StructType([StructField("key", kind.keyType), StructField("value", kind.valueType)])


def _written(value: Column, kind: DataType) -> Column:
    if isinstance(kind, MapType) and kind.keyType != StringType():
        return _each(F.map_entries(value), ArrayType(_entry(kind)), _written)
    if isinstance(kind, TimestampType):
        return F.concat(F.replace(value.cast("string"), F.lit(" "), F.lit("T")), F.lit("Z"))
    if isinstance(kind, _AS_SQL):
        return value.cast("string")
    return _each(value, kind, _written)


def _read(value: Column, kind: DataType) -> Column:
    if isinstance(kind, MapType) and kind.keyType != StringType():
        return F.map_from_entries(_each(value, ArrayType(_entry(kind)), _read))
    if isinstance(kind, _AS_SQL):
        return F.lit(None) if isinstance(kind, NullType) else value.cast(kind)
    return _each(value, kind, _read)


def _each(value: Column, kind: DataType, convert: _Convert) -> Column:
    """The value with the values inside it converted."""
    return value if _is_plain(kind) else inside(value, kind, convert)
