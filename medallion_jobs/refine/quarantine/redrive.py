"""Sends parked rows through the refinery again; each is released once, with its commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pyspark import StorageLevel

from medallion_jobs.errors import UsageError
from medallion_jobs.lake import tables
from medallion_jobs.lake.hidden_columns import OUTCOME, PARKED, hidden, row_type
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
class Outcomes:
    """What becomes of rows that are sent again.

    Attributes:
        counts: how many rows have which outcome.
        broken: of rows that stay in quarantine, how many break which rule still; a row counts
            for each of its rules.
        without_effect: columns of `changes` that have the value already, in every row.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    broken: Mapping[str, int] = field(default_factory=dict)
    without_effect: Sequence[str] = ()


@dataclass(frozen=True)
class Redrive:
    """Sends parked rows through the refinery again.

    Attributes:
        app_id: the application id of its transactions: the query's, and the kind of commit.
        how: the `how` of the releases.
        changes: columns of the parked row with the SQL, over that row, that they are set to.
    """

    refinery: Refinery
    parked_rows: ParkedRows
    app_id: str
    generation: int
    how: How
    run_id: str
    changes: Mapping[str, str] = field(default_factory=dict)

    def open(self, spark: SparkSession) -> DataFrame | None:
        """The rows that are still parked; None if no row was ever parked."""
        return self.parked_rows.open(spark, generation=self.generation, committed=self.committed)

    def tidy(self, spark: SparkSession) -> None:
        """Deletes released rows, once there are many."""
        self.parked_rows.tidy(spark, generation=self.generation, committed=self.committed)

    def committed(self, app_id: str) -> int:
        """The table's newest transaction of an application id, or -1."""
        snapshot = tables.snapshot(self.refinery.path)
        return snapshot.txn(app_id) if snapshot else -1

    def refuse_dumps(self) -> None:
        """Raises UsageError for a table whose rows are only applied as a whole dump."""
        if self.refinery.table.snapshot:
            raise UsageError(
                f"{self.refinery.ref} is written by `write: snapshot`: single rows are not "
                "replayed, since a dump is applied as a whole",
                code="dumps_not_replayed",
                untouched="nothing was written; the rows stay in quarantine",
                next_step="land the corrected dump as a newer file; or, if it is right as it is, "
                "raise `snapshot.max_missing` and land it again",
            )

    def try_out(self, spark: SparkSession, parked: DataFrame) -> Outcomes:
        """What would become of parked rows. Nothing is written."""
        self.refuse_dumps()
        context = self._context(spark)
        return self._outcomes(self._judged(spark, parked, context), context)

    def without_effect(self, spark: SparkSession, parked: DataFrame) -> Sequence[str]:
        """The columns of `changes` that have the value already, in every row."""
        return row_format.without_effect(self._restored(spark, parked), self.changes)

    def send(self, spark: SparkSession, parked: DataFrame) -> Outcomes:
        """Writes the parked rows that are good now.

        Held rows that do not wait any more and are not good go to quarantine or are dropped;
        all other rows stay parked.

        Returns:
            What became of them; good rows that the table already had count, too.

        Raises:
            DataError: a row breaks a rule that stops a batch; nothing was written.
        """
        self.refuse_dumps()
        context = self._context(spark)
        if self.parked_rows.name == "held":
            parked = self.parked_rows.without(spark, parked, self.refinery.quarantine)
        judged = self._judged(spark, parked, context).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            outcomes = self._outcomes(judged, context)
            counts = outcomes.counts
            if counts.get(outcome.GOOD):
                self._commit(spark, judged, context, counts[outcome.GOOD])
            if self.parked_rows.name == "held":
                self._end_hold(spark, judged, context, counts)
            return outcomes
        finally:
            judged.unpersist()

    def _context(self, spark: SparkSession) -> BatchContext:
        # Without the watermark: duplicates of a parked row may be older than it.
        return replace(self.refinery.context(spark), newest=None)

    def _commit(
        self, spark: SparkSession, judged: DataFrame, context: BatchContext, expected: int
    ) -> None:
        number = self.committed(self.app_id) + 1
        good = judged.where(hidden(OUTCOME) == outcome.GOOD)
        released = self.parked_rows.release(
            spark,
            good.select(hidden(PARKED).alias("id")),
            app_id=self.app_id,
            number=number,
            how=self.how,
            run_id=self.run_id,
        )
        if released != expected:
            raise AssertionError(f"{released} rows are released, not {expected}")
        txn = Txn(self.app_id, number, self.run_id, notes=context.notes)
        try:
            self.refinery.commit(judged, txn, context)
        except stopping.FAILURES as failure:
            table, name = self.refinery.table, str(self.refinery.ref)
            raise stopping.explained(failure, lambda: judged, table, name) from failure

    def _end_hold(
        self,
        spark: SparkSession,
        judged: DataFrame,
        context: BatchContext,
        counts: Mapping[str, int],
    ) -> None:
        """Moves or drops the held rows that do not wait any more and are not good."""
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
            self.parked_rows.release_now(
                judged.where(gone).select(hidden(PARKED).alias("id")),
                how="dropped",
                run_id=self.run_id,
            )

    def _judged(self, spark: SparkSession, parked: DataFrame, context: BatchContext) -> DataFrame:
        rows = row_format.changed(self._restored(spark, parked), self.changes)
        dimensions = self.refinery.dimensions(spark, context.versions)
        judged = self.refinery.judged(rows, context, dimensions)
        # Before the commit: a row that is released cannot be parked again.
        return self.refinery.with_ambiguous(judged, context.before, among_each_other=True)

    def _restored(self, spark: SparkSession, parked: DataFrame) -> DataFrame:
        shape = row_type(shaped_source(self.refinery, spark))
        return row_format.restored(row_format.of_shape(parked, shape), shape)

    def _outcomes(self, judged: DataFrame, context: BatchContext) -> Outcomes:
        rules = outcome.rules_broken(self.refinery.table, context.moment)
        groups = judged.groupBy(hidden(OUTCOME).alias("outcome"), rules.alias("rules"))
        counts, broken = Counter[str](), Counter[str]()
        for row in groups.count().collect():
            counts[row["outcome"]] += row["count"]
            if row["outcome"] == outcome.QUARANTINED:
                broken.update(dict.fromkeys(row["rules"], row["count"]))
        return Outcomes(dict(counts), dict(broken))
