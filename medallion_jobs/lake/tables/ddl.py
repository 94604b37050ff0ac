"""Spark's DDL of columns, read without a JVM: what is declared is known before one starts.

Spark's own parser decides in a run. This one reads the usual types, and answers None for the rest.
"""

from __future__ import annotations

import re

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    DataType,
    DateType,
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
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from medallion_jobs.lake.tables.sql import unquoted

_TOKEN = re.compile(r"`(?:[^`]|``)+`|'(?:[^'\\]|\\.)*'|\w+|[^\s\w]")
_TYPES: dict[str, DataType] = {
    "boolean": BooleanType(),
    **dict.fromkeys(("tinyint", "byte"), ByteType()),
    **dict.fromkeys(("smallint", "short"), ShortType()),
    **dict.fromkeys(("int", "integer"), IntegerType()),
    **dict.fromkeys(("bigint", "long"), LongType()),
    **dict.fromkeys(("float", "real"), FloatType()),
    "double": DoubleType(),
    "date": DateType(),
    **dict.fromkeys(("timestamp", "timestamp_ltz"), TimestampType()),
    "timestamp_ntz": TimestampNTZType(),
    "string": StringType(),
    "binary": BinaryType(),
    "variant": VariantType(),
}
_DECIMALS = ("decimal", "dec", "numeric")


def columns(ddl: str) -> StructType | None:
    """The columns of a DDL text; None if it has something that only Spark can read."""
    try:
        return _Reader(ddl).columns()
    except (_UnknownError, IndexError, ValueError):
        return None


def kind(ddl: str) -> DataType | None:
    """The type of a DDL text; None if only Spark can read it."""
    found = columns(f"it {ddl}")
    return found.fields[0].dataType if found is not None and len(found) == 1 else None


class _UnknownError(Exception):
    """Something that is not read here."""


class _Reader:
    def __init__(self, ddl: str) -> None:
        self._tokens = _TOKEN.findall(ddl)

    def columns(self) -> StructType:
        found = StructType(self._fields(end=None))
        if self._tokens:
            raise _UnknownError
        return found

    def _fields(self, end: str | None) -> list[StructField]:
        found = [self._field()]
        while self._tokens and self._tokens[0] == ",":
            self._tokens.pop(0)
            found.append(self._field())
        if end:
            self._take(end)
        return found

    def _field(self) -> StructField:
        name = self._tokens.pop(0)
        if not re.fullmatch(r"`.+`|\w+", name, re.DOTALL):
            raise _UnknownError
        if self._tokens[0] == ":":
            self._tokens.pop(0)
        kind, nullable = self._kind(), True
        if self._tokens and self._tokens[0].lower() == "not":
            self._take("not")
            self._take("null")
            nullable = False
        metadata = {}
        if self._tokens and self._tokens[0].lower() == "comment":
            self._take("comment")
            metadata["comment"] = self._tokens.pop(0).strip("'")
        return StructField(unquoted(name), kind, nullable, metadata)

    def _kind(self) -> DataType:
        name = self._tokens.pop(0).lower()
        if name in _DECIMALS:
            return DecimalType(*self._digits())
        if name == "array":
            (element,) = self._inside(1)
            return ArrayType(element)
        if name == "map":
            key, value = self._inside(2)
            return MapType(key, value)
        if name == "struct":
            self._take("<")
            return StructType(self._fields(end=">"))
        if name not in _TYPES:
            raise _UnknownError
        return _TYPES[name]

    def _inside(self, count: int) -> list[DataType]:
        self._take("<")
        found = [self._kind()]
        while len(found) < count:
            self._take(",")
            found.append(self._kind())
        self._take(">")
        return found

    def _digits(self) -> list[int]:
        if not self._tokens or self._tokens[0] != "(":
            return [10, 0]
        self._take("(")
        found = [int(self._tokens.pop(0))]
        if self._tokens[0] == ",":
            self._take(",")
            found.append(int(self._tokens.pop(0)))
        self._take(")")
        return found if len(found) > 1 else [*found, 0]

    def _take(self, token: str) -> None:
        if self._tokens.pop(0).lower() != token:
            raise _UnknownError
