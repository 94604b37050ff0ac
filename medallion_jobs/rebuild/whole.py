"""The rebuild of a whole table: built in a slot, then swapped in.

    build     the table's query runs in the slot `rebuild`, from the start of its live source
    swap      under the lock of the live query: the slot reads what came meanwhile; one commit
              replaces the rows of the live table; its query goes on from the slot's checkpoint

Each step can be repeated, and the journal says which is next. Up to the swap nothing of the live
table, nor of its state, is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from medallion_jobs import storage
from medallion_jobs.checkpoint import (
    Checkpoint,
    Lock,
    QueryFolder,
    journal,
    manifest,
    rebuilds,
    reset,
    start_checks,
)
from medallion_jobs.checkpoint.journal import SLOT, Journal, Phase
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.engine import runner
from medallion_jobs.errors import Refused
from medallion_jobs.lake import paths, tables
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import adopt
from medallion_jobs.rebuild import common
from medallion_jobs.rebuild.chain import stream_of
from medallion_jobs.rebuild.compare import Comparison, compare
from medallion_jobs.rebuild.part import identity
from medallion_jobs.refine.quarantine import row_format
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from medallion_jobs.engine.stream import Stream
    from medallion_jobs.observe.events import Emit

# The reason of a table that was built, and that nobody has asked to swap in yet.
_DRY_RUN = "a dry run"
_CHANGE_FEED = "delta.enableChangeDataFeed"


@dataclass(frozen=True)
class Rebuild:
    """The rebuild of one silver or gold table."""

    config: Pipeline
    ref: TableRef

    @cached_property
    def live(self) -> TablePaths:
        return TablePaths(self.config, self.ref)

    @cached_property
    def beside(self) -> TablePaths:
        return TablePaths(self.config, self.ref, SLOT)

    @property
    def _number(self) -> str:
        """The application id that numbers the table's rebuilds."""
        return rebuilds(str(self.ref))

    @property
    def journal(self) -> Journal | None:
        """How far it is; None if it has not begun, or is done."""
        return journal.read(self.config, self.ref)

    def lock(self) -> Lock:
        """The lock of the rebuild itself; while it builds, the live query may run.

        Raises:
            LockHeld: another process rebuilds the table.
        """
        return Lock(QueryFolder.of(self.live).rebuild_lock, f"a rebuild of {self.ref}")

    def begin(self, reason: str, together: Sequence[TableRef] = ()) -> Journal:
        """Notes that the table will be rebuilt; a rebuild that is under way stays as it is.

        A table that was built with another config than today's, from a source that was rebuilt
        since, or by a Python function that may be another one now, is thrown away.

        Args:
            reason: empty for a dry run.
            together: all tables that are rebuilt by one command.

        Raises:
            UsageError: the table was never written.
        """
        under_way = self.journal
        if under_way and under_way.goes_back:
            journal.refuse_half_swapped(self.config, self.ref, what=f"{self.ref} was not rebuilt")
        if under_way and under_way.phase in ("swapping", "swapped"):
            return under_way
        told = {"reason": reason, "together": tuple(map(str, together))}
        begun = self._opened(_DRY_RUN).model_copy(update={k: v for k, v in told.items() if v})
        if under_way:
            kept = under_way.model_copy(update={k: v for k, v in told.items() if v})
            same = ("before", "after", "config_after")
            is_same = all(getattr(kept, name) == getattr(begun, name) for name in same)
            if (
                is_same
                and not self._has_code
                and not any(start_checks.findings(self._stream().claim))
            ):
                journal.write(self.config, self.ref, kept)
                return kept
            begun = begun.model_copy(update={"reason": kept.reason, "together": kept.together})
        self.remove()
        journal.write(self.config, self.ref, begun)
        return begun

    def build(self, spark: SparkSession, emit: Emit) -> None:
        """Computes what the slot lacks; does nothing once the swap has begun."""
        now = self.journal
        assert now is not None  # it was begun
        if now.phase not in ("waiting", "building"):
            return
        slot = QueryFolder.of(self.beside)
        if manifest.read(slot) is None:
            kept = manifest.read(QueryFolder.of(self.live))
            assert kept is not None  # it was begun
            manifest.write(slot, kept.opening(now.after, now.reason))
        if now.phase == "waiting":
            self._enter(now, "building")
        runner.run(self.config, [self._stream()], emit, spark=spark)

    def compared(self, spark: SparkSession, sample: int) -> Comparison:
        """How the built table differs from the live one.

        Args:
            sample: at most so many rows are shown.
        """
        read = spark.read.format("delta")
        old, new = (read.load(str(places.data)) for places in (self.live, self.beside))
        return compare(old, new, identity(self.config, self.ref, spark), sample)

    def swap(self, spark: SparkSession, emit: Emit, *, patience: float) -> Journal:
        """Reads what came meanwhile, and puts the new table in the place of the live one.

        Args:
            patience: seconds to wait for runs of the table's query, and of its readers.

        Raises:
            LockHeld: such a run goes on.
            Refused: the live query was reset while the table was built.
        """
        now = self.journal
        assert now is not None  # it was begun
        if now.phase != "swapped":
            with common.held(self.config, self.ref, patience):
                now = self._swapped(spark, emit, now)
        self.remove()
        return now

    def _swapped(self, spark: SparkSession, emit: Emit, now: Journal) -> Journal:
        if now.phase != "swapping":
            self._refuse_reset_meanwhile(now)
            if self._is_behind(now):
                self.build(spark, emit)
            number = common.next_number(self.config, self.ref)
            before = common.rows(spark, self.live.data)
            now = self._enter(now, "swapping", number=number, rows_before=before)
        try:
            for step in self._steps(spark, now):
                step()
        except Exception:
            if not self.is_in_the_table(now):
                self._enter(now, "building")  # the live table is as it was, and its query may run
            raise
        return self._enter(now, "swapped")

    def is_in_the_table(self, now: Journal) -> bool:
        """Whether the live table has taken over the rows."""
        return common.has(self.live.data, self._number, now.number)

    def remove(self) -> None:
        """Removes what the slot has of the table; the journal goes last."""
        slot = self.beside
        beside = [slot.data, slot.quarantine, slot.held, slot.tombstones, slot.changes]
        for place in [*beside, slot.metrics, slot.rule_metrics, slot.checkpoints]:
            if place == slot.checkpoints:
                journal.file_of(self.config, self.ref).unlink(missing_ok=True)
            if place.exists():
                storage.remove_all(place)

    # The steps of a swap. Each of them does nothing if it was done before.

    def _steps(self, spark: SparkSession, now: Journal) -> Iterator[Callable[[], None]]:
        yield lambda: self._replace_rows(spark, now)
        yield lambda: self._add_what_is_kept_beside(spark, now)
        yield lambda: self._take_checkpoint(now)
        yield lambda: self._open_generation(now)
        yield lambda: common.tell(self.config, self.ref, spark, now)

    def _replace_rows(self, spark: SparkSession, now: Journal) -> None:
        if self.is_in_the_table(now):
            return
        built = tables.snapshot(self.beside.data)
        if built and built.properties.get(_CHANGE_FEED) == "true":
            # A reader that is rebuilt next may follow changes from now on.
            tables.set_properties(spark, self.live.data, {_CHANGE_FEED: "true"})
        last = self._last_commit(now)
        notes = {**last, "rebuild": {"number": now.number, "reason": now.reason}}
        txns = {self._number: now.number}
        adopt.replace_by(spark, self.beside.data, self.live.data, txns=txns, notes=notes)

    def _last_commit(self, now: Journal) -> dict[str, object]:
        """What the newest batch has noted, which later batches and `verify` look for."""
        app_id = self._checkpoint(self.beside, now).app_id
        built = tables.snapshot(self.beside.data)
        batch = built.txn(app_id) if built else -1
        commit = tables.commit_of(self.beside.data, app_id, batch) if batch >= 0 else None
        return dict(commit.user_metadata) if commit else {}

    def _add_what_is_kept_beside(self, spark: SparkSession, now: Journal) -> None:
        txns = {self._number: now.number}
        for source, target in self._kept_beside():
            if tables.snapshot(source) and not common.has(target, self._number, now.number):
                _create_like(spark, source, target)
                if target in (self.live.changes, paths.transactions(self.live.changes)):
                    # They have no generations: the table is computed from all of them.
                    adopt.replace_by(spark, source, target, txns=txns, notes={})
                else:
                    adopt.add_from(spark, source, target, txns=txns)
        (self.live.held / row_format.SEEN).unlink(missing_ok=True)

    def _kept_beside(self) -> Iterator[tuple[Location, Location]]:
        """The tables beside the one that is rebuilt: in the slot, and of the live one."""
        for place in ("quarantine", "held", "tombstones", "metrics", "rule_metrics", "changes"):
            new, old = getattr(self.beside, place), getattr(self.live, place)
            yield new, old
            if place in ("quarantine", "held"):
                yield paths.releases(new), paths.releases(old)
            if place == "changes":
                yield paths.transactions(new), paths.transactions(old)

    def _take_checkpoint(self, now: Journal) -> None:
        new, old = (self._checkpoint(places, now).path for places in (self.beside, self.live))
        storage.move(new, old)

    def _open_generation(self, now: Journal) -> None:
        folder = QueryFolder.of(self.live)
        kept, built = manifest.read(folder), manifest.read(QueryFolder.of(self.beside))
        assert kept is not None  # neither is removed before the end
        assert built is not None
        if kept.current.number == now.after:
            return
        table, bound = tables.snapshot(self.live.data), built.current.binding
        assert table is not None
        assert bound is not None  # it ran
        binding = bound.model_copy(update={"target_id": table.id})
        opened = kept.opening(now.after, now.reason, rebuild=now.number)
        manifest.write(folder, opened.binding(binding))

    def _opened(self, reason: str) -> Journal:
        """The journal of a rebuild that begins now."""
        folder = QueryFolder.of(self.live)
        after = reset.plan(folder, self.live.data, self.config.pipeline).after
        return common.journal_of(self.config, self.ref, reason, after)

    def _refuse_reset_meanwhile(self, now: Journal) -> None:
        kept = manifest.read(QueryFolder.of(self.live))
        if kept is None or kept.current.number != now.before:
            raise Refused(
                f"{self.ref} was reset while it was rebuilt beside: its rebuild began at "
                f"generation v{now.before}",
                code="reset_meanwhile",
                untouched="the live table",
                next_step="type the same command again, which starts over",
            )

    @property
    def _has_code(self) -> bool:
        """Whether a Python function computes its rows, of which no digest is known."""
        table = self.config.silver.get(self.ref.name) if self.ref.layer == "silver" else None
        return table is not None and table.transform is not None

    def _is_behind(self, now: Journal) -> bool:
        """Whether the slot lacks rows of its source, or has not finished a batch."""
        checkpoint = self._checkpoint(self.beside, now)
        if now.phase == "waiting" or checkpoint.latest_commits < checkpoint.latest_offsets:
            return True
        offsets = self._stream().claim.offsets
        left = offsets.progress(checkpoint, checkpoint.latest_offsets)[1]
        return left is None or left.files > 0

    def _enter(self, now: Journal, phase: Phase, **known: int) -> Journal:
        entered = (self.journal or now).entering(phase, **known)
        journal.write(self.config, self.ref, entered)
        return entered

    def _checkpoint(self, places: TablePaths, now: Journal) -> Checkpoint:
        return QueryFolder.of(places).checkpoint(now.after)

    def _stream(self) -> Stream:
        return stream_of(self.config, self.ref, SLOT)


def abandon(config: Pipeline, ref: TableRef) -> bool:
    """Removes a rebuild that is not finished; the live table stays as it is.

    Returns:
        Whether there was one.

    Raises:
        Refused: the live table may have taken over its rows already.
        LockHeld: it goes on in another process.
    """
    rebuild = Rebuild(config, ref)
    if rebuild.journal is None:
        return False
    with rebuild.lock():
        now = rebuild.journal
        if now and (now.part or now.goes_back or rebuild.is_in_the_table(now)):
            what = f"the rebuild of {ref} cannot be abandoned"
            journal.refuse_half_swapped(config, ref, what=what)
        rebuild.remove()
    return True


def _create_like(spark: SparkSession, source: Location, target: Location) -> None:
    """Creates an empty table with the columns and properties of another one, if it is missing."""
    if tables.snapshot(target) is None:
        like = tables.snapshot(source)
        assert like is not None  # the caller has checked
        properties = {key: value for key, value in like.properties.items() if value is not None}
        schema = spark.read.format("delta").load(str(source)).schema
        tables.create(spark, target, schema, comment=like.description, properties=properties)
