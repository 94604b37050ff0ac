"""Reads files of any kind: each is one record with its path, time, length and bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BinaryType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from medallion_jobs.autoloader.file_entry import FileEntry, to_path
from medallion_jobs.autoloader.readers import file_schemas
from medallion_jobs.autoloader.readers.records import Records
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.columns import RESCUED
from medallion_jobs.lake.tables.sql import col

_COLUMNS = StructType(
    [
        StructField("path", StringType()),
        StructField("modificationTime", TimestampType()),
        StructField("length", LongType()),
        StructField("content", BinaryType()),
    ]
)


class BinaryFiles:
    """Reads files of any kind; a file over 2 GB only without its `content`."""

    def records(
        self,
        spark: SparkSession,
        files: Sequence[FileEntry],
        columns: StructType,
        options: Mapping[str, str],  # noqa: ARG002 (there are none)
    ) -> Records:
        """One record per file; without `content` among the columns, no file is opened.

        Raises:
            UsageError: columns that binary files do not have.
        """
        has = {field.name: field.dataType for field in _COLUMNS}
        wrong = [f.name for f in columns if has.get(f.name) != f.dataType]
        if wrong:
            raise UsageError(
                f"binary files have no such columns: {', '.join(wrong)}",
                untouched="nothing was read",
                next_step="schema: any of path STRING, modificationTime TIMESTAMP, "
                "length BIGINT, content BINARY; or leave `schema` out",
            )
        frame = (
            file_schemas.reader(spark).format("binaryFile").load([to_path(f.path) for f in files])
        )
        return Records(
            frame=frame.select(*map(col, columns.names), *file_schemas.file_columns(frame)),
            good=F.lit(True),
            reason=F.lit(None).cast("string"),
            raw=F.lit(None).cast("string"),
            columns=[*map(col, columns.names), F.lit(None).cast("string").alias(RESCUED)],
            has_new=False,
        )

    def infer(
        self,
        spark: SparkSession,  # noqa: ARG002 (all readers have the same parameters)
        files: Sequence[FileEntry],  # noqa: ARG002
        options: Mapping[str, str],  # noqa: ARG002
        *,
        typed: bool,  # noqa: ARG002
    ) -> StructType:
        """The columns that all files have."""
        return _COLUMNS
