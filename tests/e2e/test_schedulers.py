"""cron's script, the job for Dagster and the flow for Prefect, each run by the real program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.exact import assert_exact
from support.lake import ROOT, Lake
from support.own_environment import bin_of
from support.processes import PATIENCE, SHORT_LIVED
from support.stand_in_jobs import StandIn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

DEPLOY = ROOT / "deploy"
DAGSTER = DEPLOY / "dagster" / "medallion_dagster.py"
PREFECT = DEPLOY / "prefect" / "medallion_prefect.py"
TASKS = ["run bronze", "run silver", "run gold", "verify", "maintain"]
# Whether a schedule starts a run, first with nothing running, then beside a run that goes on.
SCHEDULE = """\
import dagster as dg
from medallion_dagster import sales_job, sales_schedule
with dg.DagsterInstance.get() as instance:
    for status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.STARTED):
        instance.create_run_for_job(sales_job, status=status)
        print(type(sales_schedule(dg.build_schedule_context(instance))).__name__)
"""

Done = subprocess.CompletedProcess[str]
Scheduler = Callable[..., Done]


def started(line: list[str], home: Path, **environ: str) -> Done:
    home.mkdir(exist_ok=True)
    return subprocess.run(
        line,
        env={
            **{key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            "DAGSTER_HOME": str(home),
            "PREFECT_HOME": str(home),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "MEDALLION_LOGS": str(home),
            "MEDALLION_RETRY_SECONDS": "1",
            **environ,
        },
        cwd=home,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def dagster(home: Path, **environ: str) -> Done:
    home.mkdir()
    shipped = (DEPLOY / "dagster" / "dagster.yaml").read_text(encoding="utf-8")
    (home / "dagster.yaml").write_text(f"{shipped}telemetry: {{enabled: false}}\n")
    program = str(bin_of("dagster") / "dagster")
    line = [program, "job", "execute", "--python-file", str(DAGSTER), "--job", "medallion_sales"]
    return started(line, home, **environ)


def prefect(home: Path, **environ: str) -> Done:
    return started([str(bin_of("prefect") / "python"), str(PREFECT), "once"], home, **environ)


def cron(home: Path, **environ: str) -> Done:
    return started([str(DEPLOY / "cron" / "run"), "conf/sales.yaml"], home, **environ)


@pytest.mark.parametrize("scheduler", [cron, dagster, prefect], ids=lambda one: one.__name__)
def test_a_run_loads_all(scheduler: Scheduler, lake: Lake, tmp_path: Path) -> None:
    lake.generate(4, rows=50, dirty=0.05)
    done = scheduler(
        tmp_path / "home",
        MEDALLION_JOBS_ENVIRONMENT=sys.prefix,
        MEDALLION__STORAGE__ROOT=str(lake.storage),
        MEDALLION__LANDING__ROOT=str(lake.landing),
        MEDALLION__SPARK__SHUFFLE_PARTITIONS="1",
        MEDALLION__SPARK__MASTER="local[2]",
        JDK_JAVA_OPTIONS=SHORT_LIVED,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert_exact(lake)


@pytest.mark.parametrize("scheduler", [dagster, prefect], ids=lambda one: one.__name__)
def test_only_75_and_a_kill_are_tried_again(scheduler: Scheduler, tmp_path: Path) -> None:
    jobs = StandIn.that_ends(tmp_path / "passing", 75, 75, 0, "killed", 0)
    done = scheduler(tmp_path / "home", MEDALLION_JOBS_ENVIRONMENT=str(jobs.folder))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    tries = [call.removesuffix(" --config conf/sales.yaml") for call in jobs.calls]
    assert tries == [TASKS[0]] * 2 + [TASKS[0], TASKS[1], *TASKS[1:]]

    for code in (1, 2, 3):
        jobs = StandIn.that_ends(tmp_path / f"lasting {code}", code)
        done = scheduler(tmp_path / f"home {code}", MEDALLION_JOBS_ENVIRONMENT=str(jobs.folder))
        assert done.returncode == 1
        assert len(jobs.calls) == 1
        printed = done.stdout + done.stderr
        assert f"exit code {code}: silver.sales: code {code}" in printed
        assert "next:      do this" in printed


def test_dagsters_schedule_starts_no_run_beside_another(tmp_path: Path) -> None:
    python = str(bin_of("dagster") / "python")
    done = started([python, "-c", SCHEDULE], tmp_path / "home", PYTHONPATH=str(DAGSTER.parent))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["RunRequest", "SkipReason"]
