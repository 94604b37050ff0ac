"""The reasons why a line or a document of JSON is bad, each with what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.autoloader.readers import text_input
from medallion_jobs.autoloader.readers.encodings import Encoding
from medallion_jobs.autoloader.readers.text_input import VALUE
from medallion_jobs.lake.values import json_parts
from medallion_jobs.lake.values.json_parts import NESTED, STRING

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# The first bytes of compressed files, for files whose names do not show the compression.
_COMPRESSED = {
    "gzip": b"\x1f\x8b",
    "bzip2": b"BZh",
    "zstd": b"\x28\xb5\x2f\xfd",
    "xz": b"\xfd7zXZ",
    "zip": b"PK\x03\x04",
}
_REPEATED = "a key is repeated in the JSON object"
_HALF_KEY = "a key has half of a surrogate pair, which no text can hold"
_TOO_DEEP = f"more than {json_parts.MOST_LEVELS} levels of objects and arrays"
_LONG_NUMBER = f"a number of more than {json_parts.MOST_DIGITS:,} digits"
_LONG_KEY = f"a key of more than {json_parts.LONGEST_KEY:,} characters"
_LONG = rf'"(?:[^"\\]|\\.){{{json_parts.LONGEST_KEY + 1},}}+"\s*:'
# What follows a whole object or array on a line: by pattern, the reason. All groups repeat
# possessively: otherwise a long line overflows the stack of Java's matcher.
_AFTER_IT = {
    rf"\s*+(?:{NESTED}\s*+)++": "several JSON objects without a line break between them; "
    "see `concatenated`",
    r"\s*+,\s*+": "a comma after the JSON object; if the file is one array, see `multiLine`",
    rf"(?:\s*+,\s*+{NESTED})++\s*+,?\s*+": "more than one JSON object on the line",
    r".+": "text after the JSON object",
}
# A line of an object that is written over several lines.
_OF_SEVERAL = rf"(?s)\A\s*+(?:[\[{{]\s*+|[\]}}]\s*+,?\s*+|{STRING}\s*+:[^\r\n]*+)\z"


def of_line(frame: DataFrame, encoding: Encoding, members: Column) -> Column:
    """The reason why a line is bad.

    Args:
        members: the keys and values of a line that is one object, as `json_parts.members`.
    """
    line = F.col(VALUE)
    value = F.trim(line)
    reasons = _of_files(frame, encoding, members).when(
        F.startswith(value, F.lit("[")) & json_parts.is_one(line),
        "valid JSON, but not an object; for an array of objects, see `multiLine`",
    )
    for after, reason in _AFTER_IT.items():
        reasons = reasons.when(line.rlike(rf"(?s)\A\s*{NESTED}{after}\z"), reason)
    return (
        reasons.when(line.rlike(_OF_SEVERAL), "not valid JSON; over several lines, see `multiLine`")
        .when(is_scalar(value), "valid JSON, but not an object")
        .otherwise("not valid JSON")
    )


def of_document(
    frame: DataFrame, encoding: Encoding, members: Column, is_document: Column
) -> Column:
    """The reason why a document is bad, or an element of its array.

    Args:
        is_document: whether the record is a whole document.
    """
    text = F.col(VALUE)
    return (
        _of_files(frame, encoding, members)
        .when(~is_document, "an element of the array is not an object")
        .when(
            text.rlike(rf"(?s)\A\s*{NESTED}\s*\S.*\z"),
            "several JSON values; one object or one array of objects is read; if each is on a "
            "line, leave out `multiLine`",
        )
        .when(is_scalar(text), "valid JSON, but neither an object nor an array")
        .otherwise("not valid JSON")
    )


def _of_files(frame: DataFrame, encoding: Encoding, members: Column) -> Column:
    is_text = text_input.is_text(frame, encoding)
    return of_text(F.col(VALUE), is_text, text_input.not_text(encoding), members)


def of_text(text: Column, is_text: Column, not_text: str, members: Column) -> Column:
    """The reasons that any text may have for which it is no record of JSON; else null.

    Args:
        is_text: whether its bytes are of its encoding.
        not_text: the reason if they are not.
        members: the keys and values of a text that is one object, as `json_parts.members`.
    """
    reasons = F.when(F.lit(False), "")
    for name, magic in _COMPRESSED.items():
        start = F.substring(text.cast("binary"), 1, len(magic))
        reasons = reasons.when(start == F.lit(bytearray(magic)), f"compressed data ({name})")
    is_valid, is_shallow = json_parts.is_valid(text), text.rlike(rf"(?s)\A\s*{NESTED}")
    return (
        reasons.when(F.contains(text, F.lit("\0")), "null bytes: binary, or another encoding")
        .when(~is_text, not_text)
        .when(members.isNotNull(), _REPEATED)
        .when(is_valid & json_parts.has_half_key(text), _HALF_KEY)
        .when(is_valid & F.trim(text).rlike(r"\A[\[{]") & ~is_shallow, _TOO_DEEP)
        .when(text.rlike(rf"[0-9.]{{{json_parts.MOST_DIGITS + 1},}}") & ~is_valid, _LONG_NUMBER)
        .when(text.rlike(_LONG) & ~is_valid, _LONG_KEY)
    )


def is_scalar(value: Column) -> Column:
    """Whether a text is a JSON value without parts, with white space around it or not."""
    number = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
    return value.rlike(rf"\A\s*+(?:null|true|false|{number}|{STRING})\s*+\z")
