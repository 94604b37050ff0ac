"""The options for spark-submit that affect what we have to add."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.command_line import Parser

MASTERS = "local[N], spark://HOST:PORT, k8s://URL or yarn"
# Options that take a list: the separator of its items, and the equivalent setting.
LISTS = {
    "jars": (",", "spark.jars"),
    "py_files": (",", "spark.submit.pyFiles"),
    "files": (",", "spark.files"),
    "archives": (",", "spark.archives"),
    "driver_class_path": (":", "spark.driver.extraClassPath"),
}

_PROPERTY = re.compile(r"\s*([^#!\s=:][^\s=:]*)\s*[=:\s]\s*(.*?)\s*")
_PAIR = re.compile(r"[^=\s]+=.*", re.DOTALL)


@dataclass(frozen=True)
class SparkOptions:
    """The options for spark-submit.

    Attributes:
        lists: the values of `--jars` and the other lists, by name; ours are added to them.
        conf: the last value of each `--conf KEY=VALUE`.
        files: the settings of the properties file, or else of spark-defaults.conf.
        rest: all other arguments, unchanged.
    """

    master: str | None
    deploy_mode: str | None
    lists: Mapping[str, str]
    conf: Mapping[str, str]
    files: Mapping[str, str]
    rest: tuple[str, ...]

    def setting(self, key: str) -> str | None:
        """The value that spark-submit takes from `--conf`, else from a file."""
        return self.conf.get(key, self.files.get(key))


def parse(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> SparkOptions:
    """Parses the arguments after `--`.

    Raises:
        UsageError: an option has no value, a `--conf` is not KEY=VALUE, or the properties file
            cannot be read.
    """
    parser = Parser(prog="scripts/submit", add_help=False, allow_abbrev=False)
    parser.add_argument("--master")
    parser.add_argument("--deploy-mode")
    parser.add_argument("--conf", "-c", action="append", default=[])
    parser.add_argument("--properties-file", type=Path)
    for name in LISTS:
        parser.add_argument("--" + name.replace("_", "-"), default="")
    given, rest = parser.parse_known_args(list(arguments))
    for pair in given.conf:
        if not _PAIR.fullmatch(pair):
            parser.error(f"--conf {pair.partition('=')[0]} is not KEY=VALUE")
    file: Path | None = given.properties_file
    if file is not None:
        rest = ["--properties-file", str(file), *rest]
    return SparkOptions(
        master=given.master,
        deploy_mode=given.deploy_mode,
        lists={name: getattr(given, name) for name in LISTS},
        conf=dict(pair.split("=", 1) for pair in given.conf),
        files=_properties(file) if file else _defaults(environ),
        rest=tuple(rest),
    )


def kind_of(master: str) -> str:
    """`local`, `spark`, `k8s` or `yarn`.

    Raises:
        UsageError: Spark has no such master.
    """
    match = re.fullmatch(r"(local)(\[.*\])?|(spark|k8s)://.+|(yarn)", master)
    if not match:
        raise UsageError(
            f"--master {master} is not a master that Spark supports",
            code="invalid_master",
            untouched="nothing was started",
            next_step=f"--master {MASTERS}",
        )
    return match[1] or match[3] or match[4]


def is_on_loopback(master: str) -> bool:
    """Whether the driver and all processes that it connects to are on this machine."""
    if master.startswith("spark://"):
        return urlsplit(master).hostname in ("127.0.0.1", "localhost", "::1")
    return master.startswith("local")


def _defaults(environ: Mapping[str, str]) -> Mapping[str, str]:
    file = Path(environ.get("SPARK_CONF_DIR") or "/nowhere") / "spark-defaults.conf"
    return _properties(file) if file.is_file() else {}


def _properties(file: Path) -> Mapping[str, str]:
    """The settings of a file as spark-submit reads it: one `key value` or `key=value` per line."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the properties file {file} cannot be read: {error}",
            code="properties_file_unreadable",
            untouched="nothing was started",
            next_step="pass an existing file: -- --properties-file FILE",
        ) from error
    return {match[1]: match[2] for line in lines if (match := _PROPERTY.fullmatch(line))}
