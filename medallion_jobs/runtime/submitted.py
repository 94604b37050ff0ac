"""A JVM that spark-submit started: what it lacks of Delta is added, what is wrong is refused.

spark-submit puts `--jars` into a class loader of its own before it starts Python, and there
is no Spark context yet. So the jars that are missing can still be added to that loader; the
executors get them by `spark.jars`. A Delta of another version cannot be taken out again.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from medallion_jobs.errors import UsageError
from medallion_jobs.masking import masked
from medallion_jobs.runtime.jars import DELTA, Jar, delta_jars

DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
DELTA_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
# A class by which each set of jars is told to be there.
_DELTA_CLASSES = (DELTA_EXTENSION, "io.delta.storage.LogStore")
_S3A_CLASSES = (
    "org.apache.hadoop.fs.s3a.S3AFileSystem",
    "software.amazon.awssdk.services.s3.S3Client",
)
_SUBMIT = "org.apache.spark.deploy.SparkSubmit"
# delta-spark_4.2_2.13-4.4.0.jar: the version of Spark, which older ones do not name, of Scala,
# and of Delta.
_NAME = re.compile(r"delta-(?:spark|core)(?:_(\d+\.\d+))?_(\d+\.\d+)-(\d+\.\d+)[\d.]*[^/]*\.jar$")
_DELTAS_OWN = re.compile(r"(^|[:_/])delta-(spark|core|storage)|^io\.delta:")


def refuse_other_delta(jvm: Any) -> None:
    """Refuses a JVM that has another Delta than the one that this package is for.

    Raises:
        UsageError: it has; the next step is the whole line to type.
    """
    found = _jar_of(jvm, DELTA_EXTENSION)
    has, wants = found and _NAME.search(found), _NAME.search(DELTA[0].file)
    if not (has and wants) or has.groups() == wants.groups():
        return
    raise UsageError(
        f"the submitted Delta is {Path(found or '').name}, and this package needs "
        f"{DELTA[0].file}: of another Spark, Scala or Delta, its classes do not fit",
        untouched="nothing was started, and no table was made",
        next_step=_line(),
    )


def add_missing(jvm: Any, wanted: tuple[Jar, ...]) -> list[str]:
    """Adds those of the jars that the JVM has not, and gives their paths.

    Raises:
        TransientError: they had to be fetched and could not be.
        UsageError: the JVM's class loader takes no jar; the next step is the whole line to type.
    """
    lacks_delta = not all(_jar_of(jvm, name) for name in _DELTA_CLASSES)
    objects = tuple(jar for jar in wanted if jar not in DELTA)
    lacks_objects = bool(objects) and not all(_jar_of(jvm, name) for name in _S3A_CLASSES)
    missing = (*(DELTA if lacks_delta else ()), *(objects if lacks_objects else ()))
    if not missing:
        return []
    jars = delta_jars(missing)
    loader = _loader(jvm)
    try:
        for jar in jars:
            loader.addURL(jvm.java.net.URL(jar.as_uri()))
    except Exception as error:  # whatever a foreign class loader says to it
        raise UsageError(
            "the submitted job has no Delta, and its class loader takes no jar",
            untouched="nothing was started, and no table was made",
            next_step=_line(),
        ) from error
    return [str(jar) for jar in jars]


def _loader(jvm: Any) -> Any:
    return jvm.java.lang.Thread.currentThread().getContextClassLoader()


def _jar_of(jvm: Any, name: str) -> str | None:
    """The path of the jar that has a class; None where the JVM lacks the class."""
    file = _loader(jvm).getResource(name.replace(".", "/") + ".class")
    if file is None:
        return None
    # jar:file:/…/NAME.jar!/io/delta/…
    return unquote(urlsplit(str(file.toString()).removeprefix("jar:")).path.partition("!")[0])


def _line() -> str:
    """What was typed, with Delta's jars and settings as they have to be; without secrets."""
    ours = [str(jar) for jar in delta_jars()]
    jars, rest = _without_delta(_typed())
    words = [
        "spark-submit",
        *("--jars", ",".join([*ours, *jars])),
        *("--conf", f"spark.sql.extensions={DELTA_EXTENSION}"),
        *("--conf", f"spark.sql.catalog.spark_catalog={DELTA_CATALOG}"),
        *rest,
    ]
    return masked(shlex.join(map(_shown, words)))


def _shown(word: str) -> str:
    """A word as it may be shown: who reads the line knows the secret, or may not know it."""
    from medallion_jobs.config.secrecy import is_secret_key  # noqa: PLC0415 (set-up has no config)

    key, is_pair, _ = word.partition("=")
    return f"{key}=***" if is_pair and is_secret_key((key,)) else word


def _typed() -> list[str]:
    """The words behind `spark-submit`, from the JVM that started this process."""
    try:
        words = Path(f"/proc/{os.getppid()}/cmdline").read_text("utf-8", "replace").split("\0")
        return words[words.index(_SUBMIT) + 1 :][:-1]
    except (OSError, ValueError):
        return list(sys.argv)


def _without_delta(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The jars among the words that are not Delta's, and all words but lists of jars."""
    jars: list[str] = []
    rest: list[str] = []
    for option, value in _pairs(words):
        key, _, setting = (value or "").partition("=") if option in ("--conf", "-c") else ("",) * 3
        if option == "--jars" or key == "spark.jars":
            named = (setting if key else value or "").split(",")
            jars += [one for one in named if not _DELTAS_OWN.search(one)]
        elif option == "--packages" or key == "spark.jars.packages":
            named = (setting if key else value or "").split(",")
            others = [one for one in named if not _DELTAS_OWN.search(one)]
            rest += ["--packages", ",".join(others)] if others else []
        elif key not in ("spark.sql.extensions", "spark.sql.catalog.spark_catalog"):
            rest += [option, *([] if value is None else [value])]
    return jars, rest


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """spark-submit's options with their values, then each word of the job by itself."""
    place = 0
    while place < len(words) and words[place].startswith("-"):
        option = words[place]
        if option in ("--verbose", "-v", "--supervise"):
            yield option, None
            place += 1
            continue
        yield option, words[place + 1] if place + 1 < len(words) else None
        place += 2
    for word in words[place:]:
        yield word, None
