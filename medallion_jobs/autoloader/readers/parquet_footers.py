"""The columns of parquet files, from their footers.

They are read on the driver, without a Spark job. Spark makes types of a footer, in which timestamps
of 96 bits and in UTC are TIMESTAMP, and those without a zone TIMESTAMP_NTZ. A column of a type
that Spark does not have is read as what it consists of.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    StructField,
    StructType,
)

from medallion_jobs.autoloader.file_entry import FileEntry, to_path
from medallion_jobs.autoloader.readers import file_schemas, file_types
from medallion_jobs.autoloader.readers.file_schemas import SPARK_FAILURES
from medallion_jobs.autoloader.readers.foreign_types import (
    Foreign,
    HalfFloat,
    Interval,
    LongDecimal,
    Nanoseconds,
    NoType,
    TimeOfDay,
    Unread,
    Uuid,
)
from medallion_jobs.autoloader.readers.int96 import Int96

# The key of Spark's own schema in the footer of a file that Spark has written.
_SPARK_SCHEMA = "org.apache.spark.sql.parquet.row.metadata"
_WRITER_OF_SPARK = "parquet-mr "
_DIGITS = {"MILLIS": 3, "MICROS": 6, "NANOS": 9}
_MAX_PRECISION = 38
_INT96 = "INT96"
# What Spark reads of a column without a logical type.
_PHYSICAL: dict[str, DataType] = {
    "BOOLEAN": BooleanType(),
    "INT32": IntegerType(),
    "INT64": LongType(),
    "FLOAT": FloatType(),
    "DOUBLE": DoubleType(),
    "BINARY": BinaryType(),
    "FIXED_LEN_BYTE_ARRAY": BinaryType(),
}
_BY_NAME = {"UUID": Uuid, "FLOAT16": HalfFloat, "INTERVAL": Interval}

# Spark has these, but no way to write them exactly as text.
_UNREAD = ("GEOMETRY", "GEOGRAPHY")


class Footers:
    """Reads footers; files with the same schema share one.

    Args:
        truncate: whether digits below the microsecond are cut off.
    """

    def __init__(self, spark: SparkSession, *, truncate: bool) -> None:
        jvm: Any = spark._jvm
        state: Any = spark._jsparkSession.sessionState()
        self._jvm, self._hadoop, self._truncate = jvm, state.newHadoopConf(), truncate
        parquet = jvm.org.apache.spark.sql.execution.datasources.parquet
        self._converter = parquet.ParquetToSparkSchemaConverter(state.conf())
        self._known: dict[tuple[str, str | None, str | None], StructType] = {}

    def columns(self, file: FileEntry) -> StructType:
        """The columns of a file.

        Raises:
            BrokenHeadError: its footer cannot be read, or Spark cannot read such a file.
        """
        parquet = self._jvm.org.apache.parquet.hadoop
        try:
            path = self._jvm.org.apache.hadoop.fs.Path(to_path(file.path))
            about = parquet.ParquetFileReader.readFooter(self._hadoop, path).getFileMetaData()
            message, by_spark = about.getSchema(), about.getKeyValueMetaData().get(_SPARK_SCHEMA)
            key = message.toString(), by_spark, about.getCreatedBy()
            if key not in self._known:
                self._known[key] = self._columns(message, *key[1:])
            return self._known[key]
        except SPARK_FAILURES as failure:
            raise file_schemas.as_broken(failure) from failure

    def _columns(self, message: Any, by_spark: str | None, writer: str | None) -> StructType:
        said = _without_code(by_spark)
        # Other programs keep Spark's schema when they change the columns.
        is_of_spark = bool(said) and str(writer).startswith(_WRITER_OF_SPARK)
        walk = _Walk(self._jvm, self._converter, self._truncate, is_of_spark)
        columns = walk.columns(message)
        file_types.check_names(columns)
        return _with_intervals(columns, said) if is_of_spark else columns


@dataclass
class _Walk:
    """Walks over a schema of parquet, from the first field to the last.

    Attributes:
        truncate: whether digits below the microsecond are cut off.
        is_of_spark: whether Spark has written it.
    """

    jvm: Any
    converter: Any
    truncate: bool
    is_of_spark: bool

    def columns(self, message: Any) -> StructType:
        """The columns, with types that Spark does not have."""
        leaves: list[Foreign | None] = []
        plain = self._message(self._fields(message, leaves), message.getName())
        columns = StructType.fromJson(json.loads(self.converter.convert(plain).json()))
        return file_types.with_foreign(columns, leaves)

    def _message(self, fields: Sequence[Any], name: str = "one") -> Any:
        return self.jvm.org.apache.parquet.schema.MessageType(name, self._list(fields))

    def _list(self, items: Sequence[Any]) -> Any:
        made = self.jvm.java.util.ArrayList()
        for item in items:
            made.add(item)
        return made

    def _fields(self, group: Any, leaves: list[Foreign | None]) -> list[Any]:
        """The fields of a group, with what is foreign in them as Spark can read it.

        Args:
            leaves: takes an entry for each innermost type that Spark makes of them.
        """
        return [self._field(group.getType(at), leaves) for at in range(group.getFieldCount())]

    def _field(self, field: Any, leaves: list[Foreign | None]) -> Any:
        annotation = field.getLogicalTypeAnnotation()
        text = "" if annotation is None else str(annotation.toString())
        if not field.isPrimitive() and not text.startswith("VARIANT"):
            return field.withNewFields(self._list(self._fields(field, leaves)))
        foreign: Foreign | None = None
        if field.isPrimitive() and str(field.getPrimitiveTypeName().name()) == _INT96:
            foreign = None if self.is_of_spark else Int96(self.truncate)
        elif field.isPrimitive() and text:
            foreign = self._foreign(field, text)
        leaves.append(foreign)
        return field if foreign is None else self._plain(field)

    def _plain(self, field: Any) -> Any:
        """A field without its logical type; one of 96 bits as bytes."""
        types, kind = self.jvm.org.apache.parquet.schema, field.getPrimitiveTypeName()
        if kind.name() == _INT96:
            kind = types.PrimitiveType.PrimitiveTypeName.BINARY
        return types.PrimitiveType(
            field.getRepetition(), kind, field.getTypeLength(), field.getName()
        )

    def _foreign(self, field: Any, annotation: str) -> Foreign | None:
        """What a column with this annotation is, if it is no type of Spark's."""
        name, *about = re.findall(r"\w+", annotation)
        physical = _PHYSICAL[field.getPrimitiveTypeName().name()]
        match name, about:
            case "TIMESTAMP", ["NANOS", utc]:
                return Nanoseconds(utc=utc == "true", truncate=self.truncate)
            case "TIME", [unit, _]:
                return TimeOfDay(_DIGITS[unit])
            case "DECIMAL", [precision, scale] if int(precision) > _MAX_PRECISION:
                return LongDecimal(scale=int(scale))
            case "UNKNOWN", _:
                return NoType(physical)
        if name in _BY_NAME:
            return _BY_NAME[name]()
        return Unread(physical) if name in _UNREAD or not self._is_read(field) else None

    def _is_read(self, field: Any) -> bool:
        try:
            self.converter.convert(self._message([field]))
        except Py4JJavaError:
            return False
        return True


def _without_code(schema: str | None) -> Any:
    """Spark's own schema of a file, as JSON; None if it has none.

    Raises:
        BrokenHeadError: it is not JSON, or it names classes, which Spark would load.
    """
    try:
        said = json.loads(schema) if schema else None
    except (ValueError, RecursionError):
        raise file_schemas.BrokenHeadError("its footer holds a schema that is not JSON") from None
    pending = [said]
    while pending:
        part = pending.pop()
        if isinstance(part, dict) and part.get("type") == "udt":
            raise file_schemas.BrokenHeadError(
                "its schema has a type that names code to load (udt)"
            )
        pending += (
            part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        )
    return said


def _with_intervals(kind: DataType, said: Any) -> Any:
    """A type with the intervals of Spark's own schema: the file itself has plain numbers there."""
    if isinstance(kind, IntegerType | LongType) and str(said).startswith("interval"):
        return DataType.fromDDL(str(said))
    if not isinstance(said, dict):
        return kind
    if isinstance(kind, StructType):
        types = {
            f.get("name"): f.get("type") for f in said.get("fields", ()) if isinstance(f, dict)
        }
        return StructType(
            [StructField(f.name, _with_intervals(f.dataType, types.get(f.name))) for f in kind]
        )
    if isinstance(kind, ArrayType):
        return ArrayType(_with_intervals(kind.elementType, said.get("elementType")))
    if isinstance(kind, MapType):
        return MapType(
            _with_intervals(kind.keyType, said.get("keyType")),
            _with_intervals(kind.valueType, said.get("valueType")),
        )
    return kind
