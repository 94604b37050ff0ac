"""A Spark cluster on this machine, and drivers that are submitted to it, to be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from local_cluster.daemon import Daemon
from local_cluster.standalone import Cluster

from support.lake import ROOT, Lake
from support.processes import PATIENCE, SHORT_LIVED, Medallion

NO_PYTHON = "/no/python/here"
EXECUTOR = "CoarseGrainedExecutorBackend"


@dataclass(frozen=True)
class LocalCluster:
    """What `scripts/cluster` has started in a folder."""

    folder: Path

    @property
    def _cluster(self) -> Cluster:
        return Cluster(self.folder)

    @property
    def properties(self) -> Path:
        return self._cluster.settings.for_jobs

    @property
    def master(self) -> str:
        return str(self._cluster.settings.master)

    @property
    def secret(self) -> str:
        lines = self.properties.read_text().splitlines()
        return dict(line.split(" ", 1) for line in lines)["spark.authenticate.secret"]

    @property
    def workers(self) -> list[Daemon]:
        return self._cluster.workers

    @property
    def pids(self) -> dict[str, int | None]:
        return {one.name: one.pid for one in (self._cluster.master, *self.workers)}

    @property
    def state(self) -> dict[str, Any]:
        return self._cluster.state() or {"aliveworkers": 0, "activeapps": []}

    def executors(self, app_name: str = "") -> dict[str, list[psutil.Process]]:
        """The executors of an application, or of all, by their worker's name."""
        ids = {app["id"] for app in self.state["activeapps"] if app_name in app["name"]}
        return {
            worker.name: [
                p
                for p in _below(worker.pid)
                if EXECUTOR in (line := _line(p)) and any(one in line for one in ids)
            ]
            for worker in self.workers
        }

    def wait_until(self, seen: Any, seconds: float = PATIENCE) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := seen()):
            assert time.monotonic() < deadline, f"not seen in {seconds} s: {self.state}"
            time.sleep(0.1)
        return found


def script(*words: str) -> str:
    """Runs `scripts/cluster`; gives what it said."""
    line = [str(ROOT / "scripts" / "cluster"), *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def running(folder: Path) -> Iterator[LocalCluster]:
    """A cluster of two workers, ended with the context."""
    up = ("up", "--dir", str(folder), "--port", "0", "--ui-port", "0", "--memory", "3g")
    try:
        script(*up)
        yield LocalCluster(folder)
    finally:
        script("down", "--dir", str(folder))


class Driver(Medallion):
    """A layer that `scripts/submit` runs for ever on the cluster; JVM and Python in one group."""

    def __init__(self, lake: Lake, cluster: LocalCluster, layer: str, *options: str) -> None:
        self.output = lake.landing.parent / f"{layer}-{time.monotonic_ns()}.txt"
        spark = {
            "spark.pyspark.python": NO_PYTHON,
            "spark.cores.max": "1",
            "spark.executor.memory": "512m",
            "spark.executor.extraJavaOptions": SHORT_LIVED,
            "spark.ui.enabled": "false",
            "spark.log.level": "WARN",
            **dict(option.split("=", 1) for option in options),
        }
        line = [
            *(str(ROOT / "scripts" / "submit"), layer, "--continuous", "10s", *lake.arguments),
            *("--", "--properties-file", str(cluster.properties)),
            *("--driver-memory", "768m", "--driver-java-options", SHORT_LIVED),
            *(word for pair in spark.items() for word in ("--conf", "=".join(pair))),
        ]
        with self.output.open("w") as out:
            self._process = subprocess.Popen(
                line, stdout=out, stderr=out, cwd=lake.landing.parent, start_new_session=True
            )
        self.pid = self._process.pid

    def signal(self, number: int) -> None:
        """To the JVM and its Python alike, as when their machine is gone."""
        os.killpg(self.pid, number)

    @property
    def batches(self) -> int:
        return sum(event["event"] == "batch" for event in self.events)

    @property
    def pythons(self) -> list[psutil.Process]:
        return [one for one in _below(self.pid) if "python" in one.name()]


def kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def _below(pid: int | None) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True) if pid else []
    except psutil.NoSuchProcess:
        return []


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
