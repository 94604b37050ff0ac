"""Reads text files: each line, or each whole file, is a record with one column."""

from __future__ import annotations

from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from medallion_jobs.autoloader.readers import encodings, text_input
from medallion_jobs.autoloader.readers.records import FixedColumns, Input, Records, nothing_rescued
from medallion_jobs.autoloader.readers.text_input import VALUE
from medallion_jobs.errors import UsageError


class TextFiles(FixedColumns):
    """Reads text files; a record is bad if its bytes are not of the encoding."""

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
        frame, encoding = read(given), encodings.of(given.options)
        is_text = text_input.is_text(frame, encoding)
        return Records(
            frame=frame,
            good=is_text,
            reason=F.when(~is_text, text_input.not_text(encoding)),
            raw=F.col(VALUE),
            raw_bytes=text_input.raw_bytes(frame, encoding),
            columns=[F.col(VALUE), nothing_rescued()],
            has_new=False,
        )
