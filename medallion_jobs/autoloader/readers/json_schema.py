"""Infers the columns of JSON objects, with Spark's own inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from json import loads
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DecimalType,
    DoubleType,
    LongType,
    NullType,
    StringType,
    StructField,
    StructType,
)

from medallion_jobs.autoloader.readers.records import FormatReader, Input
from medallion_jobs.autoloader.readers.text_input import VALUE
from medallion_jobs.lake.tables.sql import namable
from medallion_jobs.lake.values import json_parts, scalars
from medallion_jobs.lake.values.json_parts import STRICT_JSON, STRING
from medallion_jobs.lake.values.scalars import TIMESTAMP_FORMAT

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession


# Spark infers no column for a key that is always an empty object, but it does for one that is
# always null. With the spaces, a key with `{}` in its name still cannot become a column.
_EMPTY_OBJECT, _NULL = r"\{\s*+\}", " null "
# Levels of nested objects and arrays. Several hundred overflow the stack of Spark's inference,
# and its job then never ends.
_MOST_LEVELS = 32
# A text with a number that a double might not hold, and the tokens of which it consists.
_LONG_NUMBER = r"[0-9.]{17}"
_TOKEN = rf'{STRING}\s*+:|{STRING}|[^"0-9-]++|-?[0-9][0-9.eE+-]*+'
_WIDEST = 38  # digits of a decimal


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

    A key is text if it is an object in some records and something else in others. Of keys that
    differ only by letter case, the first one in sort order (capitals first) is taken. Timestamps
    are inferred only if `timestampFormat` is given. Numbers that a double does not hold make a
    decimal, or text if they have more than 38 digits. All keys of an object with more than 32
    levels are text.

    Args:
        objects: one column of valid JSON objects.
        typed: infer types; a key without a value of some type (null, `{}`, `[]`) is then left
            out. Otherwise all scalar values are text, and so are these.
    """
    text = F.regexp_replace(_shallow(F.col(objects.columns[0])), _EMPTY_OBJECT, _NULL)
    texts = objects.select(text.alias(VALUE))
    reader = spark.read.options(
        primitivesAsString=str(not typed).lower(),
        dropFieldIfAllNull=str(typed).lower(),
        mode="DROPMALFORMED",
        **STRICT_JSON,
    )
    if typed and TIMESTAMP_FORMAT in options:
        reader = reader.options(inferTimestamp="true", timestampFormat=options[TIMESTAMP_FORMAT])
    if not typed:
        return _tidy(_schema_of(reader, texts))
    long = F.col(VALUE).rlike(_LONG_NUMBER)
    quoted = texts.select(F.when(long, _quoted(F.col(VALUE))).otherwise(F.col(VALUE)))
    schema = _schema_of(reader, quoted)
    if texts.where(long).limit(1).count():
        plain = texts.select(_tokens(F.col(VALUE), _plain))
        exact = _schema_of(reader.option("prefersDecimal", "true"), plain)
        schema = StructType([_exact(*fields) for fields in zip(schema, exact, strict=True)])
    return _tidy(schema)


def _schema_of(reader: DataFrameReader, texts: DataFrame) -> StructType:
    """The schema that a reader infers from texts."""
    # Before Spark 4.2, `DataFrameReader.json` of Python takes no DataFrame, only an RDD.
    spark: Any = texts.sparkSession
    strings = spark._jvm.org.apache.spark.sql.Encoders.STRING()
    java_reader: Any = reader._jreader
    inferred = java_reader.json(getattr(texts._jdf, "as")(strings))
    return StructType.fromJson(loads(inferred.schema().json()))


def _quoted(json: Column) -> Column:
    """An object with those numbers as strings that neither a bigint nor a double holds."""

    def quoted(token: Column) -> Column:
        holds = scalars.value(token, LongType()).isNotNull()
        holds = holds | scalars.value(token, DoubleType()).isNotNull()
        is_long = token.rlike(r"^-?[0-9]") & (F.length(token) > 15)  # noqa: PLR2004
        return F.when(is_long & ~holds, F.concat(F.lit('"'), token, F.lit('"'))).otherwise(token)

    return _tokens(json, quoted)


def _plain(token: Column) -> Column:
    """Values for which Spark infers a decimal only if they are numbers without an exponent.

    It refuses the negative scale of a number such as 1E5, and takes texts for numbers.
    """
    is_text = F.startswith(token, F.lit('"')) & ~F.endswith(token, F.lit(":"))
    has_exponent = token.rlike(r"^-?[0-9].*[eE]")
    return F.when(is_text, F.lit('"x"')).when(has_exponent, F.lit("0")).otherwise(token)


def _tokens(json: Column, changed: Callable[[Column], Column]) -> Column:
    """An object with each token changed: a string, a number, or what is between them."""
    tokens = F.regexp_extract_all(json, F.lit(_TOKEN), F.lit(0))
    return F.array_join(F.transform(tokens, changed), "").alias(VALUE)


def _exact(field: StructField, exact: StructField) -> StructField:
    return StructField(field.name, _exact_type(field.dataType, exact.dataType))


def _exact_type(kind: DataType, exact: DataType) -> DataType:
    """The decimal for numbers that were quoted; otherwise the type without decimals."""
    if isinstance(kind, StructType) and isinstance(exact, StructType):
        return StructType([_exact(*fields) for fields in zip(kind, exact, strict=True)])
    if isinstance(kind, ArrayType) and isinstance(exact, ArrayType):
        return ArrayType(_exact_type(kind.elementType, exact.elementType))
    if isinstance(kind, StringType) and isinstance(exact, DecimalType):
        return DecimalType(_WIDEST, exact.scale)
    return kind


def _shallow(json: Column) -> Column:
    """An object unchanged or, if it has too many levels, its keys with empty texts."""
    openings = F.length(json) - F.length(F.translate(json, "{[", ""))
    is_deep = (openings > _MOST_LEVELS) & ~json.rlike(
        rf"\A\s*+{json_parts.nested(_MOST_LEVELS)}\s*+\z"
    )
    keys = F.json_object_keys(json)
    empty = F.map_from_arrays(keys, F.transform(keys, lambda _: F.lit("")))
    return F.when(is_deep, F.to_json(empty)).otherwise(json)


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
