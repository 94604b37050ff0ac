"""JSON documents of any form, and the leaves of each as Python's own parser sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

_WORDS = (
    "id",
    "ID",
    "a b",
    "",
    "value",
    "key",
    "element",
    "x.y",
    "q`\"'",
    "é",
    "☃",
    "n",
    "at",
    "s",
)
_TEXTS = (
    "",
    "x",
    " padded ",
    "null",
    "true",
    "0010",
    "+5",
    "1e5",
    "{}",
    "[1]",
    '{"a": 1}',
    "ü ☃ 😀",
    "a\\b",
    'a"b',
    "tab\tnew\nline",
    "\u0000",
    "\u2028\u0085",
    "\ufffd",
    "NaN",
    "2026-01-31",
    "\\ud83d",
)
_NUMBERS = (
    "0",
    "-0",
    "-0.0",
    "1",
    "1.10",
    "5.00",
    "1E5",
    "1e+5",
    "1e400",
    "1e-400",
    "0.1",
    "-12.50e-3",
    "12345678901234567",
    "12345678901234567.89",
    "9007199254740993",
    "0.30000000000000004",
    "123456789012345678901234567890",
    "9" * 400 + "." + "1" * 30,
)
_SPACES = ("", "", "", " ", "  ", "\t")


class Written(str):
    """A number as it is written."""


def documents(number: int, seed: int) -> Iterator[str]:
    """JSON objects, each on a line: unicode, deep, odd and repeated keys, numbers of any form."""
    random = Random(seed)
    for _ in range(number):
        yield _object(random, random.choice((1, 2, 3, 3, 6)))


def parsed(document: str) -> list[tuple[str, Any]] | None:
    """The members of a document; None if Python's parser does not take it as an object."""
    try:
        found = json.loads(
            document,
            object_pairs_hook=Members,
            parse_int=Written,
            parse_float=Written,
            parse_constant=_refuse,
        )
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Members) else None


class Members(list[tuple[str, Any]]):
    """The members of an object, repeated ones too."""


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _value(random: Random, levels: int) -> str:
    kind = random.random()
    if levels and kind < 0.2:
        return _object(random, levels - 1)
    if levels and kind < 0.35:
        items = [_value(random, levels - 1) for _ in range(random.randrange(4))]
        return _joined(random, "[", items, "]")
    if kind < 0.65:
        return random.choice(_NUMBERS)
    if kind < 0.75:
        return random.choice(("true", "false", "null"))
    return _text(random)


def _object(random: Random, levels: int) -> str:
    members = []
    for _ in range(random.randrange(1, 6)):
        key = json.dumps(random.choice(_WORDS), ensure_ascii=random.random() < 0.3)
        space = random.choice(_SPACES)
        members.append(f"{key}{space}:{random.choice(_SPACES)}{_value(random, levels)}")
    return _joined(random, "{", members, "}")


def _joined(random: Random, opening: str, parts: list[str], closing: str) -> str:
    space = random.choice(_SPACES)
    return f"{opening}{space}{f'{space},{space}'.join(parts)}{space}{closing}"


def _text(random: Random) -> str:
    if random.random() < 0.05:
        return random.choice((r'"cut \ud83d"', r'"\uDE00 x"', r'"\\ud83d"', r'"\ud83d\ude00"'))
    text = json.dumps(random.choice(_TEXTS), ensure_ascii=random.random() < 0.4)
    return text.replace("/", "\\/") if random.random() < 0.1 else text
