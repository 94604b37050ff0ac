"""What makes a lock exclusive: the kernel for a file, the store's conditional writes for an object.

A killed process loses its file at once. An object stays, so it counts for as long as its
holder beats: a lease.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol

from medallion_jobs.storage import Location, ObjectPath

# The text is padded to one size, so that a write of it is never seen half done and leaves
# nothing of an older one behind.
TEXT_SIZE = 4096

# Told what the last holder left and how many seconds ago it was written; raises where that
# holder may not be taken over from.
MayTake = Callable[[bytes, float], None]


class TakenError(Exception):
    """Somebody has it. Carries what that one wrote."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


class LockBackend(Protocol):
    """Exclusive from its construction to `free`."""

    left: bytes

    def write(self, text: bytes) -> None:
        """Says who holds it.

        Raises:
            TakenError: another one has taken it over meanwhile.
            OSError: it could not be written; it is held all the same.
        """

    def free(self, *, emptied: bool) -> None:
        """Lets others have it; `emptied`, with nothing left to read."""


def hold(at: Location, text: bytes, may_take: MayTake) -> LockBackend:
    """Takes what lies at a location.

    Raises:
        TakenError: a living process has it.
    """
    if isinstance(at, ObjectPath):
        return _Lease(at, text, may_take)
    return _KernelLock(at, text, may_take)


def read(at: Location) -> tuple[bytes, float] | None:
    """What a holder wrote and how many seconds ago by the place's clock; None where nobody did."""
    try:
        if isinstance(at, ObjectPath):
            seen = at.look()
            return seen.data, seen.age_seconds
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
                # Whoever removed the file in the meantime left us a lock on nothing.
                if self._is_there():
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

    def _is_there(self) -> bool:
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
    """An object that only replaces the one that it knows (`If-None-Match`, `If-Match`)."""

    # Of this process, which its text cannot tell from those that it held before.
    _held: ClassVar[set[ObjectPath]] = set()

    def __init__(self, at: ObjectPath, text: bytes, may_take: MayTake) -> None:
        self._at = at
        if at in self._held:
            raise TakenError(at.read_bytes())
        try:
            self.left = b""
            self._tag = at.put(text, new=True)
        except FileExistsError:
            seen = at.look()
            may_take(seen.data, seen.age_seconds)
            self.left = seen.data
            self._replace(seen.tag, text)
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
            there = read(self._at)
            if there is None or there[0] != text:
                raise TakenError(there[0] if there else b"") from error
            # A request whose answer was lost was sent again, and met its own object.
            self._tag = self._at.look().tag
