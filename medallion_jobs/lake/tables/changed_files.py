"""The files that hold what commits of a table wrote, from its log. Runs without a JVM."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from medallion_jobs.lake.tables import actions, snapshot
from medallion_jobs.storage import Location


@dataclass(frozen=True)
class ChangedFiles:
    """Parquet files with every row that some commits inserted or updated, and others perhaps.

    Attributes:
        data: files of rows.
        feed: files of the change feed: rows with what became of them (`_change_type`).
    """

    data: tuple[Location, ...] = ()
    feed: tuple[Location, ...] = ()


def changed_files(
    path: Location, since: int | None, to: int, columns: Collection[str]
) -> ChangedFiles | None:
    """What the commits after `since` up to `to` wrote.

    Args:
        columns: those that will be read of the files.

    Returns:
        None where the log and the files do not tell: a version is cleaned away, the schema or
        a property was changed, an older version was restored, or one of the columns is not in
        the files under its name (partitions, column mapping).
    """
    there = snapshot(path)
    if since is None or since > to or there is None or to > there.version:
        return None
    if (there.properties.get("delta.columnMapping.mode") or "none") != "none":
        return None
    data: list[Location] = []
    feed: list[Location] = []
    for version in range(since + 1, to + 1):
        commit = _read(path, version)
        if commit is None or not commit.tells(columns):
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

    def tells(self, columns: Collection[str]) -> bool:
        restored = any(info.get("operation") == "RESTORE" for info in self._of("commitInfo"))
        partitions = {name for file in self._files() for name in file["partitionValues"]}
        return not (restored or any(self._of("metaData")) or partitions & set(columns))

    def written(self, path: Location) -> list[Location]:
        return [path / unquote(file["path"]) for file in self._files()]

    def _files(self) -> list[dict[str, Any]]:
        # Where there are files of the change feed, they tell all that changed.
        if self.feed:
            return self.feed
        removed = {file["path"] for file in self._of("remove")}
        return [
            file
            for file in self._of("add")
            # A compaction adds no row; nor does a file that is there again with fewer rows.
            if file.get("dataChange", True) and file["path"] not in removed
        ]


def _read(path: Location, version: int) -> _Commit | None:
    found = actions(path, version)
    return None if found is None else _Commit(tuple(found))
