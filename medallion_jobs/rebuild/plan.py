"""What a rebuild would read, how long it may take, and what it means for readers. No JVM."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from medallion_jobs.checkpoint import QueryFolder, journal, lock, manifest
from medallion_jobs.checkpoint.journal import Journal
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Snapshot, snapshot
from medallion_jobs.rebuild.chain import stale_readers
from medallion_jobs.rebuild.common import never_written
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import open_delta

# So many batches show how fast the table is written.
_LAST_BATCHES = 50


@dataclass(frozen=True)
class Plan:
    """The plan of one table's rebuild.

    Attributes:
        rows: rows of the live table.
        source: the table that is read.
        source_rows, source_files, source_bytes: what is read of it.
        seconds: an estimate by the last batches; None if these read no row.
        stale: tables that read this one and cannot go on afterwards.
        holder: the process that runs the live query now.
        under_way: a rebuild that the command goes on with.
    """

    table: TableRef
    rows: int
    source: TableRef
    source_rows: int
    source_files: int
    source_bytes: int
    seconds: float | None
    stale: tuple[TableRef, ...]
    holder: str | None
    under_way: Journal | None


def plan_of(config: Pipeline, ref: TableRef) -> Plan:
    """Plans the rebuild of a table; changes nothing.

    Raises:
        UsageError: the table, or what it reads, was never written.
    """
    places = TablePaths(config, ref)
    source_ref = (config.silver if ref.layer == "silver" else config.gold)[ref.name].from_
    table = _written(ref, places.data)
    source = _written(source_ref, TablePaths(config, source_ref).data)
    holder = lock.read(QueryFolder.of(places).lock)
    pace = _seconds_per_row(places)
    return Plan(
        table=ref,
        rows=table.rows,
        source=source_ref,
        source_rows=source.rows,
        source_files=source.files,
        source_bytes=_bytes(source),
        seconds=None if pace is None else pace * source.rows,
        stale=tuple(stale_readers(config, ref)),
        holder=lock.describe(holder) if holder and holder["alive"] else None,
        under_way=journal.read(config, ref),
    )


def _written(ref: TableRef, path: Location) -> Snapshot:
    found = snapshot(path)
    if found is None:
        raise never_written(ref)
    return found


def _bytes(table: Snapshot) -> int:
    actions = pa.table(open_delta(table.path).get_add_actions())
    return sum(actions.column("size_bytes").to_pylist())


def _seconds_per_row(places: TablePaths) -> float | None:
    """How long a row of the source took in the last batches of the live query."""
    recorded = manifest.read(QueryFolder.of(places))
    if recorded is None or snapshot(places.metrics) is None:
        return None
    columns = ["generation", "batch", "rows_in", "seconds"]
    rows = open_delta(places.metrics).to_pyarrow_table(columns=columns)
    rows = rows.filter(pc.field("generation") == recorded.current.number)
    last = rows.sort_by([("batch", "descending")]).slice(0, _LAST_BATCHES)
    read = sum(count or 0 for count in last.column("rows_in").to_pylist())
    return sum(last.column("seconds").to_pylist()) / read if read else None
