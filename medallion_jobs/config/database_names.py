"""Names that a database does not take, or that would be the same there, in data of any shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from medallion_jobs.config.sinks import (
    CONTROL,
    LONGEST_NAME,
    SYSTEM_COLUMNS,
    index_of,
    staging_of,
)

Loc = tuple[str | int, ...]


def problems(gold: Mapping[str, Any]) -> Iterator[tuple[Loc, str]]:
    """The mistakes in the names of gold tables with sinks, each with its place and a reason."""
    taken: dict[tuple[str, str, str], str] = {}
    for name, table in gold.items():
        targets = list(_targets(name, table)) if isinstance(table, Mapping) else []
        if targets:
            yield from _columns(name, table)
        for loc, database, target in targets:
            yield from _table(name, loc, database, target, taken)


def _targets(name: str, table: Mapping[str, Any]) -> Iterator[tuple[Loc, tuple[str, str], str]]:
    """The place of each sink, its URL and schema, and its table."""
    sinks = table.get("sinks")
    for number, sink in enumerate(sinks if isinstance(sinks, list | tuple) else ()):
        jdbc = sink.get("jdbc") if isinstance(sink, Mapping) else None
        if isinstance(jdbc, Mapping):
            database = (str(jdbc.get("url")), str(jdbc.get("schema", "public")))
            loc = ("gold", name, "sinks", number, "jdbc", "table")
            yield loc, database, str(jdbc.get("table") or name)


def _columns(name: str, table: Mapping[str, Any]) -> Iterator[tuple[Loc, str]]:
    for loc, column in _named(table):
        size = len(column.encode())
        if size > LONGEST_NAME:
            yield ("gold", name, *loc), f"{_too_long(size)}, which the table is loaded into"
        elif column in SYSTEM_COLUMNS:
            reason = "every table of PostgreSQL, which this one is loaded into, has such a column"
            yield ("gold", name, *loc), f"{reason}; give it another name"


def _named(table: Mapping[str, Any]) -> Iterator[tuple[Loc, str]]:
    """The columns of a gold table, each with its place in the config."""
    group_by, period = table.get("group_by"), table.get("period")
    for number, column in enumerate(group_by if isinstance(group_by, list | tuple) else ()):
        yield ("group_by", number), str(column)
    if isinstance(period, Mapping):
        column = str(period.get("name") or period.get("by"))
        is_session = period.get("by") == "session"
        loc = ("period", "name") if period.get("name") else ("period", "by")
        for end in ("_start", "_end") if is_session else ("",):
            yield loc, column + end
    for key in ("measures", "columns"):
        named = table.get(key)
        for column in named if isinstance(named, Mapping) else ():
            yield (key, column), str(column)


def _table(
    name: str,
    loc: Loc,
    database: tuple[str, str],
    target: str,
    taken: dict[tuple[str, str, str], str],
) -> Iterator[tuple[Loc, str]]:
    """The mistakes in the name of a table; adds the names that it takes to `taken`."""
    size = len(target.encode())
    if size > LONGEST_NAME:
        yield loc, f"{_too_long(size)}: give it a `table`"
        return
    # The table first: the others follow its name.
    ours = {
        target: f"gold.{name}",
        CONTROL: f"the record of loads, {CONTROL}",
        staging_of(target): f"the staging table of gold.{name}",
        index_of(target): f"the index of gold.{name}",
    }
    if target == CONTROL:
        yield loc, f"{CONTROL} is where loads are recorded; give it another `table`"
        return
    clashes = (other for other in ours if other != CONTROL and (*database, other) in taken)
    if clash := next(clashes, None):
        url, schema = database
        owner = taken[url, schema, clash]
        both = f"{ours[clash]} and {owner} would both be {clash} in the database"
        yield loc, f"{both}; give one of them another `table`"
    taken.update({(*database, other): owner for other, owner in ours.items()})


def _too_long(size: int) -> str:
    return f"the name has {size} bytes, more than the {LONGEST_NAME} of a name in PostgreSQL"
