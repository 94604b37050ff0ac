"""What discovery needs to know of every file, kept in the driver's memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.ledger.tables import NO_ROWS, State


class Memory:
    """The part of the ledger that a listing is compared with.

    Attributes:
        fingerprints: by path, a hash of the size and time that were seen last.
        without_rows: paths that were seen and have no rows in bronze.
        waiting: by path, the files that are admitted and have no event yet.
    """

    def __init__(self) -> None:
        self.fingerprints: dict[str, int] = {}
        self.without_rows: set[str] = set()
        self.waiting: dict[str, FileEntry] = {}
        # By path, the newest version, if it is not the first.
        self._versions: dict[str, int] = {}

    @classmethod
    def of(
        cls, discovered: pa.Table, events: Iterable[tuple[FileEntry, State, datetime]]
    ) -> Memory:
        memory = cls()
        last_event_us: dict[str, int] = {}
        in_order = discovered.sort_by([("version", "ascending"), ("discovered_at", "ascending")])
        columns = [
            in_order.column("path"),
            in_order.column("size"),
            in_order.column("modified").cast(pa.int64()),
            in_order.column("version"),
            in_order.column("discovered_at").cast(pa.int64()),
        ]
        for path, size, modified, version, _ in _rows(columns):
            memory._take(path, size, modified, version)
        for file, state, at in events:
            memory.learn(file, state)
            if file.version >= memory.newest_version(file.path):
                last_event_us[file.path] = int(at.timestamp() * 1_000_000)
        for path, size, modified, version, found_at in _rows(columns):
            if found_at > last_event_us.get(path, 0):
                memory.take([FileEntry(modified, path, size, version)])
        return memory

    def newest_version(self, path: str) -> int:
        return self._versions.get(path, 1)

    def take(self, files: Iterable[FileEntry]) -> None:
        """Adds files that were admitted."""
        for file in files:
            self._take(file.path, file.size, file.modified_us, file.version)
            self.waiting[file.path] = file

    def learn(self, file: FileEntry, state: State) -> None:
        """Adds the outcome of a file."""
        if file.version < self.newest_version(file.path):
            return
        self.waiting.pop(file.path, None)
        if state is State.MISSING:
            # If it comes back, it is new.
            self.fingerprints.pop(file.path, None)
        else:
            self._take(file.path, file.size, file.modified_us, file.version)
        if state in NO_ROWS:
            self.without_rows.add(file.path)

    def _take(self, path: str, size: int, modified_us: int, version: int) -> None:
        self.fingerprints[path] = fingerprint(size, modified_us)
        self.without_rows.discard(path)
        if version > 1:
            self._versions[path] = version


def _rows(columns: Sequence[pa.ChunkedArray]) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in columns), strict=True)


def fingerprint(size: int, modified_us: int) -> int:
    return hash((size, modified_us))
