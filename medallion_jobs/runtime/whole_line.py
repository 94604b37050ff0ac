"""The whole line for spark-submit: what was typed, with Delta's jars and settings as they must be.

The job prints it where what was typed cannot work, so that it can be typed as it is.
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
# As a path, as Ivy calls it, or as Maven's coordinates.
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
    """The line to type, quoted for a shell; secrets are masked.

    Args:
        typed: the words after `spark-submit`.
        conf: the settings of the session, those of files among them.
        jars: those that the line has to name.
        without: names of files that must not be in the line; Delta's own never are.
    """
    options, job = _parted(typed)
    settings = [_setting(option, value) for option, value in options]
    given = {key: value for key, value in settings if key in _OURS}
    has = {**_of_files(conf), **given}

    def is_delta(item: str) -> bool:
        return bool(_DELTA.search(item)) or named(item) in without

    lists = {key: _split(has.get(key, ""), separator) for key, separator in _SEPARATORS.items()}
    rest = {key: [one for one in items if not is_delta(one)] for key, items in lists.items()}
    others = [one for one in _split(has.get(EXTENSIONS, ""), ",") if one != DELTA_EXTENSION]
    words = [
        *program,
        *("--jars", ",".join([*map(str, jars), *rest.pop(JARS)])),
        *("--conf", f"{EXTENSIONS}={','.join([*others, DELTA_EXTENSION])}"),
        *("--conf", f"{CATALOG}={DELTA_CATALOG}"),
    ]
    for key, items in rest.items():
        # What a file of settings has, only another value takes back: an empty one, too.
        if items if key in given else items != lists[key]:
            words += ["--conf", f"{key}={_SEPARATORS[key].join(items)}"]
    for (option, value), (key, _) in zip(options, settings, strict=True):
        if key not in _OURS:
            words += [option] if value is None else [option, _shown(option, value)]
    return shlex.join([*words, *_job_shown(job)])


def line_for_cluster_mode(conf: Mapping[str, str], argv: Sequence[str]) -> str:
    """The line for a driver elsewhere, which is not told what was typed."""
    job = _job_shown([Path(argv[0]).stem, *argv[1:]])
    master = conf.get("spark.master", "MASTER")
    return shlex.join(["scripts/submit", *job, "--master", master, "--deploy-mode", "cluster"])


def typed_words(pid: int, arguments: Callable[[], Sequence[str]]) -> list[str]:
    """The words after `spark-submit`, of the JVM that it has become; none where it was another way.

    Args:
        arguments: gives what that JVM itself knows of them, where there is no /proc.
    """
    try:
        words: Sequence[str] = _words_of(pid)
    except OSError:
        words = arguments()
    return list(words[words.index(_SUBMIT) + 1 :]) if _SUBMIT in words else []


def named(item: str) -> str:
    """The file's name, of a path or a URI."""
    return unquote(item.rpartition("/")[2])


def _words_of(pid: int) -> list[str]:
    # Each word ends with a NUL.
    text = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "surrogateescape")
    return text.split("\0")[:-1]


def _parted(words: Sequence[str]) -> tuple[list[tuple[str, str | None]], list[str]]:
    """spark-submit's options with their values, and the job's file with its own words."""
    options: list[tuple[str, str | None]] = []
    rest = list(words)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        takes_value = option not in _WITHOUT_VALUE and rest
        options.append((option, rest.pop(0) if takes_value else None))
    return options, rest


def _setting(option: str, value: str | None) -> tuple[str, str]:
    """What an option sets, as key and value."""
    if option in _CONF:
        key, _, value = (value or "").partition("=")
        return key, value
    return _KEYS.get(option, ""), value or ""


def _of_files(conf: Mapping[str, str]) -> dict[str, str]:
    """Those of the settings that are ours; without what `--packages` has added to the jars."""
    ours = {key: value for key, value in conf.items() if key in _OURS}
    jars = [one for one in _split(ours.get(JARS, ""), ",") if not _FETCHED_BY_IVY.search(one)]
    return {**ours, JARS: ",".join(jars)}


def _split(value: str | None, separator: str) -> list[str]:
    return [item.strip() for item in (value or "").split(separator) if item.strip()]


def _job_shown(words: Sequence[str]) -> Iterator[str]:
    for before, word in zip(("", *words), words, strict=False):
        yield _shown(before, word)


def _shown(option: str, value: str) -> str:
    """A value as it may be printed: a secret is masked."""
    prefix = "--set=" if value.startswith("--set=") else ""
    key, sign, secret = value.removeprefix(prefix).partition("=")
    path = (key,) if option in _CONF else tuple(key.split("."))
    is_pair = sign and (prefix or option in (*_CONF, "--set"))
    if is_pair and is_secret_key(path) and not is_placeholder(secret):
        return f"{prefix}{key}={MASK}"
    return value
