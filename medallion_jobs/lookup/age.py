"""When a version of a dimension was written, from its log. Runs without a JVM."""

from __future__ import annotations

from datetime import datetime, timezone

from medallion_jobs import tables
from medallion_jobs.config import TableRef
from medallion_jobs.errors import DataError
from medallion_jobs.storage import Location

# Upkeep of a table makes a version of it, and nothing in it any newer.
_UPKEEP = {
    "OPTIMIZE",
    "REORG",
    "VACUUM START",
    "VACUUM END",
    "SET TBLPROPERTIES",
    "UNSET TBLPROPERTIES",
    "ADD COLUMNS",
    "CHANGE COLUMN",
    "CHANGE COLUMNS",
    "ADD CONSTRAINT",
    "DROP CONSTRAINT",
    "CLUSTER BY",
    "COMPUTE STATS",
    "UPGRADE PROTOCOL",
}


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
        if commit.info.get("operation") not in _UPKEEP:
            break
    if at_ms is None:
        raise DataError(
            f"{name} is gone in version {version} from the log of {path}",
            untouched="nothing of the batch is written",
            next_step="put the table back, then run again",
        )
    return datetime.fromtimestamp(at_ms / 1000, timezone.utc)
