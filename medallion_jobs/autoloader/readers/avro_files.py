"""Reads avro files: columns by name, each file with the schema in its header.

Spark's avro reader is part of Spark itself; the package `spark-avro` only adds its short name.
So it is used by its class name, and nothing has to be downloaded.
"""

from __future__ import annotations

import json
from io import BytesIO

from pyspark.sql import DataFrameReader, SparkSession
from pyspark.sql.types import StructType

from medallion_jobs.autoloader.discovery.stores import store_for
from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import file_schemas, frames, typed_columns
from medallion_jobs.autoloader.readers.file_schemas import SPARK_FAILURES, BrokenHeadError
from medallion_jobs.autoloader.readers.records import Input
from medallion_jobs.autoloader.readers.typed_columns import TypedFiles

AVRO = "org.apache.spark.sql.avro.AvroFileFormat"
_MAGIC = b"Obj\x01"
_HEAD = 64 * 1024  # bytes; if the header is longer, more is read
_CODECS = ("null", "deflate", "snappy", "zstandard", "bzip2", "xz")


class AvroFiles(TypedFiles):
    """Reads avro files."""

    def reader(self, spark: SparkSession) -> DataFrameReader:
        return frames.reader(spark).format(AVRO)

    def schemas(self, given: Input) -> dict[FileEntry, StructType]:
        known: dict[str, StructType] = {}

        def schema(file: FileEntry) -> StructType:
            written = _written_with(given.spark, file)
            if written not in known:
                # Spark reads the file's header again to convert the schema to its own types.
                try:
                    converted = self.reader(given.spark).load(frames.paths([file])).schema
                except SPARK_FAILURES as failure:
                    raise file_schemas.as_broken(failure) from failure
                typed_columns.check_names(converted)
                known[written] = converted
            return known[written]

        return file_schemas.of_each(given.files, schema)


def _written_with(spark: SparkSession, file: FileEntry) -> str:
    """The schema in a file's header, as text.

    Raises:
        BrokenHeadError: not an avro file, or one that Spark cannot read.
    """
    store, size = store_for(file.path, lambda: spark), _HEAD
    while True:
        head = store.read(file.path, 0, size)
        try:
            entries = header(head)
            break
        except EOFError:
            if len(head) < size:
                raise BrokenHeadError("not an avro file, or cut off within its header") from None
            size *= 16
    codec = entries.get("avro.codec", b"null").decode("utf-8", "replace")
    if codec not in _CODECS:
        raise BrokenHeadError(f"compressed by {codec}, which Spark's avro reader does not know")
    try:
        written = entries["avro.schema"].decode()
        is_record = json.loads(written)["type"] == "record"
    except (KeyError, TypeError, ValueError):
        raise BrokenHeadError("its avro header has no schema") from None
    if not is_record:
        raise BrokenHeadError("its avro schema is not one of records")
    return written


def header(head: bytes) -> dict[str, bytes]:
    """The entries of an avro file's header, by the Avro specification.

    Raises:
        BrokenHeadError: not an avro file.
        EOFError: the header is longer than `head`.
    """
    if not head.startswith(_MAGIC):
        if _MAGIC.startswith(head):
            raise EOFError
        raise BrokenHeadError("not an avro file: it does not begin as one")
    stream, entries = BytesIO(head[len(_MAGIC) :]), dict[str, bytes]()
    while count := _long(stream):
        if count < 0:  # followed by the block's length, for readers that skip it
            _long(stream)
        for _ in range(abs(count)):
            key = _bytes(stream).decode("utf-8", "replace")
            entries[key] = _bytes(stream)
    return entries


def _long(stream: BytesIO) -> int:
    """Reads a zigzag-encoded number, seven bits per byte."""
    number = shift = 0
    while True:
        byte = stream.read(1)
        if not byte:
            raise EOFError
        number |= (byte[0] & 0x7F) << shift
        shift += 7
        if not byte[0] & 0x80:
            return (number >> 1) ^ -(number & 1)


def _bytes(stream: BytesIO) -> bytes:
    length = _long(stream)
    if length < 0:
        raise BrokenHeadError("not an avro file: a negative length in its header")
    content = stream.read(length)
    if len(content) < length:
        raise EOFError
    return content
