"""How a gold table is computed from rows of its source. Starts no Spark job, does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from medallion_jobs.aggregate import measures, periods
from medallion_jobs.config import GoldTable, Period
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.sql import col, over_row
from medallion_jobs.lake.tables.sql_text import normalised

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType


@dataclass(frozen=True)
class Aggregation:
    """Computes a gold table's rows from its source's: placed, aggregated, finished."""

    table: GoldTable

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that identify a row of gold; of a session, its start."""
        period = self.table.period
        return (*self._group_by, *(period.columns[:1] if period else ()))

    @property
    def anchors(self) -> tuple[str, ...]:
        """The keys that each row of the source has: all but a session's start."""
        return self._group_by if self._sessions else self.keys

    @property
    def folders(self) -> tuple[str, ...]:
        """The columns of `group_by` that the table is partitioned by."""
        partitions = self.table.layout.partition_by or ()
        return tuple(name for name in self._group_by if name in partitions)

    @property
    def values(self) -> tuple[str, ...]:
        """The columns of `aggregated` besides the keys: the session's end, and measures."""
        end = self._sessions.columns[1:] if self._sessions else ()
        return (*end, *self.table.measures)

    @property
    def columns_in_order(self) -> tuple[str, ...]:
        """The table's columns in order: keys, the session's end, measures, computed columns."""
        return (*self.keys, *self.values, *self.table.columns)

    def of(self, rows: DataFrame, *, streaming: bool = False) -> DataFrame:
        """The table's rows.

        Args:
            streaming: whether the rows are those of a stream, in complete mode.
        """
        return self.finished(self.aggregated(self.placed(rows), streaming=streaming))

    def placed(self, rows: DataFrame) -> DataFrame:
        """The rows that pass `where`, with their period added; for sessions, their moment.

        Raises:
            UsageError: the source has a column of the period's name, or the period's
                expression is not a timestamp (or a date).
        """
        if self.table.where:
            rows = rows.where(over_row(rows, self.table.where))
        for name in self.folders:
            if isinstance(rows.schema[name].dataType, StringType):
                # Delta cannot store an empty partition value: it would be read back as null.
                rows = rows.withColumn(name, F.nullif(col(name), F.lit("")))
        period = self.table.period
        if period is None:
            return rows
        if self._sessions:
            return rows.withColumn(periods.MOMENT, periods.moment(rows, period))
        (name,) = period.columns
        if name.casefold() in {column.casefold() for column in rows.columns}:
            raise UsageError(
                f"{self.table.from_} has a column `{name}` already",
                code="gold_column_exists",
                untouched="nothing was written",
                next_step="give the period another `name`",
            )
        return rows.withColumn(name, periods.start(rows, period, self.table.time_zone))

    def aggregated(self, placed: DataFrame, *, streaming: bool = False) -> DataFrame:
        """One row for each group: keys, the session's end, measures.

        Args:
            placed: the result of `placed`: all rows of each of its groups.
            streaming: as for `of`.
        """
        # Spark's count(DISTINCT) copies each row and would compute sessions in the copies again.
        by_sets = streaming or self._sessions is not None
        values = [
            measures.aggregate(placed, measure, by_sets=by_sets).alias(name)
            for name, measure in self.table.measures.items()
        ]
        if self._sessions is None:
            return placed.groupBy(*map(col, self.keys)).agg(*values)
        no_moment = col(periods.MOMENT).isNull().alias(periods.NO_MOMENT)
        session = periods.session(self._sessions)
        groups = placed.groupBy(*map(col, self._group_by), no_moment, session).agg(*values)
        found = F.when(~col(periods.NO_MOMENT), col(periods.SESSION))
        bounds = [
            found[side].alias(name)
            for side, name in zip(("start", "end"), self._sessions.columns, strict=True)
        ]
        return groups.select(*map(col, self._group_by), *bounds, *map(col, self.table.measures))

    def finished(self, groups: DataFrame, *carried: str) -> DataFrame:
        """The table's rows: the groups with their computed columns, in order.

        Args:
            carried: hidden columns of `groups` to keep.
        """
        for name in self.table.columns:
            groups = self.computed(groups, name)
        return groups.select(*map(col, (*self.columns_in_order, *carried)))

    def computed(self, groups: DataFrame, name: str) -> DataFrame:
        """The groups with one of the computed columns, which may use those before it."""
        return groups.withColumn(name, over_row(groups, self.table.columns[name]))

    def additive(self, schema: StructType) -> Mapping[str, measures.Combined]:
        """The measures that inserted rows update exactly, each with its function (old, new).

        Either side may be null, for a group that only one of them has.

        Args:
            schema: the schema of `aggregated`.
        """
        found = {
            name: measures.combined(measure, schema[name].dataType)
            for name, measure in self.table.measures.items()
        }
        return {name: combine for name, combine in found.items() if combine}

    @property
    def logic(self) -> dict[str, str]:
        """The options that a checkpoint's state depends on, as text by name.

        If one changes, the query cannot continue from its checkpoint. The computed columns are
        no part of the state.
        """
        table, period = self.table, self.table.period
        logic = {"mode": table.mode, "group_by": ", ".join(self._group_by)}
        if table.where:
            logic["where"] = normalised(table.where)
        if period:
            gap = f", gap {period.gap}" if period.gap else ""
            names = ", ".join(period.columns)
            logic["period"] = f"{period.by} of {normalised(period.of)}{gap} as {names}"
            if period.gap is None:
                logic["time_zone"] = table.time_zone
        logic |= {
            f"measures.{name}": measures.described(measure)
            for name, measure in table.measures.items()
        }
        return logic

    @property
    def _group_by(self) -> tuple[str, ...]:
        return self.table.group_by or ()

    @property
    def _sessions(self) -> Period | None:
        period = self.table.period
        return period if period and period.by == "session" else None
