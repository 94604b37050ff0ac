"""Admits a query to a run: what it needs is there, it has its lock, and its start checks pass."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack

from medallion_jobs import checkpoint
from medallion_jobs.checkpoint import Claim, Lock, QueryFolder, manifest
from medallion_jobs.config.selection import Reads, reads
from medallion_jobs.engine.query import Running
from medallion_jobs.engine.restarts import Restarts
from medallion_jobs.engine.stream import Stream
from medallion_jobs.errors import Refused
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.observe.batch_table import BatchTable
from medallion_jobs.observe.events import Emit, Note
from medallion_jobs.storage import Location


def reads_of(streams: Sequence[Stream]) -> Reads:
    """What the tables of a run read of each other."""
    tables = [stream.claim.ref for stream in streams]
    graph = reads(streams[0].claim.paths.config) if streams else {}
    return {table: [ref for ref in graph.get(table, ()) if ref in tables] for table in tables}


def admit(stream: Stream, made: Collection[Location], held: ExitStack, emit: Emit) -> Running:
    """Takes the lock of a query and runs its start checks.

    Args:
        made: the tables that the run creates.
        held: gets the lock, and frees it.

    Raises:
        MedallionError: something that it needs is missing.
        LockHeld: it is already running.
        Refused: starting it would write wrong tables.
    """
    stream.preflight(made)
    claim = stream.claim
    _refuse_unbuilt_source(claim, made)
    query_folder = claim.query_folder
    with ExitStack() as own:
        lock = own.enter_context(Lock(query_folder.lock, str(claim.paths)))
        query_folder.stop.unlink(missing_ok=True)
        notes = []
        if lock.took_over:
            notes.append(("took over from a run that died", lock.took_over["since"]))
        start_point = checkpoint.check(claim)
        notes += [
            ("removed leftovers of an interrupted first batch", leftover)
            for leftover in start_point.repaired
        ]
        if start_point.changed:
            notes.append(("new logic from this run on", ", ".join(start_point.changed)))
        for what, about in notes:
            emit(Note(str(claim.ref), what, {"about": str(about)}))
        held.enter_context(own.pop_all())
    log = BatchTable(claim.paths.metrics)
    restarts = Restarts(claim.paths.config.trigger.restart)
    return Running(stream, query_folder, start_point, lock, log, restarts)


def _refuse_unbuilt_source(claim: Claim, made: Collection[Location]) -> None:
    """Refuses to read a table that was reset and that no run has started to rebuild."""
    if claim.reads is None or claim.source_path in made:
        return
    source = TablePaths(claim.paths.config, claim.reads)
    upstream = manifest.read(QueryFolder.of(source))
    if upstream and upstream.current.number > 1 and upstream.current.binding is None:
        raise Refused(
            f"{claim.ref} was not started: its source {claim.reads} was reset and has not "
            "run since",
            code="source_was_reset",
            untouched="no table, no checkpoint",
            next_step=f"run {claim.reads} first, or all layers: `medallion run`",
        )
