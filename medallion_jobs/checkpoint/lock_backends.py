"""Exclusive locks: by the kernel for a file, by conditional writes for an object in a store.

A killed process loses its file lock at once. An object stays, so it counts only as long as its
holder sends heartbeats: it is a lease.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol

from medallion_jobs.storage import Location, ObjectPath

# The text is padded to this size, so that a reader never sees half a write, and nothing of an
# older text remains.
TEXT_SIZE = 4096

# Gets the text of the last holder and its age in seconds; raises if the lock must not be taken
# over from that holder.
MayTake = Callable[[bytes, float], None]


class TakenError(Exception):
    """Another process holds the lock. Carries the text that it wrote."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


class LockBackend(Protocol):
    """Exclusive from its construction to `free`."""

    left: bytes

    def write(self, text: bytes) -> None:
        """Writes the text that describes the holder.

        Raises:
            TakenError: another process has taken the lock over.
            OSError: the text could not be written; the lock is still held.
        """

    def free(self, *, emptied: bool) -> None:
        """Frees the lock; with `emptied`, removes its text first."""


def hold(at: Location, text: bytes, may_take: MayTake) -> LockBackend:
    """Takes the lock at a location.

    Raises:
        TakenError: another process that is alive holds it.
    """
    if isinstance(at, ObjectPath):
        return _Lease(at, text, may_take)
    return _KernelLock(at, text, may_take)


def read(at: Location) -> tuple[bytes, float] | None:
    """The text of a holder and its age in seconds by the store's clock; None if there is none.

    The age is 0.0 for a file.
    """
    try:
        if isinstance(at, ObjectPath):
            found = at.read_with_tag()
            return found.data, found.age_seconds
        return at.read_bytes(), 0.0
    except FileNotFoundError:
        return None


class _KernelLock:
    """`flock` on a file."""

    def __init__(self, path: Path, text: bytes, may_take: MayTake) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # If another process has removed the file, this locks a file without a name.
                if self._still_exists():
                    self.left = os.pread(self._fd, TEXT_SIZE, 0)
                    may_take(self.left, 0.0)
                    self.write(text)
                    return
            except BlockingIOError:
                os.close(self._fd)
                raise TakenError(path.read_bytes() if path.exists() else b"") from None
            except BaseException:
                os.close(self._fd)
                raise
            os.close(self._fd)

    def _still_exists(self) -> bool:
        try:
            return self._path.stat().st_ino == os.fstat(self._fd).st_ino
        except FileNotFoundError:
            return False

    def write(self, text: bytes) -> None:
        os.pwrite(self._fd, text.ljust(TEXT_SIZE), 0)

    def free(self, *, emptied: bool) -> None:
        if emptied:
            os.ftruncate(self._fd, 0)
        os.close(self._fd)


class _Lease:
    """An object that is replaced only if nobody has changed it (`If-None-Match`, `If-Match`)."""

    # The leases of this process: by its text alone, a lease looks like an earlier one.
    _held: ClassVar[set[ObjectPath]] = set()

    def __init__(self, at: ObjectPath, text: bytes, may_take: MayTake) -> None:
        self._at = at
        if at in self._held:
            raise TakenError(at.read_bytes())
        try:
            self.left = b""
            self._tag = at.put(text, new=True)
        except FileExistsError:
            found = at.read_with_tag()
            may_take(found.data, found.age_seconds)
            self.left = found.data
            self._replace(found.tag, text)
        self._held.add(at)

    def write(self, text: bytes) -> None:
        self._replace(self._tag, text)

    def free(self, *, emptied: bool) -> None:
        self._held.discard(self._at)
        if emptied:
            self._replace(self._tag, b"")

    def _replace(self, tag: str, text: bytes) -> None:
        try:
            self._tag = self._at.put(text, in_place_of=tag)
        except (FileExistsError, FileNotFoundError) as error:
            found = read(self._at)
            if found is None or found[0] != text:
                raise TakenError(found[0] if found else b"") from error
            # The first request succeeded and its response was lost: the retry met its own object.
            self._tag = self._at.read_with_tag().tag
