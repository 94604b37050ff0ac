"""Which repository is taken, and from where."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.maven import central_url, repository


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEDALLION_MAVEN_URL", "DEFAULT_ARTIFACT_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)


def test_the_order_is_our_variable_then_sparks_then_central(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (repository().url, repository().named_by) == (
        central_url().rstrip("/"),
        "Spark's default",
    )

    monkeypatch.setenv("DEFAULT_ARTIFACT_REPOSITORY", "https://spark.test/maven/")
    assert repository().url == "https://spark.test/maven"

    monkeypatch.setenv("MEDALLION_MAVEN_URL", "https://ours.test")
    assert (repository().url, repository().named_by) == ("https://ours.test", "MEDALLION_MAVEN_URL")


def test_a_user_in_the_address_is_a_login_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDALLION_MAVEN_URL", "https://ann:p%40ss@ours.test:8443/maven")
    assert repository().url == "https://ours.test:8443/maven"
    assert repository().login == ("ann", "p@ss")


def test_an_address_that_cannot_be_fetched_from_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDALLION_MAVEN_URL", "ours.test/maven")
    with pytest.raises(UsageError) as caught:
        repository()
    assert "MEDALLION_MAVEN_URL" in caught.value.what


def test_the_installed_spark_knows_central() -> None:
    address = urlsplit(central_url())
    assert (address.scheme, address.path) == ("https", "/maven2/")
    assert address.hostname


def test_central_is_read_from_the_constant_in_sparks_resolver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jars = tmp_path / "pyspark" / "jars"
    jars.mkdir(parents=True)
    with zipfile.ZipFile(jars / "spark-common-utils_2.13-9.9.9.jar", "w") as archive:
        constants = b"\xca\xfe\x01\x00\x1bhttps://central.test/maven2/\x01\x00\x04next"
        archive.writestr("org/apache/spark/util/MavenUtils$.class", constants)
    spec = importlib.machinery.ModuleSpec("pyspark", None, origin=str(jars.parent / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    assert central_url() == "https://central.test/maven2/"

    next(jars.iterdir()).unlink()
    with pytest.raises(UsageError) as caught:
        central_url()
    assert "MEDALLION_MAVEN_URL" in caught.value.next_step
