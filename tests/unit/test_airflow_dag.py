"""The DAG for Airflow, without Airflow: what it starts, and what it makes of an exit code."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
import typer
from support.lake import ROOT

from medallion_jobs.cli import app
from medallion_jobs.engine import runner, session
from medallion_jobs.errors import DataError, LockHeld, UsageError

FOLDER = ROOT / "deploy" / "airflow"
PASSING = [75, -9, -15, 137, 143]
LASTING: list[int | None] = [1, 2, 3, 64, 127, 255, None]


class Operator:
    """Takes what an operator takes, and keeps it."""

    made: ClassVar[list[Any]] = []

    def __init__(self, **options: Any) -> None:
        self.options = options
        Operator.made.append(self)


class Dag:
    def __init__(self, **options: Any) -> None:
        self.options = options

    def __enter__(self) -> Dag:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Hook:
    @classmethod
    def get_connection(cls, conn_id: str) -> dict[str, str]:
        return {"conn_id": conn_id, "host": "as Airflow keeps it"}


class AirflowException(Exception):
    pass


class AirflowFailException(AirflowException):
    pass


def chain(*tasks: Operator) -> None:
    assert list(tasks) == Operator.made[-len(tasks) :]


STAND_INS: dict[str, dict[str, Any]] = {
    "airflow": {},
    "airflow.sdk": {"DAG": Dag, "BaseOperator": Operator, "Connection": dict, "chain": chain},
    "airflow.sdk.exceptions": {
        "AirflowException": AirflowException,
        "AirflowFailException": AirflowFailException,
    },
    "airflow.providers.apache.spark.hooks.spark_submit": {"SparkSubmitHook": Hook},
    "airflow.providers.apache.spark.operators.spark_submit": {"SparkSubmitOperator": Operator},
}


@pytest.fixture
def dags(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The DAG's file, loaded over what stands in for Airflow."""
    for name, held in STAND_INS.items():
        module = ModuleType(name)
        vars(module).update(held)
        monkeypatch.setitem(sys.modules, name, module)
    for variable in ("MEDALLION_PROJECT", "MEDALLION_JOBS_ENVIRONMENT", "MEDALLION_MASTER"):
        monkeypatch.delenv(variable, raising=False)
    Operator.made.clear()
    spec = importlib.util.spec_from_file_location("medallion_dag", FOLDER / "medallion_dag.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "medallion_dag", module)
    spec.loader.exec_module(module)
    yield module
    Operator.made.clear()


def test_one_task_a_layer_then_verify_and_maintain_one_run_at_a_time(dags: Any) -> None:
    names = [task.options["task_id"] for task in Operator.made]
    assert names == ["bronze", "silver", "gold", "verify", "maintain"]
    options = dags.medallion_sales.options
    assert options["dag_id"] == "medallion_sales"
    assert (options["max_active_runs"], options["catchup"]) == (1, False)
    assert options["default_args"]["retries"] >= 1
    assert options["default_args"]["on_failure_callback"] is dags.log_failure


def test_a_dag_for_another_config_is_one_line(dags: Any) -> None:
    Operator.made.clear()
    made = dags.medallion("orders", project="/srv/p", environment="/srv/e", master="yarn")
    assert made.options["dag_id"] == "medallion_orders"
    bronze, *_, maintain = Operator.made
    assert bronze.options["application"] == "/srv/p/medallion_jobs/bronze.py"
    assert bronze.options["application_args"][:2] == ["--config", "conf/orders.yaml"]
    assert bronze.options["conn_id"] == "yarn"
    assert maintain.line[0] == "/srv/e/bin/python"


@pytest.mark.parametrize(
    "master",
    ["local", "local[2]", "yarn", "spark://host:7077", "k8s://https://host:6443"],
)
def test_a_master_is_its_own_connection(master: str, dags: Any) -> None:
    assert dags.SubmitHook.get_connection(master)["host"] == master


@pytest.mark.parametrize("conn_id", ["spark_default", "local_spark", "yarn_west"])
def test_another_name_is_that_of_a_connection(conn_id: str, dags: Any) -> None:
    found = dags.SubmitHook.get_connection(conn_id)
    assert (found["conn_id"], found["host"]) == (conn_id, "as Airflow keeps it")


@pytest.mark.parametrize("layer", ["bronze", "silver", "gold"])
def test_a_job_accepts_what_its_task_passes(
    layer: str, dags: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = next(one for one in Operator.made if one.options["task_id"] == layer)
    assert Path(task.options["application"]).is_file()
    loaded: list[Any] = []

    def load(*given: Any) -> None:
        loaded.append(given)
        raise UsageError("that is all", code="test")

    monkeypatch.setattr(runner, "load", load)
    monkeypatch.setattr(session, "check_arguments", lambda: None)
    monkeypatch.setattr(
        sys, "argv", [task.options["application"], *task.options["application_args"]]
    )
    with pytest.raises(SystemExit) as ended:
        runner.submitted(lambda _: [])
    assert ended.value.code == UsageError.exit_code  # of the line above, with a config read
    ((config, *_),) = loaded
    assert (ROOT / config).is_file()


@pytest.mark.parametrize("command", ["verify", "maintain"])
def test_the_command_line_accepts_what_a_task_types(command: str, dags: Any) -> None:
    task = next(one for one in Operator.made if one.options["task_id"] == command)
    python, *how, name = task.line[:4]
    assert python == str(ROOT / ".venv" / "bin" / "python")
    assert (how, name) == (["-m", "medallion_jobs"], command)
    group: Any = typer.main.get_command(app)
    group.commands[command].make_context(command, task.line[4:])


@pytest.mark.parametrize("exit_code", [*PASSING, *LASTING])
def test_only_75_and_a_kill_are_tried_again(exit_code: int | None, dags: Any) -> None:
    error = dags.ended("silver", exit_code, [], "no such file")
    assert isinstance(error, AirflowException)
    assert isinstance(error, AirflowFailException) == (exit_code in LASTING)
    assert f"exit code {exit_code}" in str(error)
    assert error.table == "silver"
    assert error.next_step


@pytest.mark.parametrize(
    ("error", "table", "next_step"),
    [
        (
            LockHeld("gold.by_day is already running: x", holder={}, next_step="wait"),
            "gold.by_day",
            "wait",
        ),
        (
            DataError("silver.s: refused", code="c", untouched="all", next_step="reset"),
            "silver.s",
            "reset",
        ),
        (UsageError("no such file", code="c"), "bronze", "see the job's lines in this log"),
    ],
    ids=["lock", "data", "usage"],
)
def test_the_callback_logs_table_exit_code_and_next_step(
    error: Any, table: str, next_step: str, dags: Any, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [
        '{"event": "batch"}',
        "error: an older one",
        "  next:  nothing",
        *f"error: {error}".split("\n"),
    ]
    found = dags.ended("bronze", error.exit_code, [*lines, "INFO SparkContext stopped"])
    dags.log_failure({"task_instance": None, "exception": found})
    assert f"table={table} exit_code={error.exit_code} next={next_step}" in caplog.text


def test_the_callback_says_what_to_type_where_airflows_worker_was_killed(
    dags: Any, caplog: pytest.LogCaptureFixture
) -> None:
    task = SimpleNamespace(task_id="silver", dag_id="medallion_sales")
    dags.log_failure({"task_instance": task})
    assert "table=silver exit_code=None next=nothing has to be repaired: " in caplog.text
    assert "airflow dags trigger medallion_sales" in caplog.text


def test_jobs_get_nothing_of_airflows_environment(
    dags: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgres://user:secret@db")
    monkeypatch.setenv("PYTHONPATH", "/opt/airflow/dags")
    monkeypatch.setenv("SPARK_HOME", "/opt/airflow/pyspark")
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("MEDALLION__STORAGE__ROOT", "/lake")
    variables = dags.Jobs(Path("/srv/p"), Path("/srv/e")).variables()
    assert not [key for key in variables if key.startswith(("AIRFLOW", "SPARK_HOME"))]
    assert variables["PYTHONPATH"] == "/srv/p"
    assert variables["PATH"].startswith("/srv/e/bin:")
    assert variables["PYSPARK_PYTHON"] == variables["PYSPARK_DRIVER_PYTHON"] == "/srv/e/bin/python"
    assert variables["MEDALLION__STORAGE__ROOT"] == "/lake"
    assert variables["LC_ALL"] == "C.UTF-8"


def test_airflows_own_environment_is_pinned_and_holds_no_pyspark() -> None:
    lines = (FOLDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in wanted if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    names = {line.partition("==")[0].lower() for line in wanted}
    assert {"apache-airflow", "apache-airflow-providers-apache-spark", "pyspark-client"} <= names
    assert names & {"pyspark", "delta-spark", "medallion-jobs"} == set()
