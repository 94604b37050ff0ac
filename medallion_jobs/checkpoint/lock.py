"""One run of a query at a time.

On a disk the lock is the kernel's, so a killed holder frees it at once; in a store it is a lease
(`holds`). Its text says who holds it; a heartbeat keeps that fresh for people, for leases,
and for holders on another machine, whose kernel lock a shared file system may not show us.
A holder's JVM may outlive its driver by some seconds and still be committing: whoever takes
over waits for its end.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

from medallion_jobs.checkpoint import lock_backends, processes
from medallion_jobs.errors import LockHeld, MedallionError, TransientError
from medallion_jobs.storage import Location, ObjectPath

HEARTBEAT_SECONDS = 5.0
# A holder on another machine counts as dead after this long without a heartbeat: long
# enough for a stop-the-world pause or a network hiccup, short enough for a night shift.
DEAD_AFTER_SECONDS = 60.0
_JVM_PATIENCE_SECONDS = 60.0
# Cut so that the text fits `holds.TEXT_SIZE`, although JSON may take twelve bytes for one
# character.
_COMMAND_LENGTH = 250


class Lock:
    """Held from construction to `release`; a context manager.

    Raises:
        LockHeld: the query runs already; says where, by whom and since when.
        TransientError: a full or read-only disk, a store that does not answer, or a dead
            holder's JVM that does not end.
    """

    def __init__(self, path: Location, query: str) -> None:
        self._path = path
        self._query = query
        self._text: dict[str, Any] = {
            "query": query,
            "pid": os.getpid(),
            "born": processes.own_birth(),
            "host": socket.gethostname(),
            "user": getpass.getuser(),
            "since": _now(),
            "command": " ".join(sys.argv)[:_COMMAND_LENGTH],
        }
        self._taken_by: bytes | None = None
        self._writes = threading.Lock()
        try:
            self._hold = lock_backends.hold(path, self._now_beating(), self._wait_for_its_end)
        except lock_backends.TakenError as error:
            raise _held(query, read(path) or _parse(error.text) or {}) from None
        except OSError as error:
            raise self._unwritable(error) from error
        self.took_over = _parse(self._hold.left)
        self._released = threading.Event()
        self._heart = threading.Thread(target=self._keep_beating, daemon=True, name=f"lock-{query}")
        self._heart.start()

    def _wait_for_its_end(self, text: bytes, age_seconds: float) -> None:
        """Refuses while whoever wrote this lives; waits for a dead one's JVM."""
        left = _parse(text)
        if left is None or left["pid"] == os.getpid():
            return
        is_silent = _silence(self._path, left, age_seconds) >= DEAD_AFTER_SECONDS
        if left["host"] != socket.gethostname():
            if not is_silent:
                raise _held(self._query, left)
            return
        # A lease is free only when its holder is dead; of a file the kernel has told already.
        is_lease = isinstance(self._path, ObjectPath)
        if is_lease and not is_silent and processes.is_alive(left["pid"], left["born"]):
            raise _held(self._query, left)
        if jvm := left.get("jvm"):
            self._await_end_of(jvm)

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

    def confirm(self) -> None:
        """Raises LockHeld when somebody else has taken the lock over from this run.

        That one took it for dead: it had been silent for a minute, say since its machine slept.
        """
        if self._taken_by is not None:
            raise _held(self._query, _parse(self._taken_by) or {})

    def _now_beating(self) -> bytes:
        return json.dumps({**self._text, "heartbeat": _now()}).encode()

    def _beat(self) -> None:
        with self._writes:
            try:
                self._hold.write(self._now_beating())
            except lock_backends.TakenError as error:
                self._taken_by = error.text

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
        with suppress(lock_backends.TakenError):  # then it is another one's to free
            self._hold.free(emptied=in_good_order)

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


def read(path: Location) -> dict[str, Any] | None:
    """What the lock's file says of its holder, or None when nobody holds it.

    `alive` tells whether that holder still runs: by its process on this machine, by its
    heartbeat on another one.
    """
    there = lock_backends.read(path)
    holder = _parse(there[0]) if there else None
    if there is None or holder is None:
        return None
    if holder["host"] == socket.gethostname():
        alive = processes.is_alive(holder["pid"], holder["born"])
    else:
        alive = _silence(path, holder, there[1]) < DEAD_AFTER_SECONDS
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


def _silence(path: Location, holder: dict[str, Any], age_seconds: float) -> float:
    """Seconds since a holder's last heartbeat: by its own clock, or better, by a store's."""
    if isinstance(path, ObjectPath):
        return age_seconds
    beat = datetime.fromisoformat(holder["heartbeat"])
    return (datetime.now(timezone.utc) - beat).total_seconds()


def is_running(path: Location) -> bool:
    """Whether a living run holds the lock at `path`."""
    holder = read(path)
    return holder is not None and bool(holder["alive"])
