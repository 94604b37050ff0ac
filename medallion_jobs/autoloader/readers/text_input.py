"""Reads text from files: their lines, or each file as a whole, in one of several encodings.

Spark decompresses `.gz`, `.bz2`, `.zst` and `.deflate`, in any letter case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.autoloader.file_entry import FileEntry, to_path
from medallion_jobs.autoloader.readers.file_schemas import reader
from medallion_jobs.autoloader.readers.records import FILE_COLUMNS, UnreadableError
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

ENCODING = "encoding"
# The encodings that Spark's readers know, by the names that users write, in lower case.
_ENCODINGS = {
    "utf-8": "UTF-8",
    "utf8": "UTF-8",
    "us-ascii": "US-ASCII",
    "utf-16": "UTF-16",
    "utf-16le": "UTF-16LE",
    "utf-16be": "UTF-16BE",
    "utf-32": "UTF-32",
    "iso-8859-1": "ISO-8859-1",
    "latin1": "ISO-8859-1",
    "windows-1252": "windows-1252",
    "cp1252": "windows-1252",
}
# The characters where windows-1252, unknown to Spark's readers, differs from ISO-8859-1.
_LATIN = "".join(chr(code) for code in range(0x80, 0xA0) if code not in {129, 141, 143, 144, 157})
_WINDOWS = _LATIN.encode("latin-1").decode("cp1252")
# Spark reads these only in Hadoop's own framing. Files from the snappy and lz4 tools look empty
# to it.
_OTHER_FRAMING = (".snappy", ".lz4")
VALUE = "value"  # the column of lines and documents
_CORRUPT = "__corrupt"
_MARK = "\ufeff"  # the byte-order mark, decoded


def lines(
    spark: SparkSession, files: Sequence[FileEntry], options: Mapping[str, str] | None = None
) -> DataFrame:
    """The lines of text files: `value`, and the columns about the file.

    Bytes that are invalid in the encoding become U+FFFD. Blank lines may be left out.

    Args:
        options: may have `encoding`.

    Raises:
        UnreadableError: files with a compression that look empty to Spark.
        UsageError: an unknown encoding.
    """
    charset = _charset(options or {})
    if charset == "UTF-8":
        return _with_file(reader(spark).text(_paths(files)), F.col(VALUE))
    return _decoded(spark, files, charset, {})


def documents(
    spark: SparkSession, files: Sequence[FileEntry], options: Mapping[str, str] | None = None
) -> DataFrame:
    """As `lines`, but each file is one text; a task holds it in memory, several times over."""
    charset = _charset(options or {})
    if charset == "UTF-8":
        frame = reader(spark).text(_paths(files), wholetext=True)
        return _with_file(frame, F.regexp_replace(VALUE, f"^{_MARK}", ""))
    # The reader splits lines; no file has this line end.
    return _decoded(spark, files, charset, {"lineSep": "\ufdd8"})


def check_encoding(options: Mapping[str, str]) -> None:
    """Checks that the files' encoding can be read.

    Raises:
        UsageError: it cannot.
    """
    _charset(options)


def _decoded(
    spark: SparkSession, files: Sequence[FileEntry], charset: str, options: Mapping[str, str]
) -> DataFrame:
    """Reads lines with Spark's CSV reader, because the text reader does not decode files.

    Its special characters are set to noncharacters of Unicode, which texts should not have. A
    line that does have the separator arrives whole, as a corrupt record.
    """
    is_windows = charset == "windows-1252"
    frame = (
        reader(spark)
        .options(
            encoding="ISO-8859-1" if is_windows else charset,
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
        .csv(_paths(files))
    )
    value = F.coalesce(_CORRUPT, VALUE)
    return _with_file(frame, F.translate(value, _LATIN, _WINDOWS) if is_windows else value)


def _with_file(frame: DataFrame, value: Column) -> DataFrame:
    about = [F.col(source).alias(name) for name, source in FILE_COLUMNS.items()]
    return frame.select(value.alias(VALUE), *about)


def _paths(files: Sequence[FileEntry]) -> list[str]:
    refused = {
        file: f"Spark reads {ending} files only in Hadoop's framing; use .gz or .zst"
        for file in files
        for ending in _OTHER_FRAMING
        if file.path.lower().endswith(ending)
    }
    if refused:
        raise UnreadableError(refused)
    return [to_path(file.path) for file in files]


def _charset(options: Mapping[str, str]) -> str:
    wanted = options.get(ENCODING, "UTF-8")
    charset = _ENCODINGS.get(wanted.lower())
    if charset is None:
        raise UsageError(
            f"unknown encoding {wanted}; known are {', '.join(_ENCODINGS)}",
            next_step="set options.encoding of the source to one of them",
        )
    return charset
