"""Reads text files: each line, or each whole file, is a record with one column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import text_input
from medallion_jobs.autoloader.readers.records import Records
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.columns import RESCUED

_COLUMNS = StructType([StructField("value", StringType())])


class TextFiles:
    """Reads text files; their records are never bad."""

    def records(
        self,
        spark: SparkSession,
        files: Sequence[FileEntry],
        columns: StructType,
        options: Mapping[str, str],
    ) -> Records:
        """The lines of files.

        Raises:
            UnreadableError: files with a compression that look empty to Spark.
            UsageError: the wanted columns are not `value STRING`, or the encoding is unknown.
        """
        if [(field.name, field.dataType) for field in columns] != [("value", StringType())]:
            raise UsageError(
                "text files have one column, `value STRING`, but the source declares others",
                untouched="nothing was read",
                next_step="schema: value STRING, or leave `schema` out",
            )
        is_whole = str(options.get("wholetext", "false")).lower() == "true"
        read = text_input.documents if is_whole else text_input.lines
        return Records(
            frame=read(spark, files, options),
            good=F.lit(True),
            reason=F.lit(None).cast("string"),
            raw=F.lit(None).cast("string"),
            columns=[F.col("value"), F.lit(None).cast("string").alias(RESCUED)],
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
        """One column, whatever the files contain."""
        return _COLUMNS
