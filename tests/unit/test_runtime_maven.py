"""Which repository and which proxy are taken, and from where."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.maven import central_url, repository
from medallion_jobs.runtime.maven_settings import active_proxy

MIRROR = """
<settings xmlns="http://settings.test/1.2.0">
  <servers>
    <server><id>office</id><username>ann</username><password>${env.OFFICE_WORD}</password></server>
  </servers>
  <mirrors>
    <mirror><id>blocked</id><mirrorOf>*</mirrorOf><url>http://0.0.0.0/</url>
      <blocked>true</blocked></mirror>
    <mirror><id>snapshots</id><mirrorOf>snapshots</mirrorOf><url>https://no.test/</url></mirror>
    <mirror><id>office</id><mirrorOf>MIRROR_OF</mirrorOf><url>https://mirror.test/all/</url></mirror>
  </mirrors>
</settings>
"""
PROXY = """
<settings>
  <proxies>
    <proxy><active>false</active><host>off.test</host></proxy>
    <proxy><protocol>http</protocol><host>proxy.test</host><port>3128</port>
      <username>ann</username><password>word</password>
      <nonProxyHosts>localhost|*.inside.test</nonProxyHosts></proxy>
  </proxies>
</settings>
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder and a PATH with no Maven in them."""
    for name in ("MEDALLION_MAVEN_URL", "DEFAULT_ARTIFACT_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def write_settings(home: Path, text: str) -> Path:
    file = home / ".m2" / "settings.xml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_the_order_is_our_variable_then_sparks_then_settings(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_settings(home, MIRROR.replace("MIRROR_OF", "central"))
    assert (repository().url, repository().named_by) == ("https://mirror.test/all", str(file))

    monkeypatch.setenv("DEFAULT_ARTIFACT_REPOSITORY", "https://spark.test/maven/")
    assert repository().url == "https://spark.test/maven"

    monkeypatch.setenv("MEDALLION_MAVEN_URL", "https://ours.test")
    assert (repository().url, repository().named_by) == ("https://ours.test", "MEDALLION_MAVEN_URL")


@pytest.mark.parametrize("mirror_of", ["central", "*", "external:*", "*,!private", "x, central"])
def test_a_mirror_of_central_is_taken_with_its_login(
    home: Path, monkeypatch: pytest.MonkeyPatch, mirror_of: str
) -> None:
    monkeypatch.setenv("OFFICE_WORD", "open sesame")
    write_settings(home, MIRROR.replace("MIRROR_OF", mirror_of))
    assert repository().url == "https://mirror.test/all"
    assert repository().login == ("ann", "open sesame")


@pytest.mark.parametrize("mirror_of", ["snapshots", "*,!central", "external:http:*"])
def test_a_mirror_of_something_else_is_not(home: Path, mirror_of: str) -> None:
    write_settings(home, MIRROR.replace("MIRROR_OF", mirror_of))
    assert repository().url == central_url().rstrip("/")


def test_the_settings_of_the_mvn_on_path_count_too(home: Path) -> None:
    mvn = home / "maven" / "bin" / "mvn"
    mvn.parent.mkdir(parents=True)
    mvn.write_text("#!/bin/sh\n")
    mvn.chmod(0o755)
    (home / "bin").mkdir()
    (home / "bin" / "mvn").symlink_to(mvn)
    conf = home / "maven" / "conf" / "settings.xml"
    conf.parent.mkdir()
    conf.write_text(MIRROR.replace("MIRROR_OF", "*"))
    assert repository().named_by == str(conf)


def test_a_user_in_the_address_is_a_login_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDALLION_MAVEN_URL", "https://ann:p%40ss@ours.test:8443/maven")
    assert repository().url == "https://ours.test:8443/maven"
    assert repository().login == ("ann", "p@ss")


def test_an_address_that_cannot_be_fetched_from_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDALLION_MAVEN_URL", "ours.test/maven")
    with pytest.raises(UsageError) as caught:
        repository()
    assert "MEDALLION_MAVEN_URL" in caught.value.what


def test_a_broken_settings_file_is_named(home: Path) -> None:
    file = write_settings(home, "<settings><mirrors>")
    with pytest.raises(UsageError) as caught:
        repository()
    assert str(file) in caught.value.what


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


@pytest.mark.parametrize(
    ("host", "proxy"),
    [
        ("mirror.test", "http://ann:word@proxy.test:3128"),
        ("repo.inside.test", None),
        ("localhost", None),
    ],
)
def test_the_active_proxy_serves_all_but_the_direct_hosts(
    home: Path, host: str, proxy: str | None
) -> None:
    write_settings(home, PROXY)
    assert active_proxy("https", host) == proxy


def test_with_no_settings_there_is_no_proxy() -> None:
    assert active_proxy("https", "mirror.test") is None
