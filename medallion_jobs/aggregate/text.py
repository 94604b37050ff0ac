"""Aggregates as SQL text: when two mean the same, and which are of a declared kind."""

from __future__ import annotations

import re

from pydantic import ValidationError

from medallion_jobs.config import Measure

# Quoted text, which means what it says to the letter, or a run of anything else.
_PIECE = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`)|([^'"`]+|['"`])""", re.DOTALL)
_CALL = re.compile(r"\s*(sum|count|min|max|avg|approx_count_distinct)\s*\(", re.IGNORECASE)
_FILTER = re.compile(r"\s*filter\s*\(\s*where\b", re.IGNORECASE)
_DISTINCT = re.compile(r"distinct\b", re.IGNORECASE)
# Comments, raw strings, named arguments: what this cannot read surely, it leaves alone.
_STRANGE = re.compile(r"--|/\*|=>|;|\br(?='|\")|\b(?:over|within|select)\b", re.IGNORECASE)


def normalised(sql: str) -> str:
    """An expression without what does not matter to its meaning: letter case and white space.

    >>> normalised(" SUM( quantity )")
    'sum(quantity)'
    >>> normalised("count_if(state = 'OK')")
    "count_if(state='OK')"
    """

    def piece(match: re.Match[str]) -> str:
        quoted, plain = match.groups()
        if quoted:
            return str(quoted)
        words = re.sub(r"\s+", " ", plain.casefold())
        return re.sub(r"\s*([^\w\s])\s*", r"\1", words)

    return _PIECE.sub(piece, sql.strip())


def told_apart(measure: Measure) -> Measure:
    """The measure by its kind, also where SQL says it; other SQL as it is.

    >>> told_apart(Measure(sql="count(DISTINCT user_id)")).count_distinct
    'user_id'
    >>> told_apart(Measure(sql="sum(a) / count(*)")).kind
    """
    return (_of_a_kind(measure.sql) if measure.sql else None) or measure


def has_distinct(sql: str) -> bool:
    """Whether values are counted once, that are there more often."""
    return bool(re.search(r"\bdistinct\b(?!\s+from\b)", _without_quoted(sql), re.IGNORECASE))


def _of_a_kind(sql: str) -> Measure | None:
    """The measure that SQL means, if it is one call of a declared kind, and nothing else."""
    call = _CALL.match(sql)
    if not call or _STRANGE.search(_without_quoted(sql)):
        return None
    inside, rest = _until_closed(sql, call.end())
    said: dict[str, str] = {}
    if rest.strip():
        found = _FILTER.match(rest)
        if not found:
            return None
        where, rest = _until_closed(rest, found.end())
        said["where"] = where.strip()
        if rest.strip():
            return None
    kind, of = call[1].lower(), inside.strip()
    if kind == "count" and (distinct := _DISTINCT.match(of)):
        kind, of = "count_distinct", of[distinct.end() :].strip()
    if not _is_one_argument(of) or (of == "*" and kind != "count"):
        return None
    try:
        return Measure.model_validate({kind: of, **said})
    except ValidationError:
        return None


def _without_quoted(sql: str) -> str:
    return _PIECE.sub(lambda piece: piece[2] or (piece[1][0] * 2), sql)


def _until_closed(sql: str, start: int) -> tuple[str, str]:
    """What stands before the bracket that closes the one before `start`, and what after it.

    Nothing, and all of it, where there is none.
    """
    depth = 1
    for piece in _PIECE.finditer(sql, start):
        for place, char in enumerate(piece[2] or "", piece.start()):
            if char in "'\"`":  # of a quotation that does not end
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
