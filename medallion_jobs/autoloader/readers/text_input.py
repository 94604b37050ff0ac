"""Reads text from files: their lines, or each file as a whole, in one of several encodings.

The bytes of UTF-8 stay as they are, valid or not, which `is_text` says. Other encodings are
decoded.
Spark decompresses `.gz`, `.bz2`, `.zst` and `.deflate`, in any letter case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import encodings, frames
from medallion_jobs.autoloader.readers.encodings import BYTES, NO_CHARACTER, Encoding
from medallion_jobs.autoloader.readers.file_schemas import framing_fault
from medallion_jobs.autoloader.readers.records import Input, UnreadableError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

VALUE = "value"  # the column of lines and documents
# Has a space, which no column of a table has in its name: the characters that Spark has read, if
# the file is not in UTF-8; of an encoding of single bytes, each character is a byte.
_AS_READ = "as read"
_CORRUPT = "__corrupt"
_MARK = "\ufeff"  # the byte-order mark, decoded
_ALL = 2**31 - 1


def lines(given: Input) -> DataFrame:
    """The lines of text files: `value`, and the columns about the file.

    Blank lines may be left out.

    Raises:
        UnreadableError: files with a compression that look empty to Spark.
        UsageError: an unknown encoding.
    """
    encoding = encodings.of(given.options)
    if encoding.is_utf_8:
        frame = frames.reader(given.spark).text(_paths(given.files))
        return frame.select(VALUE, *frames.file_columns(frame))
    return _decoded(given, encoding)


def documents(given: Input) -> DataFrame:
    """As `lines`, but each file is one text; a task holds it in memory, several times over."""
    encoding = encodings.of(given.options)
    if encoding.is_utf_8:
        frame = frames.reader(given.spark).text(_paths(given.files), wholetext=True)
        # By bytes, since a pattern would replace those that are not UTF-8.
        is_marked = F.startswith(VALUE, F.lit(_MARK))
        text = F.when(is_marked, F.substring(VALUE, 2, _ALL)).otherwise(F.col(VALUE))
        return frame.select(text.alias(VALUE), *frames.file_columns(frame))
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
            encoding=encoding.spark if encoding.is_wide else BYTES,
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
    read = F.coalesce(_CORRUPT, VALUE)
    text = read if encoding.is_wide else encoding.decoded(read)
    return frame.select(text.alias(VALUE), read.alias(_AS_READ), *frames.file_columns(frame))


def is_text(frame: DataFrame, encoding: Encoding) -> Column:
    """Whether all bytes of `value` are of the encoding. Never null."""
    if encoding.is_utf_8:
        return F.is_valid_utf8(F.col(VALUE))
    if encoding.is_wide:
        return ~F.contains(F.col(VALUE), F.lit(NO_CHARACTER))
    return ~encoding.has_others(F.col(_AS_READ)) if _AS_READ in frame.columns else F.lit(True)


def raw_bytes(frame: DataFrame, encoding: Encoding) -> Column:
    """The bytes of `value` as in the file; of UTF-16 and UTF-32 its text in UTF-8.

    Null if they are not known, because Spark has replaced invalid ones.
    """
    if encoding.is_utf_8:
        return F.col(VALUE).cast("binary")
    if encoding.is_wide:
        return F.when(is_text(frame, encoding), F.col(VALUE).cast("binary"))
    return F.encode(F.col(_AS_READ), BYTES)


def beside(frame: DataFrame) -> list[str]:
    """The columns that `is_text` and `raw_bytes` need, besides `value`."""
    return [name for name in frame.columns if name == _AS_READ]


def not_text(encoding: Encoding) -> str:
    """The reason why a record is bad if its bytes are not all of the encoding."""
    return f"bytes that are no {encoding.name.upper()}; see `encoding`"


def _paths(files: Sequence[FileEntry]) -> list[str]:
    refused = {file: fault for file in files if (fault := framing_fault(file))}
    if refused:
        raise UnreadableError(refused)
    return frames.paths(files)
