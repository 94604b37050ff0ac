"""Parses JSON lines to typed rows, strictly, with Spark's own expressions.

Spark's JSON reader accepts much that is wrong: two objects on a line, text after an object,
`"1,25"` as 125.00, a key twice, an unknown key. Here a line is first put between a bracket and
an end mark, and parsed as an array of maps of strings. If the array is one object and the mark,
the line has exactly one object, because Spark reads no further than the bracket that closes the
array. Each column is then read from its text (lake/values/strict.py). A line that is not one
object is bad and goes to quarantine. A value that does not fit its column, or whose key has no
column, is rescued: it is kept as text in `_rescued_data`, and the row is good.

Lines that are all written alike need none of this: they take a fast lane (json_lane.py).

If a line has numbers that a double would round, or texts that look like objects or arrays,
these are marked (lake/values/json_marks.py) and the line is parsed once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from medallion_jobs.autoloader.readers import json_lane, text_input
from medallion_jobs.autoloader.readers.json_lane import REGULAR, Lane
from medallion_jobs.autoloader.readers.json_schema import JsonFiles
from medallion_jobs.autoloader.readers.records import Input, Records
from medallion_jobs.lake.columns import INPUT_FILE, RESCUED, RESCUED_FILE, RESERVED
from medallion_jobs.lake.values import json_marks, strict
from medallion_jobs.lake.values.type_walk import is_nested

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


VALUE = text_input.VALUE
# The array of the first parse, and the object of the second one, or null. No key can become a
# column whose name has a space, so Spark cannot confuse such a column with these.
OBJECTS, MARKED = "all objects", "marked object"
_OBJECT_AND_END = 2
REPEATED = "a key is repeated in the JSON object"
# The first bytes of compressed files, for files whose names do not show the compression.
_COMPRESSED = {
    "gzip": b"\x1f\x8b",
    "bzip2": b"BZh",
    "zstd": b"\x28\xb5\x2f\xfd",
    "xz": b"\xfd7zXZ",
    "zip": b"PK\x03\x04",
}


class JsonLines(JsonFiles):
    """Reads files with one JSON object per line."""

    def records(self, given: Input, columns: StructType) -> Records:
        lines = text_input.lines(given)
        lane = json_lane.lane_for(given, columns)
        if lane:
            lines = lane.add_to(lines, columns, given.options)
        else:
            lines = lines.withColumn(REGULAR, F.lit(False))
        parsed = _parsed(lines, columns)
        records = records_of(parsed, columns, given.options, _reason())
        return _with_lane(records, columns, lane) if lane else records


def parsed_objects(text: Column) -> Column:
    """An array of maps of texts: one map and the end mark if a text is one JSON object."""
    bracketed = F.concat(F.lit("["), text, F.lit(f',{{"{strict.END_MARK}":""}}]'))
    return F.from_json(bracketed, "array<map<string,string>>", strict.STRICT_JSON)


def records_of(
    frame: DataFrame, columns: StructType, options: Mapping[str, str], reason: Column
) -> Records:
    """The records of a frame that has `value`, the parsed objects and the marked ones."""
    marked = F.coalesce(MARKED, first())
    for number, field in enumerate(columns):
        if is_nested(field.dataType):
            read = strict.reading(marked[field.name], field.dataType, options)
            frame = frame.withColumn(_nested(number), read)
    new = strict.has_new_key(F.map_keys(_texts()), columns, RESERVED)
    new = new | strict.has_new_inside(marked, columns)
    return Records(
        frame=frame,
        good=_is_good(),
        reason=reason,
        raw=F.col(VALUE),
        raw_bytes=F.lit(None).cast("binary"),
        columns=_columns(columns, options),
        has_new=F.coalesce(new, F.lit(False)),
    )


def _with_lane(records: Records, columns: StructType, lane: Lane) -> Records:
    """The records, with the values of regular lines from the lane."""
    regular = F.col(REGULAR)

    def either(number: int, column: str, parsed: Column) -> Column:
        fast = F.col(json_lane.value_name(number)) if column in lane.places else F.lit(None)
        return F.when(regular, fast).otherwise(parsed).alias(column)

    *parsed, rescued = records.columns
    taken = [
        either(number, field.name, column)
        for number, (field, column) in enumerate(zip(columns, parsed, strict=True))
    ]
    assert not isinstance(records.has_new, bool)  # JSON has no headers
    return replace(
        records,
        good=regular | records.good,
        columns=[*taken, F.when(~regular, rescued).alias(RESCUED)],
        has_new=F.when(~regular, records.has_new).otherwise(F.lit(False)),
    )


def first() -> Column:
    """The object of a good record, from the first parse."""
    return F.get(OBJECTS, F.lit(0))


def _parsed(lines: DataFrame, columns: StructType) -> DataFrame:
    """Adds what is parsed from `value`; leaves out blank lines, which are not records."""
    line = F.col(VALUE)
    blank = F.trim(line, F.lit(" \t\r\ufeff")) == ""
    nested = any(is_nested(field.dataType) for field in columns)
    marked = F.get(parsed_objects(json_marks.marked(line)), F.lit(0))
    needed = ~F.col(REGULAR) & json_marks.are_needed(line, texts=nested)
    return (
        lines.where(F.col(REGULAR) | ~blank)
        .withColumn(OBJECTS, F.when(~F.col(REGULAR), parsed_objects(line)))
        .withColumn(MARKED, F.when(needed, marked))
    )


def _is_good() -> Column:
    """Whether a parsed line is one JSON object, with each key once."""
    keys = F.map_keys(first())
    return F.coalesce(
        (F.size(OBJECTS) == _OBJECT_AND_END)
        & _is_whole()
        & (F.size(keys) == F.size(F.array_distinct(keys))),
        F.lit(False),
    )


def _reason() -> Column:
    """The reason why a line is bad."""
    return (
        no_text()
        .when(~_is_whole(), "not valid JSON")
        .when(F.size(OBJECTS) > _OBJECT_AND_END, "more than one JSON object on the line")
        .when(first().isNotNull(), REPEATED)
        .when(F.expr("try_parse_json(value)").isNotNull(), "valid JSON, but not an object")
        .otherwise("not valid JSON")
    )


def no_text() -> Column:
    """The reason why a bad record is not text of the encoding; add `when` or `otherwise`."""
    reasons = F.when(F.lit(False), "")
    for name, magic in _COMPRESSED.items():
        start = F.substring(F.col(VALUE).cast("binary"), 1, len(magic))
        reasons = reasons.when(start == F.lit(bytearray(magic)), f"compressed data ({name})")
    return reasons.when(F.contains(VALUE, F.lit("\0")), "null bytes: binary, or another encoding")


def _is_whole() -> Column:
    """Whether the array ends with the end mark, so that nothing follows the line's objects."""
    return F.map_contains_key(F.try_element_at(OBJECTS, F.lit(-1)), strict.END_MARK)


def _columns(schema: StructType, options: Mapping[str, str]) -> list[Column]:
    """The columns of `schema`, and `_rescued_data`, from a good record."""
    texts, is_marked = _texts(), F.col(MARKED).isNotNull()
    columns, misfits = [], []
    for number, field in enumerate(schema):
        marked = strict.plain(F.col(MARKED)[field.name])
        text = F.when(is_marked, marked).otherwise(first()[field.name])
        if is_nested(field.dataType):
            read = F.col(_nested(number))
            value, misfit = read["value"], ~read["fits"]
        else:
            value = strict.value(text, field.dataType, options)
            misfit = text.isNotNull() & value.isNull()
        columns.append(value.alias(field.name))
        misfits.append(F.when(misfit, F.lit(field.name)))
    unknown = strict.unknown_keys(F.map_keys(texts), schema)
    unfit = F.concat(F.array_compact(F.array(*misfits).cast("array<string>")), unknown)
    # Bound with `let`: otherwise all columns would be read again for each key.
    rescued = strict.let(
        unfit,
        lambda unfit: F.map_filter(texts, lambda key, _: F.array_contains(unfit, key)),
    )
    return [*columns, F.when(F.size(unfit) > 0, _with_file(rescued)).alias(RESCUED)]


def _texts() -> Column:
    """The texts of a good record by key. Not a column, which would copy each map."""
    return F.when(F.col(MARKED).isNotNull(), json_marks.unmarked(F.col(MARKED))).otherwise(first())


def _with_file(rescued: Column) -> Column:
    """The rescued data as JSON, with the file's path, unless the record has that key itself."""
    file = F.create_map(F.lit(RESCUED_FILE), F.col(INPUT_FILE))

    def with_file(rescued: Column) -> Column:
        has_it = F.map_contains_key(rescued, RESCUED_FILE)
        return F.when(has_it, rescued).otherwise(F.map_concat(rescued, file))

    return F.to_json(strict.let(rescued, with_file))


def _nested(number: int) -> str:
    return f"nested {number}"
