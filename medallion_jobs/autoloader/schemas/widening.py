"""Finds the columns that need a wider type: those with a value too wide for their type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    StringType,
    StructField,
    StructType,
)

from medallion_jobs.lake.tables.sql import col
from medallion_jobs.lake.values import strict

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# The way to a part of a schema: names of fields, `_FIRST` for the elements of an array and the
# keys of a map, `_SECOND` for the values of a map.
_Path = tuple[str | int, ...]
_Measure = Callable[["Column"], "Column"]
_Reach = Callable[[_Measure], "Column"]
_ReadAs = Callable[[StructType], "DataFrame"]
_FIRST, _SECOND = 0, 1

_SHORT = (ByteType, ShortType, IntegerType)
_WIDENED = (*_SHORT, LongType, FloatType, DecimalType)
_MOST_DIGITS = 38
# Digits before the point of a decimal that can hold every bigint, as Delta demands.
_DIGITS_OF_BIGINT = 20
# The digits before and after the point, without zeros at the end.
_BEFORE, _AFTER = r"^-?(?:0|([1-9][0-9]*))(?:\.[0-9]+)?$", r"^-?[0-9]+\.([0-9]*[1-9])0*$"
# What is counted of the texts that do not fit their column.
_LONGS, _FRACTIONS, _DIGITS, _DECIMALS = "longs", "fractions", "digits", "decimals"


@dataclass(frozen=True)
class _Leaf:
    """A part of a schema without parts of its own.

    Attributes:
        reach: makes of a measure of its values one of a whole row: the largest, in arrays and
            maps; null without a value.
    """

    path: _Path
    kind: DataType
    reach: _Reach


def fitting(narrow: StructType, read_as: _ReadAs, options: Mapping[str, str]) -> StructType:
    """`narrow`, with the wider types that texts in the files need, whatever other texts they have.

    For formats whose values are texts. Inference would propose string for a column with one text
    that is no number, though all other values need no more than a wider type of numbers.

    Args:
        read_as: reads the files as columns of a schema.
        options: may hold the formats of dates and timestamps.
    """
    leaves = [leaf for leaf in _leaves(narrow) if isinstance(leaf.kind, _WIDENED)]
    if not leaves:
        return narrow
    texts = read_as(_replaced(narrow, {leaf.path: StringType() for leaf in leaves}))
    largest = [
        F.max(leaf.reach(measure)).alias(f"{number} {name}")
        for number, leaf in enumerate(leaves)
        for name, measure in _measures(leaf.kind, options).items()
    ]
    found = texts.select(*largest).first()
    assert found is not None  # an aggregate without groups has one row
    chosen = {
        leaf.path: _wider(
            leaf.kind, {name: found[f"{number} {name}"] or 0 for name in _measures(leaf.kind, {})}
        )
        for number, leaf in enumerate(leaves)
    }
    return _replaced(narrow, chosen)


def where_needed(narrow: StructType, wide: StructType, read_as: _ReadAs) -> StructType:
    """`narrow`, with the types of `wide` where a value in the files needs them.

    Inference proposes no integer type narrower than bigint, so its proposal is checked: the
    files are read with the wide types, and a part stays as it is unless one of its values
    changes when it is cast to the narrow type and back.

    Args:
        narrow, wide: differ only in types of columns and of the parts inside them.
        read_as: reads the files as columns of a schema.
    """
    wanted = {leaf.path: leaf.kind for leaf in _leaves(wide)}
    leaves = [leaf for leaf in _leaves(narrow) if wanted[leaf.path] != leaf.kind]
    if not leaves:
        return narrow
    needs = [
        F.coalesce(F.max(leaf.reach(_is_lost(leaf.kind, wanted[leaf.path]))), F.lit(False)).alias(
            str(number)
        )
        for number, leaf in enumerate(leaves)
    ]
    needed = read_as(wide).select(*needs).first()
    assert needed is not None  # an aggregate without groups has one row
    chosen = {
        leaf.path: wanted[leaf.path]
        for leaf, is_needed in zip(leaves, needed, strict=True)
        if is_needed
    }
    return _replaced(narrow, chosen)


def _is_lost(narrow: DataType, wide: DataType) -> _Measure:
    def measure(value: Column) -> Column:
        back = value.try_cast(narrow).cast(wide)
        return value.isNotNull() & (back.isNull() | (back != value))

    return measure


def _measures(kind: DataType, options: Mapping[str, str]) -> dict[str, _Measure]:
    """What is counted of the texts of a leaf; null for a text that fits, or is nothing wider."""

    def of_misfits(measure: _Measure) -> _Measure:
        return lambda text: F.when(~strict.fits(text, kind, options), measure(text))

    def fits(text: Column, wide: DataType) -> Column:
        return strict.fits(text, wide, options).cast("int")

    if isinstance(kind, FloatType):
        return {}
    before, after = _length(_BEFORE), _length(_AFTER)

    def digits(of: _Measure) -> _Measure:
        narrow = kind if isinstance(kind, DecimalType) else LongType()

        def measure(text: Column) -> Column:
            # A number with more digits than a decimal can have fits nothing.
            is_decimal = text.rlike(_BEFORE) & (before(text) + after(text) <= _MOST_DIGITS)
            return F.when(is_decimal & ~strict.fits(text, narrow, options), of(text))

        return measure

    return {
        _LONGS: of_misfits(lambda text: fits(text, LongType())),
        _FRACTIONS: of_misfits(lambda text: F.when(text.rlike("[.eE]"), fits(text, DoubleType()))),
        _DIGITS: digits(before),
        _DECIMALS: digits(after),
    }


def _length(pattern: str) -> _Measure:
    return lambda text: F.length(F.regexp_extract(text, pattern, 1))


def _wider(kind: DataType, found: Mapping[str, int]) -> DataType:
    """The narrowest type that holds the values of a type and what was found besides."""
    if isinstance(kind, FloatType):
        return DoubleType()
    digits, decimals = found[_DIGITS], found[_DECIMALS]
    if isinstance(kind, _SHORT) and found[_FRACTIONS]:
        return DoubleType()
    if isinstance(kind, _SHORT) and found[_LONGS] and not digits:
        return LongType()
    if isinstance(kind, DecimalType):
        digits, decimals = max(digits, kind.precision - kind.scale), max(decimals, kind.scale)
    elif digits or decimals:
        digits = max(digits, _DIGITS_OF_BIGINT)
    else:
        return kind
    return DecimalType(digits + decimals, decimals) if digits + decimals <= _MOST_DIGITS else kind


def _leaves(schema: StructType) -> Iterator[_Leaf]:
    for field in schema:
        yield from _leaves_in(field.dataType, (field.name,), _of(col(field.name)))


def _leaves_in(kind: DataType, path: _Path, reach: _Reach) -> Iterator[_Leaf]:
    inner = list(_inner(kind))
    for step, inner_kind, enter in inner:
        yield from _leaves_in(inner_kind, (*path, step), _through(reach, enter))
    if not inner:
        yield _Leaf(path, kind, reach)


def _inner(kind: DataType) -> Iterator[tuple[str | int, DataType, Callable[[_Measure], _Measure]]]:
    """The parts of a type, each with what makes of a measure of it one of the whole."""

    def largest(values: _Measure) -> Callable[[_Measure], _Measure]:
        return lambda measure: lambda value: F.array_max(F.transform(values(value), measure))

    if isinstance(kind, StructType):
        for field in kind:
            yield field.name, field.dataType, _of_field(field.name)
    elif isinstance(kind, ArrayType):
        yield _FIRST, kind.elementType, largest(lambda value: value)
    elif isinstance(kind, MapType):
        yield _FIRST, kind.keyType, largest(F.map_keys)
        yield _SECOND, kind.valueType, largest(F.map_values)


def _of(value: Column) -> _Reach:
    return lambda measure: measure(value)


def _through(reach: _Reach, enter: Callable[[_Measure], _Measure]) -> _Reach:
    return lambda measure: reach(enter(measure))


def _of_field(name: str) -> Callable[[_Measure], _Measure]:
    return lambda measure: lambda value: measure(value.getField(name))


def _replaced(schema: StructType, kinds: Mapping[_Path, DataType]) -> StructType:
    """The schema with other types at some of its leaves."""

    def replace(kind: DataType, path: _Path) -> DataType:
        if isinstance(kind, StructType):
            return StructType(
                [
                    StructField(
                        f.name, replace(f.dataType, (*path, f.name)), f.nullable, f.metadata
                    )
                    for f in kind
                ]
            )
        if isinstance(kind, ArrayType):
            return ArrayType(replace(kind.elementType, (*path, _FIRST)), kind.containsNull)
        if isinstance(kind, MapType):
            key, value = (
                replace(inner, (*path, step))
                for inner, step in ((kind.keyType, _FIRST), (kind.valueType, _SECOND))
            )
            return MapType(key, value, kind.valueContainsNull)
        return kinds.get(path, kind)

    replaced = replace(schema, ())
    assert isinstance(replaced, StructType)
    return replaced
