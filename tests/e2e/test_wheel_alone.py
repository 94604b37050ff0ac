"""With nothing but the wheel: a project is made, runs, and is found from everywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from support.exports import EXPORTS, differences
from support.lake import ROOT
from support.processes import PATIENCE


@pytest.fixture(scope="session")
def medallion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment that has the wheel, and this environment's other packages."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    package = "medallion_jobs"
    shutil.copytree(ROOT / package, sources / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources / name)
    pip = [sys.executable, "-m", "pip"]
    made = [*pip, "wheel", str(sources), "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run(made, check=True, capture_output=True)
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    # Without what the files of this environment name: the repository is one of these folders.
    own = sysconfig.get_path("purelib", vars={"base": str(folder / "venv")})
    Path(own, "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (wheel,) = folder.glob("*.whl")
    installed = [*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(installed, check=True, capture_output=True)
    return folder / "venv" / "bin" / "medallion"


def run(command: Path, cwd: Path, *words: str) -> str:
    """A command in an environment as cron has it."""
    environ = {key: os.environ[key] for key in ("HOME", "PATH", "JAVA_HOME") if key in os.environ}
    done = subprocess.run(
        [str(command), *words],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTS)
def test_three_commands_from_files_to_gold(name: str, medallion: Path, tmp_path: Path) -> None:
    folder = EXPORTS[name].into(tmp_path / "exports" / name)
    run(medallion, tmp_path, "init", "shop", "--from", str(folder))
    run(medallion, tmp_path / "shop" / "tests", "run")  # from a sub-folder
    assert differences(EXPORTS[name], folder, tmp_path / "shop" / "lake") == {}
    table = next(iter(EXPORTS[name].gold))
    query = ("query", f"SELECT sum(row_count) AS n FROM gold.{table}", "--format", "csv")
    config = ("--config", str(tmp_path / "shop" / "medallion.yaml"))
    counted = run(medallion, Path("/"), *query, *config)
    assert int(counted.split()[1]) > 0
    assert [str(path.parent) for path in tmp_path.rglob("_medallion")] == [
        str(tmp_path / "shop" / "lake")
    ]


@pytest.mark.slow
def test_what_comes_with_the_wheel(medallion: Path, tmp_path: Path) -> None:
    run(medallion, tmp_path, "init", "shop", "--template", "sales")
    assert "landing" in run(medallion, tmp_path, "explain", "no_landing_folder")
    assert '"pipeline"' in run(medallion, tmp_path / "shop", "config", "schema")
    run(medallion, tmp_path / "shop", "generate", "--files", "1", "--rows", "10")
    assert [file.suffix for file in (tmp_path / "shop" / "landing" / "sales").iterdir()] == [
        ".json"
    ]
