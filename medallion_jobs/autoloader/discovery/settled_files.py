"""Files that may still be written: looked at twice before they are handed out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from medallion_jobs.autoloader.discovery.stores import Store
from medallion_jobs.autoloader.file_entry import FileEntry, is_local


@dataclass(frozen=True)
class Settled:
    """Files sorted by whether they can be taken."""

    files: list[FileEntry]
    unsettled: list[FileEntry]


@dataclass
class Settling:
    """What was seen of young files, across the scans of one process.

    A file is settled when its last change is at least `min_age` seconds ago, or when it was
    seen unchanged over that time: its own time may lie in the future. Object stores show a file
    only when it is whole.
    """

    store: Store
    min_age: float
    # By path: a young file as it was seen first, and when.
    _sightings: dict[str, tuple[FileEntry, float]] = field(default_factory=dict)

    def sort(self, found: Iterable[FileEntry], *, patience: bool) -> Settled:
        """Which files can be taken.

        Args:
            patience: wait, `min_age` at most, for those that cannot; then look again.
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
        sightings: dict[str, tuple[FileEntry, float]] = {}
        for file in found:
            if self._is_settled(file, now, sightings):
                sorted_.files.append(file)
            else:
                sorted_.unsettled.append(file)
        self._sightings = sightings
        return sorted_

    def _is_settled(
        self, file: FileEntry, now: float, sightings: dict[str, tuple[FileEntry, float]]
    ) -> bool:
        age = now - file.modified_us / 1e6
        if age >= self.min_age or not is_local(file.path):
            return True
        seen, at = self._sightings.get(file.path, (file, time.monotonic()))
        if seen != file:
            seen, at = file, time.monotonic()
        sightings[file.path] = (seen, at)
        return time.monotonic() - at >= self.min_age

    def _look_again(self, file: FileEntry) -> FileEntry | None:
        return self.store.stat(file.path)

    def _wait(self, unsettled: Iterable[FileEntry]) -> float:
        now = time.time()
        ages = [now - file.modified_us / 1e6 for file in unsettled]
        return max(self.min_age if age < 0 else max(self.min_age - age, 0.0) for age in ages)
