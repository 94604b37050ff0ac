"""Names outside ASCII under any locale. No JVM; `tests/e2e/test_locales.py` starts some."""

from __future__ import annotations

import locale
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from py4j.protocol import Py4JError
from support.image import stages
from support.lake import ROOT

from medallion_jobs.engine import failures
from medallion_jobs.runtime import locales
from medallion_jobs.runtime.locales import impossible_names, utf8_environment

UTF8 = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}


@pytest.mark.parametrize(
    ("environ", "added"),
    [
        ({}, UTF8),
        ({"LC_ALL": "C"}, UTF8),
        ({"LC_ALL": "POSIX", "LANG": "C.UTF-8"}, UTF8),
        ({"LANG": "C"}, UTF8),
        ({"LANG": "C.UTF-8", "LC_CTYPE": "C"}, UTF8),
        ({"LANG": "xx_XX.UTF-8"}, UTF8),  # not installed: it would be C
        ({"LANG": "C.UTF-8"}, {}),
        ({"LC_ALL": "", "LANG": "C.utf8"}, {}),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, {}),
    ],
)
def test_a_process_gets_a_utf8_locale_if_it_has_none(
    environ: dict[str, str], added: dict[str, str]
) -> None:
    before = locale.setlocale(locale.LC_CTYPE)
    assert utf8_environment(environ) == added
    assert locale.setlocale(locale.LC_CTYPE) == before


def test_machines_without_that_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    has = {"en_US.UTF-8"}
    monkeypatch.setattr(locales, "_is_utf8", has.__contains__)
    assert utf8_environment({"LC_ALL": "C"})["LC_ALL"] == "en_US.UTF-8"
    assert utf8_environment({"LANG": "en_US.UTF-8"}) == {}
    has.clear()
    assert utf8_environment({"LC_ALL": "C"}) == {}


def jvm(encoding: str) -> Any:
    system = SimpleNamespace(getProperty=lambda _: encoding)
    return SimpleNamespace(java=SimpleNamespace(lang=SimpleNamespace(System=system)))


def test_which_names_a_jvm_cannot_open() -> None:
    names = ["/a/b", "/Umsätze", "s3a://b/Umsätze", "/a/März ☃.json"]
    assert impossible_names(jvm("ANSI_X3.4-1968"), names) == ["/Umsätze", "/a/März ☃.json"]
    assert impossible_names(jvm("ISO-8859-1"), names) == ["/Umsätze", "/a/März ☃.json"]
    assert impossible_names(jvm("UTF-8"), names) == []
    assert impossible_names(None, names[:1]) == []


def test_a_name_that_a_jvm_could_not_write_is_the_locales_fault() -> None:
    java = "java.nio.file.InvalidPathException: Malformed input or input contains unmappable"
    failure = Py4JError(f"{java} characters: /lake/bronze/x/a=Äst/part-0.parquet")
    error = failures.explain("bronze.x", failure, Path("/lake"))
    assert error.code == "locale_not_utf"
    assert "cannot write /lake/bronze/x/a=Äst/part-0.parquet" in error.what
    assert "LC_ALL=C.UTF-8" in error.next_step


def test_the_image_has_a_utf8_locale() -> None:
    assert stages()[-1].env.items() >= UTF8.items()


def in_other_locale(folder: Path) -> dict[str, dict[str, str]]:
    """Environments in which Python itself is not in UTF-8; the second needs `localedef`."""
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    localedef, name = shutil.which("localedef"), "de_DE.ISO-8859-1"
    made = {"ascii": ascii_only}
    if localedef and Path("/usr/share/i18n/locales/de_DE").exists():
        make = [localedef, "-i", "de_DE", "-f", "ISO-8859-1", str(folder / name)]
        subprocess.run(make, check=True, capture_output=True)
        made["latin"] = {"LC_ALL": name, "LOCPATH": str(folder)}
    return made


def test_the_command_line_is_in_utf8(tmp_path: Path) -> None:
    """Its files, its arguments, what it prints, and what it reads from a folder."""
    home = tmp_path / "Umsätze"
    (home / "in").mkdir(parents=True)
    config = home / "März ☃.yaml"
    config.write_text(
        "pipeline: p\nbronze: {x: {source: {format: text, path: ./in}}}\n", encoding="utf-8"
    )
    root = f"{home}/Łódź"
    line = [sys.executable, "-m", "medallion_jobs", "config", "show", "--config", str(config)]
    for name, environ in in_other_locale(tmp_path).items():
        done = subprocess.run(
            [*line, "--set", f"storage.root={root}", "--origin"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ},
            capture_output=True,
            check=False,
            cwd=home,
        )
        assert done.returncode == 0, (name, done.stderr)
        assert root in done.stdout.decode("utf-8"), name
        assert "März ☃.yaml" in done.stdout.decode("utf-8"), name
