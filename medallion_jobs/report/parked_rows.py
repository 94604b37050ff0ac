"""How many rows of each table are parked now: quarantined, or held until a dimension has a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from medallion_jobs.checkpoint import QueryFolder, manifest
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.report import quarantine
from medallion_jobs.report.lake_views import connect
from medallion_jobs.report.verify.parked_rows import Parked
from medallion_jobs.storage import Location


@dataclass(frozen=True)
class Waiting:
    """Rows that somebody or something has yet to deal with, by table.

    Attributes:
        quarantined: neither replayed nor dismissed; of every table that can have a quarantine.
        held: waiting for a dimension; of every table that has ever held a row.
    """

    quarantined: Mapping[str, int]
    held: Mapping[str, int]


def waiting(config: Pipeline) -> Waiting:
    """Counts them. DuckDB is started only if a table has such rows."""
    refs = quarantine.tables(config)
    has_quarantine = [ref for ref in refs if _rows(TablePaths(config, ref).quarantine)]
    # None: it never held a row.
    in_held = {ref: _rows(TablePaths(config, ref).held) for ref in refs if ref.layer == "silver"}
    quarantined = {str(ref): 0 for ref in refs}
    held = {str(ref): 0 for ref, rows in in_held.items() if rows is not None}
    has_held = [ref for ref, rows in in_held.items() if rows]
    if has_quarantine or has_held:
        with connect(paths.lake(config)) as duck:
            for ref in has_quarantine:
                quarantined[str(ref)] = quarantine.open_rows(duck, config, ref)
            for ref in has_held:
                held[str(ref)] = _waiting(duck, config, ref)
    return Waiting(quarantined, held)


def _rows(path: Location) -> int | None:
    found = snapshot(path)
    return found.rows if found else None


def _waiting(duck: duckdb.DuckDBPyConnection, config: Pipeline, ref: TableRef) -> int:
    places = TablePaths(config, ref)
    target, recorded = snapshot(places.data), manifest.read(QueryFolder.of(places))
    if target is None or recorded is None:
        return 0
    generation = recorded.current.number
    return Parked.read(duck, config, ref, target, generation=generation, until=None).waiting
