"""Checks one gold table: its filter, groups, period, measures and columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from medallion_jobs.aggregate import Aggregation
from medallion_jobs.config import GoldTable, Measure, Pipeline, TableRef
from medallion_jobs.lake.tables import layout as layouts
from medallion_jobs.lake.tables.sql import over_row
from medallion_jobs.sinks import postgres
from medallion_jobs.validation.findings import Findings, reads_unknown

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class GoldCheck:
    """Checks a gold table of a config."""

    config: Pipeline
    findings: Findings
    ref: TableRef

    def schema(self, source: DataFrame | None) -> StructType | None:
        """The columns of the table; None if there is a mistake, or if they cannot be known.

        Args:
            source: the table that it reads, without rows; None if its columns are not known.
        """
        if source is None:
            self._parse()
            return None
        found = len(self.findings.problems)
        table, rows = self._checked_groups(source)
        groups = self._checked_measures(table, rows)
        aggregation = Aggregation(table)
        for name, sql in table.columns.items():
            with self.findings.at(f"{self.ref}.columns.{name}", sql, groups) as attempt:
                groups = aggregation.computed(groups, name)
            if attempt.failed:
                groups = self._with_unknown(groups, name)
        if len(self.findings.problems) > found or reads_unknown(" ".join(groups.columns), groups):
            return None
        schema = aggregation.finished(groups).schema
        with self.findings.at(f"{self.ref}.measures", ", ".join(table.measures)):
            layouts.refuse_names(str(self.ref), schema)
        with self.findings.at(f"{self.ref}.sinks", ""):
            postgres.Loader(self.config, self.ref).check_columns(schema)
        return schema

    @property
    def _table(self) -> GoldTable:
        return self.config.gold[self.ref.name]

    def _parse(self) -> None:
        """Checks that all SQL is SQL, where the columns are not known."""
        table = self._table
        columns = {f"columns.{name}": sql for name, sql in table.columns.items()}
        measures = {
            f"measures.{name}": measure.of
            for name, measure in table.measures.items()
            if measure.of.strip() != "*"
        }
        period = {"period.of": table.period.of} if table.period else {}
        for key, sql in {"where": table.where, **period, **measures, **columns}.items():
            if sql:
                self.findings.parse(f"{self.ref}.{key}", sql)

    def _with_unknown(self, rows: DataFrame, *names: str) -> DataFrame:
        return rows.withColumns({name: F.lit(None) for name in names}) if names else rows

    def _checked_groups(self, rows: DataFrame) -> tuple[GoldTable, DataFrame]:
        """The table without what is wrong in `where`, `group_by` and `period`, and its rows."""
        table, columns = self._table, rows.columns
        known = {name.casefold() for name in columns}
        groups = tuple(name for name in table.group_by or () if name.casefold() in known)
        if table.where:
            is_right = self.findings.condition(f"{self.ref}.where", table.where, rows)
            if not is_right:
                table = table.model_copy(update={"where": None})
        named = table.group_by or ()
        self.findings.all_there(f"{self.ref}.group_by", named, rows, owner=str(table.from_))
        table = table.model_copy(update={"group_by": groups})
        if groups:
            with self.findings.at(f"{self.ref}.group_by", ", ".join(groups), rows):
                rows.groupBy(*groups).count()
        if table.period:
            with self.findings.at(f"{self.ref}.period.of", table.period.of, rows) as attempt:
                Aggregation(table.model_copy(update={"where": None})).placed(rows)
            with self.findings.at(f"{self.ref}.time_zone", table.time_zone):
                # Java knows fewer time zones than Python, which checked the config.
                now = F.from_utc_timestamp(F.current_timestamp(), table.time_zone)
                rows.sparkSession.sql("SELECT 1").select(now).collect()
            if attempt.failed:
                rows = self._with_unknown(rows, *table.period.columns)
                table = table.model_copy(update={"period": None})
        return table, Aggregation(table).placed(rows)

    def _checked_measures(self, table: GoldTable, placed: DataFrame) -> DataFrame:
        """The groups; with columns without values for measures that are wrong."""
        good: dict[str, Measure] = {}
        for name, measure in table.measures.items():
            if self._is_right(table, name, measure, placed):
                good[name] = measure
        wrong = [name for name in table.measures if name not in good]
        if not good:
            keys = [name for name in (*(table.group_by or ()), *wrong) if name in placed.columns]
            return self._with_unknown(placed.select(*keys).distinct(), *wrong)
        right = table.model_copy(update={"measures": good})
        return self._with_unknown(Aggregation(right).aggregated(placed), *wrong)

    def _is_right(self, table: GoldTable, name: str, measure: Measure, placed: DataFrame) -> bool:
        """Whether a measure can be computed; if not, adds problems for each of its keys."""
        here, wheres, orders = f"{self.ref}.measures.{name}", measure.where, measure.by or ()
        is_right = wheres is None or self.findings.condition(f"{here}.where", wheres, placed)
        is_right &= self.findings.all_there(f"{here}.by", orders, placed, owner=str(table.from_))
        with self.findings.at(here, measure.of, placed) as attempt:
            if is_right:
                single = table.model_copy(update={"measures": {name: measure}})
                Aggregation(single).aggregated(placed, streaming=table.mode == "complete")
            elif measure.of.strip() != "*":
                placed.select(over_row(placed, measure.of))
        return is_right and not attempt.failed
