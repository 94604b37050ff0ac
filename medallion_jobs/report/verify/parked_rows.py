"""Parked rows of a silver table (quarantined and held), and where they are now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Snapshot, snapshot
from medallion_jobs.refine.quarantine import releases
from medallion_jobs.report.lake_views import scan
from medallion_jobs.storage import Location
from medallion_jobs.storage.duck import text

# A row keeps its id, also if an interrupted run left it in both tables.
_COUNTED = """
    WITH rows AS (
        SELECT id, bool_or(kind = 'quarantine') AS is_quarantined, bool_or(kind = 'held') AS is_held
        FROM ({rows}) WHERE generation = {generation} AND since <= {until} GROUP BY id
    ), released AS (
        SELECT id, bool_or(how IN ('released', 'replayed')) AS went_on,
               bool_or(how = 'dropped') AS dropped
        FROM ({releases}) GROUP BY id
    )
    SELECT count(*) FILTER (WHERE went_on), count(*) FILTER (WHERE dropped AND NOT went_on),
           count(*) FILTER (WHERE is_quarantined AND stays),
           count(*) FILTER (WHERE NOT is_quarantined AND stays),
           count(*) FILTER (WHERE is_held)
    FROM (
        SELECT rows.*, coalesce(went_on, false) AS went_on, coalesce(dropped, false) AS dropped,
               NOT coalesce(went_on OR dropped, false) AS stays
        FROM rows LEFT JOIN released USING (id)
    )
"""


@dataclass(frozen=True)
class Parked:
    """Counts of parked rows by where they are now.

    Attributes:
        went_on: released into the table, or already in it.
        dropped: held first, then dropped by a rule or by an inner lookup without a match.
        quarantined: in quarantine, dismissed or not.
        waiting: held, waiting for a dimension's key.
        held: those of all these that were ever held.
    """

    went_on: int = 0
    dropped: int = 0
    quarantined: int = 0
    waiting: int = 0
    held: int = 0

    @classmethod
    def read(
        cls,
        duck: duckdb.DuckDBPyConnection,
        config: Pipeline,
        ref: TableRef,
        target: Snapshot,
        *,
        generation: int,
        until: datetime | None,
    ) -> Parked:
        """The counts of a generation at the version of the target.

        Args:
            until: ignores rows that were parked later; None counts all.
        """
        places = TablePaths(config, ref)
        kinds = {"quarantine": places.quarantine, "held": places.held}
        tables = {kind: path for kind, path in kinds.items() if snapshot(path)}
        if not tables:
            return cls()
        # Releases are read first: they are removed after their rows, never before.
        released = " UNION ALL ".join(
            _releases(duck, kind, path, target) for kind, path in tables.items()
        )
        rows = " UNION ALL ".join(
            f"SELECT id, generation, since, '{kind}' AS kind FROM {scan(path)}"  # noqa: S608
            for kind, path in tables.items()
        )
        timestamp = (
            f"{text(until.isoformat())}::TIMESTAMPTZ" if until else "'infinity'::TIMESTAMPTZ"
        )
        counted = duck.execute(
            _COUNTED.format(rows=rows, releases=released, generation=generation, until=timestamp)
        ).fetchone()
        return cls(*counted) if counted else cls()


def _releases(
    duck: duckdb.DuckDBPyConnection, kind: str, parked_rows: Location, target: Snapshot
) -> str:
    """Creates a table of the effective releases of parked rows; returns SQL that reads it."""
    name = f"releases_of_{kind}"
    condition = releases.effective(parked_rows, target.txn)
    source = scan(paths.releases(parked_rows)) if condition else "(SELECT '' AS id, '' AS how)"
    duck.execute(
        f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT id, how FROM {source} "  # noqa: S608
        f"WHERE {condition or 'false'}"
    )
    return f"SELECT id, how FROM {name}"  # noqa: S608
