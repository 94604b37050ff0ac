"""One batch of a silver table: one commit of the good rows, then the other rows are parked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING

from pyspark.sql import Observation
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from medallion_jobs import clock
from medallion_jobs.config import Lookup, Pipeline, SilverTable, TableRef
from medallion_jobs.engine.stream import Batch, Written
from medallion_jobs.errors import DataError, Refused, rebuild_command
from medallion_jobs.lake import tables
from medallion_jobs.lake.hidden_columns import AMBIGUOUS, DUMP, IS_ASIDE, OUTCOME, hidden
from medallion_jobs.lake.paths import LIVE, TablePaths
from medallion_jobs.lake.tables import Txn
from medallion_jobs.lake.tables.observing import observing
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.observe.rule_table import RuleTable
from medallion_jobs.refine import (
    batch_counts,
    lookup,
    new_columns,
    outcome,
    read_elsewhere,
    set_aside,
    stopping,
)
from medallion_jobs.refine.batch_context import BatchContext, config_digest
from medallion_jobs.refine.quarantine import row_format
from medallion_jobs.refine.quarantine.parked_rows import ParkedRows
from medallion_jobs.refine.transform.recipe import LOOKUP_VERSIONS, Recipe
from medallion_jobs.refine.write import apply_changes, modes, snapshot
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


@dataclass
class Refinery:
    """Turns rows of a source into rows of one silver table.

    Attributes:
        slot: the slot of the table that it writes; what it reads is live.
        checked: the dimension versions that are known to have unique keys.
    """

    config: Pipeline
    ref: TableRef
    slot: str = LIVE
    checked: lookup.Checked = field(default_factory=lookup.Checked)
    _newest: datetime | None = None
    _rule_log: RuleTable | None = None
    _extended: SilverTable | None = None
    _gone: frozenset[str] = frozenset()

    @property
    def declared(self) -> SilverTable:
        """The table as the config has it."""
        return self.config.silver[self.ref.name]

    @property
    def table(self) -> SilverTable:
        """The table as its batches are computed: with the new columns of its source."""
        if self._extended is None:
            self._extended = new_columns.extended(self.declared, self.path)
        return self._extended

    @cached_property
    def paths(self) -> TablePaths:
        return TablePaths(self.config, self.ref, self.slot)

    @property
    def path(self) -> Location:
        return self.paths.data

    def path_of(self, read: TableRef) -> Location:
        """The live table of this name, which is what a batch reads or looks up."""
        return TablePaths(self.config, read).data

    @property
    def recipe(self) -> Recipe:
        return Recipe(self.table, self.config.python_packages, self._elsewhere)

    @cached_property
    def _elsewhere(self) -> read_elsewhere.ReadElsewhere:
        return read_elsewhere.of(self.config, self.ref)

    @property
    def quarantine(self) -> ParkedRows:
        return ParkedRows.quarantine(self.paths)

    @property
    def held(self) -> ParkedRows:
        return ParkedRows.held(self.paths)

    def write(self, source: DataFrame, batch: Batch) -> Written:
        """Writes one micro-batch.

        Raises:
            DataError: rows break a rule that stops the batch, or a dimension cannot be used;
                no row of the batch is visible.
            Refused: the config changed between the commit of this batch and its replay.
        """
        if batch.already_written:
            return self._written_before(source, batch)
        context = self.context(source.sparkSession)
        dimensions = self.dimensions(source.sparkSession, context.versions)
        stale = [
            remark
            for dimension in dimensions
            if (remark := lookup.stale(dimension, context.moment))
        ]
        taken, seen = Observation(), Observation()
        counted = batch_counts.of_source(source, self.table, taken)
        # Without the observations, which a second pass over `observed` would repeat. Few batches
        # need it, and to build it takes as long as some of the batch's jobs.
        judged = cache(lambda: self.judged(self.recipe.shaped(source), context, dimensions))
        if self.table.snapshot:
            decisions = self._dumps(judged()).decided(batch.txn)
            context = replace(context, decisions=decisions)
            judged = cache(lambda: self.judged(self.recipe.shaped(source), context, dimensions))
        stopping.refuse_too_many(judged, self.table, str(self.ref))
        is_first = batch.number == 0
        if self.config.on_all_aside_of(self.ref) == "fail":
            set_aside.refuse(
                self.table, str(self.ref), source, judged, context.moment, is_first=is_first
            )
        txn = Txn(batch.txn.app_id, batch.number, batch.txn.run_id, notes=context.notes)
        observed = self.judged(self.recipe.shaped(counted), context, dimensions)
        observed = observed.observe(seen, *self._counts(observed))
        try:
            with observing(source.sparkSession):
                result = self.commit(observed, txn, context, source)
        except stopping.FAILURES as failure:
            raise stopping.explained(failure, judged, self.table, str(self.ref)) from failure
        if not result.written:
            return self._written_before(source, batch)
        counts = {**seen.get, **taken.get}
        if self.table.write in ("upsert", "scd2") and (result.repeated or result.ignored):
            # Of the changes that had no effect, some may be others than the table's.
            marked = self._with_ambiguous(judged(), batch.txn)
            judged = cache(lambda: marked)
            found = marked.where(hidden(AMBIGUOUS).isNotNull()).count()
            counts = batch_counts.with_ambiguous(counts, found)
        self._park(judged, dimensions, counts, batch, context)
        if (newest := batch_counts.newest(counts)) is not None:
            self._newest = max(self._newest or newest, newest)
        warning = set_aside.of_batch(
            self.table, source, judged, counts, context.moment, is_first=is_first
        )
        remarks = (*stale, *result.notes)
        return batch_counts.summary(self.table, counts, result, remarks, warning)

    def write_nothing(self, spark: SparkSession, batch: Batch) -> Written:
        """Commits a batch for which the source has no row."""
        notes = self.context(spark).notes
        txn = Txn(batch.txn.app_id, batch.number, batch.txn.run_id, notes=notes)
        tables.commit_only(spark, self.path, txn)
        return Written(rows_out=0)

    def context(self, spark: SparkSession) -> BatchContext:
        """The context of a batch that starts now."""
        return BatchContext(
            moment=clock.now(),
            versions=self.versions(),
            newest=self._newest_moment(spark),
            logic=config_digest(self.declared),
            before=self._version(self.ref, self.path),
        )

    def versions(self) -> dict[str, int]:
        """The newest version of each dimension, by `layer.name`."""
        return {
            str(name): self._version(name, self.path_of(name)) for name in self.table.dimensions
        }

    def dimensions(
        self, spark: SparkSession, versions: Mapping[str, int]
    ) -> list[lookup.Dimension]:
        """The dimension of each lookup, at the given version of its table."""
        return [
            self.dimension(spark, config, versions[str(config.table)])
            for config in self.table.lookups
        ]

    def dimension(
        self, spark: SparkSession, config: Lookup, version: int | None = None
    ) -> lookup.Dimension:
        """The dimension of a lookup, at a version of its table; None: the newest."""
        own_tables = self.config.silver if config.table.layer == "silver" else {}
        table = own_tables.get(config.table.name)
        return lookup.Dimension.read(
            spark,
            config,
            self.path_of(config.table),
            version=version,
            checked=self.checked,
            table=table if table and table.unknown_member else None,
        )

    def judged(
        self, shaped: DataFrame, context: BatchContext, dimensions: Sequence[lookup.Dimension]
    ) -> DataFrame:
        """Computes shaped rows, checks them by the rules and adds the outcome of each row."""
        spark = shaped.sparkSession
        references = {
            name: lookup.keys_of(
                spark,
                rule.references,
                self.path_of(rule.references.table),
                context.versions[str(rule.references.table)],
            )
            for name, rule in self.table.expect.items()
            if rule.references
        }
        needs_table = any(rule.unique for rule in self.table.expect.values())
        # The table before the batch: after the commit, each row would be a duplicate of itself.
        pinned = spark.read.format("delta").option("versionAsOf", context.before)
        existing = pinned.load(str(self.path)) if needs_table else None
        computed = self.recipe.computed(shaped, dimensions)
        rows = outcome.decided(computed, self.table, context, references, existing)
        if context.decisions:
            reason = snapshot.refused_rows(hidden(DUMP), context.decisions)
            rows = outcome.with_refused(rows, reason)
        return rows

    def _dumps(self, judged: DataFrame) -> snapshot.Dumps:
        """The dumps in judged rows."""
        assert self.table.snapshot is not None
        return snapshot.Dumps(
            judged,
            self.table.snapshot,
            self.path,
            tuple(self.recipe.columns(judged).names),
            self.paths.changes,
        )

    def commit(
        self,
        judged: DataFrame,
        txn: Txn,
        context: BatchContext,
        source: DataFrame | None = None,
    ) -> modes.WriteResult:
        """Writes the good rows in one commit.

        Args:
            source: what the rows were computed from; None if they were set aside before.
        """
        rows = stopping.stopped(judged, self.table)
        if self.table.snapshot:
            assert context.decisions is not None  # made before the batch is judged
            return self._dumps(rows).write(context.decisions.applied, txn)
        watermark, changes = self.table.watermark, self.table.apply_changes
        marks = None
        if changes and changes.transactional and source is not None:
            # A transaction has arrived with the rows of it that are set aside.
            rows = rows.withColumn(IS_ASIDE, hidden(OUTCOME) != outcome.GOOD)
            marks = self.recipe.marks(source)
        else:
            rows = rows.where(hidden(OUTCOME) == outcome.GOOD)
        return modes.write(
            rows,
            self.table,
            self.path,
            self.recipe.columns(judged).names,
            txn,
            tombstones=self.paths.tombstones,
            changes=self.paths.changes,
            marks=marks,
            watermark=context.too_late(watermark.delay) if watermark else None,
        )

    def look_for_columns(self, source: DataFrame) -> tuple[StructType, list[str]]:
        """Stores the columns of a batch's messages that the table lacks.

        Returns:
            These columns, which the caller has to add to the table; and notes for the user.
        """
        nothing = StructType()
        if not new_columns.are_wanted(self.declared):
            return nothing, []
        found = new_columns.found(source, self.table)
        notes = []
        if new := found.new.names:
            new_columns.store(source.sparkSession, found.new, self.path)
            self._extended = None
            notes.append(f"the source has new columns: {', '.join(new)}")
        if gone := [name for name in found.gone if name not in self._gone]:
            self._gone |= {*gone}
            notes.append(f"changes no longer have {', '.join(gone)}; the table keeps what it has")
        return found.new, notes

    def tidy(self, spark: SparkSession) -> str | None:
        """Tidies what is kept beside the table, after a batch; gives a note for the user."""
        changes = self.table.apply_changes
        if changes is None:
            return None
        moment = clock.now()
        return apply_changes.tidy_if_due(spark, changes, self.paths.changes, moment)

    def _counts(self, judged: DataFrame) -> list[Column]:
        return batch_counts.of_judged(judged, self.table, self._elsewhere)

    def _park(
        self,
        judged: Callable[[], DataFrame],
        dimensions: Sequence[lookup.Dimension],
        counts: Mapping[str, int],
        batch: Batch,
        context: BatchContext,
    ) -> None:
        for parked_rows, row_outcome in (
            (self.quarantine, outcome.QUARANTINED),
            (self.held, outcome.HELD),
        ):
            if counts[row_outcome] and not parked_rows.has(batch.txn):
                rows = judged().where(hidden(OUTCOME) == row_outcome)
                parked = row_format.as_parked(rows, self.table, dimensions, context.moment)
                parked_rows.put(parked, batch.txn, batch.generation, context.moment)
        if self.table.expect:
            if self._rule_log is None:
                self._rule_log = RuleTable(self.paths.rule_metrics)
            self._rule_log.append(
                batch_counts.of_rules(self.table, str(self.ref), counts, batch, context.moment)
            )

    def _written_before(self, source: DataFrame, batch: Batch) -> Written:
        """Finishes a batch that is committed: a crash may have come before its rows were parked."""
        commit = tables.commit_of(self.path, batch.txn.app_id, batch.number)
        if commit is None:
            raise AssertionError(f"{self.ref}: batch {batch.number} is written and has no commit")
        context = BatchContext.of(commit)
        if context.logic != config_digest(self.declared):
            raise Refused(
                f"{self.ref}: a run stopped after batch {batch.number} was written and before its "
                "other rows were parked, and the table's config has changed since",
                code="config_changed_after_interruption",
                untouched="its table and its quarantine",
                next_step="run once with the old config, then with the new one; or rebuild the "
                f"table: `{rebuild_command(self.ref)} --yes`",
            )
        dimensions = self.dimensions(source.sparkSession, context.versions)
        judged = self.judged(self.recipe.shaped(source), context, dimensions)
        judged = self._with_ambiguous(judged, batch.txn)
        (found,) = judged.agg(*self._counts(judged)).collect()
        self._park(lambda: judged, dimensions, found.asDict(), batch, context)
        # These rows were looked up in older dimension versions than the other held rows.
        (self.held.path / row_format.SEEN).unlink(missing_ok=True)
        done = tables.changes(self.path, batch.txn)
        return Written.by_earlier_run(done.inserted + done.updated)

    def _with_ambiguous(self, judged: DataFrame, txn: Txn) -> DataFrame:
        """Judged rows, compared with the table as the commit of their batch has left it."""
        commit = tables.commit_of(self.path, txn.app_id, txn.batch)
        assert commit is not None  # the batch is written
        return self.with_ambiguous(judged, commit.version)

    def with_ambiguous(
        self, judged: DataFrame, version: int, *, among_each_other: bool = False
    ) -> DataFrame:
        """Judged rows, of which the ambiguous ones are quarantined: see `ambiguous.marked`."""
        if self.table.write not in ("upsert", "scd2"):
            return judged
        columns = [c for c in self.recipe.columns(judged).names if c != LOOKUP_VERSIONS]
        return outcome.with_ambiguous(
            judged, self.table, columns, self.path, version, among_each_other=among_each_other
        )

    def _version(self, name: TableRef, path: Location) -> int:
        snapshot = tables.snapshot(path)
        if snapshot is None:
            raise DataError(
                f"{self.ref}: {name} is missing at {path}",
                code="dimension_missing",
                untouched="nothing of the batch is written",
                next_step="put it back, then run again",
            )
        return snapshot.version

    def _newest_moment(self, spark: SparkSession) -> datetime | None:
        """The newest event time in the table; None without a watermark or without rows."""
        watermark = self.table.watermark
        if watermark and self._newest is None:
            rows = spark.read.format("delta").load(str(self.path))
            newest = F.unix_micros(F.max(col(watermark.column).cast("timestamp")))
            (found,) = rows.agg(newest.alias("newest")).collect()
            self._newest = batch_counts.moment(found["newest"])
        return self._newest
