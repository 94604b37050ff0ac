"""A long-running process of Spark: starts it, finds it again, and ends it.

The process locks its pid file as long as it runs. So the lock shows whether it is alive, however
it ended, even if another process has got its pid.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_TIMEOUT_SECONDS = 20.0
_POLL_SECONDS = 0.05
_STDERR = 2


class Daemon:
    """A process by its name; its folder has `NAME.pid` and `NAME.log`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._pid_file = folder / f"{name}.pid"

    @property
    def pid(self) -> int | None:
        """The process id, or None if it does not run."""
        try:
            file = self._pid_file.open("r+")
        except FileNotFoundError:
            return None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()  # empty while the process is being started
                return int(text) if text else None
        return None

    def start(self, line: Sequence[str], environ: Mapping[str, str]) -> None:
        """Starts it in a new session, so that it outlives the terminal and this process."""
        with self._pid_file.open("a+") as lock, self.log.open("ab") as log:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.truncate(0)
            os.set_inheritable(lock.fileno(), True)
            # Not subprocess: it warns about a child that nobody waits for.
            pid = os.posix_spawn(
                line[0],
                list(line),
                environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
                    *((os.POSIX_SPAWN_CLOSE, open_) for open_ in _of_the_caller(lock.fileno())),
                ],
                setsid=True,
            )
            lock.write(f"{pid}\n")

    def end(self) -> bool:
        """Ends it, by force if needed; returns False if it was not running."""
        pid = self.pid
        if pid is None:
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.kill(pid, number)
            deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
            while self.pid == pid and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            if self.pid != pid:
                break
        return True

    def log_tail(self, lines: int = 8) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _of_the_caller(own: int) -> list[int]:
    """What this process was given open, but for the terminal and `own`.

    It may be a lock that the caller holds (`flock FILE scripts/cluster up`), which the started
    process would hold as long as it runs.
    """
    found = (int(entry.name) for entry in Path("/dev/fd").iterdir())
    others = (number for number in found if number > _STDERR and number != own)
    return list(filter(_is_handed_on, others))


def _is_handed_on(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:  # the one by which the folder was listed
        return False
