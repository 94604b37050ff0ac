"""Finds the columns that need a wider type: those with a value too wide for their type."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ByteType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StructField,
    StructType,
)

from medallion_jobs.lake.tables.sql import col

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_Path = tuple[str, ...]


# The wider type to try for a column of numbers if inference proposes none: if one value of a
# batch is not a number, inference proposes string.
_USUAL: dict[type[DataType], DataType] = {
    ByteType: LongType(),
    ShortType: LongType(),
    IntegerType: LongType(),
    FloatType: DoubleType(),
}


def proposed(narrow: StructType, wide: StructType) -> StructType:
    """`wide`, with the usual wider type for each column of numbers that it leaves unchanged."""
    fields = []
    for field in narrow:
        kind = wide[field.name].dataType
        if isinstance(field.dataType, StructType) and isinstance(kind, StructType):
            kind = proposed(field.dataType, kind)
        elif kind == field.dataType:
            kind = _USUAL.get(type(kind), kind)
        fields.append(StructField(field.name, kind, field.nullable, field.metadata))
    return StructType(fields)


def where_needed(
    narrow: StructType, wide: StructType, read_as: Callable[[StructType], DataFrame]
) -> StructType:
    """`narrow`, with the types of `wide` where a value in the files needs them.

    Inference proposes no integer type narrower than bigint, so its proposal is checked: the
    files are read with the wide types, and a column stays as it is unless one of its values
    changes when it is cast to the narrow type and back.

    Args:
        narrow, wide: differ only in types of columns and of fields inside structs.
        read_as: reads the files as columns of a schema.
    """
    differences = dict(_differences(narrow, wide))
    if not differences:
        return narrow
    needs = [
        F.coalesce(F.max(_is_lost(path, before, after)), F.lit(False)).alias(str(place))
        for place, (path, (before, after)) in enumerate(differences.items())
    ]
    needed = read_as(wide).select(*needs).first()
    if needed is None:
        raise AssertionError("an aggregate without groups has one row")
    chosen = {path for path, is_needed in zip(differences, needed, strict=True) if is_needed}
    return _chosen(narrow, wide, chosen)


def _differences(
    narrow: StructType, wide: StructType, above: _Path = ()
) -> list[tuple[_Path, tuple[DataType, DataType]]]:
    found = []
    for field in narrow:
        other, path = wide[field.name].dataType, (*above, field.name)
        if isinstance(field.dataType, StructType) and isinstance(other, StructType):
            found += _differences(field.dataType, other, path)
        elif field.dataType != other:
            found.append((path, (field.dataType, other)))
    return found


def _is_lost(path: _Path, narrow: DataType, wide: DataType) -> Column:
    value = reduce(lambda column, name: column[name], path[1:], col(path[0]))
    back = value.try_cast(narrow).cast(wide)
    return F.coalesce(value.isNotNull() & (back.isNull() | (back != value)), F.lit(False))


def _chosen(
    narrow: StructType, wide: StructType, chosen: set[_Path], above: _Path = ()
) -> StructType:
    fields = []
    for field in narrow:
        other, path = wide[field.name].dataType, (*above, field.name)
        kind = other if path in chosen else field.dataType
        if isinstance(field.dataType, StructType) and isinstance(other, StructType):
            kind = _chosen(field.dataType, other, chosen, path)
        fields.append(StructField(field.name, kind, field.nullable, field.metadata))
    return StructType(fields)
