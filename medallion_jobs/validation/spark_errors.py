"""Spark's errors about expressions: what is wrong, where in the SQL, and what was meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from pyspark.errors import PySparkException

from medallion_jobs.config import nearest

_MOST = 300
_TYPE_NAMES = (
    *("string", "boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "decimal"),
    *("date", "timestamp", "timestamp_ntz", "binary", "array", "map", "struct", "variant"),
)
_CODE = re.compile(r"^\[[A-Z0-9_.]+\]\s*")
_STATE = re.compile(r"\s*SQLSTATE: \w+.*$", re.DOTALL)
_PLACE = re.compile(r"\(line (\d+), pos (\d+)\)")
_REASON = re.compile(r'^Cannot resolve ".*?" due to data type mismatch: ', re.DOTALL)
_TYPES = re.compile(r'"((?:[A-Z]+(?:\([\d, ]+\))?)|(?:ARRAY|MAP|STRUCT)<[^"]*>)"')


@dataclass(frozen=True)
class Explained:
    """A mistake in an expression.

    Attributes:
        at: the part of the SQL that is wrong, as its start and its end.
        missing: the column that there is not, if that is the mistake.
        is_of_types: whether it depends on the types of columns, not only on their names.
    """

    what: str
    allowed: str = ""
    nearest: str | None = None
    at: tuple[int, int] | None = None
    missing: str | None = None
    is_of_types: bool = False


def explain(
    error: PySparkException,
    sql: str,
    columns: Sequence[str],
    functions: Callable[[], Collection[str]],
) -> Explained:
    """Spark's error about an expression.

    Args:
        columns: the columns that the expression may name.
        functions: the functions that it may call.
    """
    condition, facts = error.getCondition() or "", error.getMessageParameters() or {}
    at = _place(error, sql)
    if condition.startswith("UNRESOLVED_COLUMN"):
        name = _plain(facts.get("objectName", ""))
        meant = nearest(name, columns)
        return Explained(f"there is no column {name}", listed(columns), meant, at, missing=name)
    if condition == "UNRESOLVED_ROUTINE":
        name = _plain(facts.get("routineName", ""))
        at = (at[0], at[0] + len(name)) if at and sql.startswith(name, at[0]) else at
        return Explained(f"Spark has no function {name}", "", nearest(name, functions()), at)
    return _of_other_names(condition, facts, at) or _of_types(error, at)


def _of_other_names(
    condition: str, facts: Mapping[str, str], at: tuple[int, int] | None
) -> Explained | None:
    if condition == "FIELD_NOT_FOUND":
        name, fields = _plain(facts.get("fieldName", "")), _plain(facts.get("fields", ""))
        meant = nearest(name, fields.split(", "))
        return Explained(f"there is no field {name}", fields, meant, at)
    if condition == "UNSUPPORTED_DATATYPE":
        name = facts.get("typeName", "").strip('"').lower()
        return Explained(f"Spark has no type {name}", "", nearest(name, _TYPE_NAMES), at)
    if condition == "MISSING_GROUP_BY":
        return Explained("it has an aggregate, and is computed for each row alone", at=at)
    if condition == "PARSE_SYNTAX_ERROR":
        return Explained(f"syntax error at {facts.get('error', 'an unknown place')}", at=at)
    return None


def _of_types(error: PySparkException, at: tuple[int, int] | None) -> Explained:
    """Any other error in Spark's words, without its code and state."""
    text = _STATE.sub("", _CODE.sub("", error.getMessage() or str(error))).strip()
    text = " ".join(_REASON.sub("", text).split()).removesuffix(".")
    text = _TYPES.sub(lambda found: found[1].lower(), text)
    text = text if len(text) <= _MOST else text[: _MOST - 1] + "…"
    return Explained(text, at=at, is_of_types=True)


def listed(names: Sequence[str], most: int = 40) -> str:
    """The names as one text; of many, the first ones."""
    more = f", … ({len(names) - most} more)" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _plain(quoted: str) -> str:
    return quoted.replace("`", "")


def _place(error: PySparkException, sql: str) -> tuple[int, int] | None:
    """The part of the SQL that the error is about, if Spark says it."""
    for context in error.getQueryContext() or ():
        if context.contextType().name == "SQL":
            start, end = context.startIndex(), context.stopIndex() + 1
            part = context.fragment()
            if sql[start:end] != part:  # Spark has read a part of the SQL alone
                start = sql.find(part) if sql.count(part) == 1 else -1
            if part and start >= 0:
                return start, start + len(part)
    if found := _PLACE.search(str(error)):
        lines = sql.split("\n")
        line, position = int(found[1]), int(found[2])
        start = sum(len(text) + 1 for text in lines[: line - 1]) + position
        word = re.match(r"\w+|.?", sql[start:], re.DOTALL)
        return start, start + max(1, len(word[0]) if word else 1)
    return None
