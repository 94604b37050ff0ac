"""Whether anything but its own query has changed a gold table's rows."""

from __future__ import annotations

from medallion_jobs.lake import tables
from medallion_jobs.storage import Location


def has_changed(path: Location, version: int) -> bool:
    """Whether a commit after `version` may have changed rows."""
    return any(commit.may_change_rows for commit in tables.commits(path, version + 1))
