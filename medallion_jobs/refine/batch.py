"""One batch of a silver table: rows in, one commit, and what did not go on parked after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pyspark.sql import Observation
from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)

from medallion_jobs.config import Lookup, Pipeline, SilverTable, TableRef
from medallion_jobs.engine.stream import Batch, Written
from medallion_jobs.errors import DataError, Refused
from medallion_jobs.lake import paths, tables
from medallion_jobs.lake.hidden_columns import OUTCOME, hidden
from medallion_jobs.lake.tables import Txn
from medallion_jobs.lake.tables.observing import observing
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.observe.rule_table import RuleTable
from medallion_jobs.refine import batch_counts, lookup, outcome, set_aside, stopping
from medallion_jobs.refine.batch_context import BatchContext, config_digest
from medallion_jobs.refine.quarantine import row_format
from medallion_jobs.refine.quarantine.parked_rows import ParkedRows
from medallion_jobs.refine.transform.recipe import Recipe
from medallion_jobs.refine.write import modes
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass
class Refinery:
    """What turns rows of a source into rows of one silver table.

    Attributes:
        checked: which version of which dimension is known to have no key twice.
    """

    config: Pipeline
    ref: TableRef
    checked: lookup.Checked = field(default_factory=lookup.Checked)
    _newest: datetime | None = None
    _rule_log: RuleTable | None = None

    @property
    def table(self) -> SilverTable:
        return self.config.silver[self.ref.name]

    @property
    def path(self) -> Location:
        return self.config.table_path(self.ref)

    @property
    def recipe(self) -> Recipe:
        return Recipe(self.table, self.config.python_packages)

    @property
    def quarantine(self) -> ParkedRows:
        return ParkedRows.quarantine(self.config, self.ref)

    @property
    def held(self) -> ParkedRows:
        return ParkedRows.held(self.config, self.ref)

    def write(self, source: DataFrame, batch: Batch) -> Written:
        """Writes one micro-batch.

        Raises:
            DataError: the rows break a rule that stops the batch, or a dimension cannot be
                used; nothing of the batch is visible.
        """
        if batch.replayed:
            return self._written_before(source, batch)
        context = self.context(source.sparkSession)
        dimensions = self.dimensions(source.sparkSession, context.versions)
        stale = [
            words for dimension in dimensions if (words := lookup.stale(dimension, context.moment))
        ]
        taken, seen = Observation(), Observation()
        counted = batch_counts.of_source(source, self.table, taken)
        judged = self.judged(self.recipe.shaped(counted), context, dimensions)
        # Not the frames that are observed: they would be observed once more.
        unseen = self.judged(self.recipe.shaped(source), context, dimensions)
        stopping.refuse_too_many(unseen, self.table, str(self.ref))
        is_first = batch.number == 0
        if self.config.on_all_aside_of(self.ref) == "fail":
            set_aside.refuse(
                self.table, str(self.ref), source, unseen, context.moment, is_first=is_first
            )
        txn = Txn(batch.txn.app_id, batch.number, batch.txn.run_id, notes=context.notes)
        observed = judged.observe(seen, *batch_counts.of_judged(judged, self.table))
        try:
            with observing(source.sparkSession):
                result = self.commit(observed, txn, context)
        except stopping.FAILURES as failure:
            raise stopping.explained(failure, unseen, self.table, str(self.ref)) from failure
        if not result.written:
            return self._written_before(source, batch)
        counts = {**seen.get, **taken.get}
        self._park(unseen, dimensions, counts, batch, context)
        if (newest := batch_counts.newest(counts)) is not None:
            self._newest = max(self._newest or newest, newest)
        most = set_aside.of_batch(
            self.table, source, unseen, counts, context.moment, is_first=is_first
        )
        return batch_counts.told(self.table, counts, result, stale, most)

    def context(self, spark: SparkSession) -> BatchContext:
        """What a batch that begins now knows."""
        return BatchContext(
            moment=datetime.now(timezone.utc),
            versions=self.versions(),
            newest=self._newest_moment(spark),
            logic=config_digest(self.table),
            before=self._version(self.ref),
        )

    def versions(self) -> dict[str, int]:
        """The newest version of each dimension, by its name."""
        return {str(name): self._version(name) for name in self.table.dimensions}

    def dimensions(
        self, spark: SparkSession, versions: Mapping[str, int]
    ) -> list[lookup.Dimension]:
        """The dimensions of the lookups, each at its version."""
        return [self.dimension(spark, one, versions[str(one.table)]) for one in self.table.lookups]

    def dimension(
        self, spark: SparkSession, one: Lookup, version: int | None = None
    ) -> lookup.Dimension:
        """The dimension of a lookup, at a version or the newest."""
        ours = self.config.silver if one.table.layer == "silver" else {}
        table = ours.get(one.table.name)
        return lookup.Dimension.read(
            spark,
            one,
            self.config.table_path(one.table),
            version=version,
            checked=self.checked,
            table=table if table and table.unknown_member else None,
        )

    def judged(
        self, shaped: DataFrame, context: BatchContext, dimensions: Sequence[lookup.Dimension]
    ) -> DataFrame:
        """Shaped rows, computed, with what they break and what becomes of them."""
        spark = shaped.sparkSession
        references = {
            name: lookup.keys_of(
                spark,
                rule.references,
                self.config.table_path(rule.references.table),
                context.versions[str(rule.references.table)],
            )
            for name, rule in self.table.expect.items()
            if rule.references
        }
        needs_table = any(rule.unique for rule in self.table.expect.values())
        # As it was before the batch: once that is written, each of its rows would repeat.
        pinned = spark.read.format("delta").option("versionAsOf", context.before)
        existing = pinned.load(str(self.path)) if needs_table else None
        computed = self.recipe.computed(shaped, dimensions)
        return outcome.decided(computed, self.table, context, references, existing)

    def commit(self, judged: DataFrame, txn: Txn, context: BatchContext) -> modes.WriteResult:
        """Writes the good rows, in one commit."""
        rows = stopping.stopped(judged, self.table)
        watermark = self.table.watermark
        return modes.write(
            rows.where(hidden(OUTCOME) == outcome.GOOD),
            self.table,
            self.path,
            self.recipe.columns(judged).names,
            txn,
            tombstones=paths.tombstones(self.config, self.ref),
            watermark=context.too_late(watermark.delay) if watermark else None,
        )

    def _park(
        self,
        judged: DataFrame,
        dimensions: Sequence[lookup.Dimension],
        counts: Mapping[str, int],
        batch: Batch,
        context: BatchContext,
    ) -> None:
        for parked_rows, what in (
            (self.quarantine, outcome.QUARANTINED),
            (self.held, outcome.HELD),
        ):
            if counts[what] and not parked_rows.has(batch.txn):
                rows = judged.where(hidden(OUTCOME) == what)
                parked = row_format.as_parked(rows, self.table, dimensions, context.moment)
                parked_rows.put(parked, batch.txn, batch.generation, context.moment)
        if self.table.expect:
            if self._rule_log is None:
                folder = paths.quality_metrics(self.config.state_path, self.ref)
                self._rule_log = RuleTable(folder)
            self._rule_log.append(
                batch_counts.of_rules(self.table, str(self.ref), counts, batch, context.moment)
            )

    def _written_before(self, source: DataFrame, batch: Batch) -> Written:
        """A batch whose rows are in the table; a crash may have kept others from being parked."""
        commit = tables.commit_of(self.path, batch.txn.app_id, batch.number)
        if commit is None:
            raise AssertionError(f"{self.ref}: batch {batch.number} is written and has no commit")
        context = BatchContext.of(commit)
        if context.logic != config_digest(self.table):
            raise Refused(
                f"{self.ref}: a run was cut off after batch {batch.number} was written and before "
                "its other rows were put aside, and the table's config has changed since",
                untouched="its table and its quarantine",
                next_step="run once with the config as it was, then with the new one; or make it "
                f'anew: `medallion checkpoint reset {self.ref} --reason "…" --yes`',
            )
        dimensions = self.dimensions(source.sparkSession, context.versions)
        judged = self.judged(self.recipe.shaped(source), context, dimensions)
        (found,) = judged.agg(*batch_counts.of_judged(judged, self.table)).collect()
        self._park(judged, dimensions, found.asDict(), batch, context)
        # They were judged by older versions than the other waiting rows were looked at with.
        (self.held.path / row_format.SEEN).unlink(missing_ok=True)
        done = tables.changes(self.path, batch.txn)
        return Written.by_earlier_run(done.inserted + done.updated)

    def _version(self, name: TableRef) -> int:
        there = tables.snapshot(self.config.table_path(name))
        if there is None:
            raise DataError(
                f"{self.ref}: {name} is gone from {self.config.table_path(name)}",
                untouched="nothing of the batch is written",
                next_step="put it back, then run again",
            )
        return there.version

    def _newest_moment(self, spark: SparkSession) -> datetime | None:
        """The newest moment in the table, where late rows are told by it."""
        watermark = self.table.watermark
        if watermark and self._newest is None:
            rows = spark.read.format("delta").load(str(self.path))
            newest = F.unix_micros(F.max(col(watermark.column).cast("timestamp")))
            (found,) = rows.agg(newest.alias("newest")).collect()
            self._newest = batch_counts.moment(found["newest"])
        return self._newest
