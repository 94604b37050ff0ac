"""What a rebuild would read, how long it may take, and what it means for readers. No JVM."""

from __future__ import annotations

from dataclasses import dataclass

from medallion_jobs.checkpoint import QueryFolder, journal, lock
from medallion_jobs.checkpoint.journal import Journal
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.rebuild.chain import stale_readers
from medallion_jobs.rebuild.common import never_written
from medallion_jobs.report import rebuild_cost
from medallion_jobs.report.rebuild_cost import Batches


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
    table = snapshot(places.data)
    if table is None:
        raise never_written(ref)
    cost = rebuild_cost.of(config, ref, Batches(config, ref))
    if cost is None:
        raise never_written(source_ref)
    holder = lock.read(QueryFolder.of(places).lock)
    return Plan(
        table=ref,
        rows=table.rows,
        source=source_ref,
        source_rows=cost.rows,
        source_files=cost.files,
        source_bytes=cost.bytes,
        seconds=cost.seconds,
        stale=tuple(stale_readers(config, ref)),
        holder=lock.describe(holder) if holder and holder["alive"] else None,
        under_way=journal.read(config, ref),
    )
