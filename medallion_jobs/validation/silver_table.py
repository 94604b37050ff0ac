"""Checks one silver table: every step, lookup, rule and name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructType

from medallion_jobs.config import Lookup, Pipeline, SilverTable, TableRef
from medallion_jobs.lake import tables
from medallion_jobs.lake.hidden_columns import is_hidden
from medallion_jobs.lake.tables import layout as layouts
from medallion_jobs.lake.tables import schema as schemas
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine.expectations import broken_rules, rules
from medallion_jobs.refine.lookup import Dimension, join_all, member
from medallion_jobs.refine.transform.recipe import Recipe
from medallion_jobs.refine.transform.step import Step
from medallion_jobs.validation.findings import Findings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from medallion_jobs.config import Expectation

# After these, the columns of the rows are not known.
_SHAPING = ("envelope", "parse", "explode", "flatten", "transform")


@dataclass(frozen=True)
class SilverCheck:
    """Checks a silver table of a config.

    Attributes:
        table_of: the rows of another table; None if it does not exist.
    """

    config: Pipeline
    findings: Findings
    ref: TableRef
    table_of: Callable[[TableRef], DataFrame | None]

    def schema(self, source: DataFrame | None, missing: Collection[TableRef]) -> StructType | None:
        """The columns of the table; None if they cannot be known.

        Args:
            source: the table that it reads, without rows; None if its columns are not known.
            missing: dimensions that do not exist, which is reported already.
        """
        rows = None if source is None else self._after(self._recipe.shape_steps, source)
        if rows is None:
            self._parse(where=self._table.where if source is None else None)
            return None
        found = len(self.findings.problems)
        rows = self._after(self._recipe.cast_steps, self._recipe.kept(rows))
        assert rows is not None  # a cast keeps the columns
        rows, dimensions = self._looked_up(rows, missing)
        rows = self._after(self._recipe.column_steps, rows)
        assert rows is not None
        self._check_rules(rows)
        for path, sql in self._recipe.kinds_of_change():
            self.findings.condition(f"{self.ref}.{path}", sql, rows)
        return self._finished(rows, dimensions, found)

    @property
    def _table(self) -> SilverTable:
        return self.config.silver[self.ref.name]

    @cached_property
    def _recipe(self) -> Recipe:
        return Recipe(self._table, self.config.python_packages)

    @cached_property
    def _types(self) -> Mapping[str, DataType]:
        """The types of declared columns, by name."""
        declared = self._table.schema_
        with self.findings.at(f"{self.ref}.schema", declared or ""):
            return {f.name: f.dataType for f in schemas.parse_ddl(declared)} if declared else {}
        return {}

    def _parse(self, where: str | None) -> None:
        """Checks that all SQL is SQL, where the columns are not known.

        Args:
            where: None if it is checked already.
        """
        table = self._table
        checks = {f"expect.{name}.check": rule.check for name, rule in table.expect.items()}
        columns = {f"columns.{name}": sql for name, sql in table.columns.items()}
        for key, sql in {"where": where, **columns, **checks}.items():
            if sql:
                self.findings.parse(f"{self.ref}.{key}", sql)

    def _after(self, steps: Sequence[Step], rows: DataFrame) -> DataFrame | None:
        """The rows after every step; None if a step failed that decides which columns there are."""
        failed = False
        for step in steps:
            if step.key == "cast" and failed:
                continue  # it gathers what the casts could not read
            if not self._applies(step, rows):
                failed = True
                kind, _, name = step.key.partition("[")[0].partition(".")
                if kind in _SHAPING:
                    return None
                if kind == "rename":
                    rows = self._with_unknown(rows, step.text)
                elif kind == "columns" or (kind == "cast" and name in rows.columns):
                    rows = self._with_unknown(rows, name)
            else:
                rows = step.apply(rows)
        return rows

    def _applies(self, step: Step, rows: DataFrame) -> bool:
        """Whether a step can be applied; if not, adds a problem."""
        here = f"{self.ref}.{step.key}"
        if step.key == "where":
            return self.findings.condition(here, step.text, rows)
        with self.findings.at(here, step.text, rows) as attempt:
            if step.key.startswith("cast."):
                self.findings.parser.parseDataType(step.text)
            step.apply(rows)
        return not attempt.failed

    def _with_unknown(self, rows: DataFrame, *names: str) -> DataFrame:
        """The rows with columns that could not be computed."""
        nulls = {n: F.lit(None).cast(self._types[n]) for n in names if n in self._types}
        return rows.withColumns({n: nulls.get(n, F.lit(None)) for n in names}) if names else rows

    def _looked_up(
        self, rows: DataFrame, missing: Collection[TableRef]
    ) -> tuple[DataFrame, list[Dimension]]:
        joined, dimensions, failed = rows, list[Dimension](), list[Lookup]()
        for place, lookup in enumerate(self._table.lookups):
            here, value = f"{self.ref}.lookups.{place}", ", ".join(lookup.on.values())
            with self.findings.at(here, value, joined) as attempt:
                frame = self.table_of(lookup.table)
                found = (
                    Dimension.placeholder(rows.sparkSession, lookup, joined, self._types)
                    if frame is None
                    else Dimension.of(lookup, frame)
                )
                joined = join_all(rows, [*dimensions, found])
                dimensions.append(found)
            if attempt.failed or lookup.table in missing:
                failed.append(lookup)
        taken = [name for lookup in failed for name in lookup.take]
        return self._with_unknown(joined, *taken), dimensions

    def _check_rules(self, rows: DataFrame) -> None:
        for name, rule in self._table.expect.items():
            here = f"{self.ref}.expect.{name}"
            if rule.check:
                self.findings.condition(f"{here}.check", rule.check, rows)
                continue
            named = getattr(rule, rule.kind)
            if rule.references is None and not self.findings.all_there(
                f"{here}.{rule.kind}", named, rows, owner="the row"
            ):
                continue
            for column, pattern in (rule.matches or {}).items():
                self.findings.pattern(f"{here}.matches.{column}", pattern)
            with self.findings.at(here, rules.described(rule), rows):
                self._check_rule(rows, name, rule)

    def _check_rule(self, rows: DataFrame, name: str, rule: Expectation) -> None:
        references = {}
        if rule.references:
            keys = self.table_of(rule.references.table)
            if keys is None:
                return
            references = {name: keys.select(*map(col, rule.references.on))}
        now = datetime.now(timezone.utc)
        broken_rules.judged(rows, {name: rule}, moment=now, references=references, existing=None)

    def _finished(
        self, rows: DataFrame, dimensions: Sequence[Dimension], found: int
    ) -> StructType | None:
        """The columns of the table, once those of its rows are known.

        Args:
            found: the number of problems before those of this table.
        """
        table, recipe = self._table, self._recipe
        if table.schema_ and not self._types:
            return None  # it cannot be parsed
        missing = [
            name for name, needed in table.selected.items() if needed and name not in rows.columns
        ]
        with self.findings.at(f"{self.ref}.select", ", ".join(table.select or ())):
            finished = recipe.finished(rows, dimensions)
            missing = [name for name in missing if name not in finished.columns]
            for name in missing:
                known = [name for name in finished.columns if not is_hidden(name)]
                self.findings.missing(f"{self.ref}.select", name, known, owner="the row")
            rows = self._with_unknown(finished, *missing)
        own = self._own_columns(rows)
        if own is None:
            return None
        for path, columns in recipe.columns_named(own):
            with self.findings.at(f"{self.ref}.{path}", ", ".join(columns)):
                recipe.check_named(columns, own)
        with self.findings.at(f"{self.ref}", ""):
            if len(self.findings.problems) > found:
                return own  # it would be the same mistakes again
            written = recipe.written(rows)
            if table.unknown_member:
                key = f"{self.ref}.unknown_member"
                with self.findings.at(key, ", ".join(table.unknown_member)):
                    member(table, written)
            return written
        return own

    def _own_columns(self, rows: DataFrame) -> StructType | None:
        table, key = self._table, f"{self.ref}.{'schema' if self._table.schema_ else 'select'}"
        if table.schema_:
            own = schemas.parse_ddl(table.schema_)
            for name, what in schemas.differences(rows.schema, own).items():
                if name in rows.columns:
                    self.findings.add(key, None, what)
                else:
                    self.findings.missing(key, name, rows.columns, owner="the row")
        with self.findings.at(key, ", ".join(table.select or ())):
            own = own if table.schema_ else self._recipe.columns(rows)
            layouts.refuse_names(str(self.ref), own)
            if table.changes_rows and self.ref.name in self.config.changes_read:
                tables.refuse_unmergeable(str(self.ref), own.names)
            return own
        return None
