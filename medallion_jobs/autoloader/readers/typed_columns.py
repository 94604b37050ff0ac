"""Columns from files with typed columns: parquet and avro.

A column takes the values of a file's column of the same name if its type is the same, or wide
enough for every value of the file's type. With any other type it is null, and the value is
rescued. Of structs, arrays and maps, the parts that fit are taken; if any part does not fit, the
whole value is rescued as well.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    ByteType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StructField,
    StructType,
)

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import frames
from medallion_jobs.autoloader.readers.file_schemas import BrokenHeadError
from medallion_jobs.autoloader.readers.records import FILE_COLUMNS, FormatReader, Input, Records
from medallion_jobs.lake.columns import INPUT_FILE, is_free
from medallion_jobs.lake.tables.sql import col, namable

# Decimal digits that each integer type needs.
_DIGITS = {ByteType: 3, ShortType: 5, IntegerType: 10, LongType: 19}
_ORDER = (ByteType, ShortType, IntegerType, LongType)


@dataclass(frozen=True)
class Typed:
    """A file's column, converted to a wanted type.

    Attributes:
        value: what fits; None if no value can.
        fits: whether every value fits, with all nested fields.
        is_new: whether it has a nested field that could be added to the wanted type.
    """

    value: Column | None
    fits: bool
    is_new: bool = False


class TypedFiles(FormatReader):
    """A format whose files have schemas of their own; its records are never bad."""

    @abstractmethod
    def reader(self, spark: SparkSession) -> DataFrameReader:
        """Spark's reader of the format."""

    @abstractmethod
    def schemas(self, given: Input) -> dict[FileEntry, StructType]:
        """The schema of each file that is not empty.

        Raises:
            UnreadableError: some headers cannot be read.
        """

    def records(self, given: Input, columns: StructType) -> Records:
        """The records of files; those with the same schema are read together."""
        groups: dict[str, tuple[StructType, list[FileEntry]]] = {}
        for file, schema in self.schemas(given).items():
            groups.setdefault(schema.json(), (schema, []))[1].append(file)
        parts = []
        for schema, some in groups.values():
            rows = self.reader(given.spark).schema(schema).load(frames.paths(some))
            parts.append(_selected(rows, schema, columns))
        return Records.never_bad(
            frames.united([rows for rows, _ in parts], given.spark, columns),
            frames.wanted(columns),
            has_new=any(is_new for _, is_new in parts),
        )

    def infer(self, given: Input, *, typed: bool) -> StructType:  # noqa: ARG002 (the files have types)
        """The columns of all files, in the order in which they first appear."""
        return merged(list(self.schemas(given).values()))


def merged(schemas: Sequence[StructType]) -> StructType:
    """All columns of files, each with its first type, or a wider one if files have it."""
    fields: dict[str, StructField] = {}
    for field in (field for schema in schemas for field in schema):
        if not namable(field.name):
            continue
        known = fields.get(field.name.lower())
        kind = field.dataType if known is None else _both(known.dataType, field.dataType)
        name = field.name if known is None else known.name
        fields[field.name.lower()] = StructField(name, kind)
    return StructType(list(fields.values()))


def check_names(schema: StructType) -> None:
    """Refuses a file with columns that differ only by case: Spark mixes them up.

    Raises:
        BrokenHeadError: it has such columns.
    """
    lower = [name.lower() for name in schema.names]
    duplicates = sorted({name for name in schema.names if lower.count(name.lower()) > 1})
    if duplicates:
        raise BrokenHeadError(f"columns that differ by case alone: {', '.join(duplicates)}")


def _both(data_type: DataType, other: DataType) -> DataType:
    """A type with the fields of both; if not nested, the first type or the wider one."""
    if isinstance(data_type, StructType) and isinstance(other, StructType):
        return merged([data_type, other])
    if isinstance(data_type, ArrayType) and isinstance(other, ArrayType):
        return ArrayType(_both(data_type.elementType, other.elementType))
    if isinstance(data_type, MapType) and isinstance(other, MapType):
        return MapType(data_type.keyType, _both(data_type.valueType, other.valueType))
    return other if is_wider(data_type, other) else data_type


def is_wider(data_type: DataType, other: DataType) -> bool:
    """Whether every value of a type that is not nested is also a value of `other`."""
    if isinstance(data_type, _ORDER):
        if isinstance(other, _ORDER):
            return _ORDER.index(type(data_type)) <= _ORDER.index(type(other))
        if isinstance(other, DecimalType):
            return other.precision - other.scale >= _DIGITS[type(data_type)]
        return isinstance(other, DoubleType) and not isinstance(data_type, LongType)
    if isinstance(data_type, DecimalType) and isinstance(other, DecimalType):
        whole = other.precision - other.scale >= data_type.precision - data_type.scale
        return whole and other.scale >= data_type.scale
    return data_type == other or (
        isinstance(data_type, FloatType) and isinstance(other, DoubleType)
    )


def typed(column: Column, has: DataType, wanted: DataType) -> Typed:
    """Converts a column from its type in the file to the wanted type."""
    if isinstance(has, StructType) and isinstance(wanted, StructType):
        return _struct(column, has, wanted)
    if isinstance(has, ArrayType) and isinstance(wanted, ArrayType):
        inner = typed(column, has.elementType, wanted.elementType)
        element = _converter(has.elementType, wanted.elementType)
        return Typed(F.transform(column, element), inner.fits, inner.is_new)
    if isinstance(has, MapType) and isinstance(wanted, MapType):
        if not is_wider(has.keyType, wanted.keyType):
            return Typed(None, fits=False)
        inner = typed(column, has.valueType, wanted.valueType)
        convert = _converter(has.valueType, wanted.valueType)
        values = F.transform_values(column, lambda _, value: convert(value))
        return Typed(
            values.cast(MapType(wanted.keyType, wanted.valueType)), inner.fits, inner.is_new
        )
    if is_wider(has, wanted):
        return Typed(column if has == wanted else column.cast(wanted), fits=True)
    return Typed(None, fits=False)


def _struct(column: Column, has: StructType, wanted: StructType) -> Typed:
    own = {field.name: field.dataType for field in has}
    inner = {
        field.name: typed(column.getField(field.name), own[field.name], field.dataType)
        for field in wanted
        if field.name in own
    }
    parts = [_or_null(inner.get(field.name), field.dataType).alias(field.name) for field in wanted]
    extra = set(own) - set(inner)
    names = {name.lower() for name in wanted.names}
    return Typed(
        F.when(column.isNotNull(), F.struct(*parts)),
        not extra and all(field.fits for field in inner.values()),
        any(field.is_new for field in inner.values())
        or any(namable(name) and name.lower() not in names for name in extra),
    )


def _converter(has: DataType, wanted: DataType) -> Callable[[Column], Column]:
    return lambda value: _or_null(typed(value, has, wanted), wanted)


def _or_null(found: Typed | None, kind: DataType) -> Column:
    return F.lit(None).cast(kind) if found is None or found.value is None else found.value


def _selected(frame: DataFrame, schema: StructType, columns: StructType) -> tuple[DataFrame, bool]:
    """The wanted columns and `_rescued_data`, and whether the files have new columns."""
    own = {field.name: (col(field.name), field.dataType) for field in schema}
    taken = {
        field.name: typed(*own[field.name], field.dataType)
        for field in columns
        if field.name in own
    }
    rescued = {
        name: column
        for name, (column, _) in own.items()
        if name not in taken or not taken[name].fits
    }
    values = [
        _or_null(taken.get(field.name), field.dataType).alias(frames.at(n))
        for n, field in enumerate(columns)
    ]
    names = {name.lower() for name in columns.names}
    is_new = any(column.is_new for column in taken.values()) or any(
        is_free(name) and name.lower() not in names for name in own
    )
    about = frames.file_columns(frame)
    path = about[list(FILE_COLUMNS).index(INPUT_FILE)]
    return frame.select(*values, frames.rescued(rescued, path), *about), is_new
