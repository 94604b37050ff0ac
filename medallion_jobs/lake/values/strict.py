"""Strict parsing of texts: a text is a value of a type, or it does not fit.

Spark's readers and casts accept too much: `"yes"` as a boolean, a time of day as today's, 1.005
as 1.01, 0010 as 10. Here nothing is guessed, rounded or cut. For a type with inner types the text
is JSON, and the same rules apply to each inner value.

`value` and `fits` each parse the text again. If you need both the value and whether it fits, use
`reading`, which parses it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    MapType,
    StringType,
    StructType,
)

from medallion_jobs.lake.tables.sql import NOT_IN_NAMES
from medallion_jobs.lake.values import json_parts, scalars
from medallion_jobs.lake.values.json_parts import decoded, has_distinct_keys, let, member
from medallion_jobs.lake.values.type_walk import is_nested

if TYPE_CHECKING:
    from pyspark.sql import Column

_ARRAY = "array<string>"


def value(text: Column, kind: DataType, options: Mapping[str, str] | None = None) -> Column:
    """The value of a text; null if the text does not fit or is null.

    In a nested type, inner values that do not fit are null and the others are kept.

    Args:
        text: a column of texts; of JSON for structs, arrays and maps.
        kind: the type of the value.
        options: as for `scalars.value`.
    """
    if is_nested(kind):
        return reading(text, kind, options)["value"]
    return scalars.value(text, kind, options)


def fits(text: Column, kind: DataType, options: Mapping[str, str] | None = None) -> Column:
    """Whether a text fits a type, including all inner values. Null fits. Never null."""
    if is_nested(kind):
        return reading(text, kind, options)["fits"]
    return text.isNull() | scalars.value(text, kind, options).isNotNull()


def has_new(json: Column, kind: DataType, *, only_given: bool) -> Column:
    """Whether a JSON text has a field that could be added to the type. Never null.

    Args:
        json: as it is in valid JSON.
        only_given: leave out fields whose value shows no type, such as null.
    """
    new: Column
    if isinstance(kind, StructType):
        new = let(
            json_parts.members(json),
            lambda members: (
                has_new_key(members, kind, only_given=only_given)
                | has_new_inside(members, kind, only_given=only_given)
            ),
        )
    elif isinstance(kind, ArrayType) and is_nested(kind.elementType):
        new = F.exists(
            json_parts.elements(json),
            lambda item: has_new(item, kind.elementType, only_given=only_given),
        )
    elif isinstance(kind, MapType) and is_nested(kind.valueType):
        items = json_parts.members(json)["texts"]
        new = F.exists(items, lambda item: has_new(item, kind.valueType, only_given=only_given))
    else:
        return F.lit(False)
    return F.coalesce(new, F.lit(False))


def has_new_key(
    members: Column, schema: StructType, reserved: Sequence[str] = (), *, only_given: bool
) -> Column:
    """Whether an object has a key that could be added to the schema.

    Args:
        members: the object's keys and texts, as `json_parts.members` gives them.
        reserved: names that no column may have.
        only_given: leave out keys whose value shows no type, such as null.
    """
    taken = F.array(*[F.lower(F.lit(name)) for name in (*schema.names, *reserved)])
    unknown = unknown_keys(members["keys"], schema)

    def is_new(key: Column, text: Column) -> Column:
        return (
            F.array_contains(unknown, key)
            & ~F.array_contains(taken.cast(_ARRAY), F.lower(key))
            & is_namable(key)
            & (json_parts.is_given(text) if only_given else F.lit(True))
        )

    new = F.zip_with(members["keys"], members["texts"], is_new)
    # Most objects have no unknown keys, and changing the case of all keys is expensive.
    return F.when(F.size(unknown) > 0, F.array_contains(new, F.lit(True))).otherwise(F.lit(False))


def has_new_inside(members: Column, schema: StructType, *, only_given: bool) -> Column:
    """Whether the text of a nested column has a field that could be added to the column."""
    new = F.lit(False)
    for field in schema:
        if is_nested(field.dataType):
            text = member(members, field.name)
            new = new | has_new(text, field.dataType, only_given=only_given)
    return new


def unknown_keys(keys: Column, schema: StructType) -> Column:
    """The keys of an object that are not exactly the name of a column."""
    return F.array_except(keys, F.array(*map(F.lit, schema.names)).cast(_ARRAY))


def is_namable(name: Column) -> Column:
    """Whether a table can have a column of this name."""
    return (name != "") & ~name.rlike(NOT_IN_NAMES)


def reading(text: Column, kind: DataType, options: Mapping[str, str] | None = None) -> Column:
    """A nested text, parsed once: a struct of its `value` and whether it `fits`; never null.

    A text that is not JSON, or not exactly one value, does not fit.
    """
    return _of_valid(text, kind, _read(text, kind, options or {}))


def reading_of_valid(json: Column, kind: DataType, options: Mapping[str, str]) -> Column:
    """As `reading`, for a text that is certainly valid JSON, such as a part of a valid one."""
    return _read(json, kind, options)


def reading_with_rest(text: Column, kind: StructType, rest: str) -> Column:
    """The text of a JSON object, parsed like `reading`, with an extra field in its value.

    Args:
        rest: the extra field's name: a map<string,string> of the keys that the type does not
            have; null if there are none.
    """
    named = F.array(*map(F.lit, kind.names)).cast(_ARRAY)

    def read(members: Column) -> Column:
        keys, texts = members["keys"], members["texts"]
        pairs = F.arrays_zip(keys.alias("key"), F.transform(texts, decoded).alias("text"))
        others = F.filter(pairs, lambda pair: ~F.array_contains(named, pair["key"]))
        is_map = has_distinct_keys(members)
        left = F.when(is_map & (F.size(others) > 0), F.map_from_entries(others)).alias(rest)
        own = F.struct(
            F.array_intersect(keys, named).alias("keys"),
            F.array_compact(
                F.zip_with(keys, texts, lambda key, t: F.when(F.array_contains(named, key), t))
            ).alias("texts"),
        )
        fitting = F.transform(texts, lambda raw: ~json_parts.has_half_pair(raw))

        def result(inner: Column) -> Column:
            columns = [inner["value"][name].alias(name) for name in kind.names]
            fits = inner["fits"] & is_map & F.forall(fitting, lambda fits: fits)
            return _result(F.struct(*columns, left), fits)

        return let(_struct(F.when(is_map, own).otherwise(members), kind, {}), result)

    wide = StructType([*kind.fields]).add(rest, MapType(StringType(), StringType()))
    parsed = let(json_parts.members(text), lambda members: _parsed(text, members, read(members)))
    return _of_valid(text, wide, parsed)


def _of_valid(text: Column, kind: DataType, read: Column) -> Column:
    """What was read, if the text is one valid JSON value; else a null that does not fit."""
    is_null = F.coalesce(F.trim(text) == "null", F.lit(True))
    nothing = F.named_struct(F.lit("value"), F.lit(None).cast(kind), F.lit("fits"), is_null)
    return F.when(json_parts.is_one(text), read).otherwise(nothing)


def _read(raw: Column, kind: DataType, options: Mapping[str, str]) -> Column:
    """The value of a part of valid JSON, and whether it fits."""
    if isinstance(kind, StructType):
        return let(
            json_parts.members(raw),
            lambda members: _parsed(raw, members, _struct(members, kind, options)),
        )
    if isinstance(kind, ArrayType):
        return let(
            json_parts.elements(raw),
            lambda items: _parsed(raw, items, _array(items, kind, options)),
        )
    if isinstance(kind, MapType):
        return let(
            json_parts.members(raw),
            lambda members: _parsed(raw, members, _map(members, kind, options)),
        )
    return let(raw, lambda raw: _read_scalar(raw, kind, options))


def _read_scalar(raw: Column, kind: DataType, options: Mapping[str, str]) -> Column:
    is_null = raw.isNull() | (raw == "null")

    def read(text: Column) -> Column:
        if isinstance(kind, StringType):
            return _result(text, is_null | text.isNotNull())
        return let(
            scalars.value(text, kind, options),
            lambda value: _result(value, is_null | value.isNotNull()),
        )

    return let(decoded(raw), read)


def _parsed(raw: Column, parts: Column, result: Column) -> Column:
    """The result of the inner values; a value of another form does not fit."""
    is_null = raw.isNull() | (raw == "null")
    return F.when(parts.isNotNull(), result).otherwise(
        F.named_struct(F.lit("value"), F.lit(None), F.lit("fits"), is_null)
    )


def _struct(members: Column, kind: StructType, options: Mapping[str, str]) -> Column:
    if not kind.fields:
        return _result(F.struct(), F.size(members["keys"]) == 0)
    reads = F.struct(
        *(
            _read(member(members, field.name), field.dataType, options).alias(f"_{number}")
            for number, field in enumerate(kind)
        )
    )

    def result(read: Column) -> Column:
        inner = F.struct(
            *(read[f"_{number}"]["value"].alias(name) for number, name in enumerate(kind.names))
        )
        all_fit = has_distinct_keys(members) & (F.size(unknown_keys(members["keys"], kind)) == 0)
        for number in range(len(kind)):
            all_fit = all_fit & read[f"_{number}"]["fits"]
        return _result(inner, all_fit)

    return let(reads, result)


def _array(items: Column, kind: ArrayType, options: Mapping[str, str]) -> Column:
    return let(
        F.transform(items, lambda item: _read(item, kind.elementType, options)),
        lambda reads: _result(
            F.transform(reads, lambda read: read["value"]),
            F.forall(reads, lambda read: read["fits"]),
        ),
    )


def _map(members: Column, kind: MapType, options: Mapping[str, str]) -> Column:
    """A map with duplicate keys, or keys that do not fit, is null: no table can store it."""
    keys = F.transform(members["keys"], lambda key: scalars.value(key, kind.keyType, options))
    reads = F.transform(members["texts"], lambda item: _read(item, kind.valueType, options))

    def result(read: Column) -> Column:
        keys, reads = read["keys"], read["reads"]
        are_keys = F.forall(keys, lambda key: key.isNotNull()) & (
            F.size(keys) == F.size(F.array_distinct(keys))
        )
        values = F.transform(reads, lambda read: read["value"])
        all_fit = F.forall(reads, lambda read: read["fits"])
        return _result(F.when(are_keys, F.map_from_arrays(keys, values)), are_keys & all_fit)

    return let(F.struct(keys.alias("keys"), reads.alias("reads")), result)


def _result(value: Column, fits: Column) -> Column:
    return F.struct(value.alias("value"), fits.alias("fits"))
