"""Bad records of bronze tables: which of them come from the last reading of their file."""

from __future__ import annotations

from medallion_jobs.config import Pipeline
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.report.lake_views import scan

# A file is read again by a new generation and by `medallion files retry`, if it has no rows in
# bronze. A reading puts its bad records into quarantine under its own generation and batch; one
# that has found none leaves only an event. A generation that finds a file loaded has an event
# with the counts of the reading before.
_LINES = """
    WITH lines AS (
        SELECT *, row(generation, batch) AS reading,
               max(row(generation, batch)) OVER (PARTITION BY file, file_version) AS newest
        FROM {lines}
    ), loaded AS (
        SELECT path AS file, version AS file_version, max_by(bad, updated_at) AS bad,
               max_by(row(generation, batch), updated_at) AS reading,
               max(max(version)) OVER (PARTITION BY path) AS newest_version
        FROM {events} WHERE state IN ('COMMITTED', 'ARCHIVED') AND batch IS NOT NULL
        GROUP BY path, version
    )
    SELECT lines.* EXCLUDE (reading, newest),
           lines.reading < lines.newest
           OR coalesce(loaded.bad = 0 AND loaded.reading > lines.reading, false) AS read_again,
           coalesce(loaded.newest_version > file_version, false) AS has_newer_content
    FROM lines LEFT JOIN loaded USING (file, file_version)
"""
_NO_EVENTS = """
    (SELECT '' AS path, 1 AS version, '' AS state, 0::BIGINT AS bad, 0 AS generation,
            0::BIGINT AS batch, now() AS updated_at WHERE false)
"""
NO_LINES = """
    (SELECT '' AS file, 1 AS file_version, 0 AS generation, 0::BIGINT AS batch,
            false AS read_again, false AS has_newer_content WHERE false)
"""


def with_readings(table: TablePaths) -> str:
    """SQL of a table's bad records, all columns, with two more.

    `read_again`: the same content of the file was read again since. `has_newer_content`: a newer
    content of the file was read since.
    """
    if snapshot(table.quarantine) is None:
        return NO_LINES
    events = scan(table.events) if snapshot(table.events) else _NO_EVENTS
    return f"({_LINES.format(lines=scan(table.quarantine), events=events)})"


def superseded(config: Pipeline, name: str) -> str:
    """SQL condition on `with_readings`: the record is not one of bronze's files any more."""
    replaces = config.file_sources[name].on_changed_file == "reprocess"
    return "read_again OR has_newer_content" if replaces else "read_again"
