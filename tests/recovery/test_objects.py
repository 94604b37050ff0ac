"""The whole sales pipeline in a store that speaks S3, killed and started again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import objects
from support.exact import assert_exact
from support.processes import Medallion, completed
from support.stored import StoredLake

SCRIPT = Path(__file__).parents[1] / "support" / "dies_at.py"
POINTS = ("during_the_bronze_write", "after_the_bronze_commit", "before_the_commit_log")


@pytest.fixture(scope="module")
def store() -> Iterator[objects.Store]:
    with objects.running() as running, pytest.MonkeyPatch.context() as environment:
        for name, value in running.environment.items():
            environment.setenv(name, value)
        yield running


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "points", [POINTS[1:2], pytest.param(POINTS, marks=pytest.mark.slow)], ids=["one", "three"]
)
def test_killed_and_started_again(
    store: objects.Store, tmp_path: Path, points: tuple[str, ...]
) -> None:
    # A killed process dies in the second batch that it comes to, which may be one done before.
    files = 2 * (len(points) + 1)
    lake = StoredLake.in_store(store, tmp_path, "bronze.sales.source.max_files_per_trigger=2")
    lake.generate(files, rows=30, dirty=0.2)
    for point in points:
        with Medallion(lake, "run", "bronze", script=SCRIPT, DIES_AT=point) as run:
            assert run.wait() == -9, run.text
    code, said = completed(lake, "run", "--progress", "json")
    assert code == 0, said
    assert "took over from a run that died" in said
    assert_exact(lake)
    assert not any((tmp_path / name).exists() for name in ("lake", "s3a:", "spark-warehouse"))

    landed = [path.name for path in store.at("landing").rglob("*")]
    assert [name for name in landed if name.endswith(".reader")] == []

    versions = lake.versions()
    code, said = completed(lake, "run", "--progress", "json")
    assert code == 0, said
    assert lake.versions() == versions

    told = {one["table"]: one for one in json.loads(lake.cli("status", "--json"))}
    assert told["gold.sales_by_region_day"]["rows"] == len(lake.rows("gold.sales_by_region_day"))
    counted = lake.cli("query", "SELECT sum(total_quantity) AS n FROM gold.sales_by_region_day")
    wanted = sum(row["total_quantity"] or 0 for row in lake.rows("gold.sales_by_region_day"))
    assert str(wanted) in counted
    for secret in (objects.SECRET, objects.KEY):
        assert secret not in said


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_rebuild_in_a_store(store: objects.Store, tmp_path: Path) -> None:
    lake = StoredLake.in_store(store, tmp_path)
    lake.generate(2, rows=30, dirty=0.2)
    rebuild = ("rebuild", "silver.sales", "--downstream", "--reason", "a test", "--yes")
    for words in (("run",), rebuild, ("run",)):
        code, said = completed(lake, *words)
        assert code == 0, said
        assert_exact(lake)
    assert not lake.place("slots/rebuild/silver/sales").exists()
    assert sorted(row["table_name"] for row in lake.rows("metrics/rebuilds")) == [
        "gold.sales_by_region_day",
        "silver.sales",
    ]
