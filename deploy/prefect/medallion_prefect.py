"""The flow `medallion_sales` for Prefect 3: bronze, silver, gold, verify, maintain.

    python medallion_prefect.py          serves it each ten minutes, one run at a time
    python medallion_prefect.py once     runs it now

`medallion("orders")` makes another, for conf/orders.yaml. docs/scheduling.md has the set-up.
Prefect has an environment of its own, and the jobs keep theirs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import Flow, flow, get_run_logger, task
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy

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


class JobError(Exception):
    """A command has ended with another code than 0; negative if a signal ended it."""

    def __init__(self, exit_code: int, lines: deque[str]) -> None:
        _, found, error = "\n".join(lines).rpartition("error: ")
        self.exit_code = exit_code
        super().__init__(f"exit code {exit_code}: {error if found else 'nothing was printed'}")


def is_passing(task: Any, run: Any, state: Any) -> bool:  # noqa: ARG001 (Prefect passes them)
    """Whether a try may succeed: the command has ended with 75, or was killed."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, JobError) and (error.exit_code == TRANSIENT or error.exit_code < 0)


@task(
    task_run_name="{name}",
    retries=5,
    retry_delay_seconds=int(os.environ.get("MEDALLION_RETRY_SECONDS", "60")),
    retry_condition_fn=is_passing,
)
def job(name: str, config: str) -> None:
    """Runs a `medallion` command.

    Raises:
        JobError: it has ended with another code than 0.
    """
    logger = get_run_logger()
    lines: deque[str] = deque(maxlen=40)
    python = str(ENVIRONMENT / "bin" / "python")
    with subprocess.Popen(
        [python, "-m", "medallion_jobs", *COMMANDS[name], "--config", config],
        cwd=PROJECT,
        env=variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            logger.info(lines[-1])
    if process.returncode:
        raise JobError(process.returncode, lines)


def variables() -> Mapping[str, str]:
    """The variables of the jobs: without those of Prefect and of its Python."""
    others = ("PREFECT", "PYTHON", "VIRTUAL_ENV", "SPARK_HOME")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(others)}
    return {**kept, "PYTHONPATH": str(PROJECT)}


def medallion(pipeline: str, config: str | None = None) -> Flow[[], None]:
    """The flow `medallion_<pipeline>`.

    Args:
        pipeline: the pipeline's name.
        config: the pipeline's file, from the project's folder; default: conf/<pipeline>.yaml.
    """

    @flow(name=f"medallion_{pipeline}")
    def run() -> None:
        for name in COMMANDS:
            job(name, config or f"conf/{pipeline}.yaml")

    return run


medallion_sales = medallion("sales")

if __name__ == "__main__":
    if sys.argv[1:] == ["once"]:
        medallion_sales()
    else:
        one = ConcurrencyLimitConfig(
            limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
        )
        medallion_sales.serve(name="sales", cron="*/10 * * * *", global_limit=one)
