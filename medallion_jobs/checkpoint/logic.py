"""What a query computes, as text by name; how two of these differ; which rows are of an older one.

A part may be a mapping or a list, as Python writes it. Differences are then named by their keys,
such as `columns.total`. The order of keys, letter case and white space of SQL are no difference.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from medallion_jobs.lake.tables import sql_text
from medallion_jobs.masking import masked

Kind = Literal["state", "rows", "settings"]

# The parts that are SQL or DDL. A column may have the name of any key, so each path is whole.
_SQL = re.compile(
    r"where|schema|schema_hints|deletes\.when|snapshot\.dump|envelope\.schema"
    r"|apply_changes\.apply_as_(deletes|truncates)|(columns|measures|layout\.checks)\.\w+"
    r"|cast\.\w+\.to|parse\.\w+\.schema|expect\.\w+\.(check|references\.on\.\w+)"
    r"|lookups\[[^]]*\]\.(as_of|one_by|(on|take)\.\w+)"
)
# These parts decide about batches to come, and not which values a row has.
_ABOUT_BATCHES = re.compile(
    r"on_all_aside|on_source_change|schema_evolution|topics|isolation|apply_changes\.tombstone_retention"
    r"|snapshot\.(max_missing|on_refused)|lookups\[[^]]*\]\.(max_age|when_stale|hold_for)"
    r"|expect\.\w+\.at_most"
)
_WORD = re.compile(r"\w+")
_MOST_CHANGES = 100


class Logic(BaseModel):
    """What a query computes, and how, as text by name.

    Attributes:
        state: the parts that the checkpoint's state depends on. Spark compares only types, so
            with another grouping column, or `max` instead of `sum`, it would continue and write
            wrong tables; the start checks refuse.
        free: the parts that may change from one batch to the next; rows keep what they were
            computed by.
        settings: parts that leave rows as they are, such as a layout; None if unknown.
        names_all: whether `free` has a part also where the config has none. A part that an older
            manifest lacks is then unknown, and no difference.
    """

    model_config = ConfigDict(frozen=True)

    state: Mapping[str, str] = {}
    free: Mapping[str, str] = {}
    settings: Mapping[str, str] | None = None
    names_all: bool = False


@dataclass(frozen=True)
class Change:
    """A part of the logic that differs.

    Attributes:
        part: its name, such as `columns.total`.
        old, new: its text; empty if there is none.
        kind: `state` if the query cannot continue, `rows` if older rows would have other values
            or another outcome, `settings` if it makes no difference to them.
    """

    part: str
    old: str
    new: str
    kind: Kind

    def __str__(self) -> str:
        if not self.old:
            return f"{self.part}: {self.new!r} is new"
        return f"{self.part}: {self.old!r} " + (
            f"became {self.new!r}" if self.new else "was removed"
        )


class LogicChange(BaseModel):
    """A change of the logic between two batches of a generation.

    Attributes:
        at: when the query started with it.
        batch: the first batch with the new logic.
        parts: the parts that changed, each with its old and its new text.
    """

    model_config = ConfigDict(frozen=True)

    at: datetime
    batch: int
    parts: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Stale:
    """Rows that were computed by an older logic than the current one.

    Attributes:
        part: the part that they have another text of.
        old, new: the text that they were computed by, and the current one.
        since, before: they are of the batches from `since` up to and without `before`.
    """

    part: str
    old: str
    new: str
    since: int
    before: int


def as_texts(values: Mapping[str, object]) -> dict[str, str]:
    """Settings as text, without their defaults and without secrets.

    Args:
        values: parts of the config, by name: models, mappings or single values.
    """
    plain = {
        name: value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        if isinstance(value, BaseModel)
        else value
        for name, value in values.items()
    }
    return {name: masked(str(value)) for name, value in plain.items() if value not in ({}, None)}


def changes(old: Logic, new: Logic) -> list[Change]:
    """The parts that differ, those of the state first."""
    found = [Change(*one, "state") for one in _changed(old.state, new.state)]
    compared = old.free.keys() & new.free.keys() if new.names_all else {*old.free, *new.free}
    before, after = (
        {part: text for part, text in logic.free.items() if part in compared}
        for logic in (old, new)
    )
    warnings = _warnings(before, after)
    for part, was, now in _changed(before, after):
        no_row = _ABOUT_BATCHES.fullmatch(part) or ".".join(part.split(".")[:2]) in warnings
        found.append(Change(part, was, now, "settings" if no_row else "rows"))
    if old.settings is not None and new.settings is not None:
        found += [Change(*one, "settings") for one in _changed(old.settings, new.settings)]
    return found


def recorded(
    history: Sequence[LogicChange], found: Iterable[Change], batch: int, at: datetime
) -> tuple[LogicChange, ...]:
    """The history with changes that hold from a batch on.

    Args:
        batch: the first one with the new logic; before batch 0 there are no rows.
    """
    parts = {change.part: (change.old, change.new) for change in found if change.kind == "rows"}
    kept = list(history)
    if batch == 0:
        return ()
    if kept and kept[-1].batch == batch:
        # No batch was written between the two.
        last = kept.pop().parts
        parts = {
            **last,
            **{part: (last.get(part, (old, new))[0], new) for part, (old, new) in parts.items()},
        }
    parts = {part: texts for part, texts in parts.items() if not _is_same(part, *texts)}
    if parts:
        kept.append(LogicChange(at=at, batch=batch, parts=parts))
    while len(kept) > _MOST_CHANGES:
        kept[:2] = [_merged(*kept[:2])]
    return tuple(kept)


def stale(history: Sequence[LogicChange]) -> list[Stale]:
    """Which rows were computed by an older logic than that of the last change."""
    found: dict[str, Stale] = {}
    now = {part: new for change in history for part, (_, new) in change.parts.items()}
    since = dict.fromkeys(now, 0)
    for change in history:
        for part, (old, _) in change.parts.items():
            if not _is_same(part, old, now[part]):
                first = found[part].since if part in found else since[part]
                found[part] = Stale(part, old, now[part], first, change.batch)
            since[part] = change.batch
    return list(found.values())


def _merged(first: LogicChange, second: LogicChange) -> LogicChange:
    """Two changes as one, by which no row looks newer than it is."""
    parts = {**first.parts, **second.parts}
    for part in first.parts.keys() & second.parts.keys():
        (oldest, between), (_, new) = first.parts[part], second.parts[part]
        parts[part] = (between if _is_same(part, oldest, new) else oldest, new)
    return LogicChange(at=second.at, batch=second.batch, parts=parts)


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for part in sorted({*old, *new}):
        yield from _differences(part, _value(old.get(part)), _value(new.get(part)), is_top=True)


def _differences(
    part: str, old: Any, new: Any, *, is_top: bool = False
) -> Iterator[tuple[str, str, str]]:
    old, new = _by_name(old), _by_name(new)
    if isinstance(old, dict) and (new is None and is_top):
        new = {}
    if isinstance(new, dict) and (old is None and is_top):
        old = {}
    if not isinstance(old, dict) or not isinstance(new, dict):
        if not _is_same(part, _text(old), _text(new)):
            yield part, _text(old), _text(new)
        return
    for name in [*new, *(name for name in old if name not in new)]:
        yield from _differences(_below(part, name), old.get(name), new.get(name))
    was, now = ([name for name in one if name in old and name in new] for one in (old, new))
    if was != now and _order_matters(part, new):
        yield f"{part} (order)", ", ".join(was), ", ".join(now)


def _value(text: str | None) -> Any:
    """A part as the value that it was made of."""
    if text is None or not text.startswith(("{", "[")):
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _by_name(value: Any) -> Any:
    """A list of mappings by what they are about; anything else as it is."""
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
        return value
    found: dict[str, Any] = {}
    for place, one in enumerate(value):
        name = f"[{one.get('table', one.get('name', place))}]"
        found[name if name not in found else f"[{place}]"] = one
    return found


def _below(part: str, name: object) -> str:
    return f"{part}{name}" if str(name).startswith("[") else f"{part}.{name}"


def _order_matters(part: str, now: Mapping[str, Any]) -> bool:
    """Whether an entry may read another one: a column that is computed before it, a lookup."""
    if part == "lookups":
        return True
    names = {str(name).casefold() for name in now}
    return part == "columns" and any(
        names & {word.casefold() for word in _WORD.findall(str(sql))} for sql in now.values()
    )


def _warnings(*logics: Mapping[str, str]) -> set[str]:
    """The rules, as `expect.x`, that warn and do nothing else, before and after."""
    rules = [_value(logic.get("expect")) or {} for logic in logics]
    names = {name for one in rules if isinstance(one, dict) for name in one}
    return {
        f"expect.{name}"
        for name in names
        if all(one[name].get("otherwise", "warn") == "warn" for one in rules if name in one)
    }


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ", ".join(
            f"{key}: {{{_text(inner)}}}" if isinstance(inner, dict) else f"{key}: {_text(inner)}"
            for key, inner in value.items()
        )
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)


def _is_same(part: str, old: str, new: str) -> bool:
    return sql_text.is_same(old, new) if _SQL.fullmatch(part) else old == new
