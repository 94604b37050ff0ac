"""cron, systemd, Dagster and Prefect: what they start exists, and what they make of exit codes."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from support.lake import ROOT
from support.stand_in_jobs import StandIn

from medallion_jobs.cli import app
from medallion_jobs.errors import TransientError

DEPLOY = ROOT / "deploy"
CRON = DEPLOY / "cron"
UNITS = sorted((DEPLOY / "systemd").iterdir())
FLOWS = [DEPLOY / "dagster" / "medallion_dagster.py", DEPLOY / "prefect" / "medallion_prefect.py"]
# Where the files of cron and systemd take the clone to be.
PLACE = "/opt/medallion"

systemd = shutil.which("systemd-analyze")
Done = subprocess.CompletedProcess[str]


def accepted(words: Sequence[str]) -> dict[str, Any]:
    """The options of a `medallion` command, as the command line reads them."""
    group: Any = typer.main.get_command(app)
    command, *options = words
    given: dict[str, Any] = group.commands[command].make_context(command, options).params
    return given


# cron


def test_a_line_of_the_crontab_starts_what_is_there() -> None:
    lines = (CRON / "medallion.cron").read_text(encoding="utf-8").splitlines()
    lines = [x for x in lines if x and not x.startswith("#") and not re.match(r"\w+=", x)]
    assert len(lines) == 2
    for line in lines:
        *moment, command = line.split(maxsplit=5)
        assert all(re.fullmatch(r"\*|\d+|\*/\d+", part) for part in moment), line
        assert "%" not in command  # cron takes it for the end of a line
    run, maintain = (shlex.split(line.split(maxsplit=5)[5]) for line in lines)
    program = ROOT / Path(run[0]).relative_to(PLACE)
    assert os.access(program, os.X_OK)
    assert (ROOT / run[1]).is_file()
    assert accepted(maintain[4:7])["config"] == Path("conf/sales.yaml")
    assert maintain[:4] == ["cd", PLACE, "&&", ".venv/bin/medallion"]


def cron(jobs: StandIn, logs: Path, **environ: str) -> Done:
    return subprocess.run(
        [str(CRON / "run"), "conf/sales.yaml", "--env", "prod"],
        # As little as cron gives.
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(logs),
            "MEDALLION_LOGS": str(logs),
            "MEDALLION_JOBS_ENVIRONMENT": str(jobs.folder),
            "MEDALLION_RETRY_SECONDS": "0",
            **environ,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("codes", "tries", "ends_with"),
    [
        ((0,), 1, 0),
        ((75, 0), 2, 0),
        ((75, 75, 75, 0), 3, 75),
        ((75, 2), 2, 2),
        ((1,), 1, 1),
        ((3,), 1, 3),
        (("killed",), 1, 137),
    ],
)
def test_cron_tries_again_on_75_only_and_prints_only_a_failure(
    codes: Sequence[int | str], tries: int, ends_with: int, tmp_path: Path
) -> None:
    jobs = StandIn.that_ends(tmp_path / "jobs", *codes)
    done = cron(jobs, tmp_path / "logs")
    assert done.returncode == ends_with
    assert len(jobs.calls) == tries
    log = (tmp_path / "logs" / "sales.log").read_text()
    assert log.count("called with") == tries
    if ends_with == 0:
        assert done.stdout + done.stderr == ""
    else:
        assert f"exit code {ends_with} after {tries} of 3 tries" in done.stdout
        # Of the last try, and not of those before.
        assert done.stdout.count("next:      do this") == 1
    given = accepted(shlex.split(jobs.calls[0]))
    assert (given["config"], given["env"]) == (Path("conf/sales.yaml"), "prod")


def test_cron_starts_nothing_beside_a_run_that_goes_on(tmp_path: Path) -> None:
    jobs, go_on = StandIn.that_ends(tmp_path / "jobs"), tmp_path / "go on"
    line = [str(CRON / "run"), "conf/sales.yaml"]
    environ = {
        "PATH": "/usr/bin:/bin",
        "MEDALLION_LOGS": str(tmp_path),
        "MEDALLION_JOBS_ENVIRONMENT": str(jobs.folder),
        "WAIT_FOR": str(go_on),
    }
    with subprocess.Popen(line, env=environ) as first:
        while not jobs.calls:
            assert first.poll() is None
        second = cron(jobs, tmp_path)
        assert (second.returncode, second.stdout + second.stderr) == (0, "")
        go_on.touch()
        assert first.wait(timeout=60) == 0
    assert len(jobs.calls) == 1
    assert cron(jobs, tmp_path).returncode == 0
    assert len(jobs.calls) == 2


# systemd


def section(unit: str, name: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "systemd" / unit, encoding="utf-8")
    return dict(parser[name])


@pytest.mark.skipif(systemd is None, reason="this machine has no systemd-analyze")
def test_systemd_has_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace(f"{PLACE}/.venv/bin/python", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    units = [str(tmp_path / unit.name) for unit in UNITS]
    line = [str(systemd), "verify", "--man=no", *units]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_unit_starts_what_the_command_line_accepts() -> None:
    services = [unit.name for unit in UNITS if unit.suffix == ".service"]
    assert len(services) * 2 == len(UNITS)  # each has a timer
    for unit in services:
        service = section(unit, "Service")
        python, *words = shlex.split(service["ExecStart"].replace("%i", "sales"))
        assert python == f"{service['WorkingDirectory']}/.venv/bin/python"
        assert words[:2] == ["-m", "medallion_jobs"]
        assert (ROOT / accepted(words[2:])["config"]).is_file()


def test_systemd_starts_a_run_again_on_75_and_after_a_kill_only() -> None:
    service = section("medallion@.service", "Service")
    assert service["RestartForceExitStatus"] == str(TransientError.exit_code)
    assert service["Restart"] == "on-abnormal"
    # SIGTERM to the JVM would end it in the middle of a batch.
    assert service["KillMode"] == "mixed"
    # More starts than the timer's own, each ten minutes.
    limit = section("medallion@.service", "Unit")
    assert (limit["StartLimitIntervalSec"], limit["StartLimitBurst"]) == ("10min", "5")
    assert section("medallion@.timer", "Timer")["OnCalendar"] == "*:0/10"
    assert "Type" in service
    assert service["Type"] != "oneshot"


# Dagster and Prefect; tests/e2e/test_schedulers.py runs them


@pytest.mark.parametrize("file", FLOWS, ids=lambda file: file.stem)
def test_a_flow_starts_what_the_command_line_accepts(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    constants = {
        ast.unparse(node.targets[0]): node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
    }
    commands = ast.literal_eval(constants["COMMANDS"])
    assert list(commands) == ["bronze", "silver", "gold", "verify", "maintain"]
    for words in commands.values():
        accepted([*words, "--config", "conf/sales.yaml"])
    assert ast.literal_eval(constants["TRANSIENT"]) == TransientError.exit_code


@pytest.mark.parametrize("file", FLOWS, ids=lambda file: file.stem)
def test_its_environment_is_pinned_and_apart_from_that_of_the_jobs(file: Path) -> None:
    lines = file.with_name("requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if not line.startswith("#")]
    assert [line for line in wanted if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert file.parent.name in {line.partition("==")[0] for line in wanted}
