"""Infers the columns of JSON objects, with Spark's own inference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, NullType, StringType, StructField, StructType

from medallion_jobs.autoloader.readers.records import FormatReader, Input
from medallion_jobs.autoloader.readers.text_input import VALUE
from medallion_jobs.lake.tables.sql import namable
from medallion_jobs.lake.values import json_marks
from medallion_jobs.lake.values.strict import STRICT_JSON, TIMESTAMP_FORMAT

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


# Spark infers no column for a key that is always an empty object, but it does for one that is
# always null. With the spaces, a key with `{}` in its name still cannot become a column.
_EMPTY_OBJECT, _NULL = r"\{\s*+\}", " null "
# Levels of nested objects and arrays. Several hundred overflow the stack of Spark's inference,
# and its job then never ends.
_MOST_LEVELS = 32
_INNERMOST = r"[\[{][^\[\]{}]*+[\]}]"


class JsonFiles(FormatReader):
    """A format whose records are JSON objects; `value` of its frame is an object's text."""

    def infer(self, given: Input, *, typed: bool) -> StructType:
        records = self.records(given, StructType())
        objects = records.frame.where(records.good).select(VALUE)
        return infer(given.spark, objects, given.options, typed=typed)


def infer(
    spark: SparkSession, objects: DataFrame, options: Mapping[str, str], *, typed: bool
) -> StructType:
    """The schema of JSON objects: keys that a table can name, in alphabetical order.

    A key is text if it is an object in some records and something else in others, or null or
    an empty object in all. Of keys that differ only by letter case, the first one in sort order
    (capitals first) is taken. Timestamps are inferred only if `timestampFormat` is given.
    Integers with more than 19 digits are text, and so are all keys of an object with more than
    32 levels.

    Args:
        objects: one column of valid JSON objects.
        typed: infer types; otherwise all scalar values are text.
    """
    text = F.regexp_replace(_shallow(F.col(objects.columns[0])), _EMPTY_OBJECT, _NULL)
    if typed:
        # Spark infers double for some integers, which rounds them; marked, they are texts.
        huge = json_marks.marked(text, json_marks.HUGE_NUMBER)
        text = F.when(text.rlike(json_marks.HUGE_NUMBER), huge).otherwise(text)
    reader = spark.read.options(
        primitivesAsString=str(not typed).lower(),
        mode="DROPMALFORMED",
        **STRICT_JSON,
    )
    if typed and TIMESTAMP_FORMAT in options:
        reader = reader.options(inferTimestamp="true", timestampFormat=options[TIMESTAMP_FORMAT])
    return _tidy(reader.json(objects.select(text.alias("value"))).schema)


def _shallow(json: Column) -> Column:
    """An object unchanged or, if it has too many levels, its keys with empty texts."""
    openings = F.length(json) - F.length(F.translate(json, "{[", ""))
    left = F.aggregate(
        F.sequence(F.lit(1), F.lit(_MOST_LEVELS)),
        json_marks.structure(json),
        lambda structure, _: F.regexp_replace(structure, _INNERMOST, ""),
    )
    keys = F.transform_values(F.from_json(json, "map<string,string>"), lambda _, __: F.lit(""))
    is_deep = (openings > _MOST_LEVELS) & left.rlike(r"[\[{]")
    return F.when(is_deep, F.to_json(keys)).otherwise(json)


def _tidy(schema: StructType) -> StructType:
    """The part of a schema that a table can have."""
    fields: dict[str, StructField] = {}
    for field in sorted(schema, key=lambda field: field.name):
        if namable(field.name) and field.name.lower() not in fields:
            kind = _tidy_type(field.dataType)
            fields[field.name.lower()] = StructField(field.name, kind)
    return StructType(list(fields.values()))


def _tidy_type(kind: DataType) -> DataType:
    if isinstance(kind, NullType):
        return StringType()
    if isinstance(kind, ArrayType):
        return ArrayType(_tidy_type(kind.elementType))
    if isinstance(kind, StructType):
        inner = _tidy(kind)
        return inner if inner.fields else StringType()
    return kind
