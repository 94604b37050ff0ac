"""Decodes Avro keys and values, strictly, with Spark's own `from_avro`.

Spark takes what it can read and ignores bytes after it. So each message is read as a record of two
fields: its own value, and an end mark that is put behind its bytes. Only if the mark is found where
it was put, the schema has read exactly the bytes of the message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from pyspark.errors import PySparkException
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    MapType,
    StringType,
    StructField,
    StructType,
)

from medallion_jobs.autoloader.schemas import evolution
from medallion_jobs.errors import UsageError
from medallion_jobs.kafkaloader.schemas import Written
from medallion_jobs.lake.values import type_walk
from medallion_jobs.lake.values.json_parts import let

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

# Different in each process: no message has it.
_END = uuid4().bytes
_MARK = {"type": "fixed", "name": "medallion_end_mark", "size": len(_END)}
_OPTIONS = {"mode": "PERMISSIVE", "datetimeRebaseMode": "CORRECTED"}
# In front of a message of a registry: a zero byte, and the id of its schema.
_ID_FROM, _ID_BYTES = 2, 4
_DATA_FROM = _ID_FROM + _ID_BYTES
_BROKEN_TEXT = "a string with bytes that are not UTF-8"
STOP = "MEDALLION_SCHEMA_IS_NOT_KNOWN_YET"


class NoPlaceError(Exception):
    """A value has no place in the column of the table, which has another type; says why."""


@dataclass
class Decoder:
    """How the keys or the values of messages are decoded.

    Attributes:
        reader: the schema that they are read as, as JSON; None for the one they are written with.
        kind: the type of the decoded column; None until a schema is known.
        written: with a registry, the schemas by their ids; else None.
    """

    spark: SparkSession
    reader: str | None = None
    kind: DataType | None = None
    written: dict[int, Written] | None = None
    _kinds: dict[str, DataType] = field(default_factory=dict)

    def add(self, written: Mapping[int, Written], *, widens: bool) -> None:
        """Takes schemas up; `kind` gets the fields that they bring.

        Args:
            widens: whether types may become wider, since the table does not have them yet.
        """
        self.written = {**(self.written or {}), **written}
        for number, schema in written.items():
            try:
                seen = self._kind_of(schema)
            except (PySparkException, NoPlaceError) as error:
                self.written[number] = Written(None, f"its schema cannot be read: {_why(error)}")
                continue
            if seen is not None:
                self.kind = seen if self.kind is None else _grown(self.kind, seen, widens=widens)

    def declare(self, key: str) -> None:
        """Sets the type to that of `reader`.

        Raises:
            UsageError: Spark cannot read as that schema.
        """
        assert self.reader is not None
        try:
            self.kind = self._read_as(self.reader)
        except (PySparkException, NoPlaceError) as error:
            raise UsageError(
                f"{key}: this Avro schema cannot be read: {_why(error)}",
                code="avro_schema_unreadable",
                untouched="nothing was read",
                next_step="fix the schema; a recursive one cannot be read",
            ) from error

    def decoded(self, raw: Column) -> Column:
        """A struct of `data` and `end`, by which a message is known to be read as a whole."""
        if self.written is None:
            assert self.reader is not None
            return from_avro(F.concat(raw, F.lit(_END)), _framed(self.reader), _OPTIONS)
        number, data = id_of(raw), F.substring(raw, _DATA_FROM, 2**31 - 1)
        found = F.when(F.lit(False), F.lit(None).cast(self._type))
        for known, written in self._readable().items():
            found = found.when(number == known, self._of_schema(data, written))
        is_new = number.isNotNull() & ~number.isin([*self.written])
        stopped = F.raise_error(F.lit(STOP)).cast(self._type)
        return F.when(is_new, stopped).otherwise(found)

    def fault(self, raw: Column, decoded: Column) -> Column:
        """Why a message cannot be decoded; null if it can."""
        is_whole = F.coalesce(decoded["end"] == F.lit(_END), F.lit(False))
        if self.written is None:
            assert self.kind is not None  # it was declared
            broken = _has_broken_text(decoded["data"], self.kind)
            faults = F.when(~is_whole, "not a message of this Avro schema")
            return faults.when(broken, _BROKEN_TEXT)
        number = id_of(raw)
        faults = F.when(number.isNull(), "it does not start with the id of a schema")
        for known, why in self._faults().items():
            faults = faults.when(number == known, f"schema id {known}: {why}")
        if self.kind is not None:
            broken = _has_broken_text(decoded["data"], self.kind)
            faults = faults.when(is_whole & broken, _BROKEN_TEXT)
        no_message = F.concat(F.lit("not a message of the schema with id "), number)
        return faults.when(~is_whole, no_message)

    def data(self, decoded: Column) -> Column:
        """The decoded column, from a good message."""
        return decoded["data"]

    @property
    def _type(self) -> StructType:
        data = StructField("data", self.kind or StringType())
        return StructType([data, StructField("end", BinaryType())])

    def _readable(self) -> dict[int, str]:
        faults = self._faults()
        known = (self.written or {}).items()
        return {n: found.text for n, found in known if found.text and n not in faults}

    def _faults(self) -> dict[int, str]:
        """Why the messages of some ids cannot be read."""
        faults = {n: found.fault for n, found in (self.written or {}).items() if not found.text}
        for number, found in (self.written or {}).items():
            seen = self._kind_of(found)
            if seen is not None and self.reader is None and self.kind is not None:
                try:
                    _fitted(F.lit(None).cast(seen), seen, self.kind, "")
                except NoPlaceError as error:
                    faults[number] = str(error)
        return faults

    def _of_schema(self, data: Column, written: str) -> Column:
        options = dict(_OPTIONS)
        if self.reader is not None:
            options["avroSchema"] = _framed(self.reader)
        read = from_avro(F.concat(data, F.lit(_END)), _framed(written), options)
        if self.reader is not None or self.kind is None:
            return read
        seen, kind = self._read_as(written), self.kind
        return let(
            read,
            lambda found: F.struct(
                _fitted(found["data"], seen, kind, "").alias("data"), found["end"].alias("end")
            ),
        )

    def _kind_of(self, written: Written) -> DataType | None:
        if written.text is None:
            return None
        return self.kind if self.reader is not None else self._read_as(written.text)

    def _read_as(self, schema: str) -> DataType:
        """The type that Spark gives to values of a schema; nullable throughout.

        Raises:
            NoPlaceError: a table cannot store it.
        """
        if schema not in self._kinds:
            empty = self.spark.createDataFrame([], "raw binary")
            read = empty.select(from_avro(F.col("raw"), _framed(schema), _OPTIONS).alias("read"))
            seen = read.select("read.data").schema["data"].dataType
            kind = evolution.storable(seen)
            if kind is None or kind.simpleString() != seen.simpleString():
                raise NoPlaceError(f"a table cannot store all of {seen.simpleString()}")
            self._kinds[schema] = kind
        return self._kinds[schema]


def _why(error: Exception) -> str:
    return (error.getMessage() if isinstance(error, PySparkException) else None) or str(error)


def _framed(schema: str) -> str:
    """The schema of a record with a message of `schema`, and the end mark."""
    fields = [{"name": "data", "type": json.loads(schema)}, {"name": "end", "type": _MARK}]
    return json.dumps({"type": "record", "name": "medallion_message", "fields": fields})


def id_of(raw: Column) -> Column:
    """The id of the schema of a message; null if it does not start with one."""
    starts = (F.length(raw) > _ID_BYTES) & (F.substring(raw, 1, 1) == F.lit(b"\0"))
    digits = F.hex(F.substring(raw, _ID_FROM, _ID_BYTES))
    return F.when(starts, F.conv(digits, 16, 10).cast("bigint"))


def _has_broken_text(value: Column, kind: DataType) -> Column:
    """Whether a string inside a value is not UTF-8. Never null."""
    found = F.lit(False)
    match kind:
        case StringType():
            found = ~F.is_valid_utf8(value)
        case StructType():
            for inner in kind:
                if type_walk.has(inner.dataType, StringType):
                    found = found | _has_broken_text(value[inner.name], inner.dataType)
        case ArrayType() if type_walk.has(kind, StringType):
            found = F.exists(value, lambda each: _has_broken_text(each, kind.elementType))
        case MapType():
            keys, values = F.map_keys(value), F.map_values(value)
            found = F.exists(keys, lambda key: ~F.is_valid_utf8(key)) | F.exists(
                values, lambda each: _has_broken_text(each, kind.valueType)
            )
    return F.coalesce(found, F.lit(False))


def _grown(current: DataType, seen: DataType, *, widens: bool) -> DataType:
    grow = evolution.widened if widens else evolution.merge
    both = (StructType([StructField("data", kind)]) for kind in (current, seen))
    return grow(*both)["data"].dataType


def _fitted(value: Column, has: DataType, wants: DataType, path: str) -> Column:
    """A value of one type as another one, which has all its fields.

    Raises:
        NoPlaceError: it has a field that the other type lacks, or of another type.
    """
    if isinstance(has, StructType) and isinstance(wants, StructType):
        of = {f.name: f.dataType for f in has}
        if extra := [name for name in of if name not in wants.names]:
            raise NoPlaceError(
                f"its field {path}{extra[0]} has no place in the table, where a name differs from "
                "it by letter case only, or its type cannot be stored"
            )
        fields = [
            (
                _fitted(value[f.name], of[f.name], f.dataType, f"{path}{f.name}.")
                if f.name in of
                else F.lit(None).cast(f.dataType)
            ).alias(f.name)
            for f in wants
        ]
        return F.when(value.isNotNull(), F.struct(*fields))
    if isinstance(has, ArrayType) and isinstance(wants, ArrayType):
        inner, wanted = has.elementType, wants.elementType
        return F.transform(value, lambda each: _fitted(each, inner, wanted, path))
    if isinstance(has, MapType) and isinstance(wants, MapType):
        inner, wanted = has.valueType, wants.valueType
        return F.transform_values(value, lambda _, each: _fitted(each, inner, wanted, path))
    if has.simpleString() == wants.simpleString():
        return value
    if evolution.is_wider(has, wants):
        return value.cast(wants)
    raise NoPlaceError(
        f"its field {path.rstrip('.') or 'data'} is {has.simpleString()}, and the table has "
        f"{wants.simpleString()}"
    )
