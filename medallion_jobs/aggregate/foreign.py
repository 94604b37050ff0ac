"""Whether somebody else has changed a gold table's rows since its own query wrote it."""

from __future__ import annotations

from medallion_jobs import tables
from medallion_jobs.storage import Location

# Operations of Delta after which a table has the rows that it had.
_ROWS_STAY = {
    "ADD CONSTRAINT",
    "CHANGE COLUMN",
    "CLUSTER BY",
    "DROP CONSTRAINT",
    "OPTIMIZE",
    "SET TBLPROPERTIES",
    "UNSET TBLPROPERTIES",
    "UPGRADE PROTOCOL",
    "VACUUM END",
    "VACUUM START",
}


def has_changed(path: Location, version: int) -> bool:
    """Whether a commit after `version` may have changed rows."""
    since = tables.commits(path, version + 1)
    return any(commit.info.get("operation") not in _ROWS_STAY for commit in since)
