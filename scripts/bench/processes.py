"""Runs a contender in processes of its own: how long it takes, how much memory it has."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
# Seconds between two looks at the memory: a look takes milliseconds, and a short run needs some.
_LEAST, _MOST = 0.05, 0.5
_TAIL = 1_500  # characters of a failed process's log
_LEFT = 60.0  # seconds for what a command has left in the background


class Failed(Exception):
    """A contender ended with an error, or did not end, or has wrong results."""


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        seconds: from the first command to the prompt after the last.
        peak: MiB of the whole process tree at its most; None where there is no /proc.
    """

    seconds: float
    peak: float | None


class Memory(threading.Thread):
    """Watches the memory of a process and of all that it started.

    A page that several processes share counts once (PSS).

    Attributes:
        samples: seconds since the start, and MiB.
    """

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self._root = root
        self._done = threading.Event()
        self._began = time.monotonic()
        self.samples: list[tuple[float, float]] = []

    def run(self) -> None:
        pause = _LEAST
        while PROC.is_dir() and not self._done.wait(pause):
            used = sum(_kilobytes(process) for process in _tree(self._root)) / 1024
            passed = time.monotonic() - self._began
            self.samples.append((passed, used))
            pause = min(_MOST, max(_LEAST, passed / 20))

    def stop(self) -> None:
        """Ends the watching."""
        self._done.set()
        self.join()

    @property
    def peak(self) -> float | None:
        """The most MiB that were seen."""
        return max((used for _, used in self.samples), default=None)


def run(
    lines: Sequence[Sequence[str]],
    log: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    limit: float = 1_800,
) -> Measured:
    """Runs command lines one after the other; what they print goes to `log`.

    Args:
        environment: on top of this process's.
        folder: where they run.
        limit: seconds for each.

    Raises:
        Failed: one of them failed, or took too long.
    """
    peaks = []
    seconds = 0.0
    for line in lines:
        started = time.monotonic()
        with log.open("ab") as output:
            process = start(line, output.fileno(), environment, folder)
        memory = Memory(process.pid)
        memory.start()
        try:
            code = process.wait(limit)
            seconds += time.monotonic() - started
            _let_finish(process.pid)
        except subprocess.TimeoutExpired:
            raise Failed(f"{shown(line)} did not end within {limit:g} s") from None
        finally:
            end(process)
            memory.stop()
        if code:
            tail = log.read_text(encoding="utf-8", errors="replace")[-_TAIL:]
            raise Failed(f"{shown(line)} ended with {code}:\n{tail}")
        peaks.append(memory.peak)
    seen = [peak for peak in peaks if peak is not None]
    return Measured(seconds, max(seen, default=None))


def start(
    line: Sequence[str],
    output: int,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a command as the head of a process group of its own."""
    return subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={**os.environ, **(environment or {})},
        cwd=folder,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends what is left of a process group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _let_finish(session: int) -> None:
    """Waits for what a command has left behind, so that the next one does not share its cores."""
    until = time.monotonic() + _LEFT
    while PROC.is_dir() and time.monotonic() < until and _tree(session) - {session}:
        time.sleep(0.05)


def shown(line: Sequence[str]) -> str:
    """A command line, without its long paths."""
    return " ".join(Path(word).name if word.startswith("/") else word for word in line[:4])


def load() -> float | None:
    """The machine's load of the last minute, as `uptime` has it."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _tree(root: int) -> set[int]:
    """A process, its children and theirs, and what else is in its session."""
    parents: dict[int, int] = {}
    found = {root}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                # The name in brackets may have blanks: what follows it is split.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended meanwhile
            parents[int(entry.name)] = int(fields[1])
            if int(fields[3]) == root:
                found.add(int(entry.name))
    grown = True
    while grown:
        more = {one for one, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found


def _kilobytes(process: int) -> int:
    try:
        for line in (PROC / str(process) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass  # it has ended, or belongs to somebody else
    return 0
