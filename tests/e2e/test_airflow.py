"""The DAG, run by a real Airflow: one run, a config that is wrong, a held lock, killed drivers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from duckdb_extensions import import_extension
from support.exact import assert_exact, assert_same
from support.lake import ROOT, Lake
from support.oracle import Truth
from support.own_environment import bin_of
from support.processes import PATIENCE, SHORT_LIVED, completed

from medallion_jobs.checkpoint import QueryFolder, lock
from medallion_jobs.config import TableRef
from medallion_jobs.lake.paths import TablePaths

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# As a user adds them, behind the DAG that the file makes.
MORE = """\
# Airflow reads only files that speak of airflow and of a dag.
from datetime import timedelta
from medallion_dag import medallion
{name} = medallion("{pipeline}", "{config}", schedule=None, retry_delay=timedelta(seconds=2))
"""
FIVE_FILES_A_BATCH = {"MEDALLION__BRONZE__SALES__SOURCE__MAX_FILES_PER_TRIGGER": "5"}


@dataclass(frozen=True)
class Airflow:
    """An Airflow with a database and a folder of DAGs of its own.

    Attributes:
        home: its folder.
        program: the `airflow` of an environment in which there is no medallion_jobs.
    """

    home: Path
    program: Path

    @property
    def dags(self) -> Path:
        return self.home / "dags"

    def environment(self, lake: Lake, **more: str) -> dict[str, str]:
        return {
            **{key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "MEDALLION_JOBS_ENVIRONMENT": sys.prefix,
            "MEDALLION_MASTER": "local[2]",
            "MEDALLION__STORAGE__ROOT": str(lake.storage),
            "MEDALLION__LANDING__ROOT": str(lake.landing),
            "MEDALLION__SPARK__SHUFFLE_PARTITIONS": "1",
            "JDK_JAVA_OPTIONS": SHORT_LIVED,
            **more,
        }

    def add(self, pipeline: str, config: Path) -> None:
        name = f"medallion_{pipeline}"
        text = MORE.format(name=name, pipeline=pipeline, config=config)
        (self.dags / f"{pipeline}.py").write_text(text)

    @contextmanager
    def running(self, lake: Lake, *words: str, **more: str) -> Iterator[Running]:
        output = self.home / f"out-{time.monotonic_ns()}.txt"
        with output.open("w") as out:
            process = subprocess.Popen(
                [str(self.program), *words],
                stdout=out,
                stderr=out,
                env=self.environment(lake, **more),
                cwd=self.home,
            )
        try:
            yield Running(process, output)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(timeout=PATIENCE)


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


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    home = tmp_path_factory.mktemp("airflow")
    made = Airflow(home, bin_of("airflow") / "airflow")
    made.dags.mkdir()
    # A link: the DAG finds the project by its own place.
    (made.dags / "medallion_dag.py").symlink_to(ROOT / "deploy" / "airflow" / "medallion_dag.py")
    with made.running(Lake.at(home), "db", "migrate") as migrating:
        assert migrating.wait() == 0, migrating.text
    return made


def test_a_run_loads_all_and_a_wrong_config_is_not_tried_again(
    airflow: Airflow, lake: Lake, tmp_path: Path
) -> None:
    lake.generate(4, rows=100, dirty=0.05)
    with airflow.running(lake, "dags", "test", "medallion_sales") as run:
        assert run.wait() == 0, run.text[-5000:]
    assert run.starts == Counter(bronze=1, silver=1, gold=1)
    assert "equal to silver.sales" in run.text
    assert "metrics/gold/sales_by_region_day" in run.text  # of maintain, the last task
    assert_right(lake)

    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("pipeline: wrong\nbronze:\n  sales: {sorce: {format: json}}\n")
    airflow.add("wrong", wrong)
    with airflow.running(lake, "dags", "test", "medallion_wrong") as run:
        assert run.wait() == 1
    assert run.starts == Counter(bronze=1)
    (failure,) = run.failures
    assert failure.startswith("table=bronze exit_code=2 next=fix them, then: medallion config")


def test_a_held_lock_and_killed_drivers_are_tried_again_and_no_row_is_lost_or_doubled(
    airflow: Airflow, lake: Lake
) -> None:
    lake.generate(20, rows=50, dirty=0.1, new_column_from=15)
    airflow.add("again", ROOT / "conf" / "sales.yaml")
    bronze, silver = (_home(lake, layer) for layer in ("bronze", "silver"))
    held = lock.Lock(bronze.lock, "bronze.sales")
    command = ("dags", "test", "medallion_again")
    with airflow.running(lake, *command, **FIVE_FILES_A_BATCH) as run:
        try:
            run.wait_until(lambda: "bronze.sales: exit code 75 (a retry may succeed)" in run.text)
        finally:
            held.release()
        run.wait_until(lambda: re.search(r'"event": "batch", .*"table": "bronze', run.text))
        os.kill(_holder(run, bronze)["jvm"]["pid"], signal.SIGKILL)
        os.kill(_holder(run, silver)["pid"], signal.SIGKILL)
        assert run.wait() == 0, run.text[-5000:]
    # A driver may outlive its JVM for a moment, and hold the lock for one more try.
    assert run.starts["bronze"] >= 3
    assert run.starts["silver"] >= 2
    assert run.starts["gold"] == 1
    assert run.text.count(" (killed)") == 2
    assert run.failures == []
    assert_right(lake)
    code, said = completed(lake, "verify", "--layers")
    assert code == 0, said


def _home(lake: Lake, layer: str) -> QueryFolder:
    return QueryFolder.of(TablePaths(lake.config, TableRef(layer, "sales")))


def _holder(run: Running, home: QueryFolder) -> dict[str, Any]:
    """Who runs a query, once its JVM is there."""

    def found() -> dict[str, Any] | None:
        holder = lock.read(home.lock)
        return holder if holder and holder["alive"] and "jvm" in holder else None

    found_holder: dict[str, Any] = run.wait_until(found)
    return found_holder


def assert_right(lake: Lake) -> Truth:
    """Every row of the landed files, once: as delta-rs reads the tables, and as DuckDB does."""
    truth = assert_exact(lake)
    import_extension("delta")
    with duckdb.connect() as duck:
        duck.execute("LOAD delta")

        def rows(columns: str, table: str) -> list[tuple[Any, ...]]:
            path = str(lake.path(table))
            return duck.execute(f"SELECT {columns} FROM delta_scan(?)", [path]).fetchall()

        gold = rows("region, order_date, total_quantity", "gold.sales_by_region_day")
        assert_same(gold, truth.gold, "gold, as DuckDB reads it")
        for layer in ("bronze", "silver"):
            wanted = getattr(truth, layer).total()
            assert rows("count(*)", f"{layer}.sales") == [(wanted,)]
    return truth
