"""Finds csv records whose quotes are not in pairs: Spark reads them, but not as they are meant."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from medallion_jobs.autoloader.readers.csv_dialect import Dialect

# Between fields, and instead of a part in quotes: noncharacters, which texts should not have.
_EDGE, _PART = "\ufdd0", "\ufdd1"
_UNCLOSED = "a quote is opened and never closed"
_NOT_IN_LINE = (
    "a quote is not closed, or not opened, in its line; "
    "if values have line ends in them, leave out `multiLine: false`"
)


def unclosed(dialect: Dialect) -> str:
    """The reason for a record in which a quote has no other one."""
    return _UNCLOSED if dialect.multi_line else _NOT_IN_LINE


def regular(dialect: Dialect, fields: int) -> str | None:
    """A pattern of records with so many fields, each without quotes or wholly in quotes.

    Most records are such, and need no closer look. None if another character escapes quotes.
    """
    if not dialect.quote or _escaped(dialect):
        return None
    quote, sep = (re.escape(dialect.as_read(one)) for one in (dialect.quote, dialect.sep))
    # Possessive: Java matches such a group in a loop, however long the record is.
    field = f"(?:{quote}(?:[^{quote}]++|{quote}{quote})*+{quote}|(?:(?!{sep})[^{quote}])*+)"
    return rf"\A{field}(?:{sep}{field}){{{fields - 1}}}\z"


def without_quoted(raw: Column, dialect: Dialect) -> Column:
    """The raw text of a record without the parts in quotes; a quote that is left is not closed."""
    return _with_parts(raw, dialect, "") if dialect.quote else raw


def fault(raw: Column, texts: Sequence[Column], dialect: Dialect, newline: str) -> Column:
    """The reason why a record with as many fields as its header is bad; null if it is good.

    Args:
        raw: the record's text, as Spark reads it.
        texts: its fields.
    """
    if not dialect.quote:
        return F.lit(None).cast("string")
    quote = dialect.as_read(dialect.quote)
    last = _is_open_at_end(raw, texts, dialect)
    if dialect.multi_line:
        mark, edge = re.escape(quote), _EDGE
        # Spark then returns the field with its opening quote. A higher-order function over the
        # fields would keep Spark from compiling the whole expression.
        over_lines = f"{edge}{mark}[^{newline}{edge}]*+{newline}"
        reopened = F.concat_ws(edge, F.lit(""), *texts).rlike(over_lines)
        many = F.contains(raw, F.lit(newline))
        found = F.when(
            many & (last | (reopened & ~is_regular(raw, dialect))),
            F.lit("a quote is opened and not closed before the next lines"),
        ).when(last, F.lit(unclosed(dialect)))
    else:
        found = F.when(last | _is_second_half(raw, dialect), F.lit(unclosed(dialect)))
    return F.when(F.contains(raw, F.lit(quote)), found)


def _with_parts(raw: Column, dialect: Dialect, part: str) -> Column:
    """The raw text of a record with another text instead of each part in quotes."""
    mark = re.escape(dialect.as_read(dialect.quote))
    unescaped = _without_escaped(raw, dialect)
    return F.regexp_replace(unescaped, F.lit(f"{mark}[^{mark}]*+{mark}"), F.lit(part))


def is_regular(raw: Column, dialect: Dialect) -> Column:
    """Whether quotes in a record are only around whole fields, or doubled inside them.

    Otherwise a look at the raw text alone cannot show where a field begins.
    """
    if not dialect.quote:
        return F.lit(True)
    left = _with_parts(raw, dialect, _PART)
    left = F.replace(left, F.lit(dialect.as_read(dialect.sep)), F.lit(_EDGE))
    # Spark leaves out white space after a quoted field, and before it with `trims`.
    left = F.regexp_replace(left, f"(?<={_PART})[ \\t]+(?={_EDGE}|$)", "")
    if dialect.trims[0]:
        left = F.regexp_replace(left, f"(?<=^|{_EDGE})[ \\t]+(?={_PART})", "")
    other = f"[^{_PART}{_EDGE}]"
    is_paired = ~F.contains(left, F.lit(dialect.as_read(dialect.quote)))
    return is_paired & ~left.rlike(f"{other}{_PART}|{_PART}{other}")


def _without_escaped(raw: Column, dialect: Dialect) -> Column:
    """The raw text without escaped quotes and escaped escapes, if another character escapes."""
    pair = _escaped(dialect)
    return F.regexp_replace(raw, F.lit(pair), F.lit("")) if pair else raw


def _escaped(dialect: Dialect) -> str:
    if dialect.escape in ("", dialect.quote):
        return ""
    escape, quote = (re.escape(dialect.as_read(one)) for one in (dialect.escape, dialect.quote))
    return f"{escape}({escape}|{quote})"


def _is_open_at_end(raw: Column, texts: Sequence[Column], dialect: Dialect) -> Column:
    """Whether the last field is opened by a quote and goes on to the end of the record."""
    quote, ends = dialect.as_read(dialect.quote), F.lit("\r\n")
    text = F.rtrim(F.coalesce(texts[-1], F.lit("")), ends)
    pair = _escaped(dialect)
    if pair:
        raw = F.regexp_replace(raw, F.lit(pair), F.lit("$1"))
    else:
        text = F.replace(text, F.lit(quote), F.lit(quote * 2))
    opened = F.concat(F.lit(quote), text)
    if len(texts) == 1:
        return F.rtrim(raw, ends) == opened
    before = F.lit(dialect.as_read(dialect.sep))
    return F.endswith(F.rtrim(raw, ends), F.concat(before, opened))


def _is_second_half(raw: Column, dialect: Dialect) -> Column:
    """Whether a line ends a field that an earlier line opens.

    It has an odd number of quotes, and the first one is at the end of a field.
    """
    quote, sep = (re.escape(dialect.as_read(one)) for one in (dialect.quote, dialect.sep))
    left = without_quoted(raw, dialect)
    is_odd = F.contains(left, F.lit(dialect.as_read(dialect.quote)))
    return is_odd & _without_escaped(raw, dialect).rlike(f"^[^{quote}]*+{quote}\\s*({sep}|$)")
