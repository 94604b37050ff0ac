"""parquet files: columns by name, each file by its own schema.

The schema is Spark's own reading of a file's footer, taken on the driver without a job: a
timestamp of 96 bits is a TIMESTAMP, one in UTC too, one without a zone a TIMESTAMP_NTZ. A
type that Spark does not read, such as nanoseconds, makes the file unreadable and says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from medallion_jobs.autoloader.file_entry import FileEntry, to_path
from medallion_jobs.autoloader.readers import file_schemas, typed_columns
from medallion_jobs.autoloader.readers.records import Records

# Where Spark keeps its own schema in a file that it writes.
_SPARK_SCHEMA = "org.apache.spark.sql.parquet.row.metadata"


class ParquetFiles:
    """Reads parquet files; none of their records is bad."""

    def records(
        self,
        spark: SparkSession,
        files: Sequence[FileEntry],
        columns: StructType,
        options: Mapping[str, str],  # noqa: ARG002 (there are none)
    ) -> Records:
        """The records of files; see FormatReader."""

        def read(schema: StructType, some: Sequence[FileEntry]) -> DataFrame:
            return (
                file_schemas.reader(spark)
                # Where pages have checksums: a page that is broken may well be decoded.
                .option("parquet.page.verify-checksum.enabled", "true")
                .schema(schema)
                .format("parquet")
                .load([to_path(f.path) for f in some])
            )

        return typed_columns.records(spark, _schemas(spark, files), columns, read)

    def infer(
        self,
        spark: SparkSession,
        files: Sequence[FileEntry],
        options: Mapping[str, str],  # noqa: ARG002
        *,
        typed: bool,  # noqa: ARG002 (the files have types)
    ) -> StructType:
        """The columns of all files, in the order in which they are met."""
        return typed_columns.merged(list(_schemas(spark, files).values()))


def _schemas(spark: SparkSession, files: Sequence[FileEntry]) -> dict[FileEntry, StructType]:
    jvm: Any = spark._jvm
    state: Any = spark._jsparkSession.sessionState()
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
            told = str(parquet.ParquetFileFormat.readSchemaFromFooter(named, converter).json())
        except (Py4JJavaError, PySparkException) as failure:
            raise file_schemas.as_broken(failure) from failure
        if told not in known:
            known[told] = StructType.fromJson(json.loads(told))
            typed_columns.check_names(known[told])
        return known[told]

    return file_schemas.of_each(files, schema)


def _refuse_code(told: str | None) -> None:
    """Raises BrokenHeadError where a file's schema names classes, which Spark would load."""
    try:
        waiting = [json.loads(told)] if told else []
    except (ValueError, RecursionError):
        raise file_schemas.BrokenHeadError("its footer holds a schema that is not JSON") from None
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict) and one.get("type") == "udt":
            raise file_schemas.BrokenHeadError(
                "its schema has a type that names code to load (udt)"
            )
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
