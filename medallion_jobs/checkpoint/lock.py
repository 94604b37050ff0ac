"""One run of a query at a time.

The lock is a kernel lock (`flock`) on a file, so a killed holder frees it at once. The
file says who holds it; a heartbeat keeps that fresh for people, and for holders on another
machine, whose kernel lock a shared file system may not show us. A holder's JVM may outlive
its driver by some seconds and still be committing: whoever takes over waits for its end.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from medallion_jobs.checkpoint import processes
from medallion_jobs.errors import LockHeld, MedallionError, TransientError

HEARTBEAT_SECONDS = 5.0
# A holder on another machine counts as dead after this long without a heartbeat: long
# enough for a stop-the-world pause or a network hiccup, short enough for a night shift.
DEAD_AFTER_SECONDS = 60.0
_JVM_PATIENCE_SECONDS = 60.0
# The text is padded to one size, so that a write of it is never seen half done and leaves
# nothing of an older one behind. The command is cut so that it always fits, although JSON
# may take twelve bytes for one character.
_TEXT_SIZE = 4096
_COMMAND_LENGTH = 250


class Lock:
    """Held from construction to `release`; a context manager.

    Raises:
        LockHeld: the query runs already; says where, by whom and since when.
        TransientError: a full or read-only disk, or a dead holder's JVM that does not end.
    """

    def __init__(self, path: Path, query: str) -> None:
        self._path = path
        self._query = query
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.took_over = self._acquire()
        except OSError as error:
            raise self._unwritable(error) from error
        self._text: dict[str, Any] = {
            "query": query,
            "pid": os.getpid(),
            "born": processes.own_birth(),
            "host": socket.gethostname(),
            "user": getpass.getuser(),
            "since": _now(),
            "command": " ".join(sys.argv)[:_COMMAND_LENGTH],
        }
        self._released = threading.Event()
        try:
            self._beat()
        except OSError as error:
            os.close(self._fd)
            raise self._unwritable(error) from error
        self._heart = threading.Thread(target=self._keep_beating, daemon=True, name=f"lock-{query}")
        self._heart.start()

    def _acquire(self) -> dict[str, Any] | None:
        """Takes the kernel lock; returns what a dead holder left, if one did."""
        while True:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever removed the file in the meantime left us a lock on nothing.
                if _is_at(self._path, self._fd):
                    return self._inherit()
            except BlockingIOError:
                os.close(self._fd)
                raise _held(self._query, read(self._path) or {}) from None
            except BaseException:
                os.close(self._fd)
                raise
            os.close(self._fd)

    def _inherit(self) -> dict[str, Any] | None:
        """What a dead holder left; waits for its JVM."""
        left = _parse(os.pread(self._fd, _TEXT_SIZE, 0))
        if left is None:
            return None
        if left["host"] != socket.gethostname():
            if _age(left) < DEAD_AFTER_SECONDS:
                raise _held(self._query, left)
        elif left["pid"] != os.getpid() and (jvm := left.get("jvm")):
            self._await_end_of(jvm)
        return left

    def _unwritable(self, error: OSError) -> TransientError:
        return TransientError(
            f"{self._query}: its lock cannot be written: {error.strerror}: {self._path}",
            untouched="nothing was started",
            next_step="free some room, or make the place writable, then run again",
        )

    def _await_end_of(self, jvm: dict[str, Any]) -> None:
        deadline = time.monotonic() + _JVM_PATIENCE_SECONDS
        while processes.is_alive(jvm["pid"], jvm["born"]):
            if time.monotonic() > deadline:
                raise TransientError(
                    f"{self._query}: its last driver is dead, but the driver's JVM "
                    f"(pid {jvm['pid']}) still runs and may still write",
                    untouched="nothing was started",
                    next_step=f"end it with `kill {jvm['pid']}`, then run again",
                )
            time.sleep(0.1)

    def note_jvm(self, pid: int) -> None:
        """Adds the JVM to what the lock says of its holder."""
        self._text["jvm"] = {"pid": pid, "born": processes.birth(pid) or ""}
        self._beat()

    def _beat(self) -> None:
        text = json.dumps({**self._text, "heartbeat": _now()})
        os.pwrite(self._fd, text.encode().ljust(_TEXT_SIZE), 0)

    def _keep_beating(self) -> None:
        while not self._released.wait(HEARTBEAT_SECONDS):
            try:
                self._beat()
            except OSError:
                # A full or absent disk for a moment; another holder would need a minute of it.
                continue

    def release(self, *, in_good_order: bool = True) -> None:
        """Frees the lock.

        Args:
            in_good_order: nothing of this run writes any more, and the file is emptied.
                Otherwise the next holder finds what it says, and waits for the JVM's end.
        """
        self._released.set()
        self._heart.join()
        if in_good_order:
            os.ftruncate(self._fd, 0)
        os.close(self._fd)

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        expected = kind is None or issubclass(kind, MedallionError)
        self.release(in_good_order=expected)


def _is_at(path: Path, fd: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False


def read(path: Path) -> dict[str, Any] | None:
    """What the lock's file says of its holder, or None when nobody holds it.

    `alive` tells whether that holder still runs: by its process on this machine, by its
    heartbeat on another one.
    """
    if not path.exists():
        return None
    holder = _parse(path.read_bytes())
    if holder is None:
        return None
    if holder["host"] == socket.gethostname():
        alive = processes.is_alive(holder["pid"], holder["born"])
    else:
        alive = _age(holder) < DEAD_AFTER_SECONDS
    return {**holder, "alive": alive}


def describe(holder: dict[str, Any]) -> str:
    """A holder in words."""
    return (
        f"pid {holder.get('pid', '?')} on {holder.get('host', '?')} "
        f"(user {holder.get('user', '?')}), since {holder.get('since', '?')}, "
        f"last heartbeat {holder.get('heartbeat', '?')}: {holder.get('command', '?')}"
    )


def _held(query: str, holder: dict[str, Any]) -> LockHeld:
    return LockHeld(
        f"{query} is running already, by {describe(holder)}",
        holder=holder,
        next_step="wait for it, or ask it to end with `medallion stop`",
    )


def _parse(data: bytes) -> dict[str, Any] | None:
    text = data.rstrip(b" \0")
    if not text:
        return None
    try:
        holder = json.loads(text)
    except ValueError:
        return None
    return holder if isinstance(holder, dict) else None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _age(holder: dict[str, Any]) -> float:
    beat = datetime.fromisoformat(holder["heartbeat"])
    return (datetime.now(timezone.utc) - beat).total_seconds()


def is_running(path: Path) -> bool:
    """Whether a living run holds the lock at `path`."""
    holder = read(path)
    return holder is not None and bool(holder["alive"])
