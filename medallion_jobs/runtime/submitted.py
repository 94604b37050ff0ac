"""A JVM started by spark-submit: adds missing Delta jars, and refuses wrong ones.

spark-submit creates a class loader for `--jars` before it starts Python, and before there is a
Spark context. So missing jars can still be added to that loader; the executors get them through
`spark.jars`. A Delta of another version cannot be removed any more.
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
from medallion_jobs.runtime.jars import DELTA, KAFKA, S3A, Jar, are_cached, cache_paths, delta_jars
from medallion_jobs.runtime.locales import VARIABLE, impossible_names, is_in_utf8
from medallion_jobs.runtime.whole_line import (
    CATALOG,
    CLASS_PATH,
    DELTA_CATALOG,
    DELTA_EXTENSION,
    EXECUTORS_CLASS_PATH,
    EXTENSIONS,
    JARS,
    file_name,
    line_for_cluster_mode,
    typed_arguments,
    whole_line,
)

_LOG_STORE = "io.delta.storage.LogStore"
_S3A_FILES = "org.apache.hadoop.fs.s3a.S3AFileSystem"
_S3_CLIENT = "software.amazon.awssdk.services.s3.S3Client"
_KAFKA_SOURCE = "org.apache.spark.sql.kafka010.KafkaSourceProvider"
_OF_KAFKA = (
    "org.apache.spark.kafka010.KafkaTokenUtil",
    "org.apache.kafka.clients.consumer.KafkaConsumer",
    "org.apache.commons.pool2.impl.GenericKeyedObjectPool",
    "org.apache.spark.sql.avro.AvroDataToCatalyst",
)
# Jars by one of their classes, which shows whether the JVM has them.
_PARTS = {
    DELTA_EXTENSION: DELTA[:1],
    _LOG_STORE: DELTA[1:],
    _S3A_FILES: S3A[:1],
    _S3_CLIENT: S3A[1:],
    # The classes of one jar use those of the others, so all are on the class path or none.
    _KAFKA_SOURCE: KAFKA[:1],
    **{name: (jar,) for name, jar in zip(_OF_KAFKA, KAFKA[1:], strict=True)},
}
_REQUIRES = {DELTA_EXTENSION: _LOG_STORE, _S3A_FILES: _S3_CLIENT}
_SENT_BY_YARN = "spark.yarn.dist.jars"
_UNTOUCHED = "nothing was started, and no table was created"
# delta-spark_4.2_2.13-4.4.0.jar: the versions of Spark, Scala and Delta. A jar without a Spark
# version is for the newest Spark that its Delta supports. Patch versions of Delta are compatible.
_NAME = re.compile(
    r"delta-(?:spark|core|storage)(?:_(\d+\.\d+))??(?:_(\d+\.\d+))?-(\d+\.\d+)[^/]*\.jar$"
)


@dataclass(frozen=True)
class Submitted:
    """A job under spark-submit.

    Attributes:
        jvm: the JVM, through py4j.
        conf: the settings for its session.
        argv: the job's file and its arguments.
    """

    jvm: Any
    conf: Mapping[str, str]
    argv: Sequence[str]

    def prepare(self, wanted: Sequence[Jar]) -> list[str]:
        """Adds the missing jars to the JVM; returns the paths that executors lack.

        Calling it again is safe: a context that is created later needs the paths, too.

        Raises:
            UsageError: the JVM cannot run the job; the next step is the full command to run.
        """
        self._refuse_other_spark()
        self._refuse_other_delta()
        self._refuse_other_settings()
        parts = {name: jars for name, jars in _PARTS.items() if set(jars) <= set(wanted)}
        self._refuse_incomplete_class_path(parts)
        missing = tuple(jar for name, jars in parts.items() if self._lacks(name) for jar in jars)
        if not missing:
            return []
        paths = self._fetched(missing)
        self._add(paths, missing)
        return [str(path) for path in paths]

    def check_arguments(self) -> None:
        """Checks that spark-submit has passed the job's arguments on unchanged.

        Raises:
            UsageError: it was not started under a UTF-8 locale. It then makes two or more `?` of
                each letter outside ASCII, and arguments have some.
        """
        if any("??" in word for word in self.argv[1:]) and not is_in_utf8(self.jvm):
            raise UsageError(
                "spark-submit was not started under a UTF-8 locale, so it has changed the letters "
                "outside ASCII in the job's arguments",
                code="locale_not_utf",
                untouched=_UNTOUCHED,
                next_step=f"run the same command with env {VARIABLE}=C.UTF-8 before it",
            )

    def check_names(self, names: Iterable[str]) -> None:
        """Checks that the JVM can open files of these names.

        Raises:
            UsageError: it was started under another locale than UTF-8, and they are not ASCII.
        """
        if odd := impossible_names(self.jvm, names):
            raise UsageError(
                "spark-submit was not started under a UTF-8 locale, so its JVM cannot open "
                f"{', '.join(odd[:3])}",
                code="locale_not_utf",
                untouched=_UNTOUCHED,
                next_step=self._line(program=("env", f"{VARIABLE}=C.UTF-8", "spark-submit")),
            )

    # Refusals

    def _refuse_other_spark(self) -> None:
        wanted, *_ = _versions(DELTA[0].file)
        spark = getattr(self.jvm.org.apache.spark, "package$")
        has = str(getattr(spark, "MODULE$").SPARK_VERSION())
        if has.startswith(f"{wanted}."):
            return
        beside_python = Path(sys.executable).with_name("spark-submit")
        raise UsageError(
            f"spark-submit belongs to Spark {has}, but this package needs Spark {wanted}",
            code="other_spark",
            untouched=_UNTOUCHED,
            # SPARK_HOME takes precedence over the path of spark-submit.
            next_step=self._line(program=("env", "-u", "SPARK_HOME", str(beside_python))),
        )

    def _refuse_other_delta(self) -> None:
        found = {name: self._jar_of(name) for name in (DELTA_EXTENSION, _LOG_STORE)}
        wrong = {
            name: path for name, path in found.items() if path and not _fits(path, _PARTS[name][0])
        }
        if wrong:
            raise UsageError(
                f"the job has {_and(path.name for path in wrong.values())}, but needs "
                f"{_and(jar.file for jar in DELTA)}: classes of another Spark, Scala or Delta "
                "version are incompatible",
                code="other_delta",
                untouched=_UNTOUCHED,
                next_step=self._line_without(wrong),
            )

    def _refuse_incomplete_class_path(self, parts: Collection[str]) -> None:
        """Classes on the class path cannot use classes of jars that are added to the loader."""
        for name, required in _REQUIRES.items():
            path = self._on_class_path(name)
            if name not in parts or path is None or path != self._jar_of(name):
                continue
            if self._on_class_path(required) is None:
                raise UsageError(
                    f"{path.name} is on the driver's class path, but {_PARTS[required][0].file}, "
                    "which it requires, is not",
                    code="half_of_delta",
                    untouched=_UNTOUCHED,
                    next_step=self._line_without({name: path}),
                )

    def _line_without(self, wrong: Mapping[str, Path]) -> str:
        """The command without the jars of these classes."""
        line = self._line(without=[path.name for path in wrong.values()])
        # A jar in Spark's own folder is loaded whatever the options are.
        typed = {file_name(path) for path in self.conf.get(CLASS_PATH, "").split(os.pathsep)}
        remaining = [
            str(path)
            for name, path in wrong.items()
            if path.name not in typed and path == self._on_class_path(name)
        ]
        return f"remove {', '.join(remaining)}; then {line}" if remaining else line

    def _refuse_other_settings(self) -> None:
        wanted = {EXTENSIONS: DELTA_EXTENSION, CATALOG: DELTA_CATALOG}
        wrong = [
            f"{key} is {self.conf[key]}, but has to be {value}"
            for key, value in wanted.items()
            if key in self.conf and value not in _items(self.conf[key])
        ]
        if wrong:
            raise UsageError(
                "; ".join(wrong),
                code="session_settings_wrong",
                untouched=_UNTOUCHED,
                next_step=self._line(),
            )

    # Adding jars

    def _fetched(self, missing: tuple[Jar, ...]) -> list[Path]:
        try:
            return delta_jars(missing, report=_print)
        except MedallionError as error:
            raise UsageError(
                f"spark-submit was started without {missing[0].file}, and it is not on "
                f"this machine: {error.what}",
                code="delta_jar_missing",
                untouched=f"{_UNTOUCHED}; {error.untouched}",
                next_step=f"{self._line(missing)}\n             {error.next_step}",
            ) from error

    def _add(self, paths: Sequence[Path], missing: tuple[Jar, ...]) -> None:
        loader = self._loader()
        try:
            for path in paths:
                loader.addURL(self.jvm.java.net.URL(path.as_uri()))
        except Exception as error:  # a foreign class loader may raise anything
            raise UsageError(
                f"spark-submit was started without {missing[0].file}, and its class loader "
                "does not accept jars",
                code="delta_jar_not_addable",
                untouched=_UNTOUCHED,
                next_step=self._line(missing),
            ) from error

    # Finding jars

    def _lacks(self, class_name: str) -> bool:
        """Whether the driver, or executors on other machines, lack a class."""
        found = self._jar_of(class_name)
        if found is None:
            return True
        sent = {
            file_name(item) for key in (JARS, _SENT_BY_YARN) for item in _items(self.conf.get(key))
        }
        if found.name in sent:
            return False
        if found != self._on_class_path(class_name):
            return True  # it was added to the loader, which executors do not have
        is_local = self.conf.get("spark.master", "").startswith("local")
        home = os.environ.get("SPARK_HOME")
        is_from_spark = bool(home) and found.resolve().is_relative_to(Path(str(home)).resolve())
        return not (is_local or is_from_spark or self.conf.get(EXECUTORS_CLASS_PATH))

    def _jar_of(self, class_name: str) -> Path | None:
        """The jar from which the JVM loads a class; None if it has no such class."""
        return _path(self._loader().getResource(_file_of(class_name)))

    def _on_class_path(self, class_name: str) -> Path | None:
        """The jar with a class on the class path of the JVM; None if there is none."""
        loader = self.jvm.java.lang.ClassLoader.getSystemClassLoader()
        return _path(loader.getResource(_file_of(class_name)))

    def _loader(self) -> Any:
        return self.jvm.java.lang.Thread.currentThread().getContextClassLoader()

    def _line(self, missing: tuple[Jar, ...] = (), **options: Any) -> str:
        if _is_in_cluster_mode(self.conf):
            return line_for_cluster_mode(self.conf, self.argv)
        jars = (*DELTA, *(jar for jar in missing if jar not in DELTA))
        line = whole_line(self._typed(), self.conf, cache_paths(jars), **options)
        if are_cached(jars):
            return line
        more = ["--all"] if len(jars) > len(DELTA) else []
        fetch = [sys.executable, "-m", "medallion_jobs.runtime", "jars", *more]
        return f"{shlex.join(fetch)} && {line}"

    def _typed(self) -> list[str]:
        process = self.jvm.java.lang.ProcessHandle.current()

        def arguments() -> list[str]:
            known = process.info().arguments()
            return list(known.get()) if known.isPresent() else []

        return typed_arguments(int(process.pid()), arguments) or list(self.argv)


def _is_in_cluster_mode(conf: Mapping[str, str]) -> bool:
    return (
        conf.get("spark.submit.deployMode") == "cluster"
        or conf.get("spark.kubernetes.submitInDriver") == "true"
    )


def _file_of(class_name: str) -> str:
    return class_name.replace(".", "/") + ".class"


def _path(url: Any) -> Path | None:
    """The jar in a URL such as jar:file:/…/NAME.jar!/io/delta/…"""
    if url is None:
        return None
    inner = urlsplit(str(url.toString()).removeprefix("jar:")).path
    return Path(unquote(inner.partition("!")[0]))


def _items(setting: str | None) -> list[str]:
    return [item.strip() for item in (setting or "").split(",") if item.strip()]


def _and(names: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(names))


def _fits(path: Path, jar: Jar) -> bool:
    """Whether a Delta jar is compatible; unknown versions are taken for compatible."""
    spark, scala, delta = _versions(path.name)
    found = (spark, scala, delta or _version_in(path))
    wanted = _versions(jar.file)
    return all(has in ("", needs) for has, needs in zip(found, wanted, strict=True))


def _versions(name: str) -> tuple[str, str, str]:
    """The versions of Spark, Scala and Delta in a jar's name; empty for those it lacks."""
    match = _NAME.search(name)
    return (match[1] or "", match[2] or "", match[3]) if match else ("", "", "")


def _version_in(path: Path) -> str:
    """Delta's version in a jar's manifest; empty if it has none."""
    try:
        with zipfile.ZipFile(path) as jar:
            manifest = jar.read("META-INF/MANIFEST.MF").decode("utf-8", "replace")
    except (OSError, KeyError, zipfile.BadZipFile):
        return ""
    of_delta = re.search(r"^Implementation-Title: delta-", manifest, re.MULTILINE)
    version = re.search(r"^Implementation-Version: (\d+\.\d+)", manifest, re.MULTILINE)
    return version[1] if of_delta and version else ""


def _print(line: str) -> None:
    sys.stderr.write(f"jars: {line}\n")
