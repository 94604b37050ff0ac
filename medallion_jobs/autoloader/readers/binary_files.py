"""Reads files of any kind: each is one record with its path, time, length and bytes."""

from __future__ import annotations

from pyspark.sql.types import (
    BinaryType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from medallion_jobs.autoloader.readers import frames
from medallion_jobs.autoloader.readers.records import FixedColumns, Input, Records, nothing_rescued
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.sql import col


class BinaryFiles(FixedColumns):
    """Reads files of any kind; a file over 2 GB only without its `content`."""

    has = StructType(
        [
            StructField("path", StringType()),
            StructField("modificationTime", TimestampType()),
            StructField("length", LongType()),
            StructField("content", BinaryType()),
        ]
    )

    def records(self, given: Input, columns: StructType) -> Records:
        """One record per file; without `content` among the columns, no file is opened.

        Raises:
            UsageError: columns that binary files do not have.
        """
        kinds = {field.name: field.dataType for field in self.has}
        wrong = [f.name for f in columns if kinds.get(f.name) != f.dataType]
        if wrong:
            raise UsageError(
                f"binary files have no such columns: {', '.join(wrong)}",
                code="binary_columns_wrong",
                untouched="nothing was read",
                next_step="schema: any of path STRING, modificationTime TIMESTAMP, "
                "length BIGINT, content BINARY; or leave `schema` out",
            )
        frame = frames.reader(given.spark).format("binaryFile").load(frames.paths(given.files))
        names = [*map(col, columns.names)]
        rows = frame.select(*names, *frames.file_columns(frame))
        return Records.never_bad(rows, [*names, nothing_rescued()])
