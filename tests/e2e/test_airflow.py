"""The DAG, run by a real Airflow: a run, a wrong config, a held lock, killed jobs and workers."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest
from duckdb_extensions import import_extension
from support import cluster as clusters
from support.airflow import Airflow, Running
from support.exact import assert_exact, assert_same
from support.lake import CONFIG, Lake
from support.processes import completed

from medallion_jobs.checkpoint import QueryFolder, lock
from medallion_jobs.config import TableRef
from medallion_jobs.lake.paths import TablePaths

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

FIVE_FILES_A_BATCH = {"MEDALLION__BRONZE__SALES__SOURCE__MAX_FILES_PER_TRIGGER": "5"}


@pytest.fixture
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    return Airflow.at(tmp_path_factory.mktemp("airflow"))


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


def test_a_held_lock_and_killed_jobs_are_tried_again_and_no_row_is_lost_or_doubled(
    airflow: Airflow, lake: Lake
) -> None:
    lake.generate(20, rows=50, dirty=0.1, new_column_from=15)
    airflow.add("again", CONFIG)
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


def test_a_dead_worker_is_replaced_and_no_row_is_lost_or_doubled(
    airflow: Airflow, lake: Lake
) -> None:
    """Once its job lives on and holds the lock; once all is dead, as when a machine is lost."""
    lake.generate(10, rows=50, dirty=0.1)
    airflow.add("worker", CONFIG)
    with airflow.serving(lake, "worker") as scheduler:
        _kill(_workers_of(_holder(scheduler, _home(lake, "bronze"))))
        silver = _holder(scheduler, _home(lake, "silver"))
        job = [psutil.Process(silver["jvm"]["pid"]), psutil.Process(silver["pid"])]
        _kill([*_workers_of(silver), *job])
        assert scheduler.wait_until(lambda: airflow.outcome("worker")) == "success"
    tries = airflow.tries("worker")
    assert tries["bronze"] >= 2
    assert tries["silver"] >= 2
    assert tries["gold"] == tries["verify"] == tries["maintain"] == 1
    assert_right(lake)


def test_on_a_cluster_whose_secret_is_in_a_file(
    airflow: Airflow, lake: Lake, tmp_path: Path
) -> None:
    lake.generate(4, rows=50, dirty=0.05)
    with clusters.running(tmp_path / "cluster") as cluster:
        where = {
            "MEDALLION_MASTER": cluster.master,
            "MEDALLION_PROPERTIES_FILE": str(cluster.properties),
        }
        with airflow.running(lake, "dags", "test", "medallion_sales", **where) as run:
            assert run.wait() == 0, run.text[-5000:]
    assert run.text.count(f"--master {cluster.master}") == len(run.starts) == 3
    assert cluster.secret not in run.text
    assert_right(lake)


def _home(lake: Lake, layer: str) -> QueryFolder:
    return QueryFolder.of(TablePaths(lake.config, TableRef(layer, "sales")))


def _holder(run: Running, home: QueryFolder) -> dict[str, Any]:
    """Who runs a query, once its JVM is there."""

    def found() -> dict[str, Any] | None:
        holder = lock.read(home.lock)
        return holder if holder and holder["alive"] and "jvm" in holder else None

    holder: dict[str, Any] = run.wait_until(found)
    return holder


def _workers_of(holder: dict[str, Any]) -> list[psutil.Process]:
    """Airflow's two processes above a job: the task's own, and the one that reports on it."""
    workers = psutil.Process(holder["jvm"]["pid"]).parents()[:2]
    assert all("airflow worker" in " ".join(one.cmdline()) for one in workers)
    return workers[::-1]


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.kill()


def assert_right(lake: Lake) -> None:
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
