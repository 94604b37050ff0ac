"""Rows that were written before a dimension had their key, put right in the table itself.

Nothing of such a row says that it missed. It is told by looking the way a miss leaves it: with
the lookup's columns null, or those of the unknown member, and with what is computed from them
as it is computed from these.
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
from pyspark.sql.types import DataType, MapType, StructType

from medallion_jobs.config import Lookup, TableRef
from medallion_jobs.engine.failures import root_cause
from medallion_jobs.errors import UsageError
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables import Txn
from medallion_jobs.lake.tables.sql import col, column
from medallion_jobs.refine import lookup
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.lookup import Dimension
from medallion_jobs.refine.transform.step import Step, applied

if TYPE_CHECKING:
    from delta.tables import DeltaMergeBuilder
    from pyspark.sql import Column, DataFrame, SparkSession

# Hidden columns: the row as it stands in the table, and what a mended column is to be.
_WAS = "was"


@dataclass(frozen=True)
class LookupBackfill:
    """Puts right what one lookup of a table has missed.

    Attributes:
        place: of the lookup in the table's list.
    """

    refinery: Refinery
    place: int
    spark: SparkSession

    @property
    def lookup(self) -> Lookup:
        return self.refinery.table.lookups[self.place]

    def count(self) -> int:
        """How many rows of the table can be put right now."""
        return self._mended().count()

    def write(self, app_id: str, run_id: str) -> int:
        """Puts them right, in one commit.

        Returns:
            Rows that were changed.
        """
        there = tables.snapshot(self.refinery.path)
        assert there is not None  # it was read
        txn = Txn(app_id, there.txn(app_id) + 1, run_id)
        told_apart = [f.name for f in self._table.schema if not _has_map(f.dataType)]
        mended = self._mended().dropDuplicates([_was(name) for name in told_apart])
        mended = mended.persist(StorageLevel.MEMORY_AND_DISK)
        try:
            if mended.isEmpty():
                return 0
            on = " AND ".join(
                f"{tables.TARGET}.{column(name)} <=> {tables.SOURCE}.{column(_was(name))}"
                for name in told_apart
            )
            return tables.merge(mended, self.refinery.path, txn, on, self._update).updated
        finally:
            mended.unpersist()

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
        """The computed columns that name what is taken, or one of themselves."""
        names = set(self.lookup.take)
        steps = []
        for step in self.refinery.recipe.column_steps:
            if names & set(re.findall(r"\w+", step.said)):
                steps.append(step)
                names.add(step.key.removeprefix("columns."))
        return steps

    @property
    def _affected(self) -> list[str]:
        """The table's columns that a miss leaves other than they should be."""
        names = [*self.lookup.take, *(s.key.removeprefix("columns.") for s in self._dependent)]
        keys = set(self.lookup.on.values())
        return [n for n in dict.fromkeys(names) if n in self._table.columns and n not in keys]

    def _mended(self) -> DataFrame:
        """Rows that look as a miss leaves them and have a match now, as they should be."""
        kept = {_was(name): col(name) for name in self._table.columns}
        stays = lookup.is_member(self._table, self.refinery.table)
        rows = self._table.where(~stays).withColumns(kept)
        dimension = self.refinery.dimension(self.spark, self.lookup)
        taken = [name for name in self.lookup.take if name not in self.lookup.on.values()]
        bare = rows.drop(*taken)
        try:
            found = lookup.join_all(bare, [dimension])
            as_missed = self._as_missed(bare, found.schema, taken, dimension)
            missed = applied(as_missed, self._dependent)
            same = [col(n).eqNullSafe(col(_was(n))) for n in self._affected]
            # The marks and taken columns come anew with the join.
            candidates = missed.where(_all(same)).select(
                *[col(_was(n)).alias(n) for n in bare.columns if not n.startswith(_was(""))],
                *[col(_was(n)) for n in self._table.columns],
            )
            joined = lookup.join_all(candidates, [dimension])
            right = applied(joined.where(~col("miss 0")), self._dependent)
            changed = [~col(n).eqNullSafe(col(_was(n))) for n in self._affected]
            return right.where(~_all([~one for one in changed])).select(
                *[col(n) for n in self._affected],
                *[col(_was(n)) for n in self._table.columns],
            )
        except AnalysisException as error:
            raise UsageError(
                f"{self.refinery.ref} cannot be mended from its own rows: {root_cause(error)}",
                untouched="nothing was written",
                next_step="select what the lookup's keys and the computed columns need, or make "
                f'it anew: `medallion checkpoint reset {self.refinery.ref} --reason "…" --yes`; '
                "with `on_miss: hold` rows wait and need no mending",
            ) from error

    def _as_missed(
        self,
        bare: DataFrame,
        found: StructType,
        taken: Sequence[str],
        dimension: Dimension,
    ) -> DataFrame:
        """The rows with nulls, or with the unknown member, in place of what is taken."""
        missed = {
            name: dimension.unknown.get(self.lookup.take[name], F.lit(None)).cast(
                found[name].dataType
            )
            for name in taken
        }
        return bare.withColumns(missed) if missed else bare


def lookups_of(refinery: Refinery, dimension: TableRef) -> list[int]:
    """The places of a table's lookups into a dimension that let a row go on without a match."""
    return [
        place
        for place, one in enumerate(refinery.table.lookups)
        if one.table == dimension and _lets_go_on(one)
    ]


def _was(name: str) -> str:
    """The hidden column that has a column as it stands in the table."""
    return f"{_WAS} {name}"


def _lets_go_on(one: Lookup) -> bool:
    if lookup.taken_for_missed(one):
        return True
    return "null" in (one.on_miss, one.after_hold) and one.how == "left"


def _all(conditions: Sequence[Column]) -> Column:
    return reduce(lambda one, other: one & other, conditions, F.lit(True))


def _has_map(kind: DataType) -> bool:
    """Whether a type cannot be compared."""
    if isinstance(kind, StructType):
        return any(_has_map(field.dataType) for field in kind)
    return isinstance(kind, MapType)
