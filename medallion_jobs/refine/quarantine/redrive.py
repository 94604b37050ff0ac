"""Parked rows sent on their way again: each leaves once, with the commit that takes it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.sql.types import StructType

from medallion_jobs.lake import tables
from medallion_jobs.lake.marks import FATE, PARKED, ROW, mark
from medallion_jobs.lake.tables import Txn
from medallion_jobs.refine import fate, stopping
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.facts import Facts
from medallion_jobs.refine.making import shaped_source
from medallion_jobs.refine.quarantine import parking
from medallion_jobs.refine.quarantine.parked import How, Siding

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Redrive:
    """Sends rows of a siding through the refinery.

    Attributes:
        app_id: the transaction id of its commits; the query's own, and what is done.
        how: what is said of rows that leave.
        changes: columns of the row as it was, set to SQL over it before it goes.
    """

    refinery: Refinery
    siding: Siding
    app_id: str
    generation: int
    how: How
    run_id: str
    changes: Mapping[str, str] = field(default_factory=dict)

    def open(self, spark: SparkSession) -> DataFrame | None:
        """The rows that are there to be sent."""
        return self.siding.open(spark, generation=self.generation, committed=self.committed)

    def tidy(self, spark: SparkSession) -> None:
        """Removes rows that have left, once there are many."""
        self.siding.tidy(spark, generation=self.generation, committed=self.committed)

    def committed(self, app_id: str) -> int:
        """The table's newest transaction of an application id, or -1."""
        there = tables.snapshot(self.refinery.path)
        return there.txn(app_id) if there else -1

    def try_out(self, spark: SparkSession, parked: DataFrame) -> Mapping[str, int]:
        """What would become of parked rows: rows by fate. Nothing is written."""
        return _by_fate(self._judged(spark, parked, self._facts(spark)))

    def send(self, spark: SparkSession, parked: DataFrame) -> Mapping[str, int]:
        """Writes those parked rows that are good now.

        What has to leave hold for another reason goes to quarantine, or is gone; all others
        stay where they are.

        Returns:
            Rows by fate; of the good ones, those that the table had already are among them.

        Raises:
            DataError: a row breaks a rule that stops a batch; nothing was written.
        """
        facts = self._facts(spark)
        if self.siding.name == "held":
            parked = self.siding.without(spark, parked, self.refinery.quarantine)
        judged = self._judged(spark, parked, facts).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            counts = _by_fate(judged)
            if counts.get(fate.GOOD):
                self._commit(spark, judged, facts, counts[fate.GOOD])
            if self.siding.name == "held":
                self._let_go(spark, judged, facts, counts)
            return counts
        finally:
            judged.unpersist()

    def _facts(self, spark: SparkSession) -> Facts:
        # The watermark lets them pass, so that repeats of them may be older than it.
        return replace(self.refinery.facts(spark), newest=None)

    def _commit(self, spark: SparkSession, judged: DataFrame, facts: Facts, expected: int) -> None:
        number = self.committed(self.app_id) + 1
        good = judged.where(mark(FATE) == fate.GOOD)
        claimed = self.siding.claim(
            spark,
            good.select(mark(PARKED).alias("id")),
            app_id=self.app_id,
            number=number,
            how=self.how,
            run_id=self.run_id,
        )
        if claimed != expected:
            raise AssertionError(f"{claimed} rows are claimed, not {expected}")
        txn = Txn(self.app_id, number, self.run_id, notes=facts.notes)
        try:
            self.refinery.commit(judged, txn, facts)
        except stopping.FAILURES as failure:
            table = self.refinery.table
            raise stopping.explained(failure, judged, table, str(self.refinery.ref)) from failure

    def _let_go(
        self, spark: SparkSession, judged: DataFrame, facts: Facts, counts: Mapping[str, int]
    ) -> None:
        """Held rows that do not wait any more, and are not good."""
        if counts.get(fate.QUARANTINED):
            rows = judged.where(mark(FATE) == fate.QUARANTINED)
            dimensions = self.refinery.dimensions(spark, facts.versions)
            parked = parking.as_parked(rows, self.refinery.table, dimensions, facts.moment)
            txn = Txn(self.app_id, self.committed(self.app_id), self.run_id)
            self.siding.move(parked, self.refinery.quarantine, txn, self.generation, facts.moment)
        gone = mark(FATE).isin(fate.DROPPED, fate.LEFT_OUT)
        if counts.get(fate.DROPPED) or counts.get(fate.LEFT_OUT):
            self.siding.leave(
                judged.where(gone).select(mark(PARKED).alias("id")),
                how="dropped",
                run_id=self.run_id,
            )

    def _judged(self, spark: SparkSession, parked: DataFrame, facts: Facts) -> DataFrame:
        shape = shaped_source(self.refinery, spark).schema[ROW].dataType
        assert isinstance(shape, StructType)  # noqa: S101 (a recipe made it)
        fitting = parking.of_shape(parked, shape)
        rows = parking.changed(parking.called(fitting, shape), self.changes)
        return self.refinery.judged(rows, facts, self.refinery.dimensions(spark, facts.versions))


def _by_fate(judged: DataFrame) -> Mapping[str, int]:
    counted = judged.groupBy(mark(FATE).alias("fate")).count().collect()
    return {row["fate"]: row["count"] for row in counted}
