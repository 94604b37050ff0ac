"""When a version of a dimension was written, from its log. Runs without a JVM."""

from __future__ import annotations

from datetime import datetime, timezone

from medallion_jobs.config import TableRef
from medallion_jobs.errors import DataError
from medallion_jobs.lake import tables
from medallion_jobs.storage import Location


def written_at(name: TableRef, path: Location, version: int) -> datetime:
    """When rows of a version were last written, not counting OPTIMIZE and the like.

    If the log of that time is cleaned up: the oldest time that it still has.

    Raises:
        DataError: the log no longer has this version.
    """
    at_ms = None
    for older in range(version, -1, -1):
        commit = next(tables.commits(path, older), None)
        if commit is None:
            break
        at_ms = commit.at_ms
        # Maintenance writes a new version of the table, but no newer rows.
        if commit.may_change_rows:
            break
    if at_ms is None:
        raise DataError(
            f"version {version} of {name} is missing in the log of {path}",
            code="dimension_version_missing",
            untouched="nothing of the batch is written",
            next_step="put the table back, then run again",
        )
    return datetime.fromtimestamp(at_ms / 1000, timezone.utc)
