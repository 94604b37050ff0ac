"""Reads files of cases and finds every mistake in them, without a JVM."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from pyspark.sql.types import DataType, StructType

from medallion_jobs.config import LAYERS, ConfigError, Origin, Pipeline, Problem, TableRef, load
from medallion_jobs.config.problems import nearest
from medallion_jobs.config.tree import Node
from medallion_jobs.lake.tables import ddl
from medallion_jobs.testing.cases import discovery, given_columns, isolated, scope, values
from medallion_jobs.testing.cases.model import Case, Expected, Given, Kind, Row, Step, Target

# The time of a step that names none.
DEFAULT_AT = datetime(2026, 1, 1, tzinfo=timezone.utc)
_OF_FILE = ("config", "cases")
_OF_STEP = ("at", "given", "expect", "error")
_OF_CASE = ("description", "set", *_OF_STEP, "then")
_OF_GIVEN = ("rows", "schema", "files")
_OF_EXPECTED = ("rows", "count", "all_columns")
_ASIDE: tuple[Kind, ...] = ("quarantine", "held")
# What rows that were set aside have beside the columns of their row.
ABOUT_ASIDE = ("rules", "reasons", "file", "line", "waits_for")


def read(
    files: Iterable[Path],
    *,
    env: str | None = None,
    overrides: Sequence[str] = (),
    wanted: Sequence[str] = (),
) -> list[Case]:
    """The cases of files, in their order.

    Args:
        env, overrides: as `load` takes them, for the configs of the files.
        wanted: names of cases, parts of names or patterns; without any, all.

    Raises:
        ConfigError: every mistake in the files, or those of a config that they name.
    """
    problems: list[Problem] = []
    found: list[Case] = []
    for file in files:
        try:
            found += _File(file, env, overrides, problems).cases(wanted)
        except ConfigError as error:
            if not problems and error.problems[0].origin.source != str(file):
                raise  # of a config, with its own next step
            problems += error.problems
    if problems:
        problems.sort(key=lambda problem: (problem.origin.source, problem.origin.line or 0))
        raise discovery.mistakes(problems)
    return found


@dataclass
class _File:
    """A file of cases while it is read; mistakes are added to `problems`."""

    path: Path
    env: str | None
    overrides: Sequence[str]
    problems: list[Problem]
    _configs: dict[tuple[str, ...], Pipeline] = field(default_factory=dict)

    def cases(self, wanted: Sequence[str]) -> Iterator[Case]:
        keys = self._keys(discovery.tree(self.path), "", _OF_FILE)
        config = keys.get("config")
        if config is None or not isinstance(config.value, str):
            where = config.origin if config else Origin(str(self.path), 1)
            self._add(where, "config", "names the pipeline's file, relative to this one")
            return
        cases = keys.get("cases")
        for name, node in self._mapping(cases, "cases").items():
            if discovery.is_wanted(name, wanted):
                case = self._case(config.value, name, node)
                if case:
                    yield case

    def _case(self, config_file: str, name: str, node: Node) -> Case | None:
        known, here = len(self.problems), f"cases.{name}"
        keys = self._keys(node, here, _OF_CASE)
        settings = tuple(self._texts(keys.get("set"), f"{here}.set"))
        if settings not in self._configs:
            self._configs[settings] = self._config(config_file, settings)
        config = self._configs[settings]
        steps = [_Step(self, config, here, DEFAULT_AT).read(keys)]
        for place, then in enumerate(self._list(keys.get("then"), f"{here}.then")):
            path = f"{here}.then[{place}]"
            reader = _Step(self, config, path, steps[-1].at)
            steps.append(reader.read(self._keys(then, path, _OF_STEP)))
        if len(self.problems) == known:
            self._inputs(config, steps, node.origin, here)
        if len(self.problems) > known:
            return None
        return Case(self.path, node.origin.line or 1, name, config, steps)

    def _config(self, name: str, settings: Sequence[str]) -> Pipeline:
        """The pipeline with the settings of a case; folders of its own need no value.

        Raises:
            ConfigError: it has mistakes.
        """
        file, own = self.path.parent / name, [*self.overrides, *settings]
        try:
            loaded = load(file, self.env, [*own, *isolated.NOWHERE], loads_sinks=False)
        except ConfigError:
            load(file, self.env, own, loads_sinks=False)  # its error has only the user's settings
            raise
        return isolated.config(loaded.pipeline)

    def _inputs(self, config: Pipeline, steps: Sequence[Step], at: Origin, here: str) -> None:
        found = scope.of(config, steps)
        for read, by in found.outside:
            self._add(at, f"{here}.given", f"{by} reads {read}: give its rows")
        for table in found.empty:
            if given_columns.of_bronze(config, table.name, ()) is None:
                what = f"nothing is given for {table}, whose columns are inferred: give it rows"
                self._add(at, f"{here}.given", what)

    def _add(
        self,
        at: Origin,
        path: str,
        what: str,
        value: object = None,
        known: Iterable[str] = (),
    ) -> None:
        known = list(known)
        meant = nearest(str(value), known) if known else None
        shown = None if value is None else str(value)
        self.problems.append(Problem(at, path, what, shown, ", ".join(known), meant))

    def _keys(self, node: Node, path: str, known: Sequence[str]) -> dict[str, Node]:
        found = self._mapping(node, path)
        for key, item in found.items():
            if key not in known:
                self._add(item.origin, f"{path}.{key}".strip("."), "unknown key", key, known)
        return found

    def _mapping(self, node: Node | None, path: str) -> dict[str, Node]:
        if node is None or node.value is None:
            return {}
        if not isinstance(node.value, dict):
            self._add(node.origin, path, "takes keys and values")
            return {}
        return node.value

    def _list(self, node: Node | None, path: str) -> list[Node]:
        if node is None or node.value is None:
            return []
        if not isinstance(node.value, list):
            self._add(node.origin, path, "takes a list")
            return []
        return node.value

    def _texts(self, node: Node | None, path: str) -> Iterator[str]:
        for item in self._list(node, path):
            if isinstance(item.value, str):
                yield item.value
            else:
                self._add(item.origin, path, "takes a list of texts DOTTED.PATH=VALUE")

    def rows(self, nodes: Iterable[Node], path: str) -> tuple[Row, ...]:
        return tuple(self._mapping(node, f"{path}[{at}]") for at, node in enumerate(nodes))


@dataclass
class _Step:
    """One step of a case while it is read."""

    file: _File
    config: Pipeline
    path: str
    before: datetime

    def read(self, keys: Mapping[str, Node]) -> Step:
        here = f"{self.path}.given"
        given = [
            self._given(name, node, f"{here}.{name}")
            for name, node in self.file._mapping(keys.get("given"), here).items()
        ]
        here = f"{self.path}.expect"
        expect = [
            self._expected(name, node, f"{here}.{name}")
            for name, node in self.file._mapping(keys.get("expect"), here).items()
        ]
        return Step(
            self._at(keys.get("at")),
            tuple(filter(None, given)),
            tuple(filter(None, expect)),
            self._text(keys.get("error"), "error"),
        )

    def _at(self, node: Node | None) -> datetime:
        if node is None:
            return self.before
        try:
            at = values.moment(str(node.value))
        except ValueError:
            what = "takes a time such as 2026-01-31T12:00:00Z"
            self.file._add(node.origin, f"{self.path}.at", what, node.value)
            return self.before
        return at.astimezone(timezone.utc) if at.tzinfo else at.replace(tzinfo=timezone.utc)

    def _text(self, node: Node | None, key: str) -> str:
        if node is None or isinstance(node.value, str):
            return str(node.value) if node else ""
        self.file._add(node.origin, f"{self.path}.{key}", "takes the code of an error")
        return ""

    def _table(self, name: str, node: Node, path: str, known: Sequence[str]) -> TableRef | None:
        if name in known:
            return TableRef.parse(name)
        self.file._add(node.origin, path, "no table of the pipeline", name, known)
        return None

    def _given(self, name: str, node: Node, path: str) -> Given | None:
        read = (
            t for table in self.config.silver.values() for t in (table.from_, *table.dimensions)
        )
        own = (TableRef(layer, n) for layer in LAYERS[:2] for n in getattr(self.config, layer))
        table = self._table(name, node, path, list(dict.fromkeys(map(str, (*own, *read)))))
        if table is None:
            return None
        keys = {"rows": node}
        if isinstance(node.value, dict):
            keys = self.file._keys(node, path, _OF_GIVEN)
        rows = self.file.rows(self.file._list(keys.get("rows"), path), path)
        if "files" in keys:
            return self._files(table, rows, keys["files"], path)
        columns = self._columns(table, rows, keys.get("schema"), node, path)
        if columns is not None:
            self._check_cells(rows, {f.name: f.dataType for f in columns}, path)
        return Given(table, rows, columns)

    def _columns(
        self, table: TableRef, rows: Sequence[Row], schema: Node | None, node: Node, path: str
    ) -> StructType | None:
        if schema is None:
            found = given_columns.of(self.config, table, rows)
            if found is not None and not found.names:
                what = "its columns are not known: give it `schema: …` beside `rows: []`"
                self.file._add(node.origin, path, what)
            return found
        found = ddl.columns(str(schema.value))
        if found is None:
            what = "takes columns as DDL, such as `id bigint, name string`"
            self.file._add(schema.origin, f"{path}.schema", what, schema.value)
            return StructType()
        return given_columns.declared(self.config, table, found)

    def _files(self, table: TableRef, rows: Sequence[Row], node: Node, path: str) -> Given | None:
        if rows or table.layer != "bronze" or table.name not in self.config.file_sources:
            what = "are for a bronze table that reads files, in the place of `rows`"
            self.file._add(node.origin, f"{path}.files", what)
            return None
        found = {}
        for name, content in self.file._mapping(node, f"{path}.files").items():
            held = self._content(content, f"{path}.files.{name}")
            if held is not None:
                found[name] = held
        return Given(table, (), None, found)

    def _content(self, node: Node, path: str) -> bytes | None:
        if isinstance(node.value, str):
            return node.value.encode()
        if isinstance(node.value, dict) and node.value.keys() == {"copy"}:
            copied = self.file.path.parent / str(node.value["copy"].value)
            if copied.is_file():
                return copied.read_bytes()
            self.file._add(node.origin, path, "there is no such file", str(copied))
            return None
        what = "takes the text of the file, or `copy: PATH`, relative to this file"
        self.file._add(node.origin, path, what)
        return None

    def _expected(self, name: str, node: Node, path: str) -> Expected | None:
        first, _, rest = name.partition(".")
        kind: Kind = next((kind for kind in _ASIDE if kind == first), "table")
        layers = {"table": LAYERS, "quarantine": LAYERS[:2], "held": LAYERS[1:2]}[kind]
        own = [f"{layer}.{n}" for layer in layers for n in getattr(self.config, layer)]
        table = self._table(rest if kind != "table" else name, node, path, own)
        if table is None:
            return None
        keys = {"rows": node}
        if isinstance(node.value, dict):
            keys = self.file._keys(node, path, _OF_EXPECTED)
        count = keys.get("count")
        if count is not None and type(count.value) is not int:
            self.file._add(count.origin, f"{path}.count", "takes a whole number", count.value)
        every = keys.get("all_columns")
        if every is not None and not isinstance(every.value, bool):
            self.file._add(every.origin, f"{path}.all_columns", "takes true or false")
        rows = None
        if "rows" in keys or count is None:
            rows = self.file.rows(self.file._list(keys.get("rows"), path), path)
            if kind == "table":
                self._check_cells(rows, given_columns.known(self.config, table), path)
        return Expected(
            Target(table, kind),
            rows,
            count.value if count is not None and isinstance(count.value, int) else None,
            bool(every and every.value),
            node.origin,
        )

    def _check_cells(
        self, rows: Sequence[Row], kinds: Mapping[str, DataType | None] | None, path: str
    ) -> None:
        """Each cell has a column, and a value that the column can have; None: nothing is known."""
        if kinds is None:
            return
        for at, row in enumerate(rows):
            for name, node in row.items():
                here = f"{path}[{at}].{name}"
                if name not in kinds:
                    self.file._add(node.origin, here, "no such column", name, kinds)
                    continue
                kind = kinds[name]
                try:
                    if kind is not None:
                        values.typed(node, kind)
                except values.NotOfTypeError as error:
                    self.file._add(error.node.origin, here, str(error), _shown(error.node))


def _shown(node: Node) -> str:
    return json.dumps(unwrapped(node), ensure_ascii=False)


def unwrapped(node: Node) -> object:
    """A node as plain data."""
    if isinstance(node.value, dict):
        return {key: unwrapped(item) for key, item in node.value.items()}
    if isinstance(node.value, list):
        return [unwrapped(item) for item in node.value]
    return node.value
