"""A pipeline from Python, as its page shows it and beyond."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from support.lake import Lake

from medallion_jobs.config import ConfigError
from medallion_jobs.errors import MedallionError, Refused, UsageError
from medallion_jobs.pipeline import Pipeline, Run

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "python.md"
GOLD = "gold.sales_by_region_day"


def test_the_page(
    lake: Lake,
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lake.generate(2, rows=30)
    folder = lake.storage.parent
    shutil.copytree(ROOT / "conf", folder / "conf")
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"spark": spark}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    for code in blocks:
        exec(compile(code.replace("30.0", "1.0"), str(PAGE), "exec"), names)

    sales, table = names["sales"], names["table"]
    found = duckdb.sql(f"SELECT * FROM delta_scan('{lake.storage}/gold/sales_by_region_day')")
    assert sorted(table.to_pylist(), key=str) == sorted(found.to_arrow_table().to_pylist(), key=str)
    assert list(sales.tables) == ["bronze.sales", "silver.sales", GOLD]
    told = capsys.readouterr().out
    assert "['bronze.sales', 'silver.sales', 'gold.sales_by_region_day']" in told
    assert re.search(r"\n\d{8}-\S+ {'bronze.sales': 60, 'silver.sales': \d+, ", told)


def test_what_it_does_is_what_the_commands_do(
    lake: Lake, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.generate(1, rows=20)
    overrides = {"storage.root": str(lake.storage), "landing.root": str(lake.landing)}
    monkeypatch.chdir(ROOT / "conf")
    sales = Pipeline.load(overrides=overrides)
    assert not sales.tables[GOLD].exists
    with pytest.raises(UsageError, match="was never written"):
        sales.tables[GOLD].to_arrow()

    events: list[object] = []
    first = sales.run("bronze", spark=spark, emit=events.append)
    assert isinstance(first, Run)
    assert first.rows == {"bronze.sales": 20}
    assert events == list(first.events)
    assert [table.state for table in sales.plan(select=["bronze.sales"]).tables] == ["unchanged"]
    second = sales.run(spark=spark, select=["bronze.sales+"])
    assert set(second.rows) == {"silver.sales", GOLD}
    assert first.id in lake.cli("runs")
    before = sales.tables["silver.sales"].read(spark)
    assert before.count() == sales.tables["silver.sales"].to_arrow().num_rows == 20
    assert sales.tables["silver.sales"].read(spark, version=0).count() == 0

    for words, code in (
        (("brons",), "unknown_layer"),
        (("gold", "silver", "brons"), "unknown_layer"),
    ):
        with pytest.raises(MedallionError) as wrong:
            sales.run(*words, spark=spark)
        assert wrong.value.code == code
    with pytest.raises(MedallionError) as wrong:
        sales.run("gold", spark=spark, select=["bronze.sales"])
    assert wrong.value.code == "layer_is_empty"
    with pytest.raises(ConfigError):
        Pipeline.load(ROOT / "conf" / "sales.yaml", overrides={"trigger.interval": "soon"})
    measures = {f"{GOLD}.measures.twice": {"sql": "no_such_function(quantity)"}}
    with pytest.raises(ConfigError, match="no_such_function"):
        Pipeline.load(sales.file, overrides={**overrides, **measures}).validate(spark)
    counted = {**overrides, f"{GOLD}.measures.orders": "count(*)"}
    with pytest.raises(Refused, match="its logic changed"):
        Pipeline.load(sales.file, overrides=counted).validate(spark)
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
