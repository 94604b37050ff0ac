"""The archive of classes: when a JVM is told to read it, and how it is made."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from medallion_jobs.errors import TransientError
from medallion_jobs.runtime import __main__ as runtime
from medallion_jobs.runtime import class_archive
from medallion_jobs.runtime.class_archive import MOST_KEPT, VARIABLE, ClassArchive
from medallion_jobs.runtime.java import Java
from medallion_jobs.runtime.jvm_options import as_text, driver_options

# Writes what it is told to write, as a JVM does, and notes how it was called.
JAVA = """#!/bin/sh
echo "$@" >> "{calls}"
for word in "$@"; do
  case "$word" in
    -XX:SharedArchiveFile=*:*) ;;
    -XX:SharedArchiveFile=*) echo base > "${{word#*=}}" ;;
  esac
done
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDALLION_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def java(tmp_path: Path) -> Java:
    return _java(tmp_path / "java", 17)


def _java(home: Path, version: int) -> Java:
    (home / "bin").mkdir(parents=True)
    launcher = home / "bin" / "java"
    launcher.write_text(JAVA.format(calls=home / "calls"))
    launcher.chmod(0o755)
    (home / "release").write_text(f'JAVA_VERSION="{version}.0.1"\n')
    return Java(home, version, "")


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of the package's commands, which start Spark."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\ncase "$3" in run) echo classes > "${VARIABLE}" ;; esac\n')
    script.chmod(0o755)
    monkeypatch.setattr(class_archive.sys, "executable", str(script))
    return script


def test_without_one_a_jvm_is_told_nothing(cache: Path, java: Java) -> None:
    assert ClassArchive(java).options() == []


def test_one_that_was_made_is_read(cache: Path, java: Java, python: Path) -> None:
    archive = ClassArchive(java)
    said: list[str] = []
    archive.make(said.append)
    assert said == ["making one, once; this takes half a minute"]
    folder = archive.file.parent
    assert {file.name for file in folder.iterdir()} == {"base", "classes", "complete"}
    assert f"-XX:SharedArchiveFile={folder / 'base'}:{folder / 'classes'}" in archive.options()
    assert "-Xshare:auto" in archive.options()

    archive.make(said.append)
    assert len(said) == 1, "it was made again"


def test_java_25_has_a_cache_of_its_own(cache: Path, tmp_path: Path, python: Path) -> None:
    archive = ClassArchive(_java(tmp_path / "25", 25))
    archive.make()
    assert f"-XX:AOTCache={archive.file}" in archive.options()


@pytest.mark.parametrize("name", ["base", "classes"])
def test_one_that_was_cut_short_is_not_read(
    name: str, cache: Path, java: Java, python: Path
) -> None:
    # A JVM that maps such a file ends with SIGBUS.
    archive = ClassArchive(java)
    archive.make()
    (archive.file.parent / name).write_text("c")
    assert archive.options() == []
    archive.make()
    assert archive.options() != []


def test_what_it_depends_on_is_in_its_name(
    cache: Path, java: Java, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spark = tmp_path / "spark"
    (spark / "jars").mkdir(parents=True)
    (jar := spark / "jars" / "spark-core.jar").write_text("1")
    monkeypatch.setattr(class_archive, "spark_home", lambda: spark)
    names = [ClassArchive(java).file]
    os.utime(jar, (1, 1))
    names.append(ClassArchive(java).file)
    (spark / "jars" / "more.jar").touch()
    names.append(ClassArchive(java).file)
    (java.home / "release").write_text('JAVA_VERSION="17.0.2"\n')
    names.append(ClassArchive(java).file)
    delta = class_archive.cache_paths(class_archive.DELTA)[0]
    delta.parent.mkdir(parents=True)
    delta.write_text("2")
    names.append(ClassArchive(java).file)
    assert len(set(names)) == 5
    assert ClassArchive(java).file == names[-1]


def test_the_ones_used_last_are_kept(cache: Path, tmp_path: Path, python: Path) -> None:
    archives = [ClassArchive(_java(tmp_path / str(n), 17)) for n in range(MOST_KEPT + 1)]
    for at, archive in enumerate(archives[:-1]):
        archive.make()
        os.utime(archive.file.with_name("complete"), (at, at))
    archives[0].options()  # a JVM uses it now
    archives[-1].make()
    assert [archive.is_there for archive in archives] == [True, False, True, True]


def test_a_full_disk_is_told_and_leaves_nothing(
    cache: Path, java: Java, python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_archive, "_FREE_BYTES", 1 << 60)
    with pytest.raises(TransientError, match="MB of disk are free") as told:
        ClassArchive(java).make()
    assert "takes longer" in told.value.untouched
    assert list((cache / "classes").glob("*/*")) == []


def test_a_run_that_fails_is_told_and_leaves_none(cache: Path, java: Java, python: Path) -> None:
    python.write_text("#!/bin/sh\necho first\necho the reason\nexit 1\n")
    archive = ClassArchive(java)
    with pytest.raises(TransientError, match="ended with 1: the reason"):
        archive.make()
    assert archive.options() == []


def test_a_jvm_that_cannot_read_it_means_there_is_none(
    cache: Path, java: Java, python: Path
) -> None:
    launcher = java.home / "bin" / "java"
    launcher.write_text(launcher.read_text() + 'case "$*" in *-version*) exit 134 ;; esac\n')
    archive = ClassArchive(java)
    with pytest.raises(TransientError, match="ended with 134"):
        archive.make()
    assert archive.options() == []


def test_off_means_off(
    cache: Path, java: Java, python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = ClassArchive(java)
    archive.make()
    monkeypatch.setenv(VARIABLE, "off")
    assert archive.options() == []
    archive.file.with_name("complete").unlink()
    assert archive.make_in_background() is None


def test_a_folder_that_java_would_take_for_two(
    tmp_path: Path, java: Java, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDALLION_CACHE", str(tmp_path / "a:b"))
    archive = ClassArchive(java)
    with pytest.raises(TransientError, match="a path with a :"):
        archive.make()
    assert archive.options() == []


def test_in_the_background_it_is_tried_once(cache: Path, java: Java, python: Path) -> None:
    python.write_text("#!/bin/sh\necho no disk\nexit 75\n")
    log = ClassArchive(java).make_in_background()
    assert log is not None
    deadline = time.monotonic() + 20
    while log.read_text() != "no disk\n":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert ClassArchive(java).make_in_background() is None

    python.write_text(f'#!/bin/sh\ncase "$3" in run) echo classes > "${VARIABLE}" ;; esac\n')
    ClassArchive(java).make()  # `medallion setup` tries it again
    assert not log.exists()
    assert ClassArchive(java).make_in_background() is None


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(
    cache: Path, java: Java, python: Path
) -> None:
    cache.mkdir(exist_ok=True)
    (cache / "classes").write_text("a file where the folder would be")
    assert ClassArchive(java).options() == []
    assert ClassArchive(java).make_in_background() is None


def test_the_set_up_goes_on_without(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(class_archive, "_FREE_BYTES", 1 << 60)
    assert runtime.main(["classes"]) == TransientError.exit_code
    assert "no class archive was made" in capsys.readouterr().err


def test_options_in_a_text(cache: Path, java: Java) -> None:
    assert as_text(["-a", "-b=c d"]) == '-a "-b=c d"'
    assert "-Duser.timezone=UTC" in driver_options(short=False)
    assert "-XX:TieredStopAtLevel=1" in driver_options(short=True)


@pytest.mark.parametrize("name", ["JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS"])
def test_a_jvm_gets_one_collector(name: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS"):
        monkeypatch.delenv(other, raising=False)
    assert "-XX:+UseSerialGC" in driver_options(short=True)
    monkeypatch.setenv(name, "-Xss4m -XX:+UseG1GC")
    assert "-XX:+UseSerialGC" not in driver_options(short=True)
