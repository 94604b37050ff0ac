"""The data files that commits of a table wrote, from its log. Runs without a JVM."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from medallion_jobs.lake.tables import actions, snapshot
from medallion_jobs.storage import Location


@dataclass(frozen=True)
class ChangedFiles:
    """Parquet files with all rows that some commits inserted or updated, and maybe other rows.

    Attributes:
        data: data files.
        feed: files of the change data feed: rows with a `_change_type`.
    """

    data: tuple[Location, ...] = ()
    feed: tuple[Location, ...] = ()


def changed_files(
    path: Location, since: int | None, to: int, columns: Collection[str]
) -> ChangedFiles | None:
    """The files that the commits after `since` up to `to` wrote.

    Args:
        columns: the columns that will be read from the files.

    Returns:
        None if the log and the files do not show all changes: a version was cleaned up, the
        schema or a property changed, an older version was restored, or a column is not in the
        files under its name (partitions, column mapping).
    """
    table = snapshot(path)
    if since is None or since > to or table is None or to > table.version:
        return None
    if (table.properties.get("delta.columnMapping.mode") or "none") != "none":
        return None
    data: list[Location] = []
    feed: list[Location] = []
    for version in range(since + 1, to + 1):
        commit = _read(path, version)
        if commit is None or not commit.shows_changes(columns):
            return None
        (feed if commit.feed else data).extend(commit.written(path))
    if not all(file.exists() for file in (*data, *feed)):
        return None
    return ChangedFiles(tuple(data), tuple(feed))


@dataclass(frozen=True)
class _Commit:
    """The actions of one log entry, by kind (Delta protocol, "Actions")."""

    actions: tuple[dict[str, Any], ...]

    def _of(self, kind: str) -> Iterator[dict[str, Any]]:
        return (action[kind] for action in self.actions if kind in action)

    @property
    def feed(self) -> list[dict[str, Any]]:
        return list(self._of("cdc"))

    def shows_changes(self, columns: Collection[str]) -> bool:
        """Whether its files have all changed rows, with these columns."""
        restored = any(info.get("operation") == "RESTORE" for info in self._of("commitInfo"))
        partitions = {name for file in self._files() for name in file["partitionValues"]}
        return not (restored or any(self._of("metaData")) or partitions & set(columns))

    def written(self, path: Location) -> list[Location]:
        return [path / unquote(file["path"]) for file in self._files()]

    def _files(self) -> list[dict[str, Any]]:
        # If there are files of the change data feed, they have all changes.
        if self.feed:
            return self.feed
        removed = {file["path"] for file in self._of("remove")}
        return [
            file
            for file in self._of("add")
            # A compaction adds no rows, nor does a file that is added again with fewer rows.
            if file.get("dataChange", True) and file["path"] not in removed
        ]


def _read(path: Location, version: int) -> _Commit | None:
    found = actions(path, version)
    return None if found is None else _Commit(tuple(found))
