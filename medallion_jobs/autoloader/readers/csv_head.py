"""Parses the start of a csv file, for the driver: its first record, and what is before it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from medallion_jobs.autoloader.readers.csv_dialect import Dialect
from medallion_jobs.autoloader.readers.file_schemas import BrokenHeadError

# As Excel writes it and reads it.
_SEP_LINE = re.compile(r'("?)sep=([^"\w\s]|\t)\1\r?', re.IGNORECASE)


@dataclass(frozen=True)
class Head:
    """The start of a csv file.

    Attributes:
        dialect: with the separator that the file's first line gives, if it does.
        fields: those of the first record, which is the header if the dialect has one; None if
            the file has no record.
        before: the number of records that Spark would return before that one.
        rest: the text after the first record.
        next_line: the number of the line that `rest` begins with, counted from 1.
        in_one_line: whether the first record has no line end in its fields.
        is_quoted: whether the first record begins with a quote.
    """

    dialect: Dialect
    fields: list[str] | None
    before: int = 0
    rest: str = ""
    next_line: int = 1
    in_one_line: bool = True
    is_quoted: bool = False


def parse(text: str, newline: str, given: Dialect, *, whole: bool) -> Head | None:
    """The head of a file; None if the text ends before the first record does.

    Args:
        text: the start of the file, decoded.
        whole: whether this is the whole file.

    Raises:
        BrokenHeadError: a quote is opened and never closed, in a header or before it.
    """
    dialect, lines = given, given.skip_rows
    first = _SEP_LINE.fullmatch(text.partition(newline)[0])
    # With an equals sign as the separator, the line is a record of two fields.
    if first and given.sep != "=":
        dialect, lines = replace(given, sep=first[2]), max(given.skip_rows, 1)
    start, before, number = 0, 0, 0
    while True:
        if start >= len(text):
            return Head(dialect, None) if whole else None
        end = text.find(newline, start)
        line = text[start : end if end >= 0 else None]
        is_comment = bool(dialect.comment) and line.startswith(dialect.comment)
        if number >= lines and line.strip(" \r") and not is_comment:
            break
        if end < 0:
            return Head(dialect, None) if whole else None
        number += 1
        if number <= lines and not is_comment and not _ends_in_line(line, dialect, newline):
            raise BrokenHeadError(
                f"line {number}, one of those before the header, opens a quote and does not "
                "close it; `skip_rows` cannot skip it"
            )
        before += not is_comment and not _is_skipped(line, dialect)
        start = end + len(newline)
    try:
        head = _first(text, start, newline, dialect, whole=whole)
    except BrokenHeadError:
        if dialect.header:
            raise
        # It is a row, and is found when all rows are read; here its fields are only counted.
        head = Head(dialect, line.split(dialect.sep))
    if head is None:
        return None
    own = text[start : len(text) - len(head.rest)].count(newline)
    return replace(head, before=before, next_line=number + own + 1)


def fields_of(line: str, dialect: Dialect, newline: str) -> list[str]:
    """The fields of a line; none if a quote in it is not closed."""
    try:
        found = _first(line, 0, newline, dialect, whole=True)
    except BrokenHeadError:
        return []
    return (found and found.fields) or []


def _ends_in_line(line: str, dialect: Dialect, newline: str) -> bool:
    return not line or bool(fields_of(line, dialect, newline))


def _is_skipped(line: str, dialect: Dialect) -> bool:
    """Whether Spark takes a line for blank."""
    return not (line if dialect.multi_line and not dialect.trims[0] else line.strip())


def _first(text: str, start: int, newline: str, dialect: Dialect, *, whole: bool) -> Head | None:
    fields: list[str] = []
    begin = start
    while True:
        field, end = _field(text, start, newline, dialect)
        if end is None:
            if whole:
                raise BrokenHeadError("its header opens a quote and never closes it")
            return None
        if end == len(text) and not whole:
            return None
        if not text.startswith(dialect.sep, end):
            break
        fields.append(field)
        start = end + len(dialect.sep)
    return Head(
        dialect,
        [*fields, field.removesuffix("\r")],
        rest=text[end + len(newline) :],
        in_one_line=not set("\r\n") & set(text[begin:end].removesuffix("\r")),
        is_quoted=bool(dialect.quote) and text.startswith(dialect.quote, begin),
    )


def _field(text: str, start: int, newline: str, dialect: Dialect) -> tuple[str, int | None]:
    """The field at `start`, and the position of its end; None if the text ends before."""
    if dialect.trims[0]:
        start += len(text[start:]) - len(text[start:].lstrip(" \t"))
    if dialect.quote and text.startswith(dialect.quote, start):
        quote, escape = re.escape(dialect.quote), re.escape(dialect.escape or dialect.quote)
        inside = re.compile(f"(?:{escape}{quote}|(?!{quote}).)*", re.DOTALL)
        quoted = inside.match(text, start + 1)
        end = quoted.end() if quoted else len(text)
        if end >= len(text):
            return "", None
        field = text[start + 1 : end].replace(dialect.escape + dialect.quote, dialect.quote)
        return field, _end(text, end + 1, newline, dialect)
    end = _end(text, start, newline, dialect)
    field = text[start:end]
    return (field.rstrip(" \t") if dialect.trims[1] else field), end


def _end(text: str, start: int, newline: str, dialect: Dialect) -> int:
    ends = (text.find(dialect.sep, start), text.find(newline, start))
    return min((end for end in ends if end >= 0), default=len(text))
