"""What is missing is told before a JVM is started."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from support.lake import Lake
from support.processes import completed, quick, seconds_of_work


@pytest.fixture
def java_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that appears when anything starts the Java of JAVA_HOME."""
    mark = tmp_path / "java_was_started"
    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\ntouch '{mark}'\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(java.parents[1]))
    return mark


def test_no_customers(lake: Lake, java_was_started: Path) -> None:
    write_deltalake(lake.path("bronze.sales"), pa.table({"order_id": pa.array([], pa.string())}))
    shutil.rmtree(lake.path("silver.customers"))

    # Bronze does not read it, and would run.
    took, code, said = seconds_of_work(lake, "run", "silver")

    assert code == 2, said
    assert took < quick()
    assert "there is no dimension silver.customers at" in said
    assert "medallion generate --files 0" in said
    assert not java_was_started.exists()
    assert not lake.path("silver.sales").exists()


def test_no_landing_folder(lake: Lake, java_was_started: Path) -> None:
    lake.folder.rmdir()
    code, said = completed(lake, "run")
    assert code == 2, said
    assert f"there is no landing folder {lake.folder}" in said
    assert "medallion generate" in said
    assert not java_was_started.exists()
