"""Older versions of tables: what is left of them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from deltalake.exceptions import DeltaError

from medallion_jobs.lake.tables import Commit, commits
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import open_delta


def lost(path: Location, version: int) -> str | None:
    """What of a table's version can no longer be read, in words; None when nothing is lost."""
    try:
        table = open_delta(path, version=version)
    except DeltaError:
        return f"its log does not tell of version {version}"
    names = [str(name) for name in table.get_add_actions().column("path").to_pylist()]
    gone = sum(not _is_there(path, name) for name in names)
    return f"{gone:,} of {len(names):,} data files of version {version} are gone" if gone else None


def _is_there(path: Location, name: str) -> bool:
    # As the log writes it, or as it is called on disk: the two differ in partitions' folders.
    return (path / name).exists() or (path / unquote(name)).exists()


def history(path: Location, version: int) -> Iterator[Commit]:
    """A table's commits from a version back, newest first, as far as its log reaches."""
    while version >= 0 and (commit := next(commits(path, version), None)):
        yield commit
        version -= 1
