"""The command: `scripts/submit LAYER --config FILE [options] [-- spark-submit's options]`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from medallion_jobs.runtime.command_line import Parser
from medallion_jobs.runtime.submit import spark_options
from medallion_jobs.runtime.submit.job import IN_IMAGE, LAYERS, Job
from medallion_jobs.runtime.submit.submission import submission


def main(arguments: Sequence[str]) -> None:
    """Prints the command and replaces this process by spark-submit.

    Raises:
        MedallionError: the job cannot be submitted; nothing was started.
    """
    at = arguments.index("--") if "--" in arguments else len(arguments)
    only_print, job = _job(arguments[:at])
    submitted = submission(job, spark_options.parse(arguments[at + 1 :]), os.environ, _print)
    line = shlex.join(submitted.line)
    if only_print:
        sys.stdout.write(line + "\n")
        return
    _print(line)
    os.execve(submitted.line[0], submitted.line, dict(submitted.environ))  # noqa: S606 (no shell is needed)


def _job(arguments: Sequence[str]) -> tuple[bool, Job]:
    parser = Parser(prog="scripts/submit", add_help=False, allow_abbrev=False)
    if not arguments or arguments[0] not in LAYERS:
        name = arguments[0] if arguments else ""
        parser.error(f"unknown layer {name!r}: scripts/submit {'|'.join(LAYERS)} --config FILE")
    parser.add_argument("layer")
    parser.add_argument("--config", "-c")
    parser.add_argument("--master")
    parser.add_argument("--deploy-mode", choices=("client", "cluster"))
    parser.add_argument("--environment")
    parser.add_argument("--image-home", default="/opt/medallion")
    parser.add_argument("--image-jars", default="/opt/cache/jars")
    parser.add_argument("--print", action="store_true")
    given, rest = parser.parse_known_args(list(arguments))

    # These options belong to the job, and are passed on unchanged.
    peek = Parser(prog="scripts/submit", add_help=False, allow_abbrev=False)
    peek.add_argument("--env", "-e")
    peek.add_argument("--set", action="append", default=[])
    seen, _ = peek.parse_known_args(rest)
    env = seen.env or os.environ.get("MEDALLION_ENV")

    config = given.config or str(_project_config())
    in_image = config.startswith(IN_IMAGE)
    job = Job(
        layer=given.layer,
        config=None if in_image else Path(config),
        config_at_driver=config.removeprefix(IN_IMAGE),
        env=env,
        sets=tuple(seen.set),
        options=tuple(rest if seen.env or not env else ["--env", env, *rest]),
        master=given.master,
        deploy_mode=given.deploy_mode,
        environment=given.environment,
        image_home=given.image_home.rstrip("/"),
        image_jars=given.image_jars.rstrip("/"),
    )
    return given.print, job


def _project_config() -> Path:
    from medallion_jobs.config import project  # noqa: PLC0415

    return project.find()


def _print(line: str) -> None:
    """Prints to stderr: stdout is for the job's progress, or for the command only."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
