"""What the three servers share: a folder, ports that stay, a start that waits, and an end."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

from local_cluster.daemon import Daemon

from medallion_jobs.errors import TransientError, UsageError
from medallion_jobs.runtime.java import find_java
from medallion_jobs.runtime.locales import utf8_environment

LOOPBACK = "127.0.0.1"
WITHIN_SECONDS = 180.0
_STOP_WITHIN_SECONDS = 30.0
_POLL_SECONDS = 0.05
# Below those that a system gives to clients: a client that tries again and again to reach a dead
# server could be given the server's own port, and be connected to itself.
_PORTS = range(20_000, 32_000)

Found = TypeVar("Found")


class Server(ABC):
    """A server with a folder of its own, which has its data, its log, its pid and its ports.

    Args:
        folder: created if it is missing. A server that is started there again has its data.
        port: for its clients; 0 takes one that is free, and the same one at each later start.
    """

    name = "server"
    _further_ports = 0
    _stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        self.folder = folder.resolve()
        self._daemon = Daemon(self.folder, self.name)
        self._wanted_port = port

    @property
    def pid(self) -> int | None:
        """The process id, or None if it does not run."""
        return self._daemon.pid

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self._daemon.log

    @property
    def port(self) -> int:
        """The port for its clients; there is one from the first start on."""
        return self._ports()[0]

    @property
    def address(self) -> str:
        """Host and port for its clients."""
        return f"{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Starts it, unless it runs; returns when it answers a request.

        Raises:
            UsageError: a port is in use, or a program that it needs is missing.
            TransientError: it ended, or does not answer in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._is_half_gone():
            wait_until(lambda: self.pid is None, f"the rest of the dead {self.name} is gone")
        if self.pid is None:
            self._take_ports()
            line, environ = self._command()
            self._daemon.start(line, {**os.environ, **utf8_environment(), **environ})
        self.wait_until(self._answers, "it answers a request")

    def stop(self) -> bool:
        """Ends it in order, by force if it does not go; returns False if it was not running."""
        pid = self.pid
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, self._stop_signal)
        with suppress(TransientError):
            wait_until(lambda: self.pid is None, "its end", _STOP_WITHIN_SECONDS)
        self._daemon.end()
        _reap(pid)
        return True

    def kill(self) -> None:
        """Ends it as `kill -9` does; returns when all of its processes are gone."""
        pid = self.pid
        assert pid is not None, f"{self.name} does not run"
        os.kill(pid, signal.SIGKILL)
        _reap(pid)
        wait_until(lambda: self.pid is None, f"{self.name} is gone")

    def wait_until(
        self, seen: Callable[[], Found], what: str, within: float = WITHIN_SECONDS
    ) -> Found:
        """What `seen` returns, once that is true.

        Raises:
            TransientError: the server ended, or `within` seconds are over.
        """

        def seen_while_it_runs() -> Found:
            found = seen()
            if not found and self.pid is None:
                raise TransientError(
                    f"{self.name} ended before {what}. Its log, {self.log}, ends with:\n"
                    f"{self.log_tail()}",
                    code="lab_server_ended",
                    untouched=f"its data in {self.folder}",
                    next_step="remove what its log complains about, then the same command again",
                )
            return found

        return wait_until(seen_while_it_runs, f"{self.name}: {what}", within, self.log)

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of its log."""
        return self._daemon.log_tail(lines)

    @abstractmethod
    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Prepares the folder; returns the command line, and variables for the environment."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it answers a client's request."""

    def _is_half_gone(self) -> bool:
        """Whether its first process is dead, and others of it still end."""
        pid = self.pid
        if pid is None:
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # it belongs to another user, so it lives
        return False

    def _ports(self) -> list[int]:
        return [int(port) for port in self._ports_file.read_text("utf-8").split()]

    @property
    def _ports_file(self) -> Path:
        return self.folder / f"{self.name}.ports"

    def _take_ports(self) -> None:
        if self._ports_file.exists():
            taken = free_ports(self._ports())
        else:
            taken = free_ports([self._wanted_port, *[0] * self._further_ports])
        self._ports_file.write_text(" ".join(map(str, taken)) + "\n", "utf-8")


def free_ports(wanted: Sequence[int]) -> list[int]:
    """The ports of `wanted`, each of which is free; for a 0, any that is free.

    Raises:
        UsageError: one of them is in use.
    """
    with ExitStack() as held:  # until all are known, or one could be found twice
        return [_bound(held.enter_context(socket.socket()), port) for port in wanted]


def wait_until(
    seen: Callable[[], Found], what: str, within: float = WITHIN_SECONDS, log: Path | None = None
) -> Found:
    """What `seen` returns, once that is true.

    Raises:
        TransientError: `within` seconds are over.
    """
    deadline = time.monotonic() + within
    while not (found := seen()):
        if time.monotonic() > deadline:
            raise TransientError(
                f"{what}: not seen within {within:.0f} s",
                code="lab_not_seen",
                untouched="what runs goes on",
                next_step=f"see {log}" if log else "the same command again",
            )
        time.sleep(_POLL_SECONDS)
    return found


def java_line(main: str, jars: Sequence[Path], *arguments: str, memory: str) -> list[str]:
    """The command line of a Java program that is quick to start and small.

    Raises:
        UsageError: there is no Java of version 17 or newer.
    """
    return [
        str(find_java().home / "bin" / "java"),
        f"-Xmx{memory}",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.net.preferIPv4Stack=true",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        "-cp",
        ":".join(map(str, jars)),
        main,
        *arguments,
    ]


def write_properties(file: Path, settings: Mapping[str, object]) -> None:
    """Writes Java properties; only the user can read them."""
    file.touch(mode=0o600)
    file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), "utf-8")


def _bound(probe: socket.socket, wanted: int) -> int:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for port in [wanted] if wanted else random.sample(_PORTS, len(_PORTS)):
        with suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise UsageError(
        f"port {wanted} of {LOOPBACK} is in use" if wanted else "no port is free",
        code="lab_port_in_use",
        untouched="nothing was started",
        next_step="end the program that uses it; for the first start another port can be given, "
        "and 0 takes any that is free",
    )


def _reap(pid: int) -> None:
    """Takes note of the end of a child of this process, so that nothing is left of it."""
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
