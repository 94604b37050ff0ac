"""Strict parsing of texts: a text is a value of a type, or it does not fit.

Spark's readers and casts accept too much: `"yes"` as a boolean, a time of day as today's, 1.005
as 1.01. Here nothing is guessed or rounded. For a type with inner types the text is JSON, and the
same rules apply to each inner value.

`value`, `fits` and `has_new` each parse the text again. If you need both the value and whether it
fits, use `reading`, which parses it once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    MapType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from medallion_jobs.lake.tables.sql import NOT_IN_NAMES
from medallion_jobs.lake.values.type_walk import is_nested

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import DataType

# Reader options with the formats of timestamps and dates, as Spark datetime patterns.
TIMESTAMP_FORMAT, DATE_FORMAT = "timestampFormat", "dateFormat"
# Options of Spark's JSON parser, which otherwise takes `NaN` and texts in single quotes.
STRICT_JSON = {"allowNonNumericNumbers": "false", "allowSingleQuotes": "false"}
# Stands after a text in an array of JSON, to show that the parser has read the text to its end.
# Different in each process: no text has it.
END_MARK = f"end {uuid4().hex}"
_A_DAY = r"^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]|\s*$)"
_NO_NUMBERS = (float("nan"), float("inf"), float("-inf"))
_OBJECT, _ARRAY = "map<string,string>", "array<string>"
# Marker characters in JSON texts, where Spark's parser would lose a difference: around a number
# that would be rounded, and before a string that looks like an object or an array. Both are
# Unicode noncharacters, which texts should not contain.
NUMBER_MARK, TEXT_MARK = "\ufdd0", "\ufdd1"


def value(text: Column, kind: DataType, options: Mapping[str, str] | None = None) -> Column:
    """The value of a text; null if the text does not fit or is null.

    In a nested type, inner values that do not fit are null and the others are kept.

    Args:
        text: a column of texts; of JSON for structs, arrays and maps.
        kind: the type of the value.
        options: may hold `timestampFormat` and `dateFormat`.
    """
    if is_nested(kind):
        return reading(text, kind, options)["value"]
    return _scalar(text, kind, options or {})


def fits(text: Column, kind: DataType, options: Mapping[str, str] | None = None) -> Column:
    """Whether a text fits a type, including all inner values. Null fits. Never null."""
    if is_nested(kind):
        return reading(text, kind, options)["fits"]
    return text.isNull() | _scalar(text, kind, options or {}).isNotNull()


def has_new(text: Column, kind: DataType) -> Column:
    """Whether a JSON text has a field that could be added to the type. Never null."""
    new: Column
    if isinstance(kind, StructType):
        new = let(
            F.from_json(text, _OBJECT),
            lambda fields: has_new_key(F.map_keys(fields), kind) | has_new_inside(fields, kind),
        )
    elif isinstance(kind, ArrayType) and is_nested(kind.elementType):
        new = F.exists(F.from_json(text, _ARRAY), lambda item: has_new(item, kind.elementType))
    elif isinstance(kind, MapType) and is_nested(kind.valueType):
        items = F.map_values(F.from_json(text, _OBJECT))
        new = F.exists(items, lambda item: has_new(item, kind.valueType))
    else:
        return F.lit(False)
    return F.coalesce(new, F.lit(False))


def has_new_key(keys: Column, schema: StructType, reserved: Sequence[str] = ()) -> Column:
    """Whether one of an object's keys could be added to the schema as a column.

    Args:
        reserved: names that no column may have.
    """
    taken = F.array(*[F.lower(F.lit(name)) for name in (*schema.names, *reserved)])
    unknown = unknown_keys(keys, schema)
    new = F.exists(
        unknown,
        lambda key: ~F.array_contains(taken.cast(_ARRAY), F.lower(key)) & is_namable(key),
    )
    # Most objects have no unknown keys, and changing the case of all keys is expensive.
    return F.when(F.size(unknown) > 0, new).otherwise(F.lit(False))


def has_new_inside(fields: Column, schema: StructType) -> Column:
    """Whether the text of a nested column has a field that could be added to the column."""
    new = F.lit(False)
    for field in schema:
        if is_nested(field.dataType):
            new = new | has_new(fields[field.name], field.dataType)
    return new


def unknown_keys(keys: Column, schema: StructType) -> Column:
    """The keys of an object that are not exactly the name of a column."""
    return F.array_except(keys, F.array(*map(F.lit, schema.names)).cast(_ARRAY))


def is_namable(name: Column) -> Column:
    """Whether a table can have a column of this name."""
    return (name != "") & ~name.rlike(NOT_IN_NAMES)


def plain(text: Column) -> Column:
    """A JSON text, or a string from JSON, without our markers."""
    for marked in (f'"{NUMBER_MARK}', f'{NUMBER_MARK}"', NUMBER_MARK, TEXT_MARK):
        text = F.replace(text, F.lit(marked), F.lit(""))
    return text


def reading(text: Column, kind: DataType, options: Mapping[str, str] | None = None) -> Column:
    """A nested text, parsed once: a struct of its `value` and whether it `fits`."""
    return _read(text, kind, options or {})


def reading_with_rest(text: Column, kind: StructType, rest: str) -> Column:
    """The text of a JSON object, parsed like `reading`, with an extra field in its value.

    Args:
        rest: the extra field's name: a map<string,string> of the keys that the type does not
            have; null if there are none.
    """
    named = F.array(*map(F.lit, kind.names)).cast(_ARRAY)

    def read(fields: Column) -> Column:
        own = F.map_filter(fields, lambda key, _: F.array_contains(named, key))
        others = F.map_filter(fields, lambda key, _: ~F.array_contains(named, key))
        is_map = _has_no_duplicates(F.map_keys(fields))
        texts = F.transform_values(others, lambda _, other: plain(other))
        texts = F.when(is_map & (F.size(others) > 0), texts).alias(rest)

        def result(inner: Column) -> Column:
            columns = [inner["value"][name].alias(name) for name in kind.names]
            return _result(F.struct(*columns, texts), inner["fits"] & is_map)

        return let(_struct(own, kind, {}), result)

    return let(F.from_json(text, _OBJECT), lambda fields: _parsed(text, fields, read(fields)))


def _read(text: Column, kind: DataType, options: Mapping[str, str]) -> Column:
    if isinstance(kind, StructType):
        return let(
            F.from_json(text, _OBJECT),
            lambda fields: _parsed(text, fields, _struct(fields, kind, options)),
        )
    if isinstance(kind, ArrayType):
        return let(
            F.from_json(text, _ARRAY),
            lambda items: _parsed(text, items, _array(items, kind, options)),
        )
    if isinstance(kind, MapType):
        return let(
            F.from_json(text, _OBJECT),
            lambda fields: _parsed(text, fields, _map(fields, kind, options)),
        )
    return let(
        _scalar(plain(text), kind, options),
        lambda value: _result(value, text.isNull() | value.isNotNull()),
    )


def _parsed(text: Column, parsed: Column, result: Column) -> Column:
    """The result of the inner values; a text that is not such JSON does not fit."""
    return F.when(parsed.isNotNull(), result).otherwise(
        F.named_struct(F.lit("value"), F.lit(None), F.lit("fits"), text.isNull())
    )


def _struct(fields: Column, kind: StructType, options: Mapping[str, str]) -> Column:
    if not kind.fields:
        return _result(F.struct(), F.size(fields) == 0)
    reads = F.struct(
        *(
            _read(fields[field.name], field.dataType, options).alias(f"_{number}")
            for number, field in enumerate(kind)
        )
    )

    def result(read: Column) -> Column:
        inner = F.struct(
            *(read[f"_{number}"]["value"].alias(name) for number, name in enumerate(kind.names))
        )
        all_fit = _has_no_duplicates(F.map_keys(fields)) & (
            F.size(unknown_keys(F.map_keys(fields), kind)) == 0
        )
        for number in range(len(kind)):
            all_fit = all_fit & read[f"_{number}"]["fits"]
        return _result(inner, all_fit)

    return let(reads, result)


def _array(items: Column, kind: ArrayType, options: Mapping[str, str]) -> Column:
    if isinstance(kind.elementType, StringType):
        return _result(F.transform(items, plain), F.lit(True))
    return let(
        F.transform(items, lambda item: _read(item, kind.elementType, options)),
        lambda reads: _result(
            F.transform(reads, lambda read: read["value"]),
            F.forall(reads, lambda read: read["fits"]),
        ),
    )


def _map(fields: Column, kind: MapType, options: Mapping[str, str]) -> Column:
    """A map with duplicate keys, or keys that do not fit, is null: no table can store it."""
    keys = F.transform(F.map_keys(fields), lambda key: _scalar(plain(key), kind.keyType, options))
    reads = F.transform(F.map_values(fields), lambda item: _read(item, kind.valueType, options))

    def result(read: Column) -> Column:
        keys, reads = read["keys"], read["reads"]
        are_keys = F.forall(keys, lambda key: key.isNotNull()) & _has_no_duplicates(keys)
        values = F.transform(reads, lambda read: read["value"])
        all_fit = F.forall(reads, lambda read: read["fits"])
        return _result(F.when(are_keys, F.map_from_arrays(keys, values)), are_keys & all_fit)

    return let(F.struct(keys.alias("keys"), reads.alias("reads")), result)


def _result(value: Column, fits: Column) -> Column:
    return F.struct(value.alias("value"), fits.alias("fits"))


def _has_no_duplicates(keys: Column) -> Column:
    return F.size(keys) == F.size(F.array_distinct(keys))


def let(bound: Column, body: Callable[[Column], Column]) -> Column:
    """Applies `body` to a column that is computed once, even if `body` uses it several times.

    Otherwise each use would double what Spark compiles and computes, at each level of a nested
    type.
    """
    return F.get(F.transform(F.array(bound), body), F.lit(0))


def _scalar(text: Column, kind: DataType, options: Mapping[str, str]) -> Column:
    if isinstance(kind, TimestampType | TimestampNTZType | DateType):
        return _moment(text, kind, options)
    value = text.try_cast(kind)
    if isinstance(kind, BooleanType):
        # A cast also accepts "y", "1" and similar texts.
        return F.when(F.lower(F.trim(text)).isin("true", "false"), value)
    if isinstance(kind, DecimalType):
        # A cast rounds: 1.005 would be 1.01. Digits count up to the last that is not zero.
        digits = F.length(F.regexp_extract(text, r"\.([^eE]*[^0eE\s])", 1))
        exponent = F.regexp_extract(text, "[eE](.*)", 1).try_cast("int")
        return F.when(digits - F.coalesce(exponent, F.lit(0)) <= kind.scale, value)
    if isinstance(kind, DoubleType | FloatType):
        # "NaN" and "Infinity" do not fit: one of them makes every sum useless.
        return F.when(~value.isin(*_NO_NUMBERS), value)
    return value


def _moment(text: Column, kind: DataType, options: Mapping[str, str]) -> Column:
    pattern = options.get(DATE_FORMAT if isinstance(kind, DateType) else TIMESTAMP_FORMAT)
    if pattern is None:
        # A cast takes "10:15" for today, which is another day in each replay, and any number for
        # a year.
        return F.when(text.rlike(_A_DAY), text.try_cast(kind))
    return F.try_to_timestamp(text, F.lit(pattern)).cast(kind)
