"""Reads parquet files: columns by name, each file with its own schema."""

from __future__ import annotations

from pyspark.sql import DataFrameReader, SparkSession
from pyspark.sql.types import StructType

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import file_schemas, frames
from medallion_jobs.autoloader.readers.int96 import Int96, row_by_row
from medallion_jobs.autoloader.readers.parquet_footers import Footers
from medallion_jobs.autoloader.readers.records import Input
from medallion_jobs.autoloader.readers.typed_columns import FileSchema, TypedFiles
from medallion_jobs.lake.values import type_walk


class ParquetFiles(TypedFiles):
    """Reads parquet files."""

    def reader(self, spark: SparkSession, columns: StructType) -> DataFrameReader:
        session = row_by_row(spark) if type_walk.has(columns, Int96) else spark
        # If pages have checksums: a damaged page may decode without an error.
        checked = frames.reader(session).option("parquet.page.verify-checksum.enabled", "true")
        return checked.format("parquet")

    def schemas(self, given: Input) -> dict[FileEntry, FileSchema]:
        footers = Footers(given.spark, truncate=given.options.get("nanoseconds") == "truncate")
        return file_schemas.of_each(given.files, lambda file: FileSchema(footers.columns(file)))
