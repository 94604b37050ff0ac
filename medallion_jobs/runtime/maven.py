"""The Maven repository to fetch from, as configured for Spark or for us."""

from __future__ import annotations

import importlib.util
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from medallion_jobs.errors import UsageError

OUR_VARIABLE = "MEDALLION_MAVEN_URL"
SPARKS_VARIABLE = "DEFAULT_ARTIFACT_REPOSITORY"


@dataclass(frozen=True)
class Repository:
    """A repository in Maven's layout.

    Attributes:
        url: its address, without user and password.
        named_by: the variable or default that it comes from.
        login: user and password, or None.
    """

    url: str
    named_by: str
    login: tuple[str, str] | None = None


def repository() -> Repository:
    """The repository to fetch from: the first that is configured, without a fallback.

    `$MEDALLION_MAVEN_URL`, `$DEFAULT_ARTIFACT_REPOSITORY` (Spark's own variable), else Central.

    Raises:
        UsageError: the address has an unsupported scheme, or no address is known.
    """
    for variable in (OUR_VARIABLE, SPARKS_VARIABLE):
        if os.environ.get(variable):
            return _repository(os.environ[variable], variable)
    return _repository(central_url(), "Spark's default")


def central_url() -> str:
    """The address of Maven Central in the installed Spark.

    Spark's resolver has it as a constant. Reading it from there follows changes in Spark, and
    patched builds inside companies.

    Raises:
        UsageError: pyspark is not installed, or its jars do not contain the address.
    """
    package = importlib.util.find_spec("pyspark")
    jars = Path(package.origin).parent / "jars" if package and package.origin else Path()
    for jar in jars.glob("spark-common-utils_*.jar"):
        with zipfile.ZipFile(jar) as archive:
            constants = archive.read("org/apache/spark/util/MavenUtils$.class")
        match = re.search(rb"https://[\w.-]+/maven2/", constants)
        if match:
            return match[0].decode()
    raise UsageError(
        f"the installed pyspark does not contain the address of Maven Central (searched {jars})",
        code="no_maven_address",
        untouched="nothing was fetched",
        next_step=f"set {OUR_VARIABLE} to a Maven repository that has io.delta",
    )


def _repository(address: str, named_by: str) -> Repository:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https", "file"):
        raise UsageError(
            f"{named_by} is {address!r}, which is not an http, https or file address",
            code="invalid_maven_address",
            untouched="nothing was fetched",
            next_step=f"set {OUR_VARIABLE} to the address of a Maven repository",
        )
    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return Repository(bare.geturl().rstrip("/"), named_by, login)
