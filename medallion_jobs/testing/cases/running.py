"""Runs a case in a folder of its own, by the code that `medallion run` runs."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from medallion_jobs import clock
from medallion_jobs.config import KafkaSource, Origin, Pipeline, TableRef
from medallion_jobs.config.tree import node_of
from medallion_jobs.errors import MedallionError
from medallion_jobs.lake import tables
from medallion_jobs.lake.columns import INPUT_FILE
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.paths import releases as path_of_releases
from medallion_jobs.report import quarantine
from medallion_jobs.storage.delta import open_delta
from medallion_jobs.testing.cases import given_columns, isolated, scope
from medallion_jobs.testing.cases.compare import Difference, differences
from medallion_jobs.testing.cases.files import ABOUT_ASIDE, unwrapped
from medallion_jobs.testing.cases.model import Case, Expected, Found, Given, Row, Step, Target
from medallion_jobs.testing.cases.values import typed
from medallion_jobs.testing.lake import LakeHarness

# Files of later steps are younger, and all are older than `min_age`.
_OLDEST_SECONDS = 1_000_000.0
_STEP_SECONDS = 1_000.0
_TEXTS = ArrayType(StringType())
_OF_LINES = StructType().add("line", "string").add("reasons", _TEXTS).add("file", "string")


@dataclass(frozen=True)
class Came:
    """What a step left in a place where rows are expected."""

    step: int
    expected: Expected
    found: Found


@dataclass
class Result:
    """What became of a case.

    Attributes:
        differences: from what it expects.
        came: the rows in each place of which it expects something.
        error: what the run ended with, if the case does not expect that.
        ended_well: the error that is expected and did not come.
    """

    case: Case
    differences: list[Difference] = field(default_factory=list)
    came: list[Came] = field(default_factory=list)
    error: MedallionError | None = None
    missing_error: str = ""
    seconds: float = 0.0

    @property
    def is_ok(self) -> bool:
        """Whether everything is as the case expects it."""
        return not (self.differences or self.error or self.missing_error)


def run(case: Case) -> Result:
    """Runs a case; an error of its run is a part of the result."""
    began = time.monotonic()
    result = Result(case)
    with tempfile.TemporaryDirectory(prefix="medallion-case-") as folder:
        runner = _Run(case, isolated.placed(case.config, Path(folder)), result)
        runner.run()
    result.seconds = time.monotonic() - began
    return result


@dataclass
class _Run:
    case: Case
    config: Pipeline
    result: Result

    def run(self) -> None:
        self.lake = LakeHarness(self.config)
        self.scope = scope.of(self.config, self.case.steps)
        for name in self.config.file_sources:
            (Path(self.config.landing.root) / name).mkdir(parents=True, exist_ok=True)
        for table in self.scope.empty:
            columns = given_columns.of_bronze(self.config, table.name, ())
            self._write(Given(table, (), columns), self.case.steps[0].at)
        for number, step in enumerate(self.case.steps):
            with clock.fixed_at(step.at):
                if not self._step(number, step):
                    return
        # A new case expects nothing yet: `--update` writes what came.
        if self.case.expects_nothing:
            self._look_everywhere(len(self.case.steps) - 1)

    def _step(self, number: int, step: Step) -> bool:
        """Does a step; returns whether the next one can follow."""
        for given in step.given:
            if given.is_landed:
                self._land(given, number)
            else:
                self._write(given, step.at)
        try:
            if self.scope.run:
                self.lake.run(*map(str, self.scope.run))
        except MedallionError as error:
            if error.code != step.error:
                self.result.error = error
                return False
        else:
            self.result.missing_error = step.error
        for expected in step.expect:
            found = self._found(expected.target)
            self.result.came.append(Came(number, expected, found))
            self.result.differences += differences(self.config, expected, found)
        return not self.result.missing_error

    def _land(self, given: Given, number: int) -> None:
        age = _OLDEST_SECONDS - number * _STEP_SECONDS
        for place, (name, content) in enumerate(given.files.items()):
            self.lake.drop(given.table.name, name, content, age=age - place)
        if given.rows:
            lines = [
                json.dumps({k: unwrapped(node) for k, node in row.items()}) for row in given.rows
            ]
            self.lake.drop(given.table.name, f"case-{number}.json", *lines, age=age)

    def _write(self, given: Given, at: datetime) -> None:
        columns = given.columns or StructType()
        defaults = _defaults(self.config, given.table, at)
        rows = [
            {**_made(defaults, place), **_typed_row(row, columns)}
            for place, row in enumerate(given.rows)
        ]
        nullable = StructType([StructField(f.name, f.dataType) for f in columns])
        schema = to_arrow_schema(nullable, timezone="UTC")
        table = pa.Table.from_pylist(rows, schema=schema)
        path = TablePaths(self.config, given.table).data
        write_deltalake(str(path), table, mode="append")

    def _found(self, target: Target) -> Found:
        if target.kind == "table":
            snapshot = tables.snapshot(TablePaths(self.config, target.table).data)
            if snapshot is None:
                return [], StructType()
            return self.lake.rows(str(target.table)), StructType.fromJson(snapshot.schema)
        if target.table.layer == "bronze":
            lines = self.lake.quarantined(str(target.table))
            rows = [
                {
                    "line": row.get("line"),
                    "reasons": [row["reason"]],
                    "file": _name(row.get("file")),
                }
                for row in lines
            ]
            return rows, _OF_LINES
        return self._aside(target)

    def _aside(self, target: Target) -> Found:
        """Rows of silver that were set aside: their own columns, and why they are there."""
        name = str(target.table)
        if target.kind == "quarantine":
            wanted = quarantine.Wanted()
            still = set(quarantine.ids(self.config, target.table, wanted))
            parked = [row for row in self.lake.quarantined(name) if row["id"] in still]
        else:
            left = _released(self.config, target.table)
            parked = [row for row in self.lake.held(name) if row["id"] not in left]
        columns: dict[str, StructField] = {}
        rows: list[dict[str, Any]] = []
        for row in parked:
            shape = StructType.fromJson(json.loads(row["shape"]))
            columns |= {column.name: column for column in shape}
            own = node_of(json.loads(row["row"]), Origin("row"))
            about = {key: row[key] for key in ABOUT_ASIDE if key in row}
            rows.append({**typed(own, shape), **about, "file": _name(row.get("file"))})
        places = TablePaths(self.config, target.table)
        path = places.quarantine if target.kind == "quarantine" else places.held
        snapshot = tables.snapshot(path)
        kept = StructType.fromJson(snapshot.schema) if snapshot else StructType()
        return rows, StructType([*columns.values(), *(f for f in kept if f.name in ABOUT_ASIDE)])

    def _look_everywhere(self, step: int) -> None:
        for table in self.scope.run:
            targets = [Target(table)] if table.layer != "bronze" else []
            if table.layer != "gold":
                targets.append(Target(table, "quarantine"))
            if table.layer == "silver":
                targets.append(Target(table, "held"))
            for target in targets:
                found = self._found(target)
                if found[0] or target.kind == "table":
                    empty = Expected(target, (), None, False, Origin(str(self.case.file)))
                    self.result.came.append(Came(step, empty, found))


def _name(file: str | None) -> str | None:
    """A file's name: its folder is another one each time."""
    return file.rpartition("/")[2] if file else file


def _typed_row(row: Row, columns: StructType) -> dict[str, Any]:
    kinds = {field.name: field.dataType for field in columns}
    return {name: typed(node, kinds[name]) for name, node in row.items()}


def _defaults(config: Pipeline, table: TableRef, at: datetime) -> dict[str, Any]:
    """The technical columns of a row of bronze that the case does not name."""
    if table.layer != "bronze" or table.name not in config.bronze:
        return {}
    source = config.bronze[table.name].source
    found: dict[str, Any] = {source.load_time_column: at}
    if isinstance(source, KafkaSource):
        return {**found, "topic": "case", "partition": 0, "timestamp": at, "offset": None}
    return {**found, INPUT_FILE: "case"}


def _made(defaults: Mapping[str, Any], place: int) -> dict[str, Any]:
    return {**defaults, "offset": place} if "offset" in defaults else dict(defaults)


def _released(config: Pipeline, table: TableRef) -> set[str]:
    """The ids of held rows that went on."""
    places = TablePaths(config, table)
    path, target = path_of_releases(places.held), tables.snapshot(places.data)
    if tables.snapshot(path) is None:
        return set()
    return {
        row["id"]
        for row in open_delta(path).to_pyarrow_table().to_pylist()
        if not row["app_id"] or (target and row["number"] <= target.txn(row["app_id"]))
    }
