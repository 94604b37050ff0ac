"""Holds back files that may still be written, until they have stopped changing."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from medallion_jobs.autoloader.discovery.stores import Store
from medallion_jobs.autoloader.file_entry import FileEntry, is_local


@dataclass(frozen=True)
class Settled:
    """Files, separated into complete ones and ones that may still be written."""

    files: list[FileEntry]
    unsettled: list[FileEntry]


@dataclass
class Settling:
    """Tracks young files across the scans of one process.

    A file is settled if its last change is at least `min_age` seconds ago, or if it was seen
    unchanged for that long, because its own time may be in the future. A file that is not
    local is always settled: object stores show only complete files.
    """

    store: Store
    min_age: float
    # By path: a young file as it was seen first, and when, by the monotonic clock.
    _first_seen: dict[str, tuple[FileEntry, float]] = field(default_factory=dict)

    def sort(self, found: Iterable[FileEntry], *, patience: bool) -> Settled:
        """Separates settled files from the others.

        Args:
            patience: wait for the others, `min_age` at most; then check them again.
        """
        settled = self._sort(found)
        if not (patience and settled.unsettled):
            return settled
        time.sleep(self._wait(settled.unsettled))
        again = self._sort(filter(None, map(self._look_again, settled.unsettled)))
        before = set(settled.unsettled)
        changed = [file for file in again.files if file not in before]
        return Settled(
            settled.files + [file for file in again.files if file in before],
            again.unsettled + changed,
        )

    def _sort(self, found: Iterable[FileEntry]) -> Settled:
        now = time.time()
        sorted_ = Settled([], [])
        first_seen: dict[str, tuple[FileEntry, float]] = {}
        for file in found:
            if self._is_settled(file, now, first_seen):
                sorted_.files.append(file)
            else:
                sorted_.unsettled.append(file)
        self._first_seen = first_seen
        return sorted_

    def _is_settled(
        self, file: FileEntry, now: float, first_seen: dict[str, tuple[FileEntry, float]]
    ) -> bool:
        age = now - file.modified_us / 1e6
        if age >= self.min_age or not is_local(file.path):
            return True
        seen, at = self._first_seen.get(file.path, (file, time.monotonic()))
        if seen != file:
            seen, at = file, time.monotonic()
        first_seen[file.path] = (seen, at)
        return time.monotonic() - at >= self.min_age

    def _look_again(self, file: FileEntry) -> FileEntry | None:
        return self.store.stat(file.path)

    def _wait(self, unsettled: Iterable[FileEntry]) -> float:
        now = time.time()
        ages = [now - file.modified_us / 1e6 for file in unsettled]
        return max(self.min_age if age < 0 else max(self.min_age - age, 0.0) for age in ages)
