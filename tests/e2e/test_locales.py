"""Names outside ASCII, where a scheduler starts jobs under the locale C."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable
from support.lake import ROOT
from support.processes import PATIENCE, SHORT_LIVED

from medallion_jobs.runtime.java import find_java

CONFIG = """
pipeline: p
bronze:
  sales:
    source: {format: json, schema: "id bigint, wo string", partition_columns: [wo]}
    layout: {partition_by: [wo]}
"""
ROWS = {(1, "Öst"), (2, "Łódź ☃")}

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a config, and files in folders, none of them named in ASCII."""
    home = tmp_path / "Umsätze ☃"
    for number, where in ROWS:
        folder = home / "landing" / "sales" / f"wo={where}"
        folder.mkdir(parents=True)
        file = folder / f"März {number}.json"
        file.write_text(json.dumps({"id": number}), encoding="utf-8")
        os.utime(file, (1_700_000_000, 1_700_000_000))
    (home / "größe.yaml").write_text(CONFIG, encoding="utf-8")
    return home


def started(home: Path, *line: str, **environ: str) -> Done:
    """Runs a line with nothing in its environment but what it needs, under the locale C."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    keep = {name: os.environ[name] for name in ("HOME", "MEDALLION_CACHE") if name in os.environ}
    java = {"JAVA_HOME": str(find_java().home), "JDK_JAVA_OPTIONS": SHORT_LIVED}
    return subprocess.run(
        line,
        env={"PATH": path, "LC_ALL": "C", "PYTHONPATH": str(ROOT), **keep, **java, **environ},
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
        cwd=home,
    )


def options(home: Path) -> list[str]:
    roots = (f"storage.root={home}/lake", f"landing.root={home}/landing")
    return ["--config", "größe.yaml", *(word for root in roots for word in ("--set", root))]


def check(home: Path, done: Done) -> None:
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    table = home / "lake" / "bronze" / "sales"
    rows = DeltaTable(table).to_pyarrow_table(columns=["id", "wo"]).to_pylist()
    assert {(row["id"], row["wo"]) for row in rows} == ROWS
    read = f"SELECT id, wo FROM read_parquet('{table}/*/*.parquet', hive_partitioning = true)"
    assert set(duckdb.sql(read).fetchall()) == ROWS
    assert [path.name for path in home.parent.iterdir()] == [home.name]


def test_a_run(home: Path) -> None:
    check(home, started(home, "medallion", "run", "--progress", "lines", *options(home)))
    told = started(home, "medallion", "files", "--config", "größe.yaml", *options(home)[2:])
    assert all(f"M%C3%A4rz%20{n}" in told.stdout or f"März%20{n}" in told.stdout for n in (1, 2))


@pytest.mark.slow
def test_a_submitted_job(home: Path) -> None:
    """By `scripts/submit`; a bare spark-submit ends at once, and says what does work."""
    job = str(ROOT / "medallion_jobs" / "bronze.py")
    roots = {
        "MEDALLION__STORAGE__ROOT": f"{home}/lake",
        "MEDALLION__LANDING__ROOT": f"{home}/landing",
    }
    (home.parent / "ascii.yaml").write_text(CONFIG, encoding="utf-8")
    in_ascii = (job, "--config", str(home.parent / "ascii.yaml"))
    for words, environ in (((job, *options(home)), {}), (in_ascii, roots)):
        bare = started(home, "spark-submit", *words, **environ)
        assert bare.returncode == 2, bare.stderr
        assert "not started under a UTF-8 locale" in bare.stdout
        assert not (home / "lake").exists()
        (line,) = [x for x in bare.stdout.splitlines() if x.startswith("  next:")]
        assert "env LC_ALL=C.UTF-8" in line
    (home.parent / "ascii.yaml").unlink()
    submit = (sys.executable, "-m", "medallion_jobs.runtime", "submit", "bronze")
    check(home, started(home, *submit, *options(home)))
