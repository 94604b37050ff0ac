#!/usr/bin/env python3
"""Makes what the package needs, from Python 3.10 to 3.13 alone; the other scripts call it.

An environment in .venv from requirements.lock, a Java (one of PyPI when there is no other),
and Delta's two jars. What is there already is checked and left as it is, so run it as often
as you like; interrupted, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = str(VENV / "bin" / "python")
STAMP = VENV / "medallion-stamp"
LOCK = ROOT / "requirements.lock"
JAVA_LOCK = ROOT / "requirements-java.lock"
SUPPORTED = [(3, 13), (3, 12), (3, 11), (3, 10)]
NEEDED = ("pyspark", "delta", "duckdb", "pydantic", "pytest", "medallion_jobs")
NO_JAVA = 2  # the exit code of `python -m medallion_jobs.runtime java` when it finds none

sys.path.insert(0, str(ROOT))


@dataclass(frozen=True)
class Work:
    """The log of what pip says, and the lock (a file descriptor) that one set-up holds."""

    log: Path
    lock: int


def main() -> int:
    """Runs the set-up; errors end it with their exit code (75 when worth a retry)."""
    argparse.ArgumentParser(
        prog="scripts/setup.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    if sys.version_info[:2] not in SUPPORTED:
        go_on_with_supported_python()
    from medallion_jobs.errors import MedallionError
    from medallion_jobs.runtime.cache import cache_dir, locked

    try:
        # One folder for each clone: two clones may be set up at once, one clone may not.
        notes = cache_dir() / "setup" / digest(str(ROOT))[:12]
        with locked(notes / "lock", say) as lock:
            work = Work(notes / "log.txt", lock)
            environment(work)
            java(work)
            code = runtime("jars").returncode
            # Without an archive, every start takes longer, and that is all.
            if code == 0:
                runtime("classes")
            return code
    except MedallionError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("\nstopped; the same command goes on from here")
        return 130


def go_on_with_supported_python() -> None:
    """Starts this script again with a supported Python from PATH."""
    for major, minor in SUPPORTED:
        python = shutil.which(f"python{major}.{minor}")
        if python and supported(python):  # it may be a version manager's shim for nothing
            os.execv(python, [python, *sys.argv])
    running = sys.version.split()[0]
    sys.exit(f"error: Python 3.10 to 3.13 is needed, and none is on PATH (this is {running})")


def environment(work: Work) -> None:
    """Brings .venv to what the lock file and pyproject.toml say."""
    started = time.monotonic()
    wanted = digest(LOCK.read_text(), (ROOT / "pyproject.toml").read_text())
    stamp = STAMP.read_text() if STAMP.is_file() else ""
    version = version_if_complete()
    if version is None or stamp != f"{ROOT}\n{version}\n{wanted}\n":
        version = install(work, stamp)
        STAMP.write_text(f"{ROOT}\n{version}\n{wanted}\n")
    say(f"environment  ready in {time.monotonic() - started:.1f} s (.venv, Python {version})")


def version_if_complete() -> str | None:
    """The version of .venv's Python, or None when it or a package is not there."""
    check = (
        "import sys, importlib.util as u; print(sys.version.split()[0]); "
        f"sys.exit(any(u.find_spec(name) is None for name in {NEEDED}))"
    )
    try:
        line = [PYTHON, "-c", check]
        answer = subprocess.run(line, check=False, capture_output=True, text=True)
    except OSError:  # no .venv, or one whose Python has gone from this machine
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def install(work: Work, stamp: str) -> str:
    """Makes or mends .venv; returns its Python's version."""
    count = len(re.findall(r"^\S+==", LOCK.read_text(), re.M))
    say(f"environment  {count} packages into .venv, minutes the first time (log: {work.log})")
    work.log.write_text("")
    moved = stamp and not stamp.startswith(f"{ROOT}\n")  # its scripts name the old place
    fresh = moved or pip_command() is None or not supported(PYTHON)
    if fresh:
        make_environment(work)
    fill(work)
    version = version_if_complete()
    if version is None and not fresh:  # pip takes for installed what has lost its files
        make_environment(work)
        fill(work)
        version = version_if_complete()
    if version is None:
        raise failure(f"{VENV} lacks one of {', '.join(NEEDED)}", work)
    return version


def supported(python: str) -> bool:
    """Whether `python` runs, and is of a version that the lock file serves."""
    return succeeds(python, "-c", f"import sys; sys.exit(sys.version_info[:2] not in {SUPPORTED})")


def make_environment(work: Work) -> None:
    """A new .venv, by venv, virtualenv or a pip outside of it: whichever this Python has."""
    if VENV.is_symlink():
        VENV.unlink()
    elif VENV.exists():
        shutil.rmtree(VENV)
    if importlib.util.find_spec("ensurepip"):
        command = [sys.executable, "-m", "venv", str(VENV)]
    elif importlib.util.find_spec("virtualenv"):
        command = [sys.executable, "-m", "virtualenv", str(VENV)]
    elif shutil.which("virtualenv"):
        command = ["virtualenv", "-p", sys.executable, str(VENV)]
    else:  # pip_command() then takes the pip that this Python has, if any
        command = [sys.executable, "-m", "venv", "--without-pip", str(VENV)]
    run(command, work)
    if pip_command() is None:
        from medallion_jobs.errors import UsageError

        debian = f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise UsageError(
            f"{sys.executable} can make an environment but has no pip to fill it with",
            code="no_pip",
            untouched="nothing was installed",
            next_step=f"sudo {debian if shutil.which('apt-get') else 'dnf install python3-pip'}",
        )


def fill(work: Work) -> None:
    """Installs what the lock file names, and this repository, into .venv."""
    STAMP.unlink(missing_ok=True)  # until all is there, no stamp says so
    # pyspark comes as source. To build it with the locked setuptools, and with no second
    # download behind pip's back, setuptools comes first and builds are not isolated.
    tools = work.log.with_name("build-tools.lock")
    named = re.findall(
        r"^(?:setuptools|wheel|packaging)==.*\n(?:[ \t].*\n)*", LOCK.read_text(), re.M
    )
    tools.write_text("".join(named))
    pip(work, "--require-hashes", "-r", str(tools))
    pip(work, "--no-build-isolation", "--require-hashes", "-r", str(LOCK))
    pip(work, "--no-build-isolation", "--no-deps", "-e", str(ROOT))


def pip_command() -> list[str] | None:
    """The pip that installs into .venv: its own, else this Python's from outside."""
    for command in ([PYTHON, "-m", "pip"], [sys.executable, "-m", "pip", "--python", PYTHON]):
        if succeeds(*command, "--version"):
            return command
    return None


def pip(work: Work, *arguments: str) -> None:
    """`pip install` with the user's own pip configuration."""
    # pip writes INSTALLER last. A package without it was cut short, and pip would keep it.
    for folder in VENV.glob("lib/python*/site-packages/*.dist-info"):
        if not (folder / "INSTALLER").exists():
            shutil.rmtree(folder)
    command = pip_command()
    assert command, "make_environment() has seen to it"
    run([*command, "install", "--progress-bar", "off", *arguments], work)


def run(command: list[str], work: Work) -> None:
    """Runs `command` into the log, with its newest line shown in a terminal."""
    terminal = sys.stderr.isatty()
    with work.log.open("a") as file:
        file.write(f"$ {' '.join(command)}\n")
        # The child shares the lock: when this script is killed, pip may well go on alone.
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            pass_fds=[work.lock],
        )
        assert process.stdout
        for line in process.stdout:
            file.write(line)
            file.flush()
            if terminal:
                print(f"\r\033[K  {line.strip()[:76]}", end="", file=sys.stderr, flush=True)
    if terminal:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    if process.wait() != 0:
        raise failure(f"{' '.join(command)}\n  ended with {process.returncode}", work)


def failure(what: str, work: Work) -> Exception:
    """What to tell of a failed step: pip's own reason, and where to read the rest."""
    from medallion_jobs.errors import TransientError, UsageError

    text = work.log.read_text()
    reasons = re.findall(r"^ERROR: .*", text, re.M)[-2:]
    wrong = "DO NOT MATCH THE HASHES" in text  # the index gives other files than were locked
    return (UsageError if wrong else TransientError)(
        "\n  ".join([what, *reasons]),
        untouched=f"what is installed stays; the whole story is in {work.log}",
        next_step="type the same command again, it goes on from there; for a proxy or a mirror "
        "of the package index, see docs/setup.md",
    )


def java(work: Work) -> None:
    """Says which Java is taken, and installs one when this machine has none."""
    found = runtime("java", capture_output=True)
    if found.returncode == NO_JAVA:
        say("java         none found: installing a small one")
        pip(work, "--require-hashes", "-r", str(JAVA_LOCK))
        found = runtime("java", capture_output=True)
    print(found.stderr, end="", file=sys.stderr)
    if found.returncode:
        sys.exit(found.returncode)


def runtime(command: str, capture_output: bool = False) -> subprocess.CompletedProcess[str]:
    """One command of medallion_jobs.runtime, in the environment."""
    line = [PYTHON, "-m", "medallion_jobs.runtime", command]
    return subprocess.run(line, check=False, text=True, capture_output=capture_output, cwd=ROOT)


def succeeds(*command: str) -> bool:
    """Whether the command can be run and ends with 0."""
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def digest(*texts: str) -> str:
    """One SHA-256 for all the texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def say(line: str) -> None:
    """Talk goes to stderr: stdout is for what the scripts are asked for."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
