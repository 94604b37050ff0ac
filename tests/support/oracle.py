"""What the sales tables must hold, computed from the landed files alone.

Written from the documentation, in plain Python, and independent of the package: nothing of
it is imported here. A line is good if it holds exactly one JSON object in which no key is
repeated; blank lines are no records. A value that does not fit its column is null and kept
in `_rescued_data`, and so is a key that no column bears.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import Any

LINE_LIMIT = 65_536

# The fifteen customers of the generator; the regions go round.
REGIONS: dict[int, str] = dict(
    zip(range(1, 16), cycle(("North", "South", "East", "West")), strict=False)
)

_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}")

Row = tuple[Any, ...]


class _Bad(ValueError):
    pass


@dataclass(frozen=True)
class FileTruth:
    """One landed file: its good rows as bronze has them, and its bad lines."""

    path: str
    rows: tuple[Row, ...]
    bad: tuple[str, ...]

    @property
    def rescued(self) -> int:
        return sum(row[-1] is not None for row in self.rows)

    @property
    def lines(self) -> int:
        return len(self.rows) + len(self.bad)


@dataclass(frozen=True)
class Truth:
    """All tables of the sales pipeline, as multisets of rows."""

    files: Mapping[str, FileTruth]
    regions: Mapping[int, str]

    @classmethod
    def of(cls, paths: Iterable[Path], regions: Mapping[int, str] = REGIONS) -> Truth:
        return cls({str(path): read(path) for path in paths}, regions)

    @cached_property
    def bronze(self) -> Counter[Row]:
        """order_id, customer_id, product_id, quantity, order_timestamp, rescued, file."""
        return Counter((*row, file.path) for file in self.files.values() for row in file.rows)

    @cached_property
    def quarantine(self) -> Counter[Row]:
        """file, line."""
        return Counter((f.path, line[:LINE_LIMIT]) for f in self.files.values() for line in f.bad)

    @cached_property
    def silver(self) -> Counter[Row]:
        """order_id, customer_id, region, product_id, quantity, order_date.

        A customer that is there and did not fit is not a missing one: such a row is quarantined.
        """
        return Counter(
            (order, customer, self.regions.get(customer), product, quantity, at and at.date())
            for file in self.files.values()
            for order, customer, product, quantity, at, rescued in file.rows
            if "customer_id" not in dict(rescued or ())
        )

    @cached_property
    def gold(self) -> Counter[Row]:
        """region, order_date, total_quantity; nulls form groups, a sum of nothing is null."""
        groups: dict[Row, list[int]] = defaultdict(list)
        for row in self.silver.elements():
            groups[row[2], row[5]] += [] if row[4] is None else [row[4]]
        return Counter((*group, sum(them) if them else None) for group, them in groups.items())


def read(path: Path) -> FileTruth:
    """What is good and what is bad in a file."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    rows, bad = [], []
    for line in _LINE_ENDS.split(data.decode("utf-8-sig", errors="replace")):
        if not line.strip(" \t"):
            continue
        try:
            rows.append(_typed(strict_object(line)))
        except _Bad:
            bad.append(line)
    return FileTruth(str(path), tuple(rows), tuple(bad))


def strict_object(line: str) -> dict[str, Any]:
    """The one JSON object on the line; ValueError when it is anything else."""

    def no_constant(name: str) -> None:
        raise _Bad(name)

    try:
        pairs = json.loads(line, object_pairs_hook=_Pairs, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        raise _Bad(line) from error
    if not isinstance(pairs, _Pairs) or len(dict(pairs)) < len(pairs):
        raise _Bad(line)
    return {key: _plain(value) for key, value in pairs}


def canonical(rescued: str | None) -> frozenset[tuple[str, str]] | None:
    """`_rescued_data` in a form that compares: a number may be written in several ways."""
    if rescued is None:
        return None
    return frozenset((key, _canonical_text(text)) for key, text in json.loads(rescued).items())


def _typed(found: dict[str, Any]) -> Row:
    row, misfits = [], {}
    for name, fits in _COLUMNS.items():
        text = _text(found.pop(name, None))
        value = None if text is None else fits(text)
        if text is not None and value is None:
            misfits[name] = text
        row.append(value)
    misfits |= {name: _text(value) for name, value in found.items()}
    rescued = frozenset((k, _canonical_text(v)) for k, v in misfits.items()) if misfits else None
    return (*row, rescued)


def _int_of(bits: int) -> Callable[[str], int | None]:
    def fit(text: str) -> int | None:
        if not _WHOLE_NUMBER.fullmatch(text):
            return None
        return int(text) if -(2 ** (bits - 1)) <= int(text) < 2 ** (bits - 1) else None

    return fit


def _moment(text: str) -> datetime | None:
    if not _MOMENT.fullmatch(text):
        return None
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


_COLUMNS: dict[str, Callable[[str], Any]] = {
    "order_id": str,
    "customer_id": _int_of(64),
    "product_id": _int_of(64),
    "quantity": _int_of(32),
    "order_timestamp": _moment,
}


class _Pairs(list[tuple[str, Any]]):
    """An object as it stands on the line, repeated keys and all."""


def _plain(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {key: _plain(inner) for key, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _canonical_text(text: str | None) -> str:
    try:
        return repr(json.loads(text or "null", parse_float=Decimal, parse_int=Decimal))
    except json.JSONDecodeError:
        return str(text)
