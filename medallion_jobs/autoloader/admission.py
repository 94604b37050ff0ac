"""How many files one micro-batch takes, and when files are admitted for one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from medallion_jobs.autoloader.discovery.discovery import Scan
from medallion_jobs.autoloader.file_entry import FileEntry, FileKey


def chunks(found: Iterable[FileEntry], max_files: int, max_bytes: int) -> Iterator[list[FileEntry]]:
    """Splits files, oldest first, into chunks that keep both limits.

    A file that is larger than `max_bytes` makes a chunk of its own: it has to be read some
    time, and a limit that it can never meet would hold it back for ever.
    """
    chunk: list[FileEntry] = []
    size = 0
    for file in sorted(found):
        if chunk and (len(chunk) >= max_files or size + file.size > max_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(file)
        size += file.size
    if chunk:
        yield chunk


@dataclass
class Admission:
    """Admits the newest listing as soon as the query can take it.

    A chunk is one batch. If files were admitted while a batch runs, each look at the source
    would make a batch of its own, and files that come faster than batches end would wait
    longer and longer. So a listing is kept until the batch has ended and every admitted chunk
    is taken; then all of it goes into the next batch, up to the source's limits.

    Attributes:
        admit: writes the files of a listing to the ledger, and gives those it wrote.
    """

    admit: Callable[[Scan], Iterable[FileEntry]]
    _newest: Scan | None = None
    _not_taken: set[FileKey] = field(default_factory=set)
    _batch_runs: bool = False
    # Looks and batches are on threads of their own.
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def offer(self, scan: Scan) -> None:
        """Takes a listing in place of the one before, which holds nothing that this one lacks."""
        with self._lock:
            self._newest = scan
            self._admit_if_ready()

    @contextmanager
    def batch(self, files: Iterable[FileEntry]) -> Iterator[Callable[[], None]]:
        """A batch takes these files.

        Yields:
            To be called when it has recorded what became of them.
        """
        with self._lock:
            self._batch_runs = True
            self._not_taken -= {file.key for file in files}
        try:
            yield self._recorded
        finally:
            self._batch_runs = False

    def _recorded(self) -> None:
        with self._lock:
            self._batch_runs = False
            self._admit_if_ready()

    def _admit_if_ready(self) -> None:
        if self._newest is None or self._batch_runs or self._not_taken:
            return
        scan, self._newest = self._newest, None
        self._not_taken = {file.key for file in self.admit(scan)}
        scan.remember()
