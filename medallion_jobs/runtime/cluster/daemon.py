"""One of Spark's long-running processes: started, found again, and ended.

Its pid file is locked by the process itself, from its start to its end. So the lock tells
whether it lives, however it died, and a pid that was given to another process misleads nobody.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE_SECONDS = 20.0
_GLANCE_SECONDS = 0.05


class Daemon:
    """A process by its name; `NAME.pid` and `NAME.log` are in the folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._pid_file = folder / f"{name}.pid"

    @property
    def pid(self) -> int | None:
        """The process's id, or None when it does not run."""
        try:
            file = self._pid_file.open("r+")
        except FileNotFoundError:
            return None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                told = file.read().strip()  # nothing yet, of one that is just being started
                return int(told) if told else None
        return None

    def start(self, line: Sequence[str], environ: Mapping[str, str]) -> None:
        """Starts it, in a session of its own: it outlives the terminal, and us."""
        with self._pid_file.open("a+") as lock, self.log.open("ab") as log:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.truncate(0)
            os.set_inheritable(lock.fileno(), True)
            # Not subprocess: it takes a child for forgotten when nobody waits for its end.
            pid = os.posix_spawn(
                line[0],
                list(line),
                environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
                ],
                setsid=True,
            )
            lock.write(f"{pid}\n")

    def end(self) -> bool:
        """Ends it, by force when it does not go; False when it did not run."""
        pid = self.pid
        if pid is None:
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.kill(pid, number)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while self.pid == pid and time.monotonic() < deadline:
                time.sleep(_GLANCE_SECONDS)
            if self.pid != pid:
                break
        return True

    def last_words(self, lines: int = 8) -> str:
        """The end of its log."""
        if not self.log.exists():
            return "(it wrote no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
