"""The warning that most rows of a batch are not in the table, with the likely cause.

A run that succeeds with an empty table is the worst kind of failure, because nobody looks. So
the warning names the rule, an example and the likely cause.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

How = Literal["quarantined", "dropped", "filtered", "held", "put aside", "rescued"]

# A rescued value among the reasons of a quarantined row.
_MISFIT = re.compile(r'^(?:.*; )?([^:;"]+): "(.*?)" does not fit ([^;]+?)(?:;.*)?$', re.DOTALL)
_NULL = re.compile(r"(?:^|: )([^:;]+) is null")
_NO_MATCH = re.compile(r"no match in (\S+) for (.+?)(?: at .+)?(?:;|$)")
_WHOLE, _NUMBER = re.compile(r"[+-]?\d{1,18}"), re.compile(r"[+-]?\d+\.\d+")
_MOST_SHOWN = 80


@dataclass(frozen=True)
class SetAside:
    """A batch of which most rows are not in the table.

    Attributes:
        rows: rows of the batch; files if the files themselves could not be read.
        aside: those of them that are not in the table, or that have rescued data.
        how: what happened to most of these.
        rule: the rule, the dimension or the part of the config that caused it.
        example: a value or a row, and what is wrong with it.
        cause: the likely cause, and what to change.
        unit: what is counted: rows or files.
    """

    rows: int
    aside: int
    how: How
    rule: str
    example: str
    cause: str
    unit: str = "rows"

    @property
    def share(self) -> float:
        """The affected share of the batch, from 0 to 1."""
        return self.aside / self.rows if self.rows else 0.0

    @property
    def text(self) -> str:
        """The warning in one line."""
        verb = {"held": "are held", "rescued": "hold rescued data"}.get(self.how, f"are {self.how}")
        return (
            f"{self.aside:,} of {self.rows:,} {self.unit} ({self.share:.0%}) {verb} by "
            f"{self.rule}, such as {self.example}; likely cause: {self.cause}"
        )


def is_most(rows: int, aside: int, *, is_first: bool) -> bool:
    """Whether so many rows of a batch are not in the table that something must be wrong.

    Args:
        rows: rows of the batch.
        aside: those of them that are not in the table.
        is_first: whether it is the table's first batch, where more than half is enough; of a
            later batch, it must be all rows.
    """
    return rows > 0 and (aside >= rows or (is_first and 2 * aside > rows))


def cause_of(example: str, *, casts: frozenset[str], others: tuple[str, ...]) -> str:
    """The likely cause, from the reasons of a quarantined row.

    Args:
        example: the reasons of the row.
        casts: columns that the table casts.
        others: keys of the row's record that are not columns.
    """
    if misfit := _MISFIT.match(example):
        column, text, kind = misfit.groups()
        return misfit_cause(column, kind, text, is_cast=column in casts)
    if no_match := _NO_MATCH.search(example):
        table, key = no_match.groups()
        return f"{table} has no row for {key}: load the dimension first, and compare the keys"
    if null := _NULL.search(example):
        column = null[1].strip()
        if others:
            return (
                f"the files have no {column}, but these undeclared keys: {', '.join(others)}; "
                "declare the right one, or name the right column in the rule"
            )
        return f"the files have no value for {column}: compare its name with the keys in the files"
    return "the rule does not fit the data: compare it with the example"


def misfit_cause(column: str, kind: str, text: str, *, is_cast: bool = False) -> str:
    """Why values do not fit a column's type, and what to declare instead."""
    shown = shortened(text, _MOST_SHOWN)
    mismatch = f'{column} is {kind}, the files have text such as "{shown}"'
    if is_cast and kind in ("timestamp", "timestamp_ntz", "date"):
        return f"{mismatch}: add its format to `cast.{column}.formats`"
    what = "cast it to" if is_cast else "declare it as"
    return f"{mismatch}: {what} {_type_for(text, kind)}"


def shortened(text: str, most: int = 200) -> str:
    """The text, cut to at most this many characters, for an example in a message."""
    return text if len(text) <= most else text[:most] + "…"


def aside_text(path: str, error: str) -> str:
    """A file that could not be read, and why, in one line."""
    return shortened(f"{unquote(path.removeprefix('file:'))}: {' '.join(error.split())}")


def _type_for(text: str, kind: str) -> str:
    if _WHOLE.fullmatch(text.strip()) and kind != "bigint":
        return "bigint"
    if _NUMBER.fullmatch(text.strip()) and not kind.startswith(("decimal", "double")):
        return "decimal or double"
    return "string"
