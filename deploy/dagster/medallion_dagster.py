"""The job `medallion_sales` for Dagster: bronze, silver, gold, verify, maintain.

`medallion("orders")` makes another, for conf/orders.yaml; give its job and its schedule to
`Definitions`, too. docs/scheduling.md has the set-up. Dagster has an environment of its own, and
the jobs keep theirs.
"""

import os
import subprocess
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

# Where the jobs are: a clone of medallion_jobs, and the environment with its packages.
PROJECT = Path(os.environ.get("MEDALLION_PROJECT") or Path(__file__).resolve().parents[2])
ENVIRONMENT = Path(os.environ.get("MEDALLION_JOBS_ENVIRONMENT") or PROJECT / ".venv")
COMMANDS = {
    "bronze": ("run", "bronze"),
    "silver": ("run", "silver"),
    "gold": ("run", "gold"),
    "verify": ("verify",),
    "maintain": ("maintain",),
}
TRANSIENT = 75
RETRIES = 5
RETRY_SECONDS = int(os.environ.get("MEDALLION_RETRY_SECONDS", "60"))
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def run(context: dg.OpExecutionContext, words: list[str]) -> None:
    """Runs a `medallion` command.

    Raises:
        dg.RetryRequested: it has ended with 75, or was killed.
        dg.Failure: it has ended with another code than 0; Dagster does not try again.
    """
    lines: deque[str] = deque(maxlen=40)
    with subprocess.Popen(
        [str(ENVIRONMENT / "bin" / "python"), "-m", "medallion_jobs", *words],
        cwd=PROJECT,
        env=variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            context.log.info(lines[-1])
    exit_code = process.returncode
    if exit_code == TRANSIENT or exit_code < 0:
        context.log.warning(f"exit code {exit_code}: {last_error(lines)}")
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_SECONDS)
    if exit_code:
        raise dg.Failure(
            f"exit code {exit_code}: {last_error(lines)}",
            metadata={"exit code": exit_code, "command": " ".join(words)},
            allow_retries=False,
        )


def last_error(lines: deque[str]) -> str:
    """The last error that a command has printed, with its next step."""
    text = "\n".join(lines)
    _, found, error = text.rpartition("error: ")
    return error if found else "nothing was printed"


def variables() -> Mapping[str, str]:
    """The variables of the jobs: without those of Dagster and of its Python."""
    others = ("DAGSTER", "PYTHON", "VIRTUAL_ENV", "SPARK_HOME")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(others)}
    return {**kept, "PYTHONPATH": str(PROJECT)}


def medallion(
    pipeline: str, config: str | None = None, cron: str = "*/10 * * * *"
) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """The job `medallion_<pipeline>`, and its schedule.

    Args:
        pipeline: the pipeline's name.
        config: the pipeline's file, from the project's folder; default: conf/<pipeline>.yaml.
        cron: when a run starts, unless the previous one goes on.
    """
    file = config or f"conf/{pipeline}.yaml"
    name = f"medallion_{pipeline}"

    def op(task: str) -> dg.OpDefinition:
        def work(context: dg.OpExecutionContext) -> None:
            run(context, [*COMMANDS[task], "--config", file])

        after = {"before": dg.In(dg.Nothing)}
        made = dg.op(name=f"{pipeline}_{task}", ins={} if task == "bronze" else after)(work)
        assert isinstance(made, dg.OpDefinition)
        return made

    ops = {task: op(task) for task in COMMANDS}

    @dg.job(name=name, executor_def=dg.in_process_executor)
    def job() -> None:
        done = ops["bronze"]()
        for task in list(ops)[1:]:
            done = ops[task](before=done)

    @dg.schedule(name=f"{name}_schedule", job=job, cron_schedule=cron)
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        going_on = dg.RunsFilter(job_name=name, statuses=UNFINISHED)
        if context.instance.get_runs_count(going_on):
            return dg.SkipReason("the previous run goes on")
        return dg.RunRequest()

    return job, schedule


sales_job, sales_schedule = medallion("sales")
definitions = dg.Definitions(jobs=[sales_job], schedules=[sales_schedule])
