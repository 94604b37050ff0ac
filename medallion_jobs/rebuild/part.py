"""The rebuild of a part of a silver table: rows of some files, of some days, of a condition.

The condition reads only columns that the table has as its source has them, so that it picks the
same rows in both. Under the lock of the table's query, these rows of the source are computed
again, and one commit puts them in the place of those that the table has. What was parked of them
is released with that commit, and what is parked now is parked after it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException

from medallion_jobs.checkpoint import QueryFolder, journal, manifest, rebuilds
from medallion_jobs.checkpoint.journal import Journal
from medallion_jobs.checkpoint.offsets import DeltaOffsets
from medallion_jobs.config import Pipeline, SilverTable, TableRef
from medallion_jobs.config.apply_changes import START_AT
from medallion_jobs.engine.failures import root_cause
from medallion_jobs.errors import UsageError
from medallion_jobs.gold import GoldStream
from medallion_jobs.lake import columns, tables
from medallion_jobs.lake.hidden_columns import OUTCOME, PARKED, hidden, row_type
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Txn
from medallion_jobs.lake.tables.scd_columns import VALID_FROM
from medallion_jobs.lake.tables.sql import col, column, text
from medallion_jobs.rebuild import common
from medallion_jobs.refine import outcome, stopping, target_table
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.batch_context import BatchContext
from medallion_jobs.refine.quarantine import row_format
from medallion_jobs.refine.quarantine.parked_rows import ParkedRows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Wanted:
    """Which rows a command names; None names all.

    Attributes:
        file: a text that the path of the row's file contains, or a pattern with `*`.
        since, until: when bronze loaded the row; `until` is not in it.
        where: SQL over columns of the table.
    """

    file: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    where: str | None = None

    @property
    def is_all(self) -> bool:
        return self == Wanted()

    def condition(self, known: list[str]) -> str:
        """The condition as SQL.

        Args:
            known: the columns that the table has as its source has them.

        Raises:
            UsageError: the rows do not know their file, or when they were loaded.
        """
        parts = []
        if self.file is not None:
            name = column(_needed(known, (columns.INPUT_FILE,), "of which file they are"))
            pattern = self.file if "*" in self.file else f"*{self.file}*"
            for special in ("\\", "%", "_"):
                pattern = pattern.replace(special, f"\\{special}")
            parts.append(f"{name} LIKE {text(pattern.replace('*', '%'))}")
        for moment, sign in ((self.since, ">="), (self.until, "<")):
            if moment is not None:
                name = column(_needed(known, columns.LOAD_TIMES, "when they were loaded"))
                parts.append(f"{name} {sign} TIMESTAMP {text(moment.isoformat())}")
        if self.where is not None:
            parts.append(f"({self.where})")
        return " AND ".join(parts)


def _needed(known: list[str], names: tuple[str, ...], what: str) -> str:
    found = next((name for name in names if name in known), None)
    if found is None:
        raise UsageError(
            f"its rows do not know {what}: it has no column {' or '.join(names)} as its source has",
            code="rows_without_origin",
            untouched="nothing was changed",
            next_step="select that column in the config, and rebuild the whole table once",
        )
    return found


def refuse_parts(config: Pipeline, ref: TableRef) -> None:
    """Refuses a table of which no part can be computed without the rest.

    Raises:
        UsageError: with the reason.
    """
    if reason := next(_reasons(config, ref), None):
        raise UsageError(
            f"no part of {ref} can be rebuilt: {reason}",
            code="part_not_possible",
            untouched="nothing was changed",
            next_step=f'rebuild the whole table: `medallion rebuild {ref} --reason "…" --yes`',
        )


def _reasons(config: Pipeline, ref: TableRef) -> Iterator[str]:
    if ref.layer == "gold":
        yield "a row of gold comes from many rows of its source"
        return
    table = config.silver[ref.name]
    if table.write != "append" or table.apply_changes or table.snapshot:
        yield f"with `{table.how_written}` a row depends on other rows of its key"
    if table.dedupe:
        yield "with `dedupe` a row depends on other rows"
    if table.watermark:
        yield "with a `watermark` a row depends on the rows before it"
    if any(rule.unique for rule in table.expect.values()):
        yield "with a rule `unique` a row depends on other rows"
    if table.transform or table.envelope:
        yield "which rows of its source a row comes from is known only to its `transform`"


@dataclass(frozen=True)
class PartRebuild:
    """The rebuild of the rows of one table that are named. The caller holds the query's lock.

    Raises:
        UsageError: the condition reads other columns than those that the table has as its source
            has them; or the query stands in the middle of a commit of its source.
    """

    config: Pipeline
    ref: TableRef
    wanted: Wanted
    spark: SparkSession

    @cached_property
    def refinery(self) -> Refinery:
        return Refinery(self.config, self.ref)

    @cached_property
    def generation(self) -> int:
        recorded = manifest.read(self._folder)
        assert recorded is not None  # the table was written
        return recorded.current.number

    @cached_property
    def condition(self) -> str:
        """The condition as SQL, checked."""
        table, source = self._table, self._source
        known = _unchanged(self.refinery.table, table, source)
        condition = self.wanted.condition(known)
        self._refuse_replayed()
        try:
            source.limit(0).select(*map(col, known)).where(condition).collect()
        except AnalysisException as error:
            raise UsageError(
                f"--where {self.wanted.where} cannot choose rows of {self.ref}: "
                f"{root_cause(error)}",
                code="invalid_part",
                untouched="nothing was changed",
                next_step="use these columns, which the table has as its source has them: "
                + (", ".join(known) or "none"),
            ) from error
        return condition

    def _refuse_replayed(self) -> None:
        """Refuses a condition on values where rows may have others than those that they came with.

        Raises:
            UsageError: rows of the table were replayed from quarantine.
        """
        app_id = f"{self._folder.checkpoint(self.generation).app_id}/replayed"
        is_resumed = journal.read(self.config, self.ref) is not None
        if self.wanted.where and not is_resumed and self._committed(app_id) >= 0:
            raise UsageError(
                f"--where cannot choose rows of {self.ref}: some were replayed from quarantine, "
                "maybe with other values (--set-column), so that a condition may mean other rows "
                "in the table than in its source",
                code="part_was_replayed",
                untouched="nothing was changed",
                next_step="choose them by --file, --since and --until, or rebuild the whole table",
            )

    def old_rows(self) -> DataFrame:
        return self._table.where(self.condition)

    def new_rows(self) -> DataFrame:
        """The rows that the table would get."""
        judged = self._judged(self.refinery.context(self.spark))
        return self._good(judged)

    def write(self, now: Journal) -> int:
        """Writes the part, or finishes one that was interrupted; returns the table's version."""
        txn = Txn(rebuilds(str(self.ref)), now.number, uuid.uuid4().hex[:12])
        commit = tables.commit_of(self.refinery.path, txn.app_id, txn.batch)
        if commit is None:
            context = self.refinery.context(self.spark)
            judged = self._judged(context)
            for parked in (self.refinery.quarantine, self.refinery.held):
                self._release(parked, txn)
            self._commit(judged, txn, context, now)
            commit = tables.commit_of(self.refinery.path, txn.app_id, txn.batch)
            assert commit is not None  # just made
        else:
            context = BatchContext.of(commit)
        self._park(self._judged(context), txn, context)
        return commit.version

    def undo(self, now: Journal) -> None:
        """Forgets a part whose rows are not in the table: the query may run."""
        app_id = rebuilds(str(self.ref))
        if not common.has(self.refinery.path, app_id, now.number):
            for parked in (self.refinery.quarantine, self.refinery.held):
                parked.withdraw(app_id=app_id, number=now.number)
            journal.file_of(self.config, self.ref).unlink(missing_ok=True)

    def _commit(self, judged: DataFrame, txn: Txn, context: BatchContext, now: Journal) -> None:
        about = {"number": now.number, "reason": now.reason, "part": self.condition}
        noted = Txn(txn.app_id, txn.batch, txn.run_id, {**context.notes, "rebuild": about})
        rows = stopping.stopped(judged, self.refinery.table)
        try:
            tables.replace_where(self._good(rows), self.refinery.path, noted, self.condition)
        except stopping.FAILURES as failure:
            table, name = self.refinery.table, str(self.ref)
            raise stopping.explained(failure, lambda: judged, table, name) from failure

    def _release(self, parked: ParkedRows, txn: Txn) -> None:
        """Releases what is parked of the part, with the commit that comes next."""
        rows = parked.open(self.spark, generation=self.generation, committed=self._committed)
        parked.withdraw(app_id=txn.app_id, number=txn.batch)
        if rows is None:
            return
        shape = row_type(target_table.shaped_source(self.refinery, self.spark))
        restored = row_format.restored(row_format.of_shape(rows, shape), shape)
        ids = restored.where(self.condition).select(hidden(PARKED).alias("id"))
        if not ids.isEmpty():
            own = {"app_id": txn.app_id, "number": txn.batch, "run_id": txn.run_id}
            parked.release(self.spark, ids, how="replayed", **own)  # type: ignore[arg-type]

    def _park(self, judged: DataFrame, txn: Txn, context: BatchContext) -> None:
        dimensions = self.refinery.dimensions(self.spark, context.versions)
        for parked, what in (
            (self.refinery.quarantine, outcome.QUARANTINED),
            (self.refinery.held, outcome.HELD),
        ):
            rows = judged.where(hidden(OUTCOME) == what)
            if not parked.has(txn) and not rows.isEmpty():
                kept = row_format.as_parked(rows, self.refinery.table, dimensions, context.moment)
                parked.put(kept, txn, self.generation, context.moment)
        (self.refinery.held.path / row_format.SEEN).unlink(missing_ok=True)

    def _judged(self, context: BatchContext) -> DataFrame:
        dimensions = self.refinery.dimensions(self.spark, context.versions)
        shaped = self.refinery.recipe.shaped(self._source.where(self.condition))
        return self.refinery.judged(shaped, context, dimensions)

    def _good(self, judged: DataFrame) -> DataFrame:
        names = self.refinery.recipe.columns(judged).names
        return judged.where(hidden(OUTCOME) == outcome.GOOD).select(*map(col, names))

    @cached_property
    def _folder(self) -> QueryFolder:
        return QueryFolder.of(TablePaths(self.config, self.ref))

    @property
    def _table(self) -> DataFrame:
        return self.spark.read.format("delta").load(str(self.refinery.path))

    @cached_property
    def _source(self) -> DataFrame:
        """The source as far as the query has read it: what comes later is its own work."""
        checkpoint = self._folder.checkpoint(self.generation)
        path = self.refinery.path_of(self.refinery.table.from_)
        version = DeltaOffsets(path).read_up_to(checkpoint)
        if version is None or checkpoint.latest_commits < checkpoint.latest_offsets:
            raise UsageError(
                f"no part of {self.ref} can be rebuilt now: its query stands in the middle of a "
                "commit of its source, or has never read it",
                code="part_not_read_yet",
                untouched="nothing was changed",
                next_step="medallion run silver; then type the same command again",
            )
        return self.spark.read.format("delta").option("versionAsOf", version).load(str(path))

    def _committed(self, app_id: str) -> int:
        snapshot = tables.snapshot(self.refinery.path)
        return snapshot.txn(app_id) if snapshot else -1


def identity(config: Pipeline, ref: TableRef, spark: SparkSession) -> list[str]:
    """The columns by which a row of a table is the same row after a rebuild."""
    if ref.layer == "gold":
        return list(GoldStream(config, ref.name).aggregation.keys)
    refinery = Refinery(config, ref)
    table = spark.read.format("delta").load(str(refinery.path))
    if refinery.table.identity:
        starts = (VALID_FROM, START_AT)
        return [*refinery.table.identity, *(name for name in starts if name in table.columns)]
    source = spark.read.format("delta").load(str(refinery.path_of(refinery.table.from_)))
    return _unchanged(refinery.table, table, source)


def _unchanged(config: SilverTable, table: DataFrame, source: DataFrame) -> list[str]:
    """The columns that a row of the table has as the row of the source that it comes from."""
    made = {
        *(*config.rename, *config.rename.values(), *config.cast, *config.columns, *config.parse),
        *config.explode,
        *(name for lookup in config.lookups for name in lookup.take),
    }
    has = {field.name: field.dataType for field in source.schema}
    return [f.name for f in table.schema if f.name not in made and has.get(f.name) == f.dataType]


def carry_out(
    config: Pipeline,
    ref: TableRef,
    wanted: Wanted,
    reason: str,
    spark: SparkSession,
    *,
    patience: float,
) -> Journal:
    """Rebuilds the rows that are named, or finishes a rebuild of a part that was interrupted.

    Args:
        patience: seconds to wait for runs of the table's query, and of its readers.

    Raises:
        LockHeld: such a run goes on.
        UsageError: as `refuse_parts` and `PartRebuild`.
    """
    with common.held(config, ref, patience):
        now = journal.read(config, ref)
        if now and now.part is None:
            raise UsageError(
                f"a rebuild of the whole of {ref} is under way, which {now.by} began",
                code="whole_rebuild_under_way",
                untouched="nothing was changed",
                next_step=f'finish it: `medallion rebuild {ref} --reason "…" --yes`; or remove it: '
                f"`medallion rebuild {ref} --abandon`",
            )
        if now is None:
            work = PartRebuild(config, ref, wanted, spark)
            target_table.make(work.refinery, spark, is_rebuild=False)
            opened = common.journal_of(config, ref, reason)
            known = {
                "part": work.condition,
                "number": common.next_number(config, ref),
                "rows_before": common.rows(spark, work.refinery.path),
            }
            now = opened.model_copy(update={"phase": "swapping", **known})
            journal.write(config, ref, now)
        if now.phase == "swapping":
            work = PartRebuild(config, ref, Wanted(where=now.part), spark)
            try:
                work.write(now)
            except Exception:
                work.undo(now)
                raise
            common.tell(config, ref, spark, now)
            now = now.entering("swapped")
            journal.write(config, ref, now)
    journal.file_of(config, ref).unlink(missing_ok=True)
    return now
