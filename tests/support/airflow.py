"""A real Airflow with a folder and a database of its own."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.lake import ROOT, Lake
from support.own_environment import bin_of
from support.processes import PATIENCE, SHORT_LIVED

# As a user adds a DAG, in a file beside the first one.
ONE_MORE = """\
# Airflow reads only files that speak of airflow and of a dag.
from datetime import timedelta
from medallion_dag import medallion
{name} = medallion("{pipeline}", "{config}", schedule=None, retry_delay=timedelta(seconds=2))
"""
# A worker that says nothing for ten seconds is dead; five minutes, by default.
IMPATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
}


@dataclass(frozen=True)
class Running:
    """An `airflow` command, and what it has printed so far."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def wait(self) -> int:
        return self.process.wait(timeout=PATIENCE)

    def wait_until(self, seen: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := seen()):
            assert self.process.poll() is None, f"ended too early:\n{self.text[-5000:]}"
            assert time.monotonic() < deadline, f"not seen:\n{self.text[-5000:]}"
            time.sleep(0.05)
        return found

    @property
    def starts(self) -> Counter[str]:
        """How often each layer was submitted."""
        return Counter(re.findall(r"Spark-Submit cmd: .*/medallion_jobs/(\w+)\.py", self.text))

    @property
    def failures(self) -> list[str]:
        """What the failure callback has logged."""
        return re.findall(r"medallion: failed: (.*?) \[airflow\.task\]", self.text)


@dataclass(frozen=True)
class Airflow:
    """An Airflow in an environment in which there is no medallion_jobs.

    Attributes:
        home: its folder.
    """

    home: Path

    @classmethod
    def at(cls, home: Path) -> Airflow:
        made = cls(home)
        made._dags.mkdir()
        # A link: the DAG finds the project by its own place.
        shipped = ROOT / "deploy" / "airflow" / "medallion_dag.py"
        (made._dags / shipped.name).symlink_to(shipped)
        with made.running(Lake.at(home), "db", "migrate") as migrating:
            assert migrating.wait() == 0, migrating.text
        return made

    @property
    def _dags(self) -> Path:
        return self.home / "dags"

    def add(self, pipeline: str, config: Path) -> None:
        """Adds the DAG of a pipeline, for runs by hand, with short times between retries."""
        name = f"medallion_{pipeline}"
        text = ONE_MORE.format(name=name, pipeline=pipeline, config=config)
        (self._dags / f"{pipeline}.py").write_text(text)

    @contextmanager
    def running(self, lake: Lake, *words: str, **more: str) -> Iterator[Running]:
        """A command of Airflow, which ends with the block."""
        output = self.home / f"{'-'.join(words[:2])}-{time.monotonic_ns()}.txt"
        with output.open("w") as out:
            process = subprocess.Popen(
                [str(bin_of("airflow") / "airflow"), *words],
                stdout=out,
                stderr=out,
                env=self._environment(lake, **more),
                cwd=self.home,
            )
        try:
            yield Running(process, output)
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=PATIENCE)

    @contextmanager
    def serving(self, lake: Lake, pipeline: str) -> Iterator[Running]:
        """The whole Airflow, in which a run of one DAG has been asked for; gives the scheduler."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        more = {
            **IMPATIENT,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": os.urandom(64).hex(),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__CORE__PARALLELISM": "2",
        }
        dag = f"medallion_{pipeline}"
        for words in (["dags", "reserialize"], ["dags", "unpause", dag], ["dags", "trigger", dag]):
            with self.running(lake, *words, **more) as asked:
                assert asked.wait() == 0, asked.text
        with ExitStack() as stack:
            for part in ("api-server", "dag-processor"):
                stack.enter_context(self.running(lake, part, **more))
            yield stack.enter_context(self.running(lake, "scheduler", **more))

    def outcome(self, pipeline: str) -> str | None:
        """`success` or `failed`; None while the run of the DAG goes on."""
        ((state,),) = self._ask("SELECT state FROM dag_run WHERE dag_id = ?", pipeline)
        return str(state) if state in ("success", "failed") else None

    def tries(self, pipeline: str) -> dict[str, int]:
        """How often each task was started."""
        return dict(
            self._ask("SELECT task_id, try_number FROM task_instance WHERE dag_id = ?", pipeline)
        )

    def _ask(self, statement: str, pipeline: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.home / "airflow.db", timeout=30)) as database:
            return database.execute(statement, [f"medallion_{pipeline}"]).fetchall()

    def _environment(self, lake: Lake, **more: str) -> dict[str, str]:
        return {
            **{key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "MEDALLION_JOBS_ENVIRONMENT": sys.prefix,
            "MEDALLION_MASTER": "local[2]",
            "MEDALLION__STORAGE__ROOT": str(lake.storage),
            "MEDALLION__LANDING__ROOT": str(lake.landing),
            "MEDALLION__SPARK__SHUFFLE_PARTITIONS": "1",
            "JDK_JAVA_OPTIONS": SHORT_LIVED,
            **more,
        }
