"""Aggregates as SQL text: which of them are of a declared kind."""

from __future__ import annotations

import re

from pydantic import ValidationError

from medallion_jobs.config import Measure
from medallion_jobs.lake.tables.sql_text import PIECE

_CALL = re.compile(r"\s*(sum|count|min|max|avg|approx_count_distinct)\s*\(", re.IGNORECASE)
_FILTER = re.compile(r"\s*filter\s*\(\s*where\b", re.IGNORECASE)
_DISTINCT = re.compile(r"distinct\b", re.IGNORECASE)
# Comments, raw strings, named arguments and the like: such SQL is not analysed.
_NOT_ANALYSED = re.compile(r"--|/\*|=>|;|\br(?='|\")|\b(?:over|within|select)\b", re.IGNORECASE)


def recognised(measure: Measure) -> Measure:
    """The measure by its kind, if its SQL is a call of a declared kind; else unchanged.

    >>> recognised(Measure(sql="count(DISTINCT user_id)")).count_distinct
    'user_id'
    >>> recognised(Measure(sql="sum(a) / count(*)")).kind
    """
    return (_of_a_kind(measure.sql) if measure.sql else None) or measure


def has_distinct(sql: str) -> bool:
    """Whether an aggregate has a DISTINCT."""
    return bool(re.search(r"\bdistinct\b(?!\s+from\b)", _without_quoted(sql), re.IGNORECASE))


def _of_a_kind(sql: str) -> Measure | None:
    """The measure for SQL that is one call of a declared kind and nothing else, else None."""
    call = _CALL.match(sql)
    if not call or _NOT_ANALYSED.search(_without_quoted(sql)):
        return None
    inside, rest = _until_closed(sql, call.end())
    options: dict[str, str] = {}
    if rest.strip():
        found = _FILTER.match(rest)
        if not found:
            return None
        where, rest = _until_closed(rest, found.end())
        options["where"] = where.strip()
        if rest.strip():
            return None
    kind, of = call[1].lower(), inside.strip()
    if kind == "count" and (distinct := _DISTINCT.match(of)):
        kind, of = "count_distinct", of[distinct.end() :].strip()
    if not _is_one_argument(of) or (of == "*" and kind != "count"):
        return None
    try:
        return Measure.model_validate({kind: of, **options})
    except ValidationError:
        return None


def _without_quoted(sql: str) -> str:
    return PIECE.sub(lambda piece: piece[2] or (piece[1][0] * 2), sql)


def _until_closed(sql: str, start: int) -> tuple[str, str]:
    """The text from `start` to the closing bracket, and the text after it.

    If the bracket is never closed: an empty text, and all of `sql`.
    """
    depth = 1
    for piece in PIECE.finditer(sql, start):
        for place, char in enumerate(piece[2] or "", piece.start()):
            if char in "'\"`":  # an unclosed quotation
                return "", sql
            depth += (char == "(") - (char == ")")
            if depth == 0:
                return sql[start:place], sql[place + 1 :]
    return "", sql


def _is_one_argument(of: str) -> bool:
    plain, depth = _without_quoted(of), 0
    for char in plain:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            return False
    words = plain.split()
    return bool(words) and words[0].lower() not in ("distinct", "all") and plain[-2:] != ".*"
