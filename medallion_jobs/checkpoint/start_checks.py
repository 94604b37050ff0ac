"""The start fence: checkpoint, table and source must still belong together.

Spark does not compare its checkpoint with the table it writes. With q the transaction id
of the query's current generation, a healthy pair always satisfies

    latest(commits) <= table.txn[q] <= latest(offsets)

because a batch is planned (`offsets/N`), then written to the table (`txn` N), then noted
as done (`commits/N`). An older checkpoint put back, a table dropped or restored, or a
checkpoint that is gone each break it; so does a table log that lost its last entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medallion_jobs.checkpoint import manifest as manifests
from medallion_jobs.checkpoint.folder import Checkpoint, QueryFolder
from medallion_jobs.checkpoint.manifest import Generation, Logic, Manifest
from medallion_jobs.checkpoint.offsets import Offset
from medallion_jobs.errors import Refused
from medallion_jobs.lake.tables import Snapshot, snapshot
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from medallion_jobs.config import TableRef


@dataclass(frozen=True)
class StartPoint:
    """A query that may start.

    Attributes:
        last_written: the newest batch that the table holds from this generation, or -1.
        repaired: temporary files of a cut-off first batch that were deleted.
        changed: the free parts of the logic that are not what they were: name to (old, new).
    """

    manifest: Manifest
    checkpoint: Checkpoint
    last_written: int
    repaired: tuple[Location, ...] = ()
    changed: Mapping[str, tuple[str, str]] | None = None

    @property
    def generation(self) -> int:
        return self.manifest.current.number


@dataclass(frozen=True)
class Claim:
    """What a query is about to do, to be held against what is there.

    Attributes:
        source: the name of what it reads, as the manifest records it.
        source_path: the Delta table that it streams from.
        reads: the table that it reads, if another query writes that one.
        pipeline: whose query it is.
    """

    ref: TableRef
    target_path: Location
    source: str
    source_path: Location
    logic: Logic
    reads: TableRef | None = None
    pipeline: str = ""


def check(home: QueryFolder, claim: Claim) -> StartPoint:
    """Lets a query pass, or says why not.

    Raises:
        Refused: starting would lose rows, double them or compute wrong ones.
    """
    target = snapshot(claim.target_path)
    manifest = manifests.read(home)
    if manifest is None:
        _check_untouched(home, claim, target)
        manifest = manifests.first(home, claim.pipeline)
    _check_owner(claim, manifest)
    _check_newest(home, claim, manifest, target)
    current = manifest.current
    checkpoint = home.checkpoint(current.number)
    written = target.txn(checkpoint.app_id) if target else -1
    if current.binding is None:
        _check_unstarted(claim, checkpoint, current, target, written)
    else:
        _check_target(claim, checkpoint, current, target, written)
        _check_source(claim, checkpoint, current)
        _check_logic(claim, current)
    return StartPoint(
        manifest=manifest,
        checkpoint=checkpoint,
        last_written=written,
        repaired=tuple(checkpoint.remove_leftovers()) if written < 0 else (),
        changed=_changed_freely(claim, current),
    )


def _check_untouched(home: QueryFolder, claim: Claim, target: Snapshot | None) -> None:
    """No manifest: then there must be no checkpoint and no row either."""
    if home.generations:
        remain = ", ".join(f"v{number}" for number in home.generations)
        raise _refusal(
            claim, f"its manifest is gone, but checkpoints remain ({remain}): {home.manifest}"
        )
    if target and target.rows:
        raise _refusal(
            claim,
            f"its table has {target.rows:,} rows, but its checkpoint is gone "
            f"(no {home.manifest}): the query would read everything again and double them",
        )


def _check_owner(claim: Claim, manifest: Manifest) -> None:
    if manifest.pipeline != claim.pipeline:
        raise Refused(
            f"{claim.ref} was not started: under this storage.root it is written by the pipeline "
            f"{manifest.pipeline}, not by {claim.pipeline}",
            untouched="no table, no checkpoint",
            next_step="give the table another name, or the pipeline another storage.root",
        )


def _check_newest(
    home: QueryFolder, claim: Claim, manifest: Manifest, target: Snapshot | None
) -> None:
    """No generation may have run that the manifest does not know of."""
    known = max(generation.number for generation in manifest.generations)
    ran = max([0, *home.generations])
    if target and target.txn(home.checkpoint(known + 1).app_id) >= 0:
        ran = max(ran, known + 1)
    if ran > known:
        raise _refusal(
            claim,
            f"its manifest knows of no generation after v{known}, but v{ran} has run: "
            f"an older manifest was put back",
        )


def _check_unstarted(
    claim: Claim,
    checkpoint: Checkpoint,
    current: Generation,
    target: Snapshot | None,
    written: int,
) -> None:
    """A generation that never ran: nothing may bear its mark."""
    if checkpoint.latest_offsets >= 0 or written >= 0:
        raise _refusal(
            claim,
            f"its manifest says that generation v{current.number} never ran, but "
            f"{'the table holds batches of it' if written >= 0 else 'it has a checkpoint'}: "
            f"an older manifest was put back",
        )
    if current.number == 1 and target and target.rows:
        raise _refusal(claim, f"its table has {target.rows:,} rows that no checkpoint accounts for")


def _check_target(
    claim: Claim,
    checkpoint: Checkpoint,
    current: Generation,
    target: Snapshot | None,
    written: int,
) -> None:
    commits, offsets = checkpoint.latest_commits, checkpoint.latest_offsets
    if target is None:
        raise _refusal(
            claim,
            f"its table was removed ({claim.target_path}), but its checkpoint remains at "
            f"batch {offsets}: rows that were read before would be missing for ever",
        )
    assert current.binding is not None  # the caller has looked
    if target.id != current.binding.target_id:
        raise _refusal(
            claim,
            f"its table is another one than recorded: id {target.id} at {claim.target_path}, "
            f"id {current.binding.target_id} in the manifest",
        )
    if written < commits:
        raise _refusal(
            claim,
            f"its table holds batches up to {written} of {checkpoint.app_id}, but the "
            f"checkpoint has finished batch {commits}: the table was restored to an older "
            f"version or lost the end of its log",
        )
    if written > offsets and offsets < 0:
        raise _refusal(
            claim,
            f"its table has rows up to batch {written} of {checkpoint.app_id}, but its "
            f"checkpoint is gone ({checkpoint.path}): the query would read everything again",
        )
    if written > offsets:
        raise _refusal(
            claim,
            f"an older checkpoint was put back: the table holds batch {written} of "
            f"{checkpoint.app_id}, but the checkpoint knows only of batch {offsets}; "
            f"batches up to {written} would be planned anew and then dropped",
        )


def _check_source(claim: Claim, checkpoint: Checkpoint, current: Generation) -> None:
    source = snapshot(claim.source_path)
    assert current.binding is not None  # the caller has looked
    if claim.source != current.binding.source:
        raise _refusal(
            claim, f"it reads {claim.source} now, and read {current.binding.source} before"
        )
    if source is None:
        raise _refusal(claim, f"what it reads is gone: {claim.source} at {claim.source_path}")
    if lost := ahead_of(checkpoint, source):
        raise _refusal(
            claim,
            f"it has read {lost} of {claim.source}, whose newest is version {source.version}: "
            f"that table lost the end of its log or was restored, and what is written to it "
            f"from now on would be read in part, or twice",
        )
    if source.id != current.binding.source_id:
        raise _refusal(
            claim,
            f"{claim.source} is another table than recorded: id {source.id} at "
            f"{claim.source_path}, id {current.binding.source_id} in the manifest",
        )


def ahead_of(checkpoint: Checkpoint, source: Snapshot) -> str | None:
    """The version of `source` that a query has read, if the table does not have it (any more)."""
    reached = Offset.after(checkpoint, checkpoint.latest_offsets)
    read = reached.version - (reached.index < 0) if reached else 0
    return f"version {read}" if read > source.version else None


def _check_logic(claim: Claim, current: Generation) -> None:
    assert current.binding is not None  # the caller has looked
    changes = _differences(current.binding.logic.state, claim.logic.state)
    if changes:
        told = "; ".join(f"{part}: {old!r} became {new!r}" for part, (old, new) in changes.items())
        raise _refusal(
            claim,
            f"its logic changed in a way that its state cannot bear: {told}. Spark would go "
            f"on from the old state and write wrong values",
        )


def _changed_freely(claim: Claim, current: Generation) -> Mapping[str, tuple[str, str]]:
    if current.binding is None:
        return {}
    return _differences(current.binding.logic.free, claim.logic.free)


def _differences(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {
        part: (old.get(part, ""), new.get(part, ""))
        for part in sorted({*old, *new})
        if old.get(part, "") != new.get(part, "")
    }


def _refusal(claim: Claim, why: str) -> Refused:
    """A refusal with the way out: to put back what is gone, or a new generation."""
    return Refused(
        f"{claim.ref} was not started: {why}",
        untouched="no table, no checkpoint",
        next_step="put back what was taken away, or begin a new generation: "
        f'`medallion checkpoint reset {claim.ref} --reason "…"` (shows what it would do; '
        "nothing is deleted)",
    )
