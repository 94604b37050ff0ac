"""Rows of a silver table that were put aside, and where they are now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.lake import paths
from medallion_jobs.lake.tables import Snapshot, snapshot
from medallion_jobs.refine.quarantine import releases
from medallion_jobs.report.lake_views import scan
from medallion_jobs.storage import Location
from medallion_jobs.storage.duck import text

# A row has one id, also where a run that was cut off has left it in both places.
_COUNTED = """
    WITH rows AS (
        SELECT id, bool_or(kind = 'quarantine') AS is_quarantined, bool_or(kind = 'held') AS is_held
        FROM ({rows}) WHERE generation = {generation} AND since <= {until} GROUP BY id
    ), gone AS (
        SELECT id, bool_or(how IN ('released', 'replayed')) AS went_on,
               bool_or(how = 'dropped') AS dropped
        FROM ({claims}) GROUP BY id
    )
    SELECT count(*) FILTER (WHERE went_on), count(*) FILTER (WHERE dropped AND NOT went_on),
           count(*) FILTER (WHERE is_quarantined AND stays),
           count(*) FILTER (WHERE NOT is_quarantined AND stays),
           count(*) FILTER (WHERE is_held)
    FROM (
        SELECT rows.*, coalesce(went_on, false) AS went_on, coalesce(dropped, false) AS dropped,
               NOT coalesce(went_on OR dropped, false) AS stays
        FROM rows LEFT JOIN gone USING (id)
    )
"""


@dataclass(frozen=True)
class Parked:
    """How many of them are where.

    Attributes:
        went_on: into the table, or were in it already.
        dropped: waited, and then broke a rule that drops rows, or had no match.
        quarantined: are in quarantine, dismissed or not.
        waiting: wait for a dimension's key.
        held: of all these, those that have waited.
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
        """Those of a generation, as they were when the target was at its version.

        Args:
            until: rows that were put aside later are passed over.
        """
        kinds = {"quarantine": paths.quarantine(config, ref), "held": paths.held(config, ref)}
        there = {kind: path for kind, path in kinds.items() if snapshot(path)}
        if not there:
            return cls()
        # Claims first: they are forgotten after their rows are removed, never before.
        said = " UNION ALL ".join(_claims(duck, kind, path, target) for kind, path in there.items())
        rows = " UNION ALL ".join(
            f"SELECT id, generation, since, '{kind}' AS kind FROM {scan(path)}"  # noqa: S608
            for kind, path in there.items()
        )
        moment = f"{text(until.isoformat())}::TIMESTAMPTZ" if until else "'infinity'::TIMESTAMPTZ"
        counted = duck.execute(
            _COUNTED.format(rows=rows, claims=said, generation=generation, until=moment)
        ).fetchone()
        return cls(*counted) if counted else cls()


def _claims(
    duck: duckdb.DuckDBPyConnection, kind: str, parked_rows: Location, target: Snapshot
) -> str:
    """A table of those claims on a siding's rows that count."""
    name = f"claims_of_{kind}"
    count = releases.effective(parked_rows, target.txn)
    known = scan(paths.releases(parked_rows)) if count else "(SELECT '' AS id, '' AS how)"
    duck.execute(
        f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT id, how FROM {known} "  # noqa: S608
        f"WHERE {count or 'false'}"
    )
    return f"SELECT id, how FROM {name}"  # noqa: S608
