"""What a gold table is made of, as functions of rows: no action, nothing read or written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from medallion_jobs.aggregate import measures, periods
from medallion_jobs.aggregate.text import normalised
from medallion_jobs.config import GoldTable, Period
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.sql import col, over_row

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType


@dataclass(frozen=True)
class Aggregation:
    """A gold table's rows, as they come of its source's: placed, aggregated, finished."""

    table: GoldTable

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that tell two rows of gold apart; of a session, that is its start."""
        period = self.table.period
        return (*self._group_by, *(period.columns[:1] if period else ()))

    @property
    def anchors(self) -> tuple[str, ...]:
        """The keys that a row of the source has by itself: all but a session's start."""
        return self._group_by if self._sessions else self.keys

    @property
    def folders(self) -> tuple[str, ...]:
        """The columns of `group_by` by which the table is partitioned."""
        partitions = self.table.layout.partition_by or ()
        return tuple(name for name in self._group_by if name in partitions)

    @property
    def values(self) -> tuple[str, ...]:
        """What `aggregated` gives beside the keys: the session's end, and measures."""
        end = self._sessions.columns[1:] if self._sessions else ()
        return (*end, *self.table.measures)

    @property
    def columns_in_order(self) -> tuple[str, ...]:
        """The table's columns: keys, the session's end, measures, columns."""
        return (*self.keys, *self.values, *self.table.columns)

    def of(self, rows: DataFrame, *, streaming: bool = False) -> DataFrame:
        """The table's rows; for a stream's rows, in complete mode, say so."""
        return self.finished(self.aggregated(self.placed(rows), streaming=streaming))

    def placed(self, rows: DataFrame) -> DataFrame:
        """The rows that count, with all their columns and their period, or their moment.

        Raises:
            UsageError: the period's column is one of the source's, or its moment is none.
        """
        if self.table.where:
            rows = rows.where(over_row(rows, self.table.where))
        for name in self.folders:
            if isinstance(rows.schema[name].dataType, StringType):
                # Delta keeps no empty text in a folder's name: it would come back as null.
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
                untouched="nothing was written",
                next_step="give the period a `name` of its own",
            )
        return rows.withColumn(name, periods.start(rows, period, self.table.time_zone))

    def aggregated(self, placed: DataFrame, *, streaming: bool = False) -> DataFrame:
        """One row a group: keys, the session's end, measures.

        Args:
            placed: what `placed` gave; more rows of it than those of a group give other values.
        """
        # Spark counts different values by copies of each row, and tells sessions anew in these.
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
        """The table's rows: the groups with the columns computed from them, in order.

        Args:
            carried: hidden columns of `groups` that the rows are to keep.
        """
        for name in self.table.columns:
            groups = self.computed(groups, name)
        return groups.select(*map(col, (*self.columns_in_order, *carried)))

    def computed(self, groups: DataFrame, name: str) -> DataFrame:
        """The groups with one of `columns`, which may look at those before it."""
        return groups.withColumn(name, over_row(groups, self.table.columns[name]))

    def additive(self, schema: StructType) -> Mapping[str, measures.Combined]:
        """The measures that go on exactly by those of inserted rows alone: (old, new) to both.

        Each takes nulls on either side, for a group that one of them does not have.

        Args:
            schema: of `aggregated`.
        """
        found = {
            name: measures.combined(measure, schema[name].dataType)
            for name, measure in self.table.measures.items()
        }
        return {name: together for name, together in found.items() if together}

    @property
    def said(self) -> dict[str, str]:
        """What a checkpoint's state is made of, by name; other text, and it cannot go on.

        The columns computed from groups are no part of it.
        """
        table, period = self.table, self.table.period
        said = {"mode": table.mode, "group_by": ", ".join(self._group_by)}
        if table.where:
            said["where"] = normalised(table.where)
        if period:
            gap = f", gap {period.gap}" if period.gap else ""
            named = ", ".join(period.columns)
            said["period"] = f"{period.by} of {normalised(period.of)}{gap} as {named}"
            if period.gap is None:
                said["time_zone"] = table.time_zone
        said |= {
            f"measures.{name}": measures.said(measure) for name, measure in table.measures.items()
        }
        return said

    @property
    def _group_by(self) -> tuple[str, ...]:
        return self.table.group_by or ()

    @property
    def _sessions(self) -> Period | None:
        period = self.table.period
        return period if period and period.by == "session" else None
