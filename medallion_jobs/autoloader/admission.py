"""Limits the files of one micro-batch, and decides when found files are admitted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from medallion_jobs.autoloader.discovery.discovery import Scan
from medallion_jobs.autoloader.file_entry import FileEntry, FileKey


def chunks(found: Iterable[FileEntry], max_files: int, max_bytes: int) -> Iterator[list[FileEntry]]:
    """Splits files, oldest first, into chunks within both limits.

    A file larger than `max_bytes` gets its own chunk; otherwise it would never be read.
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

    One chunk is one batch. If files were admitted while a batch runs, each listing would
    become its own small batch, and files that arrive faster than batches end would wait
    longer and longer. So a listing is kept until the batch has ended and every admitted chunk
    is taken. Then all its files go into the next batch, up to the source's limits.

    Attributes:
        admit: writes the files of a listing to the ledger, and returns those it wrote.
    """

    admit: Callable[[Scan], Iterable[FileEntry]]
    _newest: Scan | None = None
    _not_taken: set[FileKey] = field(default_factory=set)
    _batch_runs: bool = False
    # Listings and batches run in different threads.
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def offer(self, scan: Scan) -> None:
        """Replaces the kept listing. A newer listing has all files of the older one."""
        with self._lock:
            self._newest = scan
            self._admit_if_ready()

    @contextmanager
    def batch(self, files: Iterable[FileEntry]) -> Iterator[Callable[[], None]]:
        """Marks files as taken by a batch, which runs inside the `with` block.

        Yields:
            A function to call once the batch has recorded the outcomes of its files.
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
