"""Reads text from files: their lines, or each file as a whole, in one of several encodings.

Spark decompresses `.gz`, `.bz2`, `.zst` and `.deflate`, in any letter case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import encodings, frames
from medallion_jobs.autoloader.readers.encodings import Encoding
from medallion_jobs.autoloader.readers.file_schemas import framing_fault
from medallion_jobs.autoloader.readers.records import Input, UnreadableError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

VALUE = "value"  # the column of lines and documents
_CORRUPT = "__corrupt"
_MARK = "\ufeff"  # the byte-order mark, decoded


def lines(given: Input) -> DataFrame:
    """The lines of text files: `value`, and the columns about the file.

    Bytes that are invalid in the encoding become U+FFFD. Blank lines may be left out.

    Raises:
        UnreadableError: files with a compression that look empty to Spark.
        UsageError: an unknown encoding.
    """
    encoding = encodings.of(given.options)
    if encoding.is_utf_8:
        return _with_file(frames.reader(given.spark).text(_paths(given.files)), F.col(VALUE))
    return _decoded(given, encoding)


def documents(given: Input) -> DataFrame:
    """As `lines`, but each file is one text; a task holds it in memory, several times over."""
    encoding = encodings.of(given.options)
    if encoding.is_utf_8:
        frame = frames.reader(given.spark).text(_paths(given.files), wholetext=True)
        return _with_file(frame, F.regexp_replace(VALUE, f"^{_MARK}", ""))
    # The reader splits lines; no file has this line end.
    return _decoded(given, encoding, lineSep="\ufdd8")


def _decoded(given: Input, encoding: Encoding, **options: str) -> DataFrame:
    """Reads lines with Spark's CSV reader, because the text reader does not decode files.

    Its special characters are set to noncharacters of Unicode, which texts should not have. A
    line that does have the separator arrives whole, as a corrupt record.
    """
    frame = (
        frames.reader(given.spark)
        .options(
            encoding=encoding.spark,
            multiLine="true",  # otherwise lines are split before they are decoded
            mode="PERMISSIVE",
            columnNameOfCorruptRecord=_CORRUPT,
            sep="\ufdd2",
            quote="\ufdd3",
            escape="\ufdd4",
            comment="\ufdd5",
            charToEscapeQuoteEscaping="\ufdd6",
            nullValue="\ufdd7",
            maxCharsPerColumn="-1",
            ignoreLeadingWhiteSpace="false",
            ignoreTrailingWhiteSpace="false",
            **options,
        )
        .schema(f"{VALUE} string, {_CORRUPT} string")
        .csv(_paths(given.files))
    )
    return _with_file(frame, encoding.corrected(F.coalesce(_CORRUPT, VALUE), strictly=False))


def _with_file(frame: DataFrame, value: Column) -> DataFrame:
    return frame.select(value.alias(VALUE), *frames.file_columns(frame))


def _paths(files: Sequence[FileEntry]) -> list[str]:
    refused = {file: fault for file in files if (fault := framing_fault(file))}
    if refused:
        raise UnreadableError(refused)
    return frames.paths(files)
