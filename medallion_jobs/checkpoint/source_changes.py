"""Commits of a source table that a query of it cannot read, or not any more. Runs without a JVM.

A stream of new rows has no way to take back the rows that it has made of deleted or changed ones.
And a query that has fallen behind needs old log entries and data files, which an upkeep of the
table may have removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Literal

from deltalake.exceptions import DeltaError

from medallion_jobs.lake.tables import Commit, Snapshot, commits, has_log_since, snapshot
from medallion_jobs.storage import Location

# What a query does about deleted and changed rows of its source: it is refused, its own rows stay
# as they are, or its rows follow.
OnChange = Literal["fail", "keep", "follow"]


def log_begins_after(path: Location, since: int) -> str:
    """Why the commits from `since` on cannot be read; empty if they can.

    Returns:
        The second half of a sentence about the version.
    """
    table = snapshot(path)
    if table is None or has_log_since(path, since):
        return ""
    return (
        f"the log does not have that version any more (the table is at version {table.version}): "
        "old log entries were cleaned up, or removed"
    )


def unreadable(path: Location, since: int, on_change: OnChange) -> Commit | None:
    """The first commit from `since` on with which a stream of new rows cannot go on."""
    if on_change == "follow":
        return None
    for commit in commits(path, since):
        if commit.removed and (on_change == "fail" or commit.may_add_rows):
            return commit
    return None


def file_gone(path: Location, since: int, on_change: OnChange, whole: int | None) -> str:
    """A data file that is yet to be read, and that is gone; empty if there is none.

    Args:
        since: the first commit that is yet to be read.
        whole: a version that is yet to be read as a whole, if there is one.

    Returns:
        The file, its version, and what is known of its removal, for messages.
    """
    live = _files(snapshot(path))
    for version, file in _needed(path, since, on_change, whole):
        # A live file that is gone is a damage of the table, and not its cleaning up.
        if file not in live and not file.exists():
            by = _vacuum(path, version)
            return f"{file.name} of version {version} is gone" + (f": {by}" if by else "")
    return ""


def _needed(
    path: Location, since: int, on_change: OnChange, whole: int | None
) -> Iterator[tuple[int, Location]]:
    """The files that are yet to be read, each with its version."""
    if whole is not None:
        with suppress(DeltaError):  # the log may not have that version any more
            yield from ((whole, file) for file in _files(snapshot(path, whole)))
    for commit in commits(path, since):
        files = [added.path for added in commit.added]
        if on_change == "follow":
            files = [*commit.feed] or [*files, *commit.removed]
        elif commit.removed and on_change == "keep":
            continue
        yield from ((commit.version, file) for file in files)


def _files(table: Snapshot | None) -> set[Location]:
    return table.data_files if table else set()


def _vacuum(path: Location, version: int) -> Commit | None:
    """The newest VACUUM after a version, if the log names one."""
    found = [c for c in commits(path, version) if c.info.get("operation") == "VACUUM END"]
    return found[-1] if found else None
