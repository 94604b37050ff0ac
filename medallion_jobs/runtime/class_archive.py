"""An archive of the classes that a run loads, from which a JVM starts in two thirds of the time.

Spark is some 20,000 classes in 300 jars, and a small run is mostly reading and checking them. Java
can write them to a file as it holds them in memory, and map that file at the next start: class-data
sharing (Java 17 to 24, https://openjdk.org/jeps/350) or the AOT cache (Java 25,
https://openjdk.org/jeps/514).

An archive fits one Java and one class path. A JVM ignores an archive that does not fit, so a wrong
one costs time only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from medallion_jobs.errors import TransientError
from medallion_jobs.runtime.cache import cache_dir, from_home, locked
from medallion_jobs.runtime.jars import DELTA, cache_paths
from medallion_jobs.runtime.java import Java
from medallion_jobs.runtime.spark_home import spark_home

# Set to `off`, nothing is read or made. Set to a full path, the JVM of a run writes its classes
# there.
VARIABLE = "MEDALLION_CLASS_ARCHIVE"
OFF = "off"
# Each has some 200 MB, and serves one Java and one environment of Python.
MOST_KEPT = 3
_FREE_BYTES = 1_000_000_000
_FIRST_JAVA_WITH_AOT_CACHE = 25
_TRAINING = Path(__file__).with_name("training.yaml")
_TRAINING_SECONDS = 600
# The run uses no setting of the user's, who may have one for another pipeline.
_IGNORED = {"MEDALLION_ENV", "SPARK_CONF_DIR", "JDK_JAVA_OPTIONS", "PYSPARK_GATEWAY_PORT"}
# A JVM that cannot use an archive goes on without, but says so on stdout, where the progress goes.
_QUIET = ("-Xshare:auto", "-Xlog:cds*=off")
_QUIET_AOT = ("-XX:AOTMode=auto", "-Xlog:aot*=off")


@dataclass(frozen=True)
class ClassArchive:
    """The archive for a Java, with Delta's jars before Spark's own on the class path.

    A JVM with more jars behind them can read it, too.
    """

    java: Java

    @cached_property
    def file(self) -> Path:
        """The archive. The name of its folder is a digest of what it depends on."""
        return cache_dir() / "classes" / self._digest() / "classes"

    @property
    def is_there(self) -> bool:
        """Whether the archive is whole: a JVM that maps one that was cut short crashes."""
        try:
            return self._complete.read_text(encoding="utf-8") == self._sizes()
        except OSError:
            return False

    def options(self) -> list[str]:
        """The options with which a JVM reads the archive; none if it is missing.

        With a full path in `MEDALLION_CLASS_ARCHIVE`, the options with which it writes one at its
        end.
        """
        chosen = os.environ.get(VARIABLE, "")
        if chosen == OFF:
            return []
        if chosen.startswith("/"):
            return self._to_write(Path(chosen))
        if not self.is_there:
            return []
        with suppress(OSError):  # the cache of an image, which only its build can write
            os.utime(self._complete)
        return self._to_read

    def make(self, report: Callable[[str], None] = lambda _: None) -> None:
        """Makes the archive if it is missing, by a run of a small pipeline. It takes half a minute.

        Args:
            report: receives a line before the run, and before a wait for another process.

        Raises:
            TransientError: the disk is full, or the run failed.
        """
        folder = self.file.parent
        try:
            with locked(folder.parent / ".lock", report):
                if self.is_there:
                    return
                if os.pathsep in str(folder):  # Java would take it for two files
                    raise OSError(f"Java reads none from a path with a {os.pathsep}")
                report("making one, once; this takes half a minute")
                if shutil.disk_usage(folder.parent).free < _FREE_BYTES:
                    raise OSError(f"less than {_FREE_BYTES // 1_000_000:,} MB of disk are free")
                shutil.rmtree(folder, ignore_errors=True)
                with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as made_in:
                    self._train(Path(made_in))
                _remove_oldest(folder.parent)
        except (OSError, subprocess.SubprocessError) as error:
            raise TransientError(
                f"no class archive was made in {from_home(folder.parent)}: {error}",
                code="no_class_archive",
                untouched="everything works without it, but a start takes longer",
                next_step="fix this, then: medallion setup",
            ) from error

    def make_in_background(self) -> Path | None:
        """Starts a process that makes a missing archive, once for each archive.

        Returns:
            The log of the process; None if none was started.
        """
        if self.is_there or os.environ.get(VARIABLE):
            return None
        command = [sys.executable, "-m", "medallion_jobs.runtime", "classes"]
        new = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            self._log.parent.mkdir(exist_ok=True)
            os.posix_spawn(
                command[0],
                command,
                {**os.environ, "JAVA_HOME": str(self.java.home)},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, self._log, new, 0o644),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
            )
        except OSError:  # it was tried before, or the cache cannot be written
            return None
        return self._log

    def _train(self, work: Path) -> None:
        self.file.parent.mkdir(exist_ok=True)
        if not self._has_aot_cache:
            # Some Javas come without one. The archive holds its path, so it is made in its place.
            dump = ("-Xshare:dump", f"-XX:SharedArchiveFile={self._base}", "-Xlog:disable")
            _run([str(self.java.home / "bin" / "java"), *dump], os.environ)
        part = work / "classes"
        others = {
            key: value
            for key, value in os.environ.items()
            if key not in _IGNORED and not key.startswith("MEDALLION__")
        }
        environ = {**others, "JAVA_HOME": str(self.java.home), VARIABLE: str(part)}
        roots = (f"storage.root={work / 'lake'}", f"landing.root={work / 'landing'}")
        given = ["--config", str(_TRAINING), *(word for root in roots for word in ("--set", root))]
        medallion = [sys.executable, "-m", "medallion_jobs"]
        generate = ["generate", "--files", "2", "--rows", "50", "--dirty", "0.1", "--seed", "1"]
        _run([*medallion, *generate, *given], environ)
        _run([*medallion, "run", "--progress", "json", *given], environ)
        part.replace(self.file)
        _run([str(self.java.home / "bin" / "java"), *self._to_read, "-version"], environ)
        self._complete.write_text(self._sizes(), encoding="utf-8")
        self._log.unlink(missing_ok=True)

    def _sizes(self) -> str:
        files = [self.file] if self._has_aot_cache else [self._base, self.file]
        return "".join(f"{file.name} {file.stat().st_size}\n" for file in files)

    @property
    def _complete(self) -> Path:
        return self.file.with_name("complete")

    @property
    def _log(self) -> Path:
        folder = self.file.parent
        return folder.with_name(f"{folder.name}.log")

    def _to_write(self, part: Path) -> list[str]:
        if self._has_aot_cache:
            return [f"-XX:AOTCacheOutput={part}", "-Xlog:aot*=off"]
        base = f"-XX:SharedArchiveFile={self._base}"
        return [*_QUIET, base, f"-XX:ArchiveClassesAtExit={part}"]

    @property
    def _to_read(self) -> list[str]:
        if self._has_aot_cache:
            return [*_QUIET_AOT, f"-XX:AOTCache={self.file}"]
        return [*_QUIET, f"-XX:SharedArchiveFile={self._base}{os.pathsep}{self.file}"]

    @property
    def _base(self) -> Path:
        """The archive of Java's own classes, on which the other one is built."""
        return self.file.with_name("base")

    @property
    def _has_aot_cache(self) -> bool:
        return self.java.version >= _FIRST_JAVA_WITH_AOT_CACHE

    def _digest(self) -> str:
        home, spark = self.java.home, spark_home()
        release = home / "release"
        parts = [
            str(home),
            release.read_text("utf-8", "replace") if release.is_file() else "",
            *map(_state, (home / "lib" / "server" / "libjvm.so", *cache_paths(DELTA))),
            *map(_state, sorted((spark / "jars").glob("*.jar"))),
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _state(file: Path) -> str:
    """What a JVM compares before it trusts an archive."""
    try:
        stat = file.stat()
    except OSError:  # the runtime of PyPI is elsewhere than its launcher
        return str(file)
    return f"{file} {stat.st_size} {int(stat.st_mtime)}"  # a JVM compares seconds


def _run(command: Sequence[str], environ: Mapping[str, str]) -> None:
    """Runs a command until it and all that it started have closed their output.

    Raises:
        OSError: it failed.
    """
    line = ["nice", *command] if shutil.which("nice") else command
    done = subprocess.run(
        line,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        # A JVM writes its archive at its end, which is after that of the process that started it.
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=_TRAINING_SECONDS,
        check=False,
    )
    if done.returncode:
        said = done.stdout.strip().splitlines() or ["no output"]
        raise OSError(f"{Path(command[0]).name} ended with {done.returncode}: {said[-1]}")


def _remove_oldest(folder: Path) -> None:
    used = sorted(folder.glob("*/complete"), key=lambda file: file.stat().st_mtime)
    kept = {file.parent for file in used[-MOST_KEPT:]}
    for other in set(folder.iterdir()) - kept:
        if other.is_dir():
            shutil.rmtree(other, ignore_errors=True)
