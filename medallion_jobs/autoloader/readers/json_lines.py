"""Parses JSON lines to typed rows, strictly, with Spark's own expressions.

Spark's JSON reader accepts much that is wrong: two objects on a line, text after an object,
`"1,25"` as 125.00, a key twice, an unknown key. Here a line has to be exactly one JSON object. It
is taken apart into the texts of its values, letter for letter (lake/values/json_parts.py), and each
column is read from its text (lake/values/strict.py). A line that is not one object is bad and goes
to quarantine. A value that does not fit its column, or whose key has no column, is rescued: it is
kept as text in `_rescued_data`, and the row is good.

Lines that are all written alike need none of this: they take a fast lane (json_lane.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from medallion_jobs.autoloader.readers import encodings, json_lane, json_reasons, text_input
from medallion_jobs.autoloader.readers.encodings import Encoding
from medallion_jobs.autoloader.readers.json_lane import REGULAR, Lane
from medallion_jobs.autoloader.readers.json_schema import JsonFiles
from medallion_jobs.autoloader.readers.records import FILE_COLUMNS, Input, Records
from medallion_jobs.autoloader.readers.text_input import VALUE
from medallion_jobs.lake.columns import INPUT_FILE, RESCUED, RESCUED_FILE, RESERVED
from medallion_jobs.lake.values import json_parts, scalars, strict
from medallion_jobs.lake.values.json_parts import let
from medallion_jobs.lake.values.type_walk import is_nested

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# The option for objects that follow each other without a line break.
CONCATENATED = "concatenated"
# The keys and texts of an object. No key can become a column whose name has a space, so Spark
# cannot confuse such a column with this one.
MEMBERS = "object members"


class JsonLines(JsonFiles):
    """Reads files with one JSON object per line."""

    def records(self, given: Input, columns: StructType) -> Records:
        encoding = encodings.of(given.options)
        lines = text_input.lines(given)
        if str(given.options.get(CONCATENATED, "false")).lower() == "true":
            lines = _separated(lines, encoding)
        lane = json_lane.lane_for(given, columns)
        if lane:
            lines = lane.add_to(lines, columns, given.options)
        else:
            lines = lines.withColumn(REGULAR, F.lit(False))
        line, regular = F.col(VALUE), F.col(REGULAR)
        blank = F.trim(line, F.lit(" \t\r\ufeff")) == ""
        is_json = ~regular & text_input.is_text(lines, encoding) & json_parts.is_one(line)
        parsed = lines.where(regular | ~blank).withColumn(
            MEMBERS, F.when(is_json, json_parts.members(line))
        )
        reason = json_reasons.of_line(parsed, encoding, F.col(MEMBERS))
        raw_bytes = text_input.raw_bytes(parsed, encoding)
        records = records_of(parsed, columns, given, reason, raw_bytes)
        return _with_lane(records, columns, lane) if lane else records


def _separated(lines: DataFrame, encoding: Encoding) -> DataFrame:
    """Lines, with each object of a line as a line of its own."""
    pieces = F.regexp_extract_all(VALUE, F.lit(rf"\G\s*({json_parts.NESTED}|\S[\s\S]*+)"), F.lit(1))
    several = F.when(text_input.is_text(lines, encoding), pieces).otherwise(F.array(VALUE))
    return lines.select(F.explode(several).alias(VALUE), *text_input.beside(lines), *FILE_COLUMNS)


def records_of(
    frame: DataFrame,
    columns: StructType,
    given: Input,
    reason: Column,
    raw_bytes: Column,
) -> Records:
    """The records of a frame that has `value` and `MEMBERS`."""
    members = F.col(MEMBERS)
    texts = {
        _raw(number): json_parts.member(members, field.name) for number, field in enumerate(columns)
    }
    frame = frame.withColumns(texts)
    nested = {
        _nested(number): strict.reading_of_valid(F.col(_raw(number)), field.dataType, given.options)
        for number, field in enumerate(columns)
        if is_nested(field.dataType)
    }
    frame = frame.withColumns(nested) if nested else frame
    new = strict.has_new_key(members, columns, RESERVED, only_given=given.typed)
    new = new | strict.has_new_inside(members, columns, only_given=given.typed)
    return Records(
        frame=frame,
        good=F.coalesce(json_parts.has_distinct_keys(members), F.lit(False)),
        reason=reason,
        raw=F.col(VALUE),
        raw_bytes=raw_bytes,
        columns=_columns(columns, given),
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


def _columns(schema: StructType, given: Input) -> list[Column]:
    """The columns of `schema`, and `_rescued_data`, from a good record."""
    columns, misfits = [], []
    for number, field in enumerate(schema):
        raw = F.col(_raw(number))
        if is_nested(field.dataType):
            read = F.col(_nested(number))
            value, misfit = read["value"], ~read["fits"]
        else:
            value = scalars.value(json_parts.decoded(raw), field.dataType, given.options)
            misfit = (raw != "null") & value.isNull()
        columns.append(value.alias(field.name))
        misfits.append(F.when(misfit, F.lit(field.name)))
    unknown = strict.unknown_keys(F.col(MEMBERS)["keys"], schema)
    if given.typed:
        # A null has no type, so the column is not there yet; and it says no more than that.
        unknown = F.filter(unknown, lambda key: ~json_parts.is_null(F.col(MEMBERS), key))
    unfit = F.concat(F.array_compact(F.array(*misfits).cast("array<string>")), unknown)
    # Bound with `let`: otherwise all columns would be read again for each key.
    rescued = let(unfit, _rescued)
    return [*columns, F.when(F.size(unfit) > 0, rescued).alias(RESCUED)]


def _rescued(keys: Column) -> Column:
    """The values of these keys as JSON, with the file's path."""
    members = F.col(MEMBERS)
    # A string that no text can hold stays as it is in the file, with its quotes.
    texts = F.transform(
        members["texts"],
        lambda raw: F.coalesce(json_parts.decoded(raw), F.when(raw != "null", raw)),
    )
    kept = F.map_filter(
        F.map_from_arrays(members["keys"], texts), lambda key, _: F.array_contains(keys, key)
    )
    file = F.create_map(F.lit(RESCUED_FILE), F.col(INPUT_FILE))

    def with_file(rescued: Column) -> Column:
        # Unless the record has that key itself.
        has_it = F.map_contains_key(rescued, RESCUED_FILE)
        return F.when(has_it, rescued).otherwise(F.map_concat(rescued, file))

    return F.to_json(let(kept, with_file))


def _raw(number: int) -> str:
    return f"raw {number}"


def _nested(number: int) -> str:
    return f"nested {number}"
