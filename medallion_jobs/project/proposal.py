"""A pipeline for the files of a sample, as YAML with comments that say why."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medallion_jobs.project.kinds import (
    Array,
    Dated,
    Kind,
    Struct,
    is_namable,
    named,
    quoted,
)
from medallion_jobs.project.tables import Files, identifier

_WIDTH = 96
_MOST_GROUPS, _MEASURES, _DEPTH = 20, 3, 3
_KEY = re.compile(
    r"(.*_|[a-z]+(?=nummer))?(id|key|uuid|guid|number|nummer|no|nr|code)", re.IGNORECASE
)
_NO_MEASURE = re.compile(
    r"(.*_)?(id|key|number|no|nr|code|zip|year|month|day|lat|latitude|lon|lng|longitude|version|phone)",
    re.IGNORECASE,
)
_MONEY = re.compile(r"amount|total|price|revenue|sales|quantity|qty|count", re.IGNORECASE)
_LATER = re.compile(r"updat|modif|birth|load|ingest|expir|valid", re.IGNORECASE)
_OF_TIME = re.compile(r"_?(at|time|timestamp|ts|datetime)$")
_PLAIN_YAML = re.compile(r"[A-Za-z_./][\w./\-]*")
_NUMBERS = ("int", "bigint", "float", "double", "decimal")
_RESERVED = {"null", "true", "false", "yes", "no", "on", "off"}


@dataclass
class Column:
    """A column of silver.

    Attributes:
        name: in silver.
        sql: of what it is made in bronze; equal to the name if it only goes on.
        kind: what it holds.
        values: its values in the sample; None if they were not collected.
    """

    name: str
    sql: str
    kind: Kind
    values: Sequence[Any] | None = None

    @property
    def type(self) -> str:
        """Its type in silver."""
        if isinstance(self.kind, Dated):
            return self.kind.to if len(self.kind.patterns) == 1 else "string"
        return self.kind.ddl

    @property
    def is_number(self) -> bool:
        return self.type.startswith(_NUMBERS)

    @property
    def distinct(self) -> int | None:
        """The number of its values; None if that is not known."""
        return None if self.values is None else len({v for v in self.values if v is not None})

    @property
    def is_unique(self) -> bool:
        values = self.values or ()
        return bool(values) and None not in values and self.distinct == len(values)


@dataclass
class Table:
    """The proposal for the files of one table."""

    files: Files
    columns: list[Column] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.files.name


def pipeline(name: str, tables: Iterable[Files], project: Path) -> str:
    """The text of a config for these files.

    Args:
        project: the project's folder; files below it are named relative to it.
    """
    proposals = [_table(files) for files in tables]
    lines = [f"pipeline: {name}", "", "bronze:"]
    for table in proposals:
        lines += _indented(_bronze(table, project))
    lines += ["", "silver:"]
    for table in proposals:
        lines += _indented(_silver(table))
    golds = [line for table in proposals for line in _indented(_gold(table))]
    lines += ["", "gold:", *golds] if golds else []
    return "\n".join(lines) + "\n"


def _table(files: Files) -> Table:
    table = Table(files)
    rows = [row for one in files.samples for row in one.rows]
    taken: set[str] = set()
    for name in files.fields:
        if not is_namable(name) and "rename_columns" not in _renames(files):
            table.left_out.append(name)
    for name, kind in named(_renamed(files)):
        source = next((old for old, new in _renames_of(files).items() if new == name), name)
        values = [row.get(source) for row in rows]
        _add(table, (name,), kind, values, taken)
    return table


def _renames_of(files: Files) -> dict[str, str]:
    """New names by those in the headers of csv, where these cannot be names of columns."""
    names = list(files.fields)
    if files.samples[0].format != "csv" or all(map(is_namable, names)):
        return {}
    renames: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        new, count = identifier(name) or f"column_{number}", 1
        while new in renames.values():
            count += 1
            new = f"{identifier(name)}_{count}"
        renames[name] = new
    return renames


def _renames(files: Files) -> dict[str, object]:
    changed = {old: new for old, new in _renames_of(files).items() if old != new}
    return {"rename_columns": changed} if changed else {}


def _renamed(files: Files) -> dict[str, Kind | None]:
    renames = _renames_of(files)
    return {renames.get(name, name): kind for name, kind in files.fields.items()}


def _add(
    table: Table, path: tuple[str, ...], kind: Kind, values: Sequence[Any] | None, taken: set[str]
) -> None:
    if isinstance(kind, Struct) and len(path) <= _DEPTH and kind.fields:
        for name, inner in named(kind.fields):
            below = [row.get(name) if isinstance(row, dict) else None for row in values or ()]
            _add(table, (*path, name), inner, below, taken)
        return
    name = identifier("_".join(path)) or "column"
    name = path[0] if len(path) == 1 and re.fullmatch(r"[A-Za-z_]\w*", path[0], re.ASCII) else name
    while name.lower() in taken:
        name += "_2"
    taken.add(name.lower())
    sql = ".".join(map(quoted, path))
    is_nested = isinstance(kind, Array | Struct) or kind.ddl.startswith(("array", "map", "struct"))
    if isinstance(kind, Array):
        table.lists.append(name)
    table.columns.append(Column(name, sql, kind, None if is_nested else values))


def _bronze(table: Table, project: Path) -> Iterator[str]:
    files = table.files
    form = files.samples[0].format
    rows = sum(len(one.rows) for one in files.samples)
    count = "1 file" if files.count == 1 else f"{files.count:,} files"
    yield f"# {count}, such as {files.samples[0].file.name}; {rows:,} rows were looked at."
    yield f"{table.name}:"
    yield "  source:"
    yield f"    format: {form}"
    folder = files.folder
    below = folder.relative_to(project) if folder.is_relative_to(project) else folder
    yield f"    path: {_text(str(below))}"
    if files.pattern:
        yield f"    path_glob_filter: {json.dumps(files.pattern, ensure_ascii=False)}"
    if not files.recursive:
        yield "    recursive: false"
    options = {**files.options, **_renames(files)}
    if options:
        yield "    options:"
        for key, value in options.items():
            if isinstance(value, dict):
                yield f"      {key}:"
                yield from (f"        {_text(old)}: {_text(new)}" for old, new in value.items())
            else:
                yield f"      {key}: {_value(value)}"
    columns = named(_renamed(files))
    if table.left_out:
        names = ", ".join(map(repr, table.left_out))
        yield f"    # No table can have columns of these names; they are in _rescued_data: {names}."
    if columns:
        yield "    # As in the sample. What does not fit a type is kept in _rescued_data."
        yield "    schema: >-"
        yield from _folded(f"{quoted(name)} {kind.ddl}" for name, kind in columns)
        yield "    # A new column of the files becomes one of the table."
        yield "    schema_evolution: add_new_columns"


def _silver(table: Table) -> Iterator[str]:
    yield f"{table.name}:"
    yield f"  from: bronze.{table.name}"
    if not table.columns:
        yield "  # The columns are those of the files: name those that you want in `select`."
        return
    casts = {c.name: c for c in table.columns if isinstance(c.kind, Dated)}
    computed = [c for c in table.columns if c.sql != c.name]
    known = {name: c for name, c in casts.items() if c.type != "string"}
    direct = {name: c for name, c in known.items() if c.sql == c.name}
    unclear = [name for name in casts if name not in known]
    if unclear:
        yield "  # Day or month first? The sample does not show it, so these stay text:"
        yield f"  # {', '.join(unclear)}."
    if direct:
        yield "  cast:"
        for name, column in direct.items():
            assert isinstance(column.kind, Dated)
            (pattern,) = column.kind.patterns
            read = f"to: {column.type}, formats: [{json.dumps(pattern)}], rescue: true"
            yield f"    {name}: {{{read}}}"
    days = _days(table)
    if computed or days:
        yield "  columns:"
        for column in computed:
            yield f"    {column.name}: {_value(_with_cast(column, known))}"
        for day, of in days.items():
            yield f"    {day}: to_date({of})"
    if table.lists:
        yield f"  # `explode: {{item: {table.lists[0]}}}` makes a row of each element of the list."
    key = _key(table)
    if key:
        yield "  expect:"
        yield f"    has_{key.name}: {{not_null: {key.name}, otherwise: quarantine}}"
        yield f"  # No two rows of the sample have the same {key.name}. If so, the first counts."
        yield f"  dedupe: {{keys: {key.name}}}"
    yield "  select:"
    yield from _folded([*(c.name for c in table.columns), *days], indent="    ", brackets=True)


def _with_cast(column: Column, known: Mapping[str, Column]) -> str:
    if column.name not in known:
        return column.sql
    assert isinstance(column.kind, Dated)
    (pattern,) = column.kind.patterns
    moment = f"try_to_timestamp({column.sql}, '{pattern.replace(chr(39), chr(39) * 2)}')"
    return f"to_date({moment})" if column.type == "date" else moment


def _days(table: Table) -> dict[str, str]:
    """A column with the day of the time by which gold groups."""
    when = _when(table)
    if when is None or not when.type.startswith("timestamp"):
        return {}
    name = (_OF_TIME.sub("", when.name) or "event") + "_date"
    return {name + ("_2" if name in {c.name for c in table.columns} else ""): when.name}


def _when(table: Table) -> Column | None:
    times = [c for c in table.columns if c.type == "date" or c.type.startswith("timestamp")]
    return min(times, key=lambda c: bool(_LATER.search(c.name)), default=None)


def _key(table: Table) -> Column | None:
    """The column that looks like the key of a row."""
    unique = [
        c
        for c in table.columns
        if c.is_unique and c.type in ("string", "int", "bigint") and len(c.values or ()) > 1
    ]
    return next((c for c in unique if _KEY.fullmatch(identifier(c.name))), None)


def _gold(table: Table) -> Iterator[str]:
    when = _when(table)
    day = next(iter(_days(table)), when.name if when else None)
    groups = [
        c
        for c in table.columns
        if c.type in ("string", "boolean")
        and c.distinct is not None
        and 1 < c.distinct <= min(_MOST_GROUPS, len(c.values or ()) // 2)
    ]
    group = min(groups, key=lambda c: c.sql.count("."), default=None)
    by = [name for name in (day, group.name if group else None) if name]
    if not by:
        return
    measures = sorted(
        (
            c
            for c in table.columns
            if c.is_number and not _is_numbered(c) and not _NO_MEASURE.fullmatch(identifier(c.name))
        ),
        key=lambda c: not _MONEY.search(c.name),
    )[:_MEASURES]
    yield f"# {'By day' if day else 'By a column of few values'}" + (
        f" and {group.name}, which has {group.distinct} values in the sample."
        if day and group
        else "."
    )
    yield f"{table.name}_by_{'day' if day else by[0]}:"
    yield f"  from: silver.{table.name}"
    yield f"  group_by: [{', '.join(by)}]"
    yield "  measures:"
    taken = {*by}
    name = "row_count" + ("_2" if "row_count" in taken else "")
    yield f"    {name}: count(*)"
    for column in measures:
        prefix = "" if column.name.startswith(("total_", "sum_")) else "total_"
        total = prefix + column.name
        yield f"    {total + ('_sum' if total in taken else '')}: sum({column.name})"
    yield "  mode: complete"


def _is_numbered(column: Column) -> bool:
    """Whether the numbers of a column say which row it is, so that nobody adds them up."""
    return column.is_unique and column.type in ("int", "bigint")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return _text(value) if isinstance(value, str) else str(value)


def _text(text: str) -> str:
    if _PLAIN_YAML.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    return json.dumps(text, ensure_ascii=False)


def _folded(words: Iterable[str], indent: str = "      ", *, brackets: bool = False) -> list[str]:
    text = ", ".join(words)
    text = f"[{text}]" if brackets else text
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
