"""The types that a column needs for the values of a sample, so that none of them is changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import reduce
from typing import TypeGuard

_INT_DIGITS, _DOUBLE_DIGITS, _DECIMAL_DIGITS = 18, 15, 38
_MONEY_DIGITS, _MONEY_SCALE, _LEAST_SCALE = 18, 6, 2
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_PLAIN = re.compile(r"[^\W\d]\w*", re.ASCII)
_NOT_IN_NAMES = re.compile(r"[ ,;{}()\n\t=]")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(?:\.(\d+))?")
_COMMA_NUMBER = re.compile(r"-?(0|[1-9]\d{0,2}(?:\.\d{3})+|[1-9]\d*)(?:,(\d+))?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)?")
_OTHER_DATE = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?:([T ])\d\d:\d\d(:\d\d)?)?")
_YEAR_DIGITS, _MONTHS, _DAYS = 4, 12, 31


@dataclass(frozen=True)
class Number:
    """A number of at most so many digits before the point and behind it."""

    whole: int
    scale: int

    @property
    def ddl(self) -> str:
        """The narrowest type that holds such numbers and a few more digits."""
        if self.scale == 0 and self.whole <= _INT_DIGITS:
            return "bigint"
        if self.scale <= _MONEY_SCALE and self.whole <= _MONEY_DIGITS - _MONEY_SCALE:
            return f"decimal({_MONEY_DIGITS},{max(self.scale, _LEAST_SCALE)})"
        if self.whole + self.scale <= _DOUBLE_DIGITS:
            return "double"
        if self.whole + self.scale <= _DECIMAL_DIGITS:
            return f"decimal({_DECIMAL_DIGITS},{self.scale})"
        return "string"


@dataclass(frozen=True)
class Dated:
    """A date or time in another form than ISO's.

    Attributes:
        patterns: the patterns of Spark that read all values; several if day and month are not
            known apart.
    """

    patterns: frozenset[str]
    ddl = "string"

    @property
    def to(self) -> str:
        """The type of the values."""
        return "timestamp" if any("H" in pattern for pattern in self.patterns) else "date"


@dataclass(frozen=True)
class Plain:
    """A type by its name in DDL."""

    ddl: str


@dataclass(frozen=True)
class Array:
    """A list of values of one kind; None if no value was seen."""

    element: Kind | None

    @property
    def ddl(self) -> str:
        return f"array<{self.element.ddl if self.element else 'string'}>"


@dataclass(frozen=True)
class Struct:
    """An object."""

    fields: Mapping[str, Kind | None] = field(default_factory=dict)

    @property
    def ddl(self) -> str:
        inner = [f"{quoted(name)}: {kind.ddl}" for name, kind in named(self.fields)]
        return f"struct<{', '.join(inner)}>" if inner else "string"


Kind = Number | Dated | Plain | Array | Struct
TEXT, BOOLEAN, DOUBLE = Plain("string"), Plain("boolean"), Plain("double")
DATE, MOMENT = Plain("date"), Plain("timestamp")
# Types of parquet, each holding the values of those before it.
_WIDER = (
    [Plain("int"), Plain("bigint"), Plain("decimal(20,0)")],
    [Plain("float"), DOUBLE],
)


def quoted(name: str) -> str:
    """A name as DDL and SQL take it."""
    return name if _PLAIN.fullmatch(name) else f"`{name.replace('`', '``')}`"


def is_namable(name: str) -> bool:
    """Whether a column of a table may have this name; other keys of a file are rescued."""
    return bool(name) and not _NOT_IN_NAMES.search(name)


def named(fields: Mapping[str, Kind | None]) -> list[tuple[str, Kind]]:
    """The fields that become columns: of a known type, and each name once in any letter case."""
    found: dict[str, tuple[str, Kind]] = {}
    for name, kind in fields.items():
        if kind is not None and is_namable(name):
            found.setdefault(name.lower(), (name, kind))
    return list(found.values())


def merged(first: Kind | None, second: Kind | None) -> Kind | None:
    """The kind that holds the values of both; text if there is no other."""
    if first is None or second is None or first == second:
        return first or second
    both: Kind = TEXT
    match first, second:
        case Number(), Number():
            both = Number(max(first.whole, second.whole), max(first.scale, second.scale))
        case (Number(), Plain("double")) | (Plain("double"), Number()):
            both = DOUBLE
        case Plain(), Plain():
            both = _wider(first, second)
        case Dated(), Dated() if first.patterns & second.patterns:
            both = Dated(first.patterns & second.patterns)
        case Array(), Array():
            both = Array(merged(first.element, second.element))
        case Struct(), Struct():
            both = Struct(merged_fields([first.fields, second.fields]))
    return both


def _wider(first: Plain, second: Plain) -> Plain:
    """The type of parquet that holds the values of both; text if there is none."""
    order = next((w for w in _WIDER if {first, second} <= {*w}), None)
    if order:
        return max(first, second, key=order.index)
    decimals = [_DECIMAL.fullmatch(kind.ddl) for kind in (first, second)]
    sizes = [(int(found[1]), int(found[2])) for found in decimals if found]
    scale = max((scale for _, scale in sizes), default=0)
    precision = max((precision - scale for precision, scale in sizes), default=0) + scale
    is_known = len(sizes) == len(decimals) and precision <= _DECIMAL_DIGITS
    return Plain(f"decimal({precision},{scale})") if is_known else TEXT


def merged_fields(all_fields: Iterable[Mapping[str, Kind | None]]) -> dict[str, Kind | None]:
    """The fields of several objects together, in the order in which they first appear."""
    together: dict[str, Kind | None] = {}
    for fields in all_fields:
        for name, kind in fields.items():
            together[name] = merged(together.get(name), kind)
    return together


def of_text(text: str | None, *, decimal_comma: bool = False) -> Kind | None:
    """The kind of a field of csv; None for an empty one."""
    if text is None or not text:
        return None
    if found := (_COMMA_NUMBER if decimal_comma else _NUMBER).fullmatch(text):
        whole, fraction = found.groups()
        return Number(len(whole.replace(".", "")), len(fraction or ""))
    if text in ("true", "false"):
        return BOOLEAN
    return of_string(text)


def of_string(text: str) -> Kind:
    """The kind of a text that is no number: a date, a time, or else text."""
    if _DATE.fullmatch(text):
        return DATE
    if _MOMENT.fullmatch(text):
        return MOMENT
    found = _OTHER_DATE.fullmatch(text)
    patterns = _patterns(found) if found else []
    return Dated(frozenset(patterns)) if patterns else TEXT


def _patterns(found: re.Match[str]) -> list[str]:
    """The patterns that read a date such as 31.12.2026, 12/31/2026 or 2026/12/31."""
    first, sep, second, third, between, seconds = found.groups()
    time = {None: "", " ": " HH:mm", "T": "'T'HH:mm"}[between] + (":ss" if seconds else "")
    padded = 1 not in map(len, (first, second, third))
    day, month = ("dd", "MM") if padded else ("d", "M")
    orders: list[tuple[tuple[str, str, str], str, str]] = []
    if len(third) == _YEAR_DIGITS and len(first) < _YEAR_DIGITS - 1:
        orders = [((day, month, "yyyy"), first, second), ((month, day, "yyyy"), second, first)]
    elif len(first) == _YEAR_DIGITS and len(third) < _YEAR_DIGITS - 1:
        orders = [(("yyyy", month, day), third, second)]
    return [
        sep.join(order) + time
        for order, days, months in orders
        if 1 <= int(days) <= _DAYS and 1 <= int(months) <= _MONTHS
    ]


def of_json(value: object) -> Kind | None:
    """The kind of a value of JSON, whose numbers were read as `Decimal`; None for null."""
    match value:
        case bool():
            return BOOLEAN
        case int():
            return Number(len(str(abs(value))), 0)
        case Decimal():
            return _of_decimal(value)
        case str():
            return of_string(value)
        case list():
            return Array(reduce(merged, map(of_json, value), None))
    fields = {name: of_json(inner) for name, inner in value.items()} if is_object(value) else None
    return Struct(fields) if fields else None


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether a value of JSON is an object."""
    return isinstance(value, dict)


def _of_decimal(value: Decimal) -> Kind:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or exponent > 0 or -exponent > len(digits) + _MONEY_SCALE:
        return DOUBLE
    return Number(max(len(digits) + exponent, 1), -exponent)
