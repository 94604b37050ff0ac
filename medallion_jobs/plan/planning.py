"""What the next run would do with each table, and what it would leave as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Literal

from medallion_jobs import bronze, gold, silver
from medallion_jobs.checkpoint import (
    Binding,
    Change,
    Claim,
    Generation,
    QueryFolder,
    manifest,
    orphans,
)
from medallion_jobs.checkpoint.logic import changes, stale
from medallion_jobs.checkpoint.start_checks import rebuild_with_readers
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.engine.stream import Stream
from medallion_jobs.errors import MedallionError, Refused
from medallion_jobs.kafkaloader import KafkaLoader
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.plan import refusals
from medallion_jobs.plan.columns import LakeColumns
from medallion_jobs.report import rebuild_cost
from medallion_jobs.report.rebuild_cost import Batches, Cost
from medallion_jobs.storage import children

State = Literal["added", "unchanged", "changed", "reset", "renamed", "removed", "refused"]

# A rebuild ends these refusals; others need another command, or a change of the config.
_REBUILT = frozenset(
    {
        *("logic_changed", "source_changed", "columns_left_config", "columns_differ"),
        *("column_types_changed", "layout_differs"),
    }
)
# Somebody waits for the answer: a cluster that is down must not keep it.
_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Refusal:
    """Why a run would refuse the table: the error that it would raise."""

    code: str
    what: str
    next_step: str


@dataclass(frozen=True)
class OldRows:
    """Rows that keep an older logic, unless they are computed again.

    Attributes:
        part: the part of the logic, such as `columns.total`.
        old, new: what they were computed by, and what the config has now.
        since, before: they are of the batches from `since` up to and without `before`.
        rows: rows that these batches wrote.
    """

    part: str
    old: str
    new: str
    since: int
    before: int
    rows: int


@dataclass(frozen=True)
class TablePlan:
    """What becomes of one table.

    Attributes:
        state: `reset` if a new generation was opened and has not run.
        was: the former name of a table that was renamed.
        changes: what differs from the logic of the last run.
        old_rows: rows that an older logic has computed, also before the last run.
        readers: tables that read it, directly or through others.
        looked_up_by: tables that look it up; their rows keep what they have taken.
        rebuild: what a rebuild of this table alone would read; None if there is nothing to do.
        commands: what to type, in this order.
    """

    table: str
    state: State
    changes: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    old_rows: tuple[OldRows, ...] = ()
    was: str | None = None
    readers: tuple[str, ...] = ()
    looked_up_by: tuple[str, ...] = ()
    rebuild: Cost | None = None
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What becomes of every table: those of the config, and those that only the lake has.

    Attributes:
        is_first: whether no query has run in this lake.
    """

    pipeline: str
    tables: tuple[TablePlan, ...]
    is_first: bool = False

    @property
    def exit_code(self) -> int:
        """0 nothing to do, 1 something is to be rebuilt or to be removed, 2 a run is refused."""
        if any(table.refusals for table in self.tables):
            return 2
        waits = ("reset", "renamed", "removed")
        return int(any(table.old_rows or table.state in waits for table in self.tables))

    def only(self, tables: Collection[TableRef]) -> Plan:
        """The plan of these tables alone."""
        named = {str(ref) for ref in tables}
        return replace(self, tables=tuple(one for one in self.tables if one.table in named))


def plan(config: Pipeline) -> Plan:
    """Compares a config with the tables that are there. Reads only, and starts no JVM."""
    planner = _Planner(config)
    tables = [planner.table(stream) for stream in planner.streams]
    removed = [planner.removed(ref) for ref in planner.orphans]
    is_first = not children(config.state_path / "checkpoints")
    return Plan(config.pipeline, (*tables, *removed), is_first)


class _Planner:
    """Plans the tables of one config.

    Attributes:
        orphans: tables that the pipeline has written and its config does not name.
    """

    def __init__(self, config: Pipeline) -> None:
        self.config = config
        self.streams = list(_streams(config))
        self.orphans = dict(_orphans(config))
        self._renamed: dict[str, str] = {}
        self._columns = LakeColumns(config)
        self._made = {stream.claim.target_path for stream in self.streams}

    def table(self, stream: Stream) -> TablePlan:
        claim = stream.claim
        current = _generation(claim)
        is_reset = current is not None and current.number > 1 and current.binding is None
        # Rows of bronze stay where they are, also after a reset.
        is_emptied = is_reset and claim.ref.layer != "bronze"
        errors = refusals.of(stream, self._columns, self._made, is_emptied=is_emptied)
        made_by = current.binding if current else None
        found = TablePlan(
            table=str(claim.ref),
            state="unchanged" if made_by else "reset" if is_reset else "added",
            changes=tuple(changes(made_by.logic, claim.logic)) if made_by else (),
            refusals=tuple(_shown(claim.ref, error) for error in errors),
            readers=tuple(map(str, dict.fromkeys(paths.readers(self.config, claim.ref)))),
            looked_up_by=self._looked_up_by(claim.ref),
        )
        if current and made_by:
            found = self._with_old_rows(found, claim, current)
        if found.state == "added" and (former := self._former(claim)):
            del self.orphans[former]
            self._renamed[str(former)] = str(claim.ref)
            then = ("medallion run", _drop(former))
            found = replace(found, state="renamed", was=str(former), commands=then)
        if found.refusals:
            return replace(found, state="refused")
        return replace(found, state="changed") if found.changes else found

    def removed(self, ref: TableRef) -> TablePlan:
        """The plan of a table that the config does not name; dropped only if nobody looks it up."""
        users = self._looked_up_by(ref)
        commands = () if users else (_drop(ref),)
        return TablePlan(str(ref), "removed", looked_up_by=users, commands=commands)

    def _looked_up_by(self, ref: TableRef) -> tuple[str, ...]:
        tables = self.config.silver.items()
        return tuple(f"silver.{name}" for name, table in tables if ref in table.dimensions)

    def _with_old_rows(self, found: TablePlan, claim: Claim, current: Generation) -> TablePlan:
        """The plan with the rows that keep an older logic, and the command that ends that."""
        target = snapshot(claim.target_path)
        written = target.txn(claim.query_folder.checkpoint(current.number).app_id) if target else -1
        # A change that is refused is not accepted: only those that earlier runs have accepted.
        older = stale(
            current.history if found.refusals else current.history_with(claim.logic, written + 1)
        )
        is_bronze = claim.ref.layer == "bronze"
        ends_refusal = not is_bronze and any(refusal.code in _REBUILT for refusal in found.refusals)
        if not ends_refusal and not older:
            return found
        batches = Batches(self.config, claim.ref)
        rows = [
            OldRows(**asdict(one), rows=batches.written(current.number, one.since, one.before))
            for one in older
        ]
        return replace(
            found,
            old_rows=tuple(rows),
            rebuild=None if is_bronze else rebuild_cost.of(self.config, claim.ref, batches),
            commands=(*self._first(claim), rebuild_with_readers(claim)),
        )

    def _first(self, claim: Claim) -> Iterator[str]:
        """The command that makes the source of a table, if it does not exist yet."""
        if claim.reads and claim.source_path and snapshot(claim.source_path) is None:
            yield f"medallion run {claim.reads.layer}"

    def _former(self, claim: Claim) -> TableRef | None:
        """The orphan that was made by the same logic from the same source, if there is one."""
        for ref, bound in self.orphans.items():
            if ref.layer != claim.ref.layer or bound is None or changes(bound.logic, claim.logic):
                continue
            # Without a `path`, files lie in a folder of the table's name.
            usual = f"files of {self.config.landing_root / ref.name}"
            here = f"files of {self.config.landing_root / claim.ref.name}"
            source = self._renamed.get(bound.source, bound.source)
            if source == claim.source or (source, claim.source) == (usual, here):
                return ref
        return None


def _streams(config: Pipeline) -> Iterator[Stream]:
    for stream in bronze.streams(config):
        if isinstance(stream, KafkaLoader):
            stream.patience_seconds = _PATIENCE_SECONDS
        yield stream
    yield from silver.streams(config)
    yield from gold.streams(config)


def _generation(claim: Claim) -> Generation | None:
    """The current generation; None if the query never ran, or its manifest cannot be read."""
    with suppress(Refused):  # a finding of the start checks
        recorded = manifest.read(claim.query_folder)
        return recorded.current if recorded else None
    return None


def _orphans(config: Pipeline) -> Iterator[tuple[TableRef, Binding | None]]:
    """Tables that this pipeline has written, and that its config does not name any more."""
    for ref in orphans(config):
        recorded = manifest.read(QueryFolder.of(TablePaths(config, ref)))
        if recorded:
            yield ref, recorded.current.binding


def _drop(ref: TableRef) -> str:
    return f"medallion drop {ref} --yes"


def _shown(ref: TableRef, error: MedallionError) -> Refusal:
    what = error.what.removeprefix(f"{ref} was not started: ")
    what = f"it {rest}" if (rest := what.removeprefix(f"{ref} ")) != what else what
    next_step = error.next_step.removesuffix("; `medallion plan` shows all that is refused")
    return Refusal(error.code, what, next_step)
