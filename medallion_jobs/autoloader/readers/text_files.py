"""Reads text files: each line, or each whole file, is a record with one column."""

from __future__ import annotations

from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from medallion_jobs.autoloader.readers import text_input
from medallion_jobs.autoloader.readers.records import FixedColumns, Input, Records, nothing_rescued
from medallion_jobs.autoloader.readers.text_input import VALUE
from medallion_jobs.errors import UsageError


class TextFiles(FixedColumns):
    """Reads text files; their records are never bad."""

    has = StructType([StructField(VALUE, StringType())])

    def records(self, given: Input, columns: StructType) -> Records:
        """The lines of files.

        Raises:
            UnreadableError: files with a compression that look empty to Spark.
            UsageError: the wanted columns are not `value STRING`, or the encoding is unknown.
        """
        if [(field.name, field.dataType) for field in columns] != [(VALUE, StringType())]:
            raise UsageError(
                "text files have one column, `value STRING`, but the source declares others",
                code="text_columns_wrong",
                untouched="nothing was read",
                next_step="schema: value STRING, or leave `schema` out",
            )
        is_whole = str(given.options.get("wholetext", "false")).lower() == "true"
        read = text_input.documents if is_whole else text_input.lines
        return Records.never_bad(read(given), [F.col(VALUE), nothing_rescued()])
