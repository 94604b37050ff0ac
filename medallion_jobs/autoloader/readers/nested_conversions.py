"""Conversions of structs, arrays and maps, made of those of their parts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, MapType, StructType

from medallion_jobs.autoloader.readers.conversions import (
    NOTHING_FITS,
    SAME,
    Conversion,
    Make,
    has_repeated,
    same,
    scalar,
)
from medallion_jobs.autoloader.readers.file_types import has_column
from medallion_jobs.autoloader.readers.foreign_types import Foreign
from medallion_jobs.lake.tables.sql import namable


def converted(has: DataType, wanted: DataType) -> Conversion:
    """The conversion of a file's type to the wanted type."""
    if isinstance(has, Foreign):
        return has.converted(wanted)
    if isinstance(has, StructType) and isinstance(wanted, StructType):
        return _struct(has, wanted)
    if isinstance(has, ArrayType) and isinstance(wanted, ArrayType):
        return _array(has, wanted)
    if isinstance(has, MapType) and isinstance(wanted, MapType):
        return _map(has, wanted)
    return scalar(has, wanted)


def _struct(has: StructType, wanted: StructType) -> Conversion:
    own = {field.name: field.dataType for field in has}
    inner = {
        field.name: converted(own[field.name], field.dataType)
        for field in wanted
        if field.name in own
    }
    is_same = has.names == wanted.names
    if is_same and all(part.value is same for part in inner.values()):
        return SAME
    extra = [name for name in own if name not in inner]
    known = {name.lower() for name in wanted.names}

    def value(struct: Column) -> Column:
        parts = [
            inner[field.name].or_null(field.dataType)(struct.getField(field.name))
            if field.name in inner
            else F.lit(None).cast(field.dataType)
            for field in wanted
        ]
        named = [part.alias(name) for part, name in zip(parts, wanted.names, strict=True)]
        return F.when(struct.isNotNull(), F.struct(*named))

    misfits = [_of_field(name, part.misfit) for name, part in inner.items() if part.misfit]
    misfits += [_of_field(name, Column.isNotNull) for name in extra]
    return Conversion(
        value,
        _any(misfits),
        is_new=any(part.is_new for part in inner.values())
        or any(namable(n) and n.lower() not in known and has_column(own[n]) for n in extra),
        as_it_is=is_same and all(part.as_it_is for part in inner.values()),
    )


def _array(has: ArrayType, wanted: ArrayType) -> Conversion:
    inner = converted(has.elementType, wanted.elementType)
    if inner.value is same:
        return SAME
    element, misfit = inner.or_null(wanted.elementType), inner.misfit
    return Conversion(
        lambda array: F.transform(array, element),
        misfit and (lambda array: F.exists(array, misfit)),
        inner.is_new,
        inner.as_it_is,
    )


def _map(has: MapType, wanted: MapType) -> Conversion:
    keys, values = (
        converted(has.keyType, wanted.keyType),
        converted(has.valueType, wanted.valueType),
    )
    to_key, to_value = keys.value, values.or_null(wanted.valueType)
    if to_key is None:
        return NOTHING_FITS
    misfit_key, misfit_value = keys.misfit, values.misfit

    def fitting(entries: Column) -> Column:
        """The entries whose keys fit."""
        if misfit_key is None:
            return entries
        return F.map_filter(entries, lambda key, _: ~_is_true(misfit_key(key)))

    def repeats(entries: Column) -> Column:
        """Whether a key is there twice, maybe only after the conversion."""
        made = F.map_keys(fitting(entries))
        return has_repeated(made if keys.as_it_is else F.transform(made, to_key))

    def value(entries: Column) -> Column:
        made = F.transform_values(fitting(entries), lambda _, value: to_value(value))
        if not keys.as_it_is:
            made = F.transform_keys(made, lambda key, _: to_key(key))
        return F.when(~repeats(entries), made)

    misfits: list[Make] = [repeats]
    if misfit_key:
        misfits.append(lambda entries: F.exists(F.map_keys(entries), misfit_key))
    if misfit_value:
        misfits.append(lambda entries: F.exists(F.map_values(entries), misfit_value))
    return Conversion(value, _any(misfits), values.is_new, keys.as_it_is and values.as_it_is)


def _of_field(name: str, misfit: Make) -> Make:
    return lambda struct: misfit(struct.getField(name))


def _any(conditions: Sequence[Make]) -> Make | None:
    """Whether one of some conditions holds; null counts as false."""
    if not conditions:
        return None
    return lambda value: reduce(or_, (_is_true(condition(value)) for condition in conditions))


def _is_true(condition: Column) -> Column:
    return F.coalesce(condition, F.lit(False))
