"""Which Maven repository to fetch from, named as `mvn`, Spark or the user would name it."""

from __future__ import annotations

import importlib.util
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.maven_settings import central_mirror

OUR_VARIABLE = "MEDALLION_MAVEN_URL"
SPARKS_VARIABLE = "DEFAULT_ARTIFACT_REPOSITORY"


@dataclass(frozen=True)
class Repository:
    """A repository in Maven's layout.

    Attributes:
        url: its address, with no user or password in it.
        named_by: the variable, file or default that named it.
        login: user and password, or None.
    """

    url: str
    named_by: str
    login: tuple[str, str] | None = None


def repository() -> Repository:
    """The repository to fetch from: the first that is named, and no other after it.

    `$MEDALLION_MAVEN_URL`, `$DEFAULT_ARTIFACT_REPOSITORY` (Spark's own variable), a mirror
    of Central in Maven's settings.xml, else Central.

    Raises:
        UsageError: the address is none that can be fetched from, or none is known.
    """
    for variable in (OUR_VARIABLE, SPARKS_VARIABLE):
        if os.environ.get(variable):
            return _repository(os.environ[variable], variable)
    mirror = central_mirror()
    if mirror:
        return _repository(mirror.url, str(mirror.file), mirror.login)
    return _repository(central_url(), "Spark's default")


def central_url() -> str:
    """Central's address, as the installed Spark has it.

    Spark's resolver keeps it as a constant. Reading it there, rather than writing a host
    here, follows Spark when the address moves and whoever patches it inside a company.

    Raises:
        UsageError: no pyspark is installed, or its jars do not hold the address.
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
        f"the installed pyspark does not say where Maven Central is (looked in {jars})",
        untouched="nothing was fetched",
        next_step=f"set {OUR_VARIABLE} to a Maven repository that holds io.delta",
    )


def _repository(address: str, named_by: str, login: tuple[str, str] | None = None) -> Repository:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https", "file"):
        raise UsageError(
            f"{named_by} names {address!r}, which is no http, https or file address",
            untouched="nothing was fetched",
            next_step=f"set {OUR_VARIABLE} to the address of a Maven repository",
        )
    if parts.username:
        login = (unquote(parts.username), unquote(parts.password or ""))
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return Repository(bare.geturl().rstrip("/"), named_by, login)
