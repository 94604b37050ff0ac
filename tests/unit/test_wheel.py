"""The wheel holds the whole package, and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from support.lake import ROOT

PACKAGE = "medallion_jobs"


def test_every_module_and_data_file_is_in_the_wheel(tmp_path: Path) -> None:
    sources = tmp_path / "sources"  # the build writes beside what it builds
    shutil.copytree(ROOT / PACKAGE, sources / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources / name)
    # With this environment's own setuptools, so that the test needs no network.
    line = [sys.executable, "-m", "pip", "wheel", str(sources), "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*line, "-w", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        (points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        commands = archive.read(points).decode()
        (about,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        (licence,) = [name for name in archive.namelist() if name.endswith("/LICENSE")]
        assert "License-Expression: Apache-2.0" in archive.read(about).decode()
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    expected = {
        str(file.relative_to(ROOT))
        for file in (ROOT / PACKAGE).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert held == expected
    assert f"{PACKAGE}/engine/log4j2.properties" in held
    # In the repository, these are links to conf/ and docs/.
    assert {f"{PACKAGE}/project/templates/sales.yaml", f"{PACKAGE}/cli/errors.md"} <= held
    assert "medallion = medallion_jobs.cli:main" in commands
    assert "[pytest11]\nmedallion = medallion_jobs.testing.pytest_plugin" in commands


def test_the_files_beside_modules_are_there() -> None:
    """A module that is moved may leave such a file behind, and nothing fails."""
    named = [
        file.with_name(name)
        for file in (ROOT / PACKAGE).rglob("*.py")
        for name in re.findall(
            r'Path\(__file__\)\.with_name\("([^"]+)"\)', file.read_text(encoding="utf-8")
        )
    ]
    assert named
    assert [file for file in named if not file.is_file()] == []
