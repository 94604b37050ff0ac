"""The lock that allows one run of a query at a time.

On a disk it is a kernel lock, so a killed holder frees it at once; in an object store it is a
lease (`lock_backends`). Its text describes the holder, who rewrites it every few seconds. Leases
need that, and so do shared disks, where another machine may not see the kernel lock. A holder's
JVM may outlive its driver by some seconds and still commit, so a new holder waits for its end.
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
from medallion_jobs.masking import masked
from medallion_jobs.storage import Location, ObjectPath

HEARTBEAT_SECONDS = 5.0
# A holder on another machine counts as dead after this long without a heartbeat: long enough
# for a garbage collection pause or a network problem, short enough for an unattended restart.
DEAD_AFTER_SECONDS = 60.0
_JVM_PATIENCE_SECONDS = 60.0
# Short enough for `lock_backends.TEXT_SIZE`, although JSON may need twelve bytes for a character.
_COMMAND_LENGTH = 250


class Lock:
    """Held from construction to `release`; a context manager.

    Raises:
        LockHeld: the query is already running; the message describes the holder.
        TransientError: the disk is full or read-only, the store does not answer, or the JVM of
            a dead holder does not end.
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
            "command": masked(" ".join(sys.argv))[:_COMMAND_LENGTH],
        }
        self._taken_by: bytes | None = None
        self._writes = threading.Lock()
        try:
            self._hold = lock_backends.hold(path, self._encoded_text(), self._wait_for_its_end)
        except lock_backends.TakenError as error:
            raise _held(query, read(path) or _parse(error.text) or {}) from None
        except OSError as error:
            raise self._unwritable(error) from error
        self.took_over = _parse(self._hold.left)
        self._released = threading.Event()
        self._heart = threading.Thread(target=self._keep_beating, daemon=True, name=f"lock-{query}")
        self._heart.start()

    def _wait_for_its_end(self, text: bytes, age_seconds: float) -> None:
        """Waits for the JVM of a dead holder.

        Args:
            text: the lock's text, as its last holder wrote it.
            age_seconds: time since then, by the store's clock.

        Raises:
            LockHeld: the holder is alive.
        """
        left = _parse(text)
        if left is None or left["pid"] == os.getpid():
            return
        is_silent = _silence(self._path, left, age_seconds) >= DEAD_AFTER_SECONDS
        if left["host"] != socket.gethostname():
            if not is_silent:
                raise _held(self._query, left)
            return
        # A lease is free only if its holder is dead; for a file, the kernel has already checked.
        is_lease = isinstance(self._path, ObjectPath)
        if is_lease and not is_silent and processes.is_alive(left["pid"], left["born"]):
            raise _held(self._query, left)
        if jvm := left.get("jvm"):
            self._await_end_of(jvm)

    def _unwritable(self, error: OSError) -> TransientError:
        return TransientError(
            f"{self._query}: its lock cannot be written: {error.strerror}: {self._path}",
            code="lock_not_writable",
            untouched="nothing was started",
            next_step="free some disk space, or make the folder writable, then run again",
        )

    def _await_end_of(self, jvm: dict[str, Any]) -> None:
        deadline = time.monotonic() + _JVM_PATIENCE_SECONDS
        while processes.is_alive(jvm["pid"], jvm["born"]):
            if time.monotonic() > deadline:
                raise TransientError(
                    f"{self._query}: its last driver is dead, but the driver's JVM "
                    f"(pid {jvm['pid']}) is still running and may still write",
                    code="last_driver_still_running",
                    untouched="nothing was started",
                    next_step=f"end it with `kill {jvm['pid']}`, then run again",
                )
            time.sleep(0.1)

    def note_jvm(self, pid: int) -> None:
        """Adds the JVM to the holder in the lock's text."""
        self._text["jvm"] = {"pid": pid, "born": processes.birth(pid) or ""}
        self._beat()

    def confirm(self) -> None:
        """Raises LockHeld if another run has taken the lock over.

        That happens if this run sent no heartbeat for a minute, say because its machine slept.
        """
        if self._taken_by is not None:
            raise _held(self._query, _parse(self._taken_by) or {})

    def _encoded_text(self) -> bytes:
        return json.dumps({**self._text, "heartbeat": _now()}).encode()

    def _beat(self) -> None:
        with self._writes:
            try:
                self._hold.write(self._encoded_text())
            except lock_backends.TakenError as error:
                self._taken_by = error.text

    def _keep_beating(self) -> None:
        while not self._released.wait(HEARTBEAT_SECONDS):
            try:
                self._beat()
            except OSError:
                # The disk is full or away for a moment; a takeover needs a minute of silence.
                continue

    def release(self, *, in_good_order: bool = True) -> None:
        """Frees the lock, unless that was done before.

        Args:
            in_good_order: nothing of this run writes any more, so the file is emptied.
                Otherwise the next holder reads the text and waits for the JVM's end.
        """
        if self._released.is_set():
            return
        self._released.set()
        self._heart.join()
        with suppress(lock_backends.TakenError):  # then its new holder frees it
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
    """The holder from the lock's text, or None if nobody holds it.

    Its key `alive` is True if the holder still runs: on this machine by its process, on
    another one by its heartbeat.
    """
    found = lock_backends.read(path)
    holder = _parse(found[0]) if found else None
    if found is None or holder is None:
        return None
    if holder["host"] == socket.gethostname():
        alive = processes.is_alive(holder["pid"], holder["born"])
    else:
        alive = _silence(path, holder, found[1]) < DEAD_AFTER_SECONDS
    return {**holder, "alive": alive}


def describe(holder: dict[str, Any]) -> str:
    """A description of a holder for messages."""
    return (
        f"pid {holder.get('pid', '?')} on {holder.get('host', '?')} "
        f"(user {holder.get('user', '?')}), since {holder.get('since', '?')}, "
        f"last heartbeat {holder.get('heartbeat', '?')}: {holder.get('command', '?')}"
    )


def _held(query: str, holder: dict[str, Any]) -> LockHeld:
    return LockHeld(
        f"{query} is already running: {describe(holder)}",
        holder=holder,
        next_step="wait until it ends, or stop it with `medallion stop`",
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
    """Seconds since a holder's last heartbeat: by the store's clock, or by the holder's own."""
    if isinstance(path, ObjectPath):
        return age_seconds
    beat = datetime.fromisoformat(holder["heartbeat"])
    return (datetime.now(timezone.utc) - beat).total_seconds()


def is_running(path: Location) -> bool:
    """Whether a run that is alive holds the lock at `path`."""
    holder = read(path)
    return holder is not None and bool(holder["alive"])
