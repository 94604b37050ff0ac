"""Reads avro files: columns by name, each file with the schema in its header.

Spark's avro reader is part of Spark itself; the package `spark-avro` only adds its short name.
So it is used by its class name, and nothing has to be downloaded.
"""

from __future__ import annotations

from pyspark.sql import DataFrameReader, SparkSession
from pyspark.sql.types import StructType

from medallion_jobs.autoloader.discovery.stores import store_for
from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import (
    avro_headers,
    avro_schemas,
    file_schemas,
    file_types,
    frames,
)
from medallion_jobs.autoloader.readers.avro_schemas import AvroSchema
from medallion_jobs.autoloader.readers.file_schemas import SPARK_FAILURES
from medallion_jobs.autoloader.readers.records import Input
from medallion_jobs.autoloader.readers.typed_columns import FileSchema, TypedFiles

AVRO = "org.apache.spark.sql.avro.AvroFileFormat"


class AvroFiles(TypedFiles):
    """Reads avro files."""

    def reader(self, spark: SparkSession, columns: StructType) -> DataFrameReader:  # noqa: ARG002
        return frames.reader(spark).format(AVRO)

    def schemas(self, given: Input) -> dict[FileEntry, FileSchema]:
        known: dict[str, FileSchema] = {}
        truncate = given.options.get("nanoseconds") == "truncate"

        def schema(file: FileEntry) -> FileSchema:
            store = store_for(file.path, lambda: given.spark)
            written = avro_headers.schema(store, file)
            if written not in known:
                known[written] = self._converted(
                    given.spark, file, avro_schemas.of(written, truncate=truncate)
                )
            return known[written]

        return file_schemas.of_each(given.files, schema)

    def _converted(self, spark: SparkSession, file: FileEntry, schema: AvroSchema) -> FileSchema:
        """A schema with Spark's types, and with those that Spark does not have."""
        options = {} if schema.reader is None else {"avroSchema": schema.reader}
        try:
            # Spark reads the file's header again, unless it is given a schema.
            reader = self.reader(spark, StructType()).options(**options)
            columns = reader.load(frames.paths([file])).schema
        except SPARK_FAILURES as failure:
            raise file_schemas.as_broken(failure) from failure
        file_types.check_names(columns)
        return FileSchema(file_types.with_foreign(columns, schema.leaves), options)
