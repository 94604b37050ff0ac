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


def main(words: Sequence[str]) -> None:
    """Prints the line, and becomes the spark-submit that it calls.

    Raises:
        MedallionError: nothing was started, and why.
    """
    at = words.index("--") if "--" in words else len(words)
    only_print, job = _job(words[:at])
    made = submission(job, spark_options.parse(words[at + 1 :]), os.environ, _say)
    line = shlex.join(made.line)
    if only_print:
        sys.stdout.write(line + "\n")
        return
    _say(line)
    os.execve(made.line[0], made.line, dict(made.environ))  # noqa: S606 (no shell is wanted)


def _job(words: Sequence[str]) -> tuple[bool, Job]:
    parser = Parser(prog="scripts/submit", add_help=False, allow_abbrev=False)
    if not words or words[0] not in LAYERS:
        named = words[0] if words else ""
        parser.error(f"no layer {named!r}: scripts/submit {'|'.join(LAYERS)} --config FILE")
    parser.add_argument("layer")
    parser.add_argument("--config", "-c", default="conf/sales.yaml")
    parser.add_argument("--master")
    parser.add_argument("--deploy-mode", choices=("client", "cluster"))
    parser.add_argument("--environment")
    parser.add_argument("--image-home", default="/opt/medallion")
    parser.add_argument("--image-jars", default="/opt/cache/jars")
    parser.add_argument("--print", action="store_true")
    given, rest = parser.parse_known_args(list(words))

    # These are the job's own, and are handed on as they are.
    peek = Parser(prog="scripts/submit", add_help=False, allow_abbrev=False)
    peek.add_argument("--env", "-e")
    peek.add_argument("--set", action="append", default=[])
    seen, _ = peek.parse_known_args(rest)
    env = seen.env or os.environ.get("MEDALLION_ENV")

    in_image = given.config.startswith(IN_IMAGE)
    job = Job(
        layer=given.layer,
        config=None if in_image else Path(given.config),
        config_there=given.config.removeprefix(IN_IMAGE),
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


def _say(line: str) -> None:
    """Talk goes to stderr: stdout is for the job's progress, or for the line alone."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
