"""Older versions of tables, and whether they can still be read."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from deltalake.exceptions import DeltaError

from medallion_jobs.lake.tables import Commit, commits
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import open_delta


def missing_files(path: Location, version: int) -> str | None:
    """Why a version of a table can no longer be read in full; None if it can."""
    try:
        table = open_delta(path, version=version)
    except DeltaError:
        return f"its log has no version {version}"
    names = [str(name) for name in table.get_add_actions().column("path").to_pylist()]
    missing = sum(not _exists(path, name) for name in names)
    if not missing:
        return None
    return f"{missing:,} of {len(names):,} data files of version {version} are missing"


def _exists(path: Location, name: str) -> bool:
    # The names in the log and on disk differ for folders of partitions.
    return (path / name).exists() or (path / unquote(name)).exists()


def history(path: Location, version: int) -> Iterator[Commit]:
    """A table's commits up to a version, newest first, as far back as its log reaches."""
    while version >= 0 and (commit := next(commits(path, version), None)):
        yield commit
        version -= 1
