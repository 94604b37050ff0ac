"""What changes of rows come to, by definition: SCD type 1 and 2, one key at a time.

Written from the meaning of AUTO CDC, without Spark, and as plainly as possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Value = Any


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        kind: `upsert`, `delete` or `truncate`; a truncate has no key.
        values: the columns besides the key.
        without: the columns that the change does not give, whose values are kept.
    """

    key: int | None
    at: int
    kind: str = "upsert"
    values: Mapping[str, Value] = field(default_factory=dict)
    without: frozenset[str] = frozenset()

    def __hash__(self) -> int:
        return hash((self.key, self.at, self.kind, tuple(sorted(self.values)), self.without))


def _nulls_first(value: Value) -> tuple[bool, Value]:
    return (value is not None, value if value is not None else 0)


def in_order(changes: Iterable[Change], columns: Sequence[str]) -> list[Change]:
    """By sequence; a delete before an upsert; the greater values last."""

    def place(change: Change) -> tuple[Any, ...]:
        values = tuple(_nulls_first(change.values.get(name)) for name in columns)
        given = sorted(set(columns) - change.without) if change.without else None
        text = ",".join(given) if given is not None else None
        return (change.at, change.kind == "upsert", values, _nulls_first(text))

    return sorted(changes, key=place)


def states(changes: Iterable[Change], columns: Sequence[str]) -> list[tuple[int, dict | None]]:
    """The row of one key after each of its changes, with the sequence; None: there is none."""
    row: dict[str, Value] | None = None
    found: list[tuple[int, dict | None]] = []
    for change in in_order(changes, columns):
        if change.kind != "upsert":
            row = None
        else:
            before = row or dict.fromkeys(columns)
            row = {
                name: before[name] if name in change.without else change.values.get(name)
                for name in columns
            }
        if found and found[-1][0] == change.at:
            # What was true for no time is not a state; but after a delete the row is a new one.
            found.pop()
        found.append((change.at, row))
    return found


def by_key(changes: Iterable[Change]) -> dict[int, list[Change]]:
    changes = list(changes)
    truncates = [change for change in changes if change.kind == "truncate"]
    keys = {change.key for change in changes if change.kind != "truncate"}
    return {key: [c for c in changes if c.key == key] + truncates for key in keys}  # type: ignore[misc]


def current(changes: Iterable[Change], columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows of an SCD type 1 table: the key, then the columns."""
    rows = []
    for key, history in by_key(changes).items():
        *_, (_, row) = states(history, columns)
        if row is not None:
            rows.append((key, *row.values()))
    return rows


def versions(
    changes: Iterable[Change], columns: Sequence[str], tracked: Sequence[str]
) -> list[tuple[Any, ...]]:
    """The rows of an SCD type 2 table: the key, the columns, the start, the end."""
    rows: list[tuple[Any, ...]] = []
    for key, history in by_key(changes).items():
        deletes = {change.at for change in history if change.kind != "upsert"}
        open_row: list[Any] | None = None
        for at, row in states(history, columns):
            if open_row is not None:
                goes_on = (
                    row is not None
                    and at not in deletes
                    and all(row[name] == open_row[0][name] for name in tracked)
                )
                if goes_on:
                    open_row[0] = row
                    continue
                rows.append((key, *open_row[0].values(), open_row[1], at))
                open_row = None
            if row is not None:
                open_row = [row, at]
        if open_row is not None:
            rows.append((key, *open_row[0].values(), open_row[1], None))
    return rows
