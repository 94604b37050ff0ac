"""Maintenance of all tables of the engine, each under the lock of the query that writes it.

The lock is needed because a run keeps its tables open: if its log were shortened meanwhile, it
could write an existing version again. `discovered` is maintained only when its query has read
all of it: the query streams that table, one data file per batch. It never opens the files that it
has read; those that it has yet to read must stay unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

from medallion_jobs.checkpoint import Lock, QueryFolder, lock, manifest
from medallion_jobs.checkpoint.offsets import DeltaOffsets, Offset
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import LockHeld
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.maintenance import upkeep
from medallion_jobs.maintenance.upkeep import Limits, Upkeep
from medallion_jobs.storage import Location

# After `checkpoint reset` a compacted file of `discovered` is one batch. The files in it are
# already in bronze, so the batch costs little, but the driver holds their list in memory.
FILES_PER_CHUNK = 10_000


def maintain(config: Pipeline, older_than: timedelta, *, dry_run: bool) -> list[Upkeep]:
    """Maintains every ledger and metrics table; returns what was done to each."""
    return [
        done
        for ref in paths.sources(config)
        for done in _maintain_query(config, ref, older_than, dry_run=dry_run)
    ]


def _maintain_query(
    config: Pipeline, ref: TableRef, older_than: timedelta, *, dry_run: bool
) -> Iterator[Upkeep]:
    places = TablePaths(config, ref)
    tables = {name: path for name, path in _tables_of(places).items() if snapshot(path)}
    if not tables:
        return
    query_folder = QueryFolder.of(places)
    with ExitStack() as held:
        if lock.is_running(query_folder.lock):
            yield from (upkeep.skip(n, p, "its query is running") for n, p in tables.items())
            return
        if not dry_run:
            try:
                held.enter_context(Lock(query_folder.lock, str(ref)))
            except LockHeld:
                yield from (upkeep.skip(n, p, "its query is running") for n, p in tables.items())
                return
        for name, path in tables.items():
            is_streamed = path == paths.sources(config)[ref]
            limits = _limits_of_streamed(query_folder, path, older_than) if is_streamed else None
            if isinstance(limits, str):
                yield upkeep.skip(name, path, limits)
            else:
                work = upkeep.preview if dry_run else upkeep.carry_out
                yield work(name, path, limits or Limits(older_than))


def _tables_of(table: TablePaths) -> dict[str, Location]:
    """The engine's tables that only the query of `table` writes, by name."""
    ref = table.ref
    of_files = {
        f"ledger/{ref.name}/discovered": table.discovered,
        f"ledger/{ref.name}/events": table.events,
    }
    parked = {
        f"quarantine/silver/{ref.name}": table.quarantine,
        f"held/silver/{ref.name}": table.held,
    }
    of_rows = {
        **parked,
        **{f"{name}/_claims": paths.releases(path) for name, path in parked.items()},
        f"tombstones/silver/{ref.name}": table.tombstones,
        f"changes/silver/{ref.name}": table.changes,
        f"changes/silver/{ref.name}/_transactions": paths.transactions(table.changes),
    }
    return {
        **(of_files if ref.layer == "bronze" else {}),
        **(of_rows if ref.layer == "silver" else {}),
        f"metrics/{ref.layer}/{ref.name}": table.metrics,
        f"metrics/quality/{ref.layer}/{ref.name}": table.rule_metrics,
    }


def _limits_of_streamed(
    query_folder: QueryFolder, path: Location, older_than: timedelta
) -> Limits | str:
    """The limits of maintenance for a streamed table, or why it has to be skipped."""
    recorded = manifest.read(query_folder)
    if recorded is None:
        return "its query has no checkpoint"
    checkpoint = query_folder.checkpoint(recorded.current.number)
    newest = checkpoint.latest_offsets
    if newest < 0 or newest != checkpoint.latest_commits:
        return "its query has not finished its newest batch"
    remaining = DeltaOffsets(path).backlog(checkpoint)
    if remaining is None or remaining.files:
        return "its query has not read all of it"
    # At a start, Spark plans the newest batch again, from the end of the batch before it; the
    # very first batch it plans from the snapshot before the end of that batch.
    positions = [Offset.after(checkpoint, batch) for batch in (newest - 1, newest)]
    log_from = min(offset.version for offset in positions if offset) - 1
    return Limits(older_than, FILES_PER_CHUNK, max(log_from, 0))
