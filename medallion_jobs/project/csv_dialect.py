"""How a csv file is written: its separator, its header, its decimal comma."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from medallion_jobs.project.kinds import TEXT, of_text

_SEPS = (";", "\t", "|", ",")
_LINES, _TITLE_LINES, _SHARE = 200, 10, 0.7
_SEP_LINE = re.compile(r"sep=(.)\r?\n")
_COMMA_DECIMAL = re.compile(r"-?(?:\d{1,3}(?:\.\d{3})*|\d+)(?:,(?P<fraction>\d+))?")
_POINT_DECIMAL = re.compile(r"-?\d+(?:\.(?P<fraction>\d+))?")
_THOUSAND = 3


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes:
        skip_rows: the number of lines before the header.
        decimal_comma: None if no value shows it.
    """

    sep: str
    header: bool
    skip_rows: int
    decimal_comma: bool | None


@dataclass(frozen=True)
class Read:
    """The rows of a file's beginning, below its header.

    Attributes:
        names: those of the header; empty without one.
    """

    dialect: Dialect
    names: tuple[str, ...]
    rows: Sequence[Sequence[str]]


def read(text: str, *, is_whole: bool) -> Read | None:
    """The rows of a text; None if it is no csv.

    Args:
        is_whole: whether the text is the whole file; else its last row may be cut off.
    """
    own = _SEP_LINE.match(text)
    lines_before = 0
    if own:
        text, lines_before = text[own.end() :], 1
    best: tuple[float, int, str] | None = None
    for sep in (own[1],) if own else _SEPS:
        width, share = _regularity(_rows(text, sep, _LINES))
        if width > 1 and share >= _SHARE and (best is None or (share, width) > best[:2]):
            best = (share, width, sep)
    if best is None:
        return None
    _, width, sep = best
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep)
    rows: list[list[str]] = []
    first_line = 0
    while not rows:
        first_line, row = reader.line_num, next(reader)
        rows += [row] if len(row) == width and any(row) else []
    rows += (row for row in reader if len(row) == width)
    if not is_whole and len(rows) > 1:
        rows.pop()
    header = _is_header(rows[0], rows[1:])
    data = rows[1:] if header else rows
    dialect = Dialect(sep, header, first_line + lines_before, _has_decimal_comma(data))
    return Read(dialect, tuple(rows[0]) if header else (), data)


def _rows(text: str, sep: str, most: int) -> list[list[str]]:
    lines = io.StringIO(text, newline="")
    try:
        return [row for row, _ in zip(csv.reader(lines, delimiter=sep), range(most), strict=False)]
    except csv.Error:
        return []


def _regularity(rows: Sequence[Sequence[str]]) -> tuple[int, float]:
    """The most frequent number of fields, and the share of rows that have it."""
    widths = Counter(len(row) for row in rows if row)
    if not widths:
        return 0, 0.0
    # Titles before the header have fewer fields, and there are few rows in a short file.
    width, count = max(widths.items(), key=lambda found: (found[1], found[0]))
    titles = sum(len(row) < width for row in rows[:_TITLE_LINES] if row)
    return width, count / max(sum(widths.values()) - min(titles, count), 1)


def _is_header(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    if any(not name.strip() or of_text(name) != TEXT for name in first):
        return False
    columns = list(zip(*below, strict=True))
    repeated = any(name in column for name, column in zip(first, columns, strict=False))
    return not repeated


def _has_decimal_comma(rows: Sequence[Sequence[str]]) -> bool | None:
    columns = [[value for value in column if value] for column in zip(*rows, strict=True)]
    if any(_are_numbers(column, _COMMA_DECIMAL) for column in columns):
        return True  # a column of numbers with a point beside it stays text
    return False if any(_are_numbers(column, _POINT_DECIMAL) for column in columns) else None


def _are_numbers(values: Sequence[str], pattern: re.Pattern[str]) -> bool:
    """Whether all are numbers of this form, and one shows it by its fraction."""
    found = [pattern.fullmatch(value) for value in values]
    # A group of three digits may as well be thousands.
    fractions = [match["fraction"] for match in found if match and match["fraction"]]
    return all(found) and any(len(fraction) != _THOUSAND for fraction in fractions)
