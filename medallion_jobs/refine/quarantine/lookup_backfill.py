"""Backfills lookups that found no match, in the target table itself.

A written row does not record that its lookup missed. It is recognised by its values: the
lookup's columns are null, or those of the unknown member, and the columns computed from them
have the values that follow from that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.errors import AnalysisException
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from medallion_jobs.config import Lookup, TableRef
from medallion_jobs.engine.failures import root_cause
from medallion_jobs.errors import UsageError, rebuild_command
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables import Txn
from medallion_jobs.lake.tables.sql import col, column
from medallion_jobs.lake.values.type_walk import INCOMPARABLE, has
from medallion_jobs.refine import lookup
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.lookup import Dimension
from medallion_jobs.refine.transform.step import Step, applied

if TYPE_CHECKING:
    from delta.tables import DeltaMergeBuilder
    from pyspark.sql import Column, DataFrame, SparkSession

# Prefix of the hidden columns that hold the row as it is in the table.
_WAS = "was"


@dataclass(frozen=True)
class LookupBackfill:
    """Backfills the misses of one lookup of a table.

    Attributes:
        place: the index of the lookup in the table's list.
    """

    refinery: Refinery
    place: int
    spark: SparkSession

    @property
    def lookup(self) -> Lookup:
        return self.refinery.table.lookups[self.place]

    def count(self) -> int:
        """How many rows of the table can be backfilled now."""
        return self._backfilled().count()

    def write(self, app_id: str, run_id: str) -> int:
        """Backfills the rows in one commit.

        Returns:
            How many rows were changed.
        """
        snapshot = tables.snapshot(self.refinery.path)
        assert snapshot is not None  # it was read
        txn = Txn(app_id, snapshot.txn(app_id) + 1, run_id)
        comparable = [f.name for f in self._table.schema if not has(f.dataType, INCOMPARABLE)]
        backfilled = self._backfilled().dropDuplicates([_was(name) for name in comparable])
        backfilled = backfilled.persist(StorageLevel.MEMORY_AND_DISK)
        try:
            if backfilled.isEmpty():
                return 0
            on = " AND ".join(
                f"{tables.TARGET}.{column(name)} <=> {tables.SOURCE}.{column(_was(name))}"
                for name in comparable
            )
            return tables.merge(backfilled, self.refinery.path, txn, on, self._update).updated
        finally:
            backfilled.unpersist()

    def _update(self, builder: DeltaMergeBuilder) -> DeltaMergeBuilder:
        values: dict[str, str | Column] = {
            column(name): f"{tables.SOURCE}.{column(name)}" for name in self._affected
        }
        return builder.whenMatchedUpdate(set=values)

    @cached_property
    def _table(self) -> DataFrame:
        return self.spark.read.format("delta").load(str(self.refinery.path))

    @cached_property
    def _dependent(self) -> list[Step]:
        """The computed columns that use the lookup's columns, directly or through each other."""
        names = set(self.lookup.take)
        steps = []
        for step in self.refinery.recipe.column_steps:
            if names & set(re.findall(r"\w+", step.text)):
                steps.append(step)
                names.add(step.key.removeprefix("columns."))
        return steps

    @property
    def _affected(self) -> list[str]:
        """The table's columns whose values depend on the lookup."""
        names = [*self.lookup.take, *(s.key.removeprefix("columns.") for s in self._dependent)]
        keys = set(self.lookup.on.values())
        return [n for n in dict.fromkeys(names) if n in self._table.columns and n not in keys]

    def _backfilled(self) -> DataFrame:
        """The rows that missed and have a match now, with their new values."""
        kept = {_was(name): col(name) for name in self._table.columns}
        is_member = lookup.is_member(self._table, self.refinery.table)
        rows = self._table.where(~is_member).withColumns(kept)
        dimension = self.refinery.dimension(self.spark, self.lookup)
        taken = [name for name in self.lookup.take if name not in self.lookup.on.values()]
        bare = rows.drop(*taken)
        try:
            found = lookup.join_all(bare, [dimension])
            as_missed = self._as_missed(bare, found.schema, taken, dimension)
            missed = applied(as_missed, self._dependent)
            same = [col(n).eqNullSafe(col(_was(n))) for n in self._affected]
            # The second join adds the hidden and the looked-up columns again.
            candidates = missed.where(_all(same)).select(
                *[col(_was(n)).alias(n) for n in bare.columns if not n.startswith(_was(""))],
                *[col(_was(n)) for n in self._table.columns],
            )
            joined = lookup.join_all(candidates, [dimension])
            filled = applied(joined.where(~col("miss 0")), self._dependent)
            changed = [~col(n).eqNullSafe(col(_was(n))) for n in self._affected]
            return filled.where(~_all([~is_changed for is_changed in changed])).select(
                *[col(n) for n in self._affected],
                *[col(_was(n)) for n in self._table.columns],
            )
        except AnalysisException as error:
            raise UsageError(
                f"{self.refinery.ref} cannot be backfilled from its own rows: {root_cause(error)}",
                code="backfill_not_possible",
                untouched="nothing was written",
                next_step="select what the lookup's keys and the computed columns need, or rebuild "
                f"it: `{rebuild_command(self.refinery.ref)} --yes`; "
                "with `on_miss: hold` rows wait and need no backfill",
            ) from error

    def _as_missed(
        self,
        bare: DataFrame,
        found: StructType,
        taken: Sequence[str],
        dimension: Dimension,
    ) -> DataFrame:
        """The rows with nulls, or with the unknown member, in the lookup's columns."""
        missed = {
            name: dimension.unknown.get(self.lookup.take[name], F.lit(None)).cast(
                found[name].dataType
            )
            for name in taken
        }
        return bare.withColumns(missed) if missed else bare


def lookups_of(refinery: Refinery, dimension: TableRef) -> list[int]:
    """The indexes of a table's lookups into a dimension that let rows without a match pass."""
    return [
        place
        for place, config in enumerate(refinery.table.lookups)
        if config.table == dimension and _lets_misses_pass(config)
    ]


def _was(name: str) -> str:
    """The hidden column with the value that a column has in the table."""
    return f"{_WAS} {name}"


def _lets_misses_pass(config: Lookup) -> bool:
    if lookup.uses_unknown_member(config):
        return True
    return "null" in (config.on_miss, config.after_hold) and config.how == "left"


def _all(conditions: Sequence[Column]) -> Column:
    return reduce(lambda left, right: left & right, conditions, F.lit(True))
