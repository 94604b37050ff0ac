"""Reads parquet files: columns by name, each file with its own schema.

Spark reads the schema from a file's footer, on the driver without a job: timestamps of 96 bits
and in UTC are TIMESTAMP, those without a zone TIMESTAMP_NTZ. A file with a type that Spark does
not read, such as nanoseconds, is unreadable, and its error says so.
"""

from __future__ import annotations

import json
from typing import Any

from pyspark.sql import DataFrameReader, SparkSession
from pyspark.sql.types import StructType

from medallion_jobs.autoloader.file_entry import FileEntry, to_path
from medallion_jobs.autoloader.readers import file_schemas, frames, typed_columns
from medallion_jobs.autoloader.readers.file_schemas import SPARK_FAILURES
from medallion_jobs.autoloader.readers.records import Input
from medallion_jobs.autoloader.readers.typed_columns import TypedFiles

# The key of Spark's own schema in the footer of a file that Spark has written.
_SPARK_SCHEMA = "org.apache.spark.sql.parquet.row.metadata"


class ParquetFiles(TypedFiles):
    """Reads parquet files."""

    def reader(self, spark: SparkSession) -> DataFrameReader:
        # If pages have checksums: a damaged page may decode without an error.
        checked = frames.reader(spark).option("parquet.page.verify-checksum.enabled", "true")
        return checked.format("parquet")

    def schemas(self, given: Input) -> dict[FileEntry, StructType]:
        jvm: Any = given.spark._jvm
        state: Any = given.spark._jsparkSession.sessionState()
        hadoop = state.newHadoopConf()
        parquet = jvm.org.apache.spark.sql.execution.datasources.parquet
        converter = parquet.ParquetToSparkSchemaConverter(state.conf())
        known: dict[str, StructType] = {}

        def schema(file: FileEntry) -> StructType:
            path = jvm.org.apache.hadoop.fs.Path(to_path(file.path))
            try:
                footer = jvm.org.apache.parquet.hadoop.ParquetFileReader.readFooter(hadoop, path)
                _refuse_code(footer.getFileMetaData().getKeyValueMetaData().get(_SPARK_SCHEMA))
                named = jvm.org.apache.parquet.hadoop.Footer(path, footer)
                text = str(parquet.ParquetFileFormat.readSchemaFromFooter(named, converter).json())
            except SPARK_FAILURES as failure:
                raise file_schemas.as_broken(failure) from failure
            if text not in known:
                known[text] = StructType.fromJson(json.loads(text))
                typed_columns.check_names(known[text])
            return known[text]

        return file_schemas.of_each(given.files, schema)


def _refuse_code(schema: str | None) -> None:
    """Raises BrokenHeadError if a file's schema names classes, which Spark would load."""
    try:
        pending = [json.loads(schema)] if schema else []
    except (ValueError, RecursionError):
        raise file_schemas.BrokenHeadError("its footer holds a schema that is not JSON") from None
    while pending:
        part = pending.pop()
        if isinstance(part, dict) and part.get("type") == "udt":
            raise file_schemas.BrokenHeadError(
                "its schema has a type that names code to load (udt)"
            )
        pending += (
            part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        )
