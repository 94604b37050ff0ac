"""The DAG `medallion_sales` for Airflow 3: bronze, silver, gold, verify, maintain.

The last line makes it; one more line makes one for another config, `conf/orders.yaml`:

    medallion_orders = medallion("orders")

Airflow has an environment of its own (requirements.txt in this folder), and the jobs keep
theirs: the provider's pyspark-client and the jobs' pyspark own the same folder. docs/scheduling.md
describes the set-up.

A task is started again for two reasons only: its job ended with 75, which asks for it, or its job
was killed. Both are safe. A second run of a layer that still runs is refused by its lock, with 75,
and a run that was killed is continued, each row written once.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, BaseOperator, Connection, chain
from airflow.sdk.exceptions import AirflowException, AirflowFailException

LAYERS = ("bronze", "silver", "gold")
TRANSIENT = 75
MEANINGS = {
    1: "the data or the pipeline is wrong",
    2: "the config, an option or a path is wrong",
    3: "a bug",
    TRANSIENT: "a retry may succeed",
}
# A shell, and Spark for its Python, add the signal's number to this.
_SIGNALS = range(129, 160)
_TABLE = re.compile(r"\b(?:bronze|silver|gold)\.[^\s:,;]+")
_MASTER = re.compile(r"(yarn|local)$|local\[|spark://|k8s://")
_LINES = 40
_log = logging.getLogger("airflow.task")


# What a job has ended with


class JobError(AirflowException):
    """A job did not do its work. Airflow starts the task again, while it has retries left.

    Attributes:
        table: `layer.name`, or the task where the job has named no table.
        exit_code: None if nothing was started; negative if a signal ended the job.
        next_step: the command to type next, or the thing to fix.
    """

    def __init__(
        self, task: str, exit_code: int | None, lines: Iterable[str], why: str = ""
    ) -> None:
        what, next_step = last_error(lines)
        table = _TABLE.search(what)
        self.table = table.group() if table else task
        self.exit_code = exit_code
        self.next_step = next_step or "see the job's lines in this log"
        if exit_code is None:
            meaning = f"nothing was started: {why}"
            self.next_step = "check project, environment and master of the DAG"
        elif was_killed(exit_code):
            meaning = "killed"
            self.next_step = "nothing has to be repaired: start it again"
        else:
            meaning = MEANINGS.get(exit_code, "not a code of medallion_jobs")
        detail = f": {what}" if what else ""
        super().__init__(
            f"{self.table}: exit code {exit_code} ({meaning}){detail}; next: {self.next_step}"
        )


class PermanentJobError(JobError, AirflowFailException):
    """The same would happen again, so Airflow does not start the task again."""


def ended(task: str, exit_code: int | None, lines: Iterable[str], why: str = "") -> JobError:
    """The error for a job that has ended with another exit code than 0."""
    is_passing = exit_code is not None and (exit_code == TRANSIENT or was_killed(exit_code))
    return (JobError if is_passing else PermanentJobError)(task, exit_code, lines, why)


def was_killed(exit_code: int) -> bool:
    """Whether a signal ended the job, such as that of a machine that is out of memory."""
    return exit_code < 0 or exit_code in _SIGNALS


def last_error(lines: Iterable[str]) -> tuple[str, str]:
    """The last error that a job has printed, and the next step that it names."""
    what, next_step = "", ""
    for line in map(str.strip, lines):
        if line.startswith("error: "):
            what, next_step = line.removeprefix("error: "), ""
        elif line.startswith("next:"):
            next_step = line.removeprefix("next:").strip()
    return what, next_step


def log_failure(context: Mapping[str, Any]) -> None:
    """Logs table, exit code and next step of a failed task. Send your alert from here."""
    task, error = context["task_instance"], context.get("exception")
    if isinstance(error, JobError):
        table, exit_code, next_step = error.table, error.exit_code, error.next_step
    else:  # Airflow's own worker was killed, or the task took too long
        table, exit_code = task.task_id, None
        next_step = f"nothing has to be repaired: airflow dags trigger {task.dag_id}"
    _log.error("medallion: failed: table=%s exit_code=%s next=%s", table, exit_code, next_step)


# How a job is started


@dataclass(frozen=True)
class Jobs:
    """Where the jobs are.

    Attributes:
        project: the folder with `medallion_jobs/` and `conf/`, and the jobs' working folder.
        environment: the virtual environment with pyspark.
    """

    project: Path
    environment: Path

    @property
    def python(self) -> str:
        """The Python of the jobs."""
        return str(self.environment / "bin" / "python")

    def variables(self) -> dict[str, str]:
        """The worker's variables, without Airflow's own and without its Python's."""
        others = ("AIRFLOW", "PYTHON", "VIRTUAL_ENV", "SPARK_HOME")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(others)}
        return {
            **kept,
            "LC_ALL": "C.UTF-8",  # Spark opens files by the locale
            "PATH": f"{self.environment / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}",
            "PYTHONPATH": str(self.project),
            "PYSPARK_PYTHON": self.python,
            "PYSPARK_DRIVER_PYTHON": self.python,
        }


class SubmitHook(SparkSubmitHook):
    """The provider's hook, with the jobs' variables and folder. Its connection may be a master."""

    def __init__(self, jobs: Jobs, **options: Any) -> None:
        super().__init__(**options)
        self._jobs = jobs

    @classmethod
    def get_connection(cls, conn_id: str) -> Connection:
        """The connection of this id; for a master such as local[2] or yarn, one that names it."""
        if _MASTER.match(conn_id):
            return Connection(conn_id="master", conn_type="spark", host=conn_id)
        return super().get_connection(conn_id)

    def submit(self, application: str = "", **options: Any) -> str | None:
        """Runs spark-submit until it ends."""
        where = {"cwd": self._jobs.project, "env": self._jobs.variables()}
        return super().submit(application, **where, **options)

    @property
    def exit_code(self) -> int | None:
        """How spark-submit has ended; None if it was not started."""
        return self._submit_sp.returncode if self._submit_sp else None

    @property
    def lines(self) -> Iterable[str]:
        """The last lines that it has printed."""
        return tuple(self._last_submit_log_lines)


class LayerOperator(SparkSubmitOperator):
    """One layer, by spark-submit in client mode: its exit code is the job's own."""

    def __init__(self, *, jobs: Jobs, master: str, config: str, **options: Any) -> None:
        layer = options["task_id"]
        super().__init__(
            application=str(jobs.project / "medallion_jobs" / f"{layer}.py"),
            application_args=["--config", config, "--once"],
            conn_id=master,
            **options,
        )
        self._jobs = jobs

    def _get_hook(self) -> SubmitHook:
        return SubmitHook(
            self._jobs,
            conn_id=self._conn_id,
            conf=self.conf,
            name=self.name,
            application_args=self.application_args,
            properties_file=self.properties_file,
            spark_binary=str(self._jobs.environment / "bin" / "spark-submit"),
            deploy_mode="client",
        )

    def execute(self, context: Any) -> None:
        """Runs the layer to the end of what there is to read.

        Raises:
            JobError: it did not do so.
        """
        self._hook = hook = self._get_hook()
        try:
            super().execute(context)
        except Exception as error:  # of the provider, or of the start of a process
            exit_code = hook.exit_code
            cause = error if exit_code is None else None  # otherwise this log has it all
            raise ended(self.task_id, exit_code, hook.lines, str(error)) from cause


class CommandOperator(BaseOperator):
    """One `medallion` command, which needs no cluster."""

    def __init__(self, *, jobs: Jobs, words: Iterable[str], **options: Any) -> None:
        super().__init__(**options)
        self.line = [jobs.python, "-m", "medallion_jobs", *words]
        self._jobs = jobs
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Any) -> None:  # noqa: ARG002 (Airflow names it)
        """Runs the command.

        Raises:
            JobError: it has ended with another code than 0.
        """
        lines: deque[str] = deque(maxlen=_LINES)
        try:
            self._process = process = subprocess.Popen(
                self.line,
                cwd=self._jobs.project,
                env=self._jobs.variables(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise ended(self.task_id, None, (), str(error)) from error
        for line in process.stdout or ():
            lines.append(line.rstrip())
            self.log.info("%s", lines[-1])
        if exit_code := process.wait():
            raise ended(self.task_id, exit_code, lines)

    def on_kill(self) -> None:
        """Ends the command when Airflow ends the task."""
        if self._process:
            self._process.terminate()


# The DAG


def medallion(
    pipeline: str,
    config: str | None = None,
    *,
    schedule: str | None = "@hourly",
    project: str | Path | None = None,
    environment: str | Path | None = None,
    master: str | None = None,
    spark: Mapping[str, str] | None = None,
    properties_file: str | None = None,
    retries: int = 5,
    retry_delay: timedelta = timedelta(minutes=1),
) -> DAG:
    """The DAG `medallion_<pipeline>`: the layers one after the other, then verify and maintain.

    Args:
        pipeline: the pipeline's name, for the DAG's id.
        config: the pipeline's file, from the project's folder; default: conf/<pipeline>.yaml.
        schedule: as Airflow has it: a cron expression, or None for runs by hand only.
        project: default: $MEDALLION_PROJECT, else the clone that this file is in.
        environment: the jobs' environment; default: $MEDALLION_JOBS_ENVIRONMENT, else
            the project's .venv.
        master: local[N], spark://HOST:PORT, yarn, k8s://URL, or the id of an Airflow connection
            of type Spark; default: $MEDALLION_MASTER, else local[*].
        spark: further settings of Spark, such as {"spark.driver.memory": "2g"}.
        properties_file: a file with settings that no command may show, such as a cluster's secret;
            default: $MEDALLION_PROPERTIES_FILE, else none.
        retries: how often a task is started again; the time between two doubles, up to 10 minutes.
        retry_delay: the time before the first retry.
    """
    root = Path(
        project or os.environ.get("MEDALLION_PROJECT") or Path(__file__).resolve().parents[2]
    )
    own = environment or os.environ.get("MEDALLION_JOBS_ENVIRONMENT") or root / ".venv"
    jobs = Jobs(root, Path(own))
    file = config or f"conf/{pipeline}.yaml"
    with DAG(
        dag_id=f"medallion_{pipeline}",
        schedule=schedule,
        catchup=False,  # a run reads all that there is; one for each missed hour has nothing to do
        max_active_runs=1,
        tags=["medallion"],
        default_args={
            "retries": retries,
            "retry_delay": retry_delay,
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(minutes=10),
            "on_failure_callback": log_failure,
            "do_xcom_push": False,
        },
        doc_md=__doc__,
    ) as dag:
        where = master or os.environ.get("MEDALLION_MASTER") or "local[*]"
        tasks: list[BaseOperator] = [
            LayerOperator(
                task_id=layer,
                jobs=jobs,
                master=where,
                config=file,
                name=f"medallion {pipeline} {layer}",
                conf={"spark.log.level": "WARN", **(spark or {})},
                properties_file=properties_file or os.environ.get("MEDALLION_PROPERTIES_FILE"),
            )
            for layer in LAYERS
        ]
        tasks += [
            CommandOperator(task_id=command, jobs=jobs, words=[command, "--config", file])
            for command in ("verify", "maintain")
        ]
        chain(*tasks)
    return dag


medallion_sales = medallion("sales")
