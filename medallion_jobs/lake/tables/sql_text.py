"""SQL as text: its normal form, without a parser."""

from __future__ import annotations

import re

# Quoted text, which is literal, or a run of anything else.
PIECE = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`)|([^'"`]+|['"`])""", re.DOTALL)
# Comments end with their line, and raw strings have no escapes: white space and pieces mean more.
_ON_LINES = re.compile(r"""--|/\*|\br(?='|")""", re.IGNORECASE)


def normalised(sql: str) -> str:
    """An expression in a normal form, without differences in letter case and white space.

    >>> normalised(" SUM( quantity )")
    'sum(quantity)'
    >>> normalised("count_if(state = 'OK')")
    "count_if(state='OK')"
    """

    def piece(match: re.Match[str]) -> str:
        quoted, plain = match.groups()
        if quoted:
            return str(quoted)
        text = re.sub(r"\s+", " ", plain.casefold())
        return re.sub(r"\s*([^\w\s])\s*", r"\1", text)

    return PIECE.sub(piece, sql.strip())


def is_same(one: str, other: str) -> bool:
    """Whether two expressions differ at most in letter case and white space."""
    if _ON_LINES.search(one) or _ON_LINES.search(other):
        return one.strip() == other.strip()
    return normalised(one) == normalised(other)
