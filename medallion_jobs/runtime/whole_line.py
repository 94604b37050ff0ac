"""The full command for spark-submit: the user's options, with the required Delta jars and settings.

The job prints it if the options cannot work, so that it can be copied.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from medallion_jobs.config.secrecy import is_placeholder, is_secret_key
from medallion_jobs.masking import MASK

DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
DELTA_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
EXTENSIONS, CATALOG = "spark.sql.extensions", "spark.sql.catalog.spark_catalog"
JARS, PACKAGES = "spark.jars", "spark.jars.packages"
CLASS_PATH, EXECUTORS_CLASS_PATH = "spark.driver.extraClassPath", "spark.executor.extraClassPath"

_SEPARATORS = {JARS: ",", PACKAGES: ",", CLASS_PATH: os.pathsep, EXECUTORS_CLASS_PATH: os.pathsep}
_OURS = {*_SEPARATORS, EXTENSIONS, CATALOG}
_KEYS = {"--jars": JARS, "--packages": PACKAGES, "--driver-class-path": CLASS_PATH}
_CONF = ("--conf", "-c")
_WITHOUT_VALUE = ("--verbose", "-v", "--supervise", "--load-spark-defaults")
_SUBMIT = "org.apache.spark.deploy.SparkSubmit"
# As a path, in Ivy's naming, or as Maven coordinates.
_DELTA = re.compile(r"(^|[:_/])delta-(spark|core|storage)|^io\.delta:")
_FETCHED_BY_IVY = re.compile(r"/\.ivy2[^/]*/jars/")


def whole_line(
    typed: Sequence[str],
    conf: Mapping[str, str],
    jars: Sequence[Path],
    *,
    without: Collection[str] = (),
    program: Sequence[str] = ("spark-submit",),
) -> str:
    """The command to run, quoted for a shell; secrets are masked.

    Args:
        typed: the arguments after `spark-submit`.
        conf: the settings of the session, including those from files.
        jars: the jars to pass.
        without: names of jars to leave out, in addition to all jars of Delta.
        program: the program to start, with its own arguments.
    """
    options, job = _split_arguments(typed)
    settings = [_setting(option, value) for option, value in options]
    given = {key: value for key, value in settings if key in _OURS}
    has = {**_of_files(conf), **given}

    def is_delta(item: str) -> bool:
        return bool(_DELTA.search(item)) or file_name(item) in without

    lists = {key: _split(has.get(key, ""), separator) for key, separator in _SEPARATORS.items()}
    rest = {key: [item for item in items if not is_delta(item)] for key, items in lists.items()}
    others = [name for name in _split(has.get(EXTENSIONS, ""), ",") if name != DELTA_EXTENSION]
    arguments = [
        *program,
        *("--jars", ",".join([*map(str, jars), *rest.pop(JARS)])),
        *("--conf", f"{EXTENSIONS}={','.join([*others, DELTA_EXTENSION])}"),
        *("--conf", f"{CATALOG}={DELTA_CATALOG}"),
    ]
    for key, items in rest.items():
        # Only another value, also an empty one, overrides a value from a file of settings.
        if items if key in given else items != lists[key]:
            arguments += ["--conf", f"{key}={_SEPARATORS[key].join(items)}"]
    for (option, value), (key, _) in zip(options, settings, strict=True):
        if key not in _OURS:
            arguments += [option] if value is None else [option, _shown(option, value)]
    return shlex.join([*arguments, *_job_shown(job)])


def line_for_cluster_mode(conf: Mapping[str, str], argv: Sequence[str]) -> str:
    """The command for a driver in cluster mode, which does not know the original arguments."""
    job = _job_shown([Path(argv[0]).stem, *argv[1:]])
    master = conf.get("spark.master", "MASTER")
    return shlex.join(["scripts/submit", *job, "--master", master, "--deploy-mode", "cluster"])


def typed_arguments(pid: int, arguments: Callable[[], Sequence[str]]) -> list[str]:
    """The arguments after `spark-submit`; empty if the JVM was not started by it.

    Args:
        pid: the process id of the JVM that spark-submit has become.
        arguments: returns the arguments known to the JVM, for a system without /proc.
    """
    try:
        line: Sequence[str] = _arguments_of(pid)
    except OSError:
        line = arguments()
    return list(line[line.index(_SUBMIT) + 1 :]) if _SUBMIT in line else []


def file_name(item: str) -> str:
    """The file name in a path or a URI."""
    return unquote(item.rpartition("/")[2])


def _arguments_of(pid: int) -> list[str]:
    # Each argument ends with a NUL.
    text = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "surrogateescape")
    return text.split("\0")[:-1]


def _split_arguments(arguments: Sequence[str]) -> tuple[list[tuple[str, str | None]], list[str]]:
    """spark-submit's options with their values, and the job's file with its own arguments."""
    options: list[tuple[str, str | None]] = []
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        takes_value = option not in _WITHOUT_VALUE and rest
        options.append((option, rest.pop(0) if takes_value else None))
    return options, rest


def _setting(option: str, value: str | None) -> tuple[str, str]:
    """The key and value that an option sets."""
    if option in _CONF:
        key, _, value = (value or "").partition("=")
        return key, value
    return _KEYS.get(option, ""), value or ""


def _of_files(conf: Mapping[str, str]) -> dict[str, str]:
    """The settings that we change, without the jars that `--packages` has added."""
    ours = {key: value for key, value in conf.items() if key in _OURS}
    jars = [jar for jar in _split(ours.get(JARS, ""), ",") if not _FETCHED_BY_IVY.search(jar)]
    return {**ours, JARS: ",".join(jars)}


def _split(value: str | None, separator: str) -> list[str]:
    return [item.strip() for item in (value or "").split(separator) if item.strip()]


def _job_shown(arguments: Sequence[str]) -> Iterator[str]:
    for before, word in zip(("", *arguments), arguments, strict=False):
        yield _shown(before, word)


def _shown(option: str, value: str) -> str:
    """A value for printing: a secret is masked."""
    prefix = "--set=" if value.startswith("--set=") else ""
    key, sign, secret = value.removeprefix(prefix).partition("=")
    path = (key,) if option in _CONF else tuple(key.split("."))
    is_pair = sign and (prefix or option in (*_CONF, "--set"))
    if is_pair and is_secret_key(path) and not is_placeholder(secret):
        return f"{prefix}{key}={MASK}"
    return value
