"""Start checks: a query's checkpoint, table and source must still belong together.

Spark does not compare its checkpoint with the table it writes. If q is the application id of
the query's current generation, a consistent pair always satisfies

    latest(commits) <= table.txn[q] <= latest(offsets)

because a batch is planned (`offsets/N`), then written to the table (`txn` N), then committed
(`commits/N`). This does not hold if an older checkpoint was restored, the table was dropped or
restored, the checkpoint is gone, or the table's log lost its last entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medallion_jobs.checkpoint import journal
from medallion_jobs.checkpoint import manifest as manifests
from medallion_jobs.checkpoint.folder import Checkpoint, QueryFolder
from medallion_jobs.checkpoint.logic import Change, Logic, changes
from medallion_jobs.checkpoint.manifest import Generation, Manifest
from medallion_jobs.checkpoint.offsets import DeltaOffsets, Fault, SourceOffsets
from medallion_jobs.checkpoint.source_changes import OnChange
from medallion_jobs.errors import Refused, rebuild_command
from medallion_jobs.lake.paths import TablePaths, readers
from medallion_jobs.lake.tables import Snapshot, snapshot
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from medallion_jobs.config import TableRef


_NOT_STARTED = "was not started"


@dataclass(frozen=True)
class StartPoint:
    """The result of the checks for a query that may start.

    Attributes:
        last_written: the newest batch of this generation in the table, or -1.
        repaired: deleted temporary files of an interrupted first batch.
        changed: what differs from the logic that the older rows were computed by.
    """

    manifest: Manifest
    checkpoint: Checkpoint
    last_written: int
    repaired: tuple[Location, ...] = ()
    changed: Sequence[Change] = ()

    @property
    def generation(self) -> int:
        return self.manifest.current.number

    @property
    def next_batch(self) -> int:
        """The first batch that this start writes."""
        return self.last_written + 1

    def news_for(self, claim: Claim) -> str:
        """What changed in the logic, and what becomes of the older rows, for the user."""
        listed = "; ".join(map(str, self.changed))
        if not self.next_batch:
            return listed
        again = (
            "files that gave no row are read again by"
            if claim.ref.layer == "bronze"
            else "they are computed again by"
        )
        return (
            f"{listed}; rows before batch {self.next_batch} keep the old logic, and {again}: "
            f"{rebuild_with_readers(claim)}"
        )


@dataclass(frozen=True)
class Claim:
    """What a query will read, write and compute; the checks compare it with what exists.

    Attributes:
        paths: where the table lies, and all that is kept for its query.
        target_path: the Delta table in which its batches are looked up.
        source: the name of its source, as the manifest records it.
        source_path: the Delta table that it streams from; None if its source is no table.
        reads: the table that it reads, if another query writes that table.
        pipeline: the pipeline of the query.
        other_offsets: how the engine asks about a source that is more than a table, or none.
        on_change: what it does about changed and deleted rows of its source.
    """

    paths: TablePaths
    target_path: Location
    source: str
    source_path: Location | None
    logic: Logic
    reads: TableRef | None = None
    pipeline: str = ""
    other_offsets: SourceOffsets | None = None
    on_change: OnChange = "fail"

    @property
    def offsets(self) -> SourceOffsets:
        """How the engine asks about the source."""
        if self.other_offsets is not None:
            return self.other_offsets
        return DeltaOffsets(self.source_table, self.source, self.on_change)

    @property
    def source_rebuilds(self) -> int:
        """The number of its source's newest rebuild; -1 before the first."""
        offsets = self.offsets
        return offsets.rebuilds() if isinstance(offsets, DeltaOffsets) else -1

    @property
    def source_table(self) -> Location:
        """The Delta table that it streams from; only of a query whose source is a table."""
        assert self.source_path is not None
        return self.source_path

    @property
    def ref(self) -> TableRef:
        return self.paths.ref

    @property
    def query_folder(self) -> QueryFolder:
        """The folder of the query's state."""
        return QueryFolder.of(self.paths)


def check(claim: Claim) -> StartPoint:
    """Checks whether a query may start.

    Raises:
        Refused: the first finding: a start would lose rows, duplicate them or compute wrong
            values.
    """
    for finding in findings(claim):
        raise finding
    query_folder, target = claim.query_folder, snapshot(claim.target_path)
    manifest = manifests.read(query_folder) or manifests.first(query_folder, claim.pipeline)
    checkpoint = query_folder.checkpoint(manifest.current.number)
    written = target.txn(checkpoint.app_id) if target else -1
    return StartPoint(
        manifest=manifest,
        checkpoint=checkpoint,
        last_written=written,
        repaired=tuple(checkpoint.remove_leftovers()) if written < 0 else (),
        changed=[c for c in changed_from(claim, manifest.current) if c.kind == "rows"],
    )


def findings(claim: Claim) -> Iterator[Refused]:
    """Every reason for which a query may not start. Reads only, and starts no JVM."""
    query_folder, target = claim.query_folder, snapshot(claim.target_path)
    yield from _check_rebuilds(claim)
    try:
        manifest = manifests.read(query_folder)
    except Refused as unreadable:
        yield unreadable
        return
    if manifest is None:
        yield from _check_untouched(query_folder, claim, target)
        manifest = manifests.first(query_folder, claim.pipeline)
    yield from _check_owner(claim, manifest)
    yield from _check_newest(query_folder, claim, manifest, target)
    current = manifest.current
    checkpoint = query_folder.checkpoint(current.number)
    written = target.txn(checkpoint.app_id) if target else -1
    if current.binding is None:
        yield from _check_unstarted(claim, checkpoint, current, target, written)
    else:
        yield from _check_target(claim, checkpoint, current, target, written)
        yield from _check_source(claim, checkpoint, current)
        yield from _check_logic(claim, current)


def _check_rebuilds(claim: Claim) -> Iterator[Refused]:
    """Neither its table nor its source is in the middle of a swap."""
    for ref in filter(None, (claim.ref if claim.paths.is_live else None, claim.reads)):
        try:
            journal.refuse_half_swapped(claim.paths.config, ref, what=f"{claim.ref} {_NOT_STARTED}")
        except Refused as refused:
            yield refused


def _check_untouched(
    query_folder: QueryFolder, claim: Claim, target: Snapshot | None
) -> Iterator[Refused]:
    """Without a manifest there must be no checkpoint and no rows either."""
    if query_folder.generations:
        remain = ", ".join(f"v{number}" for number in query_folder.generations)
        yield _refusal(
            claim,
            "manifest_lost",
            f"its manifest is gone, but checkpoints remain ({remain}): {query_folder.manifest}",
        )
    if target and target.rows:
        yield _refusal(
            claim,
            "checkpoint_lost",
            f"its table has {target.rows:,} rows, but its checkpoint is gone "
            f"(no {query_folder.manifest}): the query would read everything again and "
            f"duplicate them",
        )


def _check_owner(claim: Claim, manifest: Manifest) -> Iterator[Refused]:
    if manifest.pipeline != claim.pipeline:
        yield Refused(
            f"{claim.ref} was not started: under this storage.root, the pipeline "
            f"{manifest.pipeline} writes it, not {claim.pipeline}",
            code="table_of_another_pipeline",
            untouched="no table, no checkpoint",
            next_step="give the table another name, or the pipeline another storage.root",
        )


def _check_newest(
    query_folder: QueryFolder, claim: Claim, manifest: Manifest, target: Snapshot | None
) -> Iterator[Refused]:
    """The manifest must know every generation that has run."""
    known = max(generation.number for generation in manifest.generations)
    ran = max([0, *query_folder.generations])
    if target and target.txn(query_folder.checkpoint(known + 1).app_id) >= 0:
        ran = max(ran, known + 1)
    if ran > known:
        yield _refusal(
            claim,
            "manifest_restored",
            f"its manifest ends with generation v{known}, but v{ran} has run: "
            f"an older manifest was restored",
        )


def _check_unstarted(
    claim: Claim,
    checkpoint: Checkpoint,
    current: Generation,
    target: Snapshot | None,
    written: int,
) -> Iterator[Refused]:
    """A generation that never ran must have no checkpoint and no batch in the table."""
    if checkpoint.latest_offsets >= 0 or written >= 0:
        yield _refusal(
            claim,
            "manifest_restored",
            f"its manifest says that generation v{current.number} never ran, but "
            f"{'the table has batches of it' if written >= 0 else 'it has a checkpoint'}: "
            f"an older manifest was restored",
        )
    if current.number == 1 and target and target.rows:
        yield _refusal(
            claim,
            "checkpoint_lost",
            f"its table has {target.rows:,} rows, but it has no checkpoint",
        )


def _check_target(
    claim: Claim,
    checkpoint: Checkpoint,
    current: Generation,
    target: Snapshot | None,
    written: int,
) -> Iterator[Refused]:
    commits, offsets = checkpoint.latest_commits, checkpoint.latest_offsets
    if target is None:
        yield _refusal(
            claim,
            "table_removed",
            f"its table was removed ({claim.target_path}), but its checkpoint is at batch "
            f"{offsets}: rows that were already read would be missing for good",
        )
        return
    assert current.binding is not None  # the caller has checked
    if target.id != current.binding.target_id:
        yield _refusal(
            claim,
            "table_replaced",
            f"its table is not the recorded one: id {target.id} at {claim.target_path}, "
            f"id {current.binding.target_id} in the manifest",
        )
    if written < commits:
        yield _refusal(
            claim,
            "table_restored",
            f"its table has batches up to {written} of {checkpoint.app_id}, but the "
            f"checkpoint has finished batch {commits}: the table was restored to an older "
            f"version or lost the end of its log",
        )
    if written > offsets and offsets < 0:
        yield _refusal(
            claim,
            "checkpoint_lost",
            f"its table has rows up to batch {written} of {checkpoint.app_id}, but its "
            f"checkpoint is gone ({checkpoint.path}): the query would read everything again",
        )
    if written > offsets:
        yield _refusal(
            claim,
            "checkpoint_restored",
            f"an older checkpoint was restored: the table has batch {written} of "
            f"{checkpoint.app_id}, but the checkpoint ends with batch {offsets}; "
            f"batches up to {written} would be planned again and then skipped",
        )


def _check_source(claim: Claim, checkpoint: Checkpoint, current: Generation) -> Iterator[Refused]:
    assert current.binding is not None  # the caller has checked
    for fault in claim.offsets.faults(checkpoint, current.binding):
        yield refused_for(claim, fault)


def _check_logic(claim: Claim, current: Generation) -> Iterator[Refused]:
    changed = [change for change in changed_from(claim, current) if change.kind == "state"]
    if changed:
        yield _refusal(
            claim,
            "logic_changed",
            f"its logic changed, and its state does not fit the new logic: "
            f"{'; '.join(map(str, changed))}. Spark would continue from the old state and write "
            "wrong values",
            f"to compute the table by the new logic, beside the old one: "
            f"`{rebuild_with_readers(claim)}` (shows what it would do); or in its place: "
            f'`medallion checkpoint reset {claim.ref} --reason "…"`; or change the config back',
        )


def changed_from(claim: Claim, current: Generation) -> list[Change]:
    """What differs from the logic that the generation is bound to."""
    return changes(current.binding.logic, claim.logic) if current.binding else []


def rebuild_with_readers(claim: Claim) -> str:
    """The command that computes a table again, with all tables that read it.

    That of a bronze table has no such option.
    """
    takes_readers = claim.ref.layer != "bronze" and readers(claim.paths.config, claim.ref)
    return rebuild_command(claim.ref, *(["--downstream"] if takes_readers else []))


def refused_for(claim: Claim, fault: Fault, *, did: str = _NOT_STARTED) -> Refused:
    """The error for a source with which a query cannot go on.

    Args:
        did: what became of the query.
    """
    next_step = fault.next_step
    if fault.needs_rebuild:
        command = f"{rebuild_with_readers(claim)} --yes"
        rebuild = f"to compute its rows from its source as it is now: `{command}`"
        next_step = "; ".join(filter(None, (rebuild, next_step)))
    return _refusal(claim, fault.code, fault.reason, next_step, did)


def _refusal(
    claim: Claim, code: str, reason: str, next_step: str = "", did: str = _NOT_STARTED
) -> Refused:
    """The error for a failed check, with what to do: restore what is missing, or reset."""
    return Refused(
        f"{claim.ref} {did}: {reason}",
        code=code,
        untouched="no table, no checkpoint",
        next_step=(
            next_step
            or "restore what is missing, or open a new generation: "
            f'`medallion checkpoint reset {claim.ref} --reason "…"` (shows what it would do; '
            "deletes nothing)"
        )
        + "; `medallion plan` shows all that is refused",
    )
