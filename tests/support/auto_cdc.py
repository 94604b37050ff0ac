"""What a set of changes comes to by the rules of `apply_changes`, in plain Python.

Every key is computed on its own: its changes are sorted by sequence and replayed one by one. This
is slow and needs no state, so it can be compared with what a pipeline makes of the same changes in
any batches and any order. The cases are in `tests/data/auto_cdc_cases.json`.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

Row = dict[str, Any]

START_AT, END_AT = "__START_AT", "__END_AT"
FILE = Path(__file__).parents[1] / "data" / "auto_cdc_cases.json"


def cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def wanted(case: Mapping[str, Any]) -> list[Row] | str:
    """The rows that a pipeline must have made at the end; a string names the reason to refuse."""
    rows: list[Row] | str = case.get("ours", case.get("expected", case.get("error")))
    return rows


def as_set(rows: Iterable[Row]) -> list[str]:
    """Rows in a form that does not depend on their order."""
    return sorted(json.dumps(row) for row in rows)


def parts(text: str) -> list[str]:
    """`a int, b struct<c: int, d: int>` -> its parts at the commas that are in no brackets."""
    found, depth = [""], 0
    for letter in text:
        depth += (letter in "<(") - (letter in ">)")
        if letter == "," and not depth:
            found.append("")
        else:
            found[-1] += letter
    return [part.strip() for part in found]


def columns_of(schema: str) -> dict[str, str]:
    """Types by name."""
    return dict(part.split(maxsplit=1) for part in parts(schema))


def fields_of(kind: str) -> dict[str, str] | None:
    """Types by name of a struct; None for every other type."""
    inside = re.fullmatch(r"struct<(.*)>", kind)
    if inside is None:
        return None
    named = (part.split(":", 1) for part in parts(inside[1]))
    return {name.strip(): of.strip() for name, of in named}


def filled(value: Any, before: Any, kind: str) -> Any:
    """A value in which nulls are those of an older value; arrays and maps are taken as a whole."""
    if value is None:
        return before
    fields = fields_of(kind)
    if fields is None:
        return value
    return {
        name: filled(value[name], before[name] if before else None, of)
        for name, of in fields.items()
    }


def ordered(value: Any, kind: str) -> tuple[Any, ...]:
    """A value as Spark sorts it: null is the lowest."""
    if value is None:
        return (0,)
    fields = fields_of(kind)
    if fields:
        return (1, *(ordered(value[name], of) for name, of in fields.items()))
    if kind.startswith("decimal"):
        return (1, Decimal(value))
    # Lists and maps only break ties between different upserts; no case needs their exact order.
    return (1, json.dumps(value) if isinstance(value, list | dict) else value)


@dataclass
class Version:
    """A row of a key, valid from the sequence `start` until the sequence `end`."""

    start: Any
    values: Row
    end: Any = None


@dataclass(frozen=True)
class Change:
    """A change of a key; `order` is its sequence in a form that can be compared."""

    sequence: Any
    order: tuple[Any, ...]
    is_upsert: bool
    values: Row


class Oracle:
    """Computes the table of a case from its changes."""

    def __init__(self, case: Mapping[str, Any]) -> None:
        self.case = case
        self.types = columns_of(case["schema"])

    def _named(self, names: Iterable[str] | None) -> list[str]:
        """These names as the schema spells them."""
        spelled = {name.lower(): name for name in self.types}
        return [spelled[name.lower()] for name in names or ()]

    @cached_property
    def keys(self) -> list[str]:
        return self._named(self.case["keys"])

    @cached_property
    def sequence(self) -> list[str]:
        by = self.case["sequence_by"]
        return self._named([by] if isinstance(by, str) else by)

    @cached_property
    def columns(self) -> list[str]:
        """The columns of a change that the table has."""
        listed, left_out = self.case["column_list"], self._named(self.case["except_column_list"])
        kept = self._named(listed) if listed else list(self.types)
        return [name for name in self.types if name in kept and name not in left_out]

    @cached_property
    def values(self) -> list[str]:
        return [name for name in self.columns if name not in self.keys]

    @cached_property
    def tracked(self) -> list[str]:
        listed = self.case["track_history_column_list"]
        left_out = self._named(self.case["track_history_except_column_list"])
        kept = self._named(listed) if listed else self.values
        return [name for name in self.values if name in kept and name not in left_out]

    @property
    def has_history(self) -> bool:
        return bool(self.case["stored_as_scd_type"] == 2)

    def table(self, batches: Iterable[Iterable[Row]] | None = None) -> list[Row]:
        """The rows after all changes; the batches do not matter.

        Args:
            batches: in place of those of the case.
        """
        by_key: dict[str, list[Change]] = {}
        truncates = []
        batches = self.case["batches"] if batches is None else batches
        with closing(sqlite3.connect(":memory:")) as database:
            for row in (row for batch in batches for row in batch):
                if self._is(database, "apply_as_truncates", row):
                    truncates.append(self._change(row, is_upsert=False))
                    continue
                key = json.dumps([row[name] for name in self.keys])
                is_upsert = not self._is(database, "apply_as_deletes", row)
                by_key.setdefault(key, []).append(self._change(row, is_upsert=is_upsert))
        return [
            self._row(json.loads(key), version)
            for key, changes in by_key.items()
            for version in self._versions([*changes, *truncates])
        ]

    # SQLite, because its conditions know null as those of Spark do, and it needs no JVM.
    def _is(self, database: sqlite3.Connection, condition: str, row: Row) -> bool:
        sql = self.case[condition]
        if sql is None:
            return False
        simple = {name: value for name, value in row.items() if not isinstance(value, list | dict)}
        names = ", ".join(f'? AS "{name}"' for name in simple)
        query = f"SELECT ({sql}) FROM (SELECT {names})"
        ((answer,),) = database.execute(query, tuple(simple.values()))
        return bool(answer)

    def place(self, sequence: Any) -> tuple[Any, ...]:
        """A sequence, as the table has it, in a form that can be compared."""
        found = sequence if self._is_struct else {self.sequence[0]: sequence}
        return tuple(ordered(found[name], self.types[name]) for name in self.sequence)

    @property
    def _is_struct(self) -> bool:
        return isinstance(self.case["sequence_by"], list)

    def _change(self, row: Row, *, is_upsert: bool) -> Change:
        found = {name: row[name] for name in self.sequence}
        sequence = found if self._is_struct else row[self.sequence[0]]
        return Change(
            sequence=sequence,
            order=self.place(sequence),
            is_upsert=is_upsert,
            values={name: row[name] for name in self.values},
        )

    def _versions(self, changes: Sequence[Change]) -> Iterator[Version]:
        """The versions of a key; without history only the one that is still valid.

        At one sequence a delete comes first, and of different upserts the greatest comes last.
        """
        versions: list[Version] = []
        latest: Row = {}
        is_open = False
        for _, group in groupby(sorted(changes, key=self._rank), key=lambda change: change.order):
            at_once = list(group)
            sequence = at_once[0].sequence
            upserts = [change for change in at_once if change.is_upsert]
            if len(upserts) < len(at_once):
                if is_open:
                    versions[-1].end = sequence
                is_open, latest = False, {}
            for change in upserts:
                latest = self._after(change.values, latest)
            if not upserts:
                continue
            if is_open and self._looks(latest) == self._looks(versions[-1].values):
                versions[-1].values = latest
                continue
            if is_open:
                versions[-1].end = sequence
            versions.append(Version(sequence, latest))
            is_open = True
        yield from versions if self.has_history else versions[-1:] if is_open else ()

    def _rank(self, change: Change) -> tuple[Any, ...]:
        values = tuple(ordered(change.values[name], self.types[name]) for name in self.values)
        return (change.order, change.is_upsert, values if change.is_upsert else ())

    def _after(self, values: Row, before: Row) -> Row:
        if not self.case["ignore_null_updates"]:
            return values
        return {
            name: filled(value, before.get(name), self.types[name])
            for name, value in values.items()
        }

    def _looks(self, values: Row) -> list[str]:
        """Values of tracked columns; as text, in which 1 is not true."""
        return [json.dumps(values[name], sort_keys=True) for name in self.tracked]

    def _row(self, key: list[Any], version: Version) -> Row:
        values = dict(zip(self.keys, key, strict=True)) | version.values
        found = {name: values[name] for name in self.columns}
        return found | ({START_AT: version.start, END_AT: version.end} if self.has_history else {})
