"""A JVM that spark-submit started: what it lacks of Delta is added, what is wrong is refused.

spark-submit makes a class loader for `--jars` before it starts Python, and at that time there
is no Spark context. So the jars that are missing can be added to that loader; the executors get
them by `spark.jars`. A Delta of another version cannot be taken out again.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from medallion_jobs.errors import MedallionError, UsageError
from medallion_jobs.runtime.jars import DELTA, S3A, Jar, are_kept, delta_jars, kept_at
from medallion_jobs.runtime.whole_line import (
    CATALOG,
    CLASS_PATH,
    DELTA_CATALOG,
    DELTA_EXTENSION,
    EXECUTORS_CLASS_PATH,
    EXTENSIONS,
    JARS,
    line_for_cluster_mode,
    named,
    typed_words,
    whole_line,
)

_LOG_STORE = "io.delta.storage.LogStore"
_S3A_FILES = "org.apache.hadoop.fs.s3a.S3AFileSystem"
_S3_CLIENT = "software.amazon.awssdk.services.s3.S3Client"
# Jars by a class of theirs, by which they are known to be there.
_PARTS = {
    DELTA_EXTENSION: DELTA[:1],
    _LOG_STORE: DELTA[1:],
    _S3A_FILES: S3A[:1],
    _S3_CLIENT: S3A[1:],
}
_CALLS = {DELTA_EXTENSION: _LOG_STORE, _S3A_FILES: _S3_CLIENT}
_SENT_BY_YARN = "spark.yarn.dist.jars"
_UNTOUCHED = "nothing was started, and no table was made"
# delta-spark_4.2_2.13-4.4.0.jar: the versions of Spark, of Scala and of Delta. A jar that names
# no Spark is for the newest that its Delta knows. Of Delta's own version, the third number
# changes nothing that matters here.
_NAME = re.compile(
    r"delta-(?:spark|core|storage)(?:_(\d+\.\d+))??(?:_(\d+\.\d+))?-(\d+\.\d+)[^/]*\.jar$"
)


@dataclass(frozen=True)
class Submitted:
    """A job under spark-submit.

    Attributes:
        jvm: the JVM, by way of py4j.
        conf: the settings that its session is to have.
        argv: the job's file and its words.
    """

    jvm: Any
    conf: Mapping[str, str]
    argv: Sequence[str]

    def prepare(self, wanted: Sequence[Jar]) -> list[str]:
        """Adds the jars that are missing to the JVM; gives the paths that executors lack.

        Done twice, it does the same: a context that is made later needs to know them, too.

        Raises:
            UsageError: it cannot work; the next step is the whole line to type.
        """
        self._refuse_other_spark()
        self._refuse_other_delta()
        self._refuse_other_settings()
        parts = {name: jars for name, jars in _PARTS.items() if set(jars) <= set(wanted)}
        self._refuse_half_of_it_on_class_path(parts)
        missing = tuple(jar for name, jars in parts.items() if self._lacks(name) for jar in jars)
        if not missing:
            return []
        paths = self._fetched(missing)
        self._add(paths, missing)
        return [str(path) for path in paths]

    # What is refused

    def _refuse_other_spark(self) -> None:
        wanted, *_ = _versions(DELTA[0].file)
        spark = getattr(self.jvm.org.apache.spark, "package$")
        has = str(getattr(spark, "MODULE$").SPARK_VERSION())
        if has.startswith(f"{wanted}."):
            return
        beside_python = Path(sys.executable).with_name("spark-submit")
        raise UsageError(
            f"spark-submit is that of Spark {has}, and this package needs Spark {wanted}",
            untouched=_UNTOUCHED,
            # A SPARK_HOME decides which Spark is started, whatever spark-submit is called.
            next_step=self._line(program=("env", "-u", "SPARK_HOME", str(beside_python))),
        )

    def _refuse_other_delta(self) -> None:
        found = {name: self._jar_of(name) for name in (DELTA_EXTENSION, _LOG_STORE)}
        wrong = {
            name: path for name, path in found.items() if path and not _fits(path, _PARTS[name][0])
        }
        if wrong:
            raise UsageError(
                f"the job has {_and(path.name for path in wrong.values())}, and needs "
                f"{_and(jar.file for jar in DELTA)}: the classes of another Spark, Scala or Delta "
                "do not fit",
                untouched=_UNTOUCHED,
                next_step=self._line_without(wrong),
            )

    def _refuse_half_of_it_on_class_path(self, parts: Collection[str]) -> None:
        """What is on the class path sees no class of a jar that is not, as those added are."""
        for name, called in _CALLS.items():
            path = self._on_class_path(name)
            if name not in parts or path is None or path != self._jar_of(name):
                continue
            if self._on_class_path(called) is None:
                raise UsageError(
                    f"{path.name} is on the driver's class path, and {_PARTS[called][0].file}, "
                    "which it calls, is not",
                    untouched=_UNTOUCHED,
                    next_step=self._line_without({name: path}),
                )

    def _line_without(self, wrong: Mapping[str, Path]) -> str:
        """The line without the jars from which these classes are."""
        line = self._line(without=[path.name for path in wrong.values()])
        # One in Spark's own folder is there whatever is typed.
        typed = {named(one) for one in self.conf.get(CLASS_PATH, "").split(os.pathsep)}
        stays = [
            str(path)
            for name, path in wrong.items()
            if path.name not in typed and path == self._on_class_path(name)
        ]
        return f"remove {', '.join(stays)}; then {line}" if stays else line

    def _refuse_other_settings(self) -> None:
        wanted = {EXTENSIONS: DELTA_EXTENSION, CATALOG: DELTA_CATALOG}
        wrong = [
            f"{key} is {self.conf[key]}, and has to be {value}"
            for key, value in wanted.items()
            if key in self.conf and value not in _items(self.conf[key])
        ]
        if wrong:
            raise UsageError("; ".join(wrong), untouched=_UNTOUCHED, next_step=self._line())

    # What is added

    def _fetched(self, missing: tuple[Jar, ...]) -> list[Path]:
        try:
            return delta_jars(missing, tell=_say)
        except MedallionError as error:
            raise UsageError(
                f"spark-submit was not given {missing[0].file}, and it is not on this machine: "
                f"{error.what}",
                untouched=f"{_UNTOUCHED}; {error.untouched}",
                next_step=f"{self._line(missing)}\n             {error.next_step}",
            ) from error

    def _add(self, paths: Sequence[Path], missing: tuple[Jar, ...]) -> None:
        loader = self._loader()
        try:
            for path in paths:
                loader.addURL(self.jvm.java.net.URL(path.as_uri()))
        except Exception as error:  # whatever a foreign class loader answers
            raise UsageError(
                f"spark-submit was not given {missing[0].file}, and its class loader takes no jar",
                untouched=_UNTOUCHED,
                next_step=self._line(missing),
            ) from error

    # What is there

    def _lacks(self, class_name: str) -> bool:
        """Whether the driver, or executors on other machines, do not get a class."""
        found = self._jar_of(class_name)
        if found is None:
            return True
        sent = {named(item) for key in (JARS, _SENT_BY_YARN) for item in _items(self.conf.get(key))}
        if found.name in sent:
            return False
        if found != self._on_class_path(class_name):
            return True  # it was added here, and executors do not know it
        is_local = self.conf.get("spark.master", "").startswith("local")
        home = os.environ.get("SPARK_HOME")
        is_sparks = bool(home) and found.resolve().is_relative_to(Path(str(home)).resolve())
        return not (is_local or is_sparks or self.conf.get(EXECUTORS_CLASS_PATH))

    def _jar_of(self, class_name: str) -> Path | None:
        """The jar from which the JVM takes a class; None where it has no such class."""
        return _path(self._loader().getResource(_file_of(class_name)))

    def _on_class_path(self, class_name: str) -> Path | None:
        """The jar that has a class on the class path, with which the JVM was started."""
        loader = self.jvm.java.lang.ClassLoader.getSystemClassLoader()
        return _path(loader.getResource(_file_of(class_name)))

    def _loader(self) -> Any:
        return self.jvm.java.lang.Thread.currentThread().getContextClassLoader()

    def _line(self, missing: tuple[Jar, ...] = (), **options: Any) -> str:
        if _is_in_cluster_mode(self.conf):
            return line_for_cluster_mode(self.conf, self.argv)
        jars = (*DELTA, *(jar for jar in missing if jar not in DELTA))
        line = whole_line(self._typed(), self.conf, kept_at(jars), **options)
        if are_kept(jars):
            return line
        more = ["--all"] if len(jars) > len(DELTA) else []
        fetch = [sys.executable, "-m", "medallion_jobs.runtime", "jars", *more]
        return f"{shlex.join(fetch)} && {line}"

    def _typed(self) -> list[str]:
        process = self.jvm.java.lang.ProcessHandle.current()

        def arguments() -> list[str]:
            known = process.info().arguments()
            return list(known.get()) if known.isPresent() else []

        return typed_words(int(process.pid()), arguments) or list(self.argv)


def _is_in_cluster_mode(conf: Mapping[str, str]) -> bool:
    return (
        conf.get("spark.submit.deployMode") == "cluster"
        or conf.get("spark.kubernetes.submitInDriver") == "true"
    )


def _file_of(class_name: str) -> str:
    return class_name.replace(".", "/") + ".class"


def _path(url: Any) -> Path | None:
    """The jar, of jar:file:/…/NAME.jar!/io/delta/…"""
    if url is None:
        return None
    inner = urlsplit(str(url.toString()).removeprefix("jar:")).path
    return Path(unquote(inner.partition("!")[0]))


def _items(setting: str | None) -> list[str]:
    return [item.strip() for item in (setting or "").split(",") if item.strip()]


def _and(names: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(names))


def _fits(path: Path, jar: Jar) -> bool:
    """Whether a jar of Delta can stand for ours; one of which nothing is known may."""
    spark, scala, delta = _versions(path.name)
    found = (spark, scala, delta or _version_in(path))
    wanted = _versions(jar.file)
    return all(has in ("", wants) for has, wants in zip(found, wanted, strict=True))


def _versions(name: str) -> tuple[str, str, str]:
    """Of Spark, of Scala and of Delta, by a jar's name; empty where it does not say."""
    match = _NAME.search(name)
    return (match[1] or "", match[2] or "", match[3]) if match else ("", "", "")


def _version_in(path: Path) -> str:
    """Delta's version by a jar's manifest."""
    try:
        with zipfile.ZipFile(path) as jar:
            manifest = jar.read("META-INF/MANIFEST.MF").decode("utf-8", "replace")
    except (OSError, KeyError, zipfile.BadZipFile):
        return ""
    of_delta = re.search(r"^Implementation-Title: delta-", manifest, re.MULTILINE)
    version = re.search(r"^Implementation-Version: (\d+\.\d+)", manifest, re.MULTILINE)
    return version[1] if of_delta and version else ""


def _say(line: str) -> None:
    sys.stderr.write(f"jars: {line}\n")
