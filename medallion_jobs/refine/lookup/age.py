"""When a version of a dimension was written, from its log. Runs without a JVM."""

from __future__ import annotations

from datetime import datetime, timezone

from medallion_jobs.config import TableRef
from medallion_jobs.errors import DataError
from medallion_jobs.lake import tables
from medallion_jobs.storage import Location


def written_at(name: TableRef, path: Location, version: int) -> datetime:
    """When rows of a version were written last, upkeep apart.

    Where the log of that time is cleaned away: the oldest time that it still has.

    Raises:
        DataError: the log has nothing of this version any more.
    """
    at_ms = None
    for older in range(version, -1, -1):
        commit = next(tables.commits(path, older), None)
        if commit is None:
            break
        at_ms = commit.at_ms
        # Upkeep makes a version of a table, and nothing in it any newer.
        if commit.may_change_rows:
            break
    if at_ms is None:
        raise DataError(
            f"{name} is gone in version {version} from the log of {path}",
            untouched="nothing of the batch is written",
            next_step="put the table back, then run again",
        )
    return datetime.fromtimestamp(at_ms / 1000, timezone.utc)
