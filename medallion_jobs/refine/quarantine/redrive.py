"""Parked rows sent on their way again: each leaves once, with the commit that takes it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.sql.types import StructType

from medallion_jobs.lake import tables
from medallion_jobs.lake.hidden_columns import OUTCOME, PARKED, ROW, hidden
from medallion_jobs.lake.tables import Txn
from medallion_jobs.refine import outcome, stopping
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.batch_context import BatchContext
from medallion_jobs.refine.quarantine import row_format
from medallion_jobs.refine.quarantine.parked_rows import How, ParkedRows
from medallion_jobs.refine.target_table import shaped_source

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
    parked_rows: ParkedRows
    app_id: str
    generation: int
    how: How
    run_id: str
    changes: Mapping[str, str] = field(default_factory=dict)

    def open(self, spark: SparkSession) -> DataFrame | None:
        """The rows that are there to be sent."""
        return self.parked_rows.open(spark, generation=self.generation, committed=self.committed)

    def tidy(self, spark: SparkSession) -> None:
        """Removes rows that have left, once there are many."""
        self.parked_rows.tidy(spark, generation=self.generation, committed=self.committed)

    def committed(self, app_id: str) -> int:
        """The table's newest transaction of an application id, or -1."""
        there = tables.snapshot(self.refinery.path)
        return there.txn(app_id) if there else -1

    def try_out(self, spark: SparkSession, parked: DataFrame) -> Mapping[str, int]:
        """What would become of parked rows: rows by fate. Nothing is written."""
        return _by_fate(self._judged(spark, parked, self._context(spark)))

    def send(self, spark: SparkSession, parked: DataFrame) -> Mapping[str, int]:
        """Writes those parked rows that are good now.

        What has to leave hold for another reason goes to quarantine, or is gone; all others
        stay where they are.

        Returns:
            Rows by fate; of the good ones, those that the table had already are among them.

        Raises:
            DataError: a row breaks a rule that stops a batch; nothing was written.
        """
        context = self._context(spark)
        if self.parked_rows.name == "held":
            parked = self.parked_rows.without(spark, parked, self.refinery.quarantine)
        judged = self._judged(spark, parked, context).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            counts = _by_fate(judged)
            if counts.get(outcome.GOOD):
                self._commit(spark, judged, context, counts[outcome.GOOD])
            if self.parked_rows.name == "held":
                self._let_go(spark, judged, context, counts)
            return counts
        finally:
            judged.unpersist()

    def _context(self, spark: SparkSession) -> BatchContext:
        # The watermark lets them pass, so that repeats of them may be older than it.
        return replace(self.refinery.context(spark), newest=None)

    def _commit(
        self, spark: SparkSession, judged: DataFrame, context: BatchContext, expected: int
    ) -> None:
        number = self.committed(self.app_id) + 1
        good = judged.where(hidden(OUTCOME) == outcome.GOOD)
        claimed = self.parked_rows.claim(
            spark,
            good.select(hidden(PARKED).alias("id")),
            app_id=self.app_id,
            number=number,
            how=self.how,
            run_id=self.run_id,
        )
        if claimed != expected:
            raise AssertionError(f"{claimed} rows are claimed, not {expected}")
        txn = Txn(self.app_id, number, self.run_id, notes=context.notes)
        try:
            self.refinery.commit(judged, txn, context)
        except stopping.FAILURES as failure:
            table = self.refinery.table
            raise stopping.explained(failure, judged, table, str(self.refinery.ref)) from failure

    def _let_go(
        self,
        spark: SparkSession,
        judged: DataFrame,
        context: BatchContext,
        counts: Mapping[str, int],
    ) -> None:
        """Held rows that do not wait any more, and are not good."""
        if counts.get(outcome.QUARANTINED):
            rows = judged.where(hidden(OUTCOME) == outcome.QUARANTINED)
            dimensions = self.refinery.dimensions(spark, context.versions)
            parked = row_format.as_parked(rows, self.refinery.table, dimensions, context.moment)
            txn = Txn(self.app_id, self.committed(self.app_id), self.run_id)
            self.parked_rows.move(
                parked, self.refinery.quarantine, txn, self.generation, context.moment
            )
        gone = hidden(OUTCOME).isin(outcome.DROPPED, outcome.LEFT_OUT)
        if counts.get(outcome.DROPPED) or counts.get(outcome.LEFT_OUT):
            self.parked_rows.leave(
                judged.where(gone).select(hidden(PARKED).alias("id")),
                how="dropped",
                run_id=self.run_id,
            )

    def _judged(self, spark: SparkSession, parked: DataFrame, context: BatchContext) -> DataFrame:
        shape = shaped_source(self.refinery, spark).schema[ROW].dataType
        assert isinstance(shape, StructType)  # a recipe made it
        fitting = row_format.of_shape(parked, shape)
        rows = row_format.changed(row_format.called(fitting, shape), self.changes)
        return self.refinery.judged(
            rows, context, self.refinery.dimensions(spark, context.versions)
        )


def _by_fate(judged: DataFrame) -> Mapping[str, int]:
    counted = judged.groupBy(hidden(OUTCOME).alias("fate")).count().collect()
    return {row["fate"]: row["count"] for row in counted}
