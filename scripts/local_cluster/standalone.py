"""The cluster: its running processes, and starting the missing ones."""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

from local_cluster.daemon import Daemon
from local_cluster.settings import LOOPBACK, Settings
from medallion_jobs.errors import TransientError, UsageError
from medallion_jobs.runtime.cache import locked
from medallion_jobs.runtime.locales import utf8_environment
from medallion_jobs.runtime.spark_home import spark_environment

READY_WITHIN_SECONDS = 120.0
_ANSWER_WITHIN_SECONDS = 5.0
_POLL_SECONDS = 0.2
# Small and quick to start: these processes only coordinate.
_DAEMON_JVM = {
    "SPARK_DAEMON_MEMORY": "512m",
    "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
}


@dataclass(frozen=True)
class Size:
    """What each worker offers: cores are slots for tasks, not cores of this machine."""

    workers: int
    cores: int
    memory: str


class Cluster:
    """The master and the workers of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(folder)
        self.master = Daemon(folder, "master")

    @property
    def workers(self) -> list[Daemon]:
        """All workers that were ever started here, running or not, by number."""
        numbers = sorted(int(file.stem.partition("-")[2]) for file in self.folder.glob("*-*.pid"))
        return [Daemon(self.folder, f"worker-{number}") for number in numbers]

    def up(self, size: Size, port: int, ui_port: int, report: Callable[[str], None]) -> None:
        """Starts the master and `size.workers` workers that are not running; waits for all.

        Raises:
            UsageError: a port is in use, or there is no Java.
            TransientError: a process did not start.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.folder / "lock", report):
            if self.master.pid is None:
                self._start_master(_port(port), _port(ui_port))
            for number in range(1, size.workers + 1):
                worker = Daemon(self.folder, f"worker-{number}")
                if worker.pid is None:
                    self._start_worker(worker, size)
            self._await(size.workers)

    def down(self) -> list[str]:
        """Ends all processes; returns the names of those that were running."""
        if not self.folder.is_dir():
            return []
        with locked(self.folder / "lock"):
            # Workers first: they end their executors.
            return [worker.name for worker in (*self.workers, self.master) if worker.end()]

    def state(self) -> dict[str, Any] | None:
        """The state that the master reports, or None if it does not answer."""
        if self.master.pid is None or not self._ui.exists():
            return None
        url = f"http://{LOOPBACK}:{self._ui.read_text().strip()}/json/"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(url, timeout=_ANSWER_WITHIN_SECONDS) as answer:
                state: dict[str, Any] = json.load(answer)
        except (URLError, OSError, ValueError):
            return None  # it is starting or stopping
        return state

    @property
    def _ui(self) -> Path:
        return self.folder / "ui.port"

    @property
    def ui(self) -> str:
        """The address of the master's web page."""
        return f"http://{LOOPBACK}:{self._ui.read_text().strip()}"

    def _start_master(self, port: int, ui_port: int) -> None:
        self.settings.write(f"spark://{LOOPBACK}:{port}")
        self._ui.write_text(f"{ui_port}\n")
        self._start(self.master, "master.Master", port, ui_port)

    def _start_worker(self, worker: Daemon, size: Size) -> None:
        work = self.folder / worker.name
        slots = ["--cores", str(size.cores), "--memory", size.memory]
        options = ["--work-dir", str(work), str(self.settings.master)]
        self._start(worker, "worker.Worker", _port(0), _port(0), *slots, *options)

    def _start(self, daemon: Daemon, name: str, port: int, ui_port: int, *further: str) -> None:
        spark = spark_environment()
        environ = {
            **os.environ,
            **utf8_environment(),
            **spark,
            **_DAEMON_JVM,
            "SPARK_LOCAL_IP": LOOPBACK,
            "SPARK_PUBLIC_DNS": LOOPBACK,
            # Not the user's own defaults, which are for other clusters.
            "SPARK_CONF_DIR": str(self.folder),
        }
        line = [
            f"{spark['SPARK_HOME']}/bin/spark-class",
            f"org.apache.spark.deploy.{name}",
            *("--host", LOOPBACK, "--port", str(port), "--webui-port", str(ui_port)),
            *("--properties-file", str(self.settings.for_daemons)),
            *further,
        ]
        daemon.start(line, environ)

    def _await(self, workers: int) -> None:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        wanted = [self.master, *self.workers[:workers]]
        while time.monotonic() < deadline:
            dead = next((daemon for daemon in wanted if daemon.pid is None), None)
            if dead:
                raise self._not_up(dead, "ended right after its start")
            state = self.state()
            if state and state["aliveworkers"] >= workers:
                return
            time.sleep(_POLL_SECONDS)
        raise self._not_up(wanted[-1], f"is not ready after {READY_WITHIN_SECONDS:.0f} s")

    def _not_up(self, daemon: Daemon, what: str) -> TransientError:
        return TransientError(
            f"the {daemon.name} {what}. Its log, {daemon.log}, ends with:\n{daemon.log_tail()}",
            code="cluster_not_up",
            untouched="running processes of the cluster",
            next_step=f"scripts/cluster down --dir {self.folder}, then up again",
        )


def _port(wanted: int) -> int:
    """`wanted`, or a free one for 0.

    Raises:
        UsageError: it is in use.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except OSError as error:
            raise UsageError(
                f"port {wanted} cannot be used: {error.strerror}",
                code="port_in_use",
                untouched="nothing was started",
                next_step="use other ports: --port N --ui-port N, or 0 for any free port",
            ) from error
        return int(probe.getsockname()[1])
