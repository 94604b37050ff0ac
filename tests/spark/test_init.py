"""What `medallion init` proposes is valid, and gives what DuckDB makes of the files by itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.exports import EXPORTS, differences
from typer.testing import CliRunner

from medallion_jobs import validation
from medallion_jobs.cli import app
from medallion_jobs.config import load
from medallion_jobs.testing import LakeHarness

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "mixed" else pytest.mark.slow) for name in EXPORTS],
)
def test_a_proposed_pipeline_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark: SparkSession
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = EXPORTS[name].into(tmp_path / "exports" / name)
    made = CliRunner().invoke(app, ["init", "shop", "--from", str(folder)])
    assert made.exit_code == 0, made.exception
    file = tmp_path / "shop" / "medallion.yaml"
    validation.check(spark, load(file, environ={}))
    lake = LakeHarness.of(file, tmp_path)
    lake.run()
    assert differences(EXPORTS[name], folder, tmp_path / "lake") == {}
    for table in lake.config.bronze:
        assert not any(row["_rescued_data"] for row in lake.rows(f"bronze.{table}"))
        assert lake.quarantined(f"bronze.{table}") == []
