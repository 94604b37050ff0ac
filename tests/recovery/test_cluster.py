"""Three layers on a cluster of two workers: a worker is killed, then a driver; row-exact."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from support import cluster as clusters
from support.cluster import NO_PYTHON, Driver, LocalCluster, kill
from support.exact import assert_exact
from support.lake import Lake
from support.processes import PATIENCE, Medallion, completed

from medallion_jobs.checkpoint import QueryFolder
from medallion_jobs.config import TableRef
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.runtime.spark_home import spark_environment, spark_home

TABLES = {"bronze": "sales", "silver": "sales", "gold": "sales_by_region_day"}
# A file each five seconds, and a batch each ten: a dozen JVMs on two busy cores keep up with it.
FLOW = ("--rate", "4", "--rows", "20", "--duration", "1h", "--dirty", "0.05", "--seed", "3")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with clusters.running(tmp_path_factory.mktemp("cluster")) as made:
        yield made
        pids = [pid for pid in made.pids.values() if pid]
        left = [p.pid for ps in made.executors().values() for p in ps]
    assert not [pid for pid in (*pids, *left) if psutil.pid_exists(pid) and not _is_dead(pid)]


class Layers:
    """The three drivers, side by side, each started when what it reads is there."""

    def __init__(self, lake: Lake, cluster: LocalCluster, stack: ExitStack) -> None:
        self._lake, self._cluster, self._stack = lake, cluster, stack
        self.drivers: dict[str, Driver] = {}

    def start(self, layer: str) -> Driver:
        driver = self._stack.enter_context(Driver(self._lake, self._cluster, layer))
        self.drivers[layer] = driver
        return driver

    def start_all(self) -> None:
        for layer, name in TABLES.items():
            driver = self.start(layer)
            table = self._lake.path(f"{layer}.{name}")
            driver.wait_until(lambda at=table: list(at.glob("_delta_log/*.json")))

    def wait_for_batch(self, layer: str) -> None:
        """Until the layer's driver has told of one batch more."""
        driver = self.drivers[layer]
        before = driver.batches
        driver.wait_until(lambda: driver.batches > before)

    def in_a_batch(self, layer: str) -> int:
        """Waits until a batch of the layer has just begun; gives its number."""
        offsets = self._checkpoint(layer) / "offsets"
        before = _newest(offsets)

        def begun() -> int | None:
            return newest if (newest := _newest(offsets)) > before else None

        return int(self.drivers[layer].wait_until(begun))

    def done(self, layer: str) -> int:
        """The newest batch that Spark noted as done, or -1."""
        return _newest(self._checkpoint(layer) / "commits")

    def _checkpoint(self, layer: str) -> Path:
        ref = TableRef.parse(f"{layer}.{TABLES[layer]}")
        return QueryFolder.of(TablePaths(self._lake.config, ref)).path / "v1"


# A dozen JVMs: what CI runs on a cluster is tests/e2e/test_containers_on_host.py.
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_worker_and_then_a_driver_killed_in_mid_batch(lake: Lake, cluster: LocalCluster) -> None:
    lake.generate(6, rows=20, dirty=0.1)
    with ExitStack() as stack:
        flow = stack.enter_context(Medallion(lake, "generate", *FLOW))
        layers = Layers(lake, cluster, stack)
        layers.start_all()
        cluster.wait_until(lambda: all(any(cluster.executors(x).values()) for x in TABLES))
        _no_python_on_executors(cluster, layers)
        _closed_to_others(cluster, layers)

        # The worker that computes bronze, in the midst of a batch.
        found = cluster.executors("bronze")
        (worker,) = [one for one in cluster.workers if found[one.name]]
        batch, pid = layers.in_a_batch("bronze"), worker.pid
        kill(pid)
        assert layers.done("bronze") < batch
        layers.wait_for_batch("bronze")  # by the same driver
        assert cluster.state["aliveworkers"] == 1
        assert cluster.executors("bronze")[worker.name] == []

        # The same command brings the worker back, and leaves what runs alone.
        before = cluster.pids
        up = ("up", "--dir", str(cluster.folder))
        assert f"--properties-file {cluster.properties}" in clusters.script(*up)
        after = cluster.pids
        assert after.pop(worker.name) != before.pop(worker.name)
        assert after == before

        batch = layers.in_a_batch("bronze")
        layers.drivers["bronze"].signal(signal.SIGKILL)
        assert layers.done("bronze") < batch
        layers.start("bronze")
        flow.signal(signal.SIGTERM)
        assert flow.wait() == 0, flow.text
        _finish(lake, layers)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twelve_kills_of_workers_and_drivers(lake: Lake, cluster: LocalCluster) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    draw = random.Random(seed)
    lake.generate(6, rows=20, dirty=0.1)
    with ExitStack() as stack:
        flow = stack.enter_context(Medallion(lake, "generate", *FLOW))
        layers = Layers(lake, cluster, stack)
        layers.start_all()
        for _ in range(12):
            layer, worker = draw.choice(list(TABLES)), draw.choice(cluster.workers)
            layers.in_a_batch(layer)
            if draw.random() < 0.5:
                print(f"killed {worker.name} while {layer} was in a batch")
                kill(worker.pid)
                layers.wait_for_batch(layer)
                clusters.script("up", "--dir", str(cluster.folder))
            else:
                print(f"killed the driver of {layer}")
                layers.drivers[layer].signal(signal.SIGKILL)
                layers.start(layer)
        flow.signal(signal.SIGTERM)
        assert flow.wait() == 0, flow.text
        _finish(lake, layers)


@pytest.mark.slow
def test_nobody_submits_without_the_secret(cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "other.properties").write_text(
        f"spark.master {cluster.master}\nspark.authenticate true\n"
        f"spark.authenticate.secret {'0' * 64}\nspark.network.crypto.enabled true\n"
    )
    # A context that was not let in is there for a moment; it computes nothing.
    (tmp_path / "job.py").write_text(
        "from pyspark import SparkContext\n"
        "with open('computed', 'w') as file:\n"
        "    print(SparkContext().range(1).count(), file=file)\n"
    )
    computed = tmp_path / "computed"
    for words in (["--properties-file", "other.properties"], ["--master", cluster.master]):
        line = [f"{spark_home()}/bin/spark-submit", *words, "job.py"]
        environ = {**os.environ, **spark_environment(), "SPARK_LOCAL_IP": "127.0.0.1"}
        python = {"PYSPARK_PYTHON": sys.executable}
        done = subprocess.run(
            line,
            cwd=tmp_path,
            env={**environ, **python},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode != 0
        assert not (computed.exists() and computed.read_text())
        assert "masters are unresponsive" in done.stderr, done.stderr[-3000:]


def _finish(lake: Lake, layers: Layers) -> None:
    """Waits until gold has all that landed, stops the three, and holds all against the oracle."""
    truth = lake.truth()
    wanted = sum(row[2] or 0 for row in truth.gold.elements())
    table = "gold.sales_by_region_day"
    last = layers.drivers["gold"]
    last.wait_until(lambda: sum(r["total_quantity"] or 0 for r in lake.rows(table)) == wanted)
    code, said = completed(lake, "stop")
    assert code == 0, said
    for driver in layers.drivers.values():
        assert driver.wait() == 0, driver.text
    assert_exact(lake, truth)


def _no_python_on_executors(cluster: LocalCluster, layers: Layers) -> None:
    """They would be started with a Python that is not there, and none has been wanted."""
    for layer, driver in layers.drivers.items():
        assert {one.environ().get("PYSPARK_PYTHON") for one in driver.pythons} == {NO_PYTHON}
        executors = [one for found in cluster.executors(layer).values() for one in found]
        assert executors
        assert [child for one in executors for child in one.children()] == []


def _closed_to_others(cluster: LocalCluster, layers: Layers) -> None:
    """Nothing listens but on loopback, and the secret is in no command line and no log."""
    running = [psutil.Process(pid) for pid in cluster.pids.values() if pid]
    running += [psutil.Process(driver.pid) for driver in layers.drivers.values()]
    running += [one for found in cluster.executors().values() for one in found]
    assert len(running) == 9
    listening = {
        (process.pid, one.laddr.ip)
        for process in running
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    }
    assert {ip for _, ip in listening} <= {"127.0.0.1", "::ffff:127.0.0.1"}, listening
    assert len({pid for pid, _ in listening}) >= 6
    lines = [word for process in running for word in process.cmdline()]
    logs = [
        file for file in cluster.folder.rglob("*") if file.suffix == ".log" or "std" in file.name
    ]
    assert len(logs) >= 3
    told = [file.read_text(errors="replace") for file in logs]
    told += [driver.text for driver in layers.drivers.values()]
    assert not [text for text in (*lines, *told) if cluster.secret in text]


def _newest(folder: Path) -> int:
    return max((int(file.name) for file in folder.glob("[0-9]*")), default=-1)


def _is_dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
