"""The services of docker-compose.yml, run as their containers would run, to a correct gold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.containers import Engine, why_not
from support.exact import assert_exact
from support.image import in_order
from support.lake import Lake
from support.oracle import Truth
from support.processes import SHORT_LIVED

SECRET = "0123456789abcdef" * 4
# Small and quick, by the variables that .env.example names.
ENVIRONMENT = {
    "SPARK_AUTH_SECRET": SECRET,
    "AWS_ACCESS_KEY_ID": "key-of-the-test",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
    "SPARK_DAEMON_MEMORY": "192m",
    "SPARK_DRIVER_MEMORY": "640m",
    "SPARK_EXECUTOR_MEMORY": "512m",
    "RATE": "500",
    "ROWS": "100",
    "DURATION": "2s",
    "INTERVAL": "1s",
}
LAYERS = ("bronze", "silver", "gold")

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"no containers here: {why_not()}")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    tmp_path.chmod(0o755)
    with Engine(tmp_path, ENVIRONMENT, {"JAVA_TOOL_OPTIONS": SHORT_LIVED}) as made:
        yield made


@pytest.fixture
def lake(engine: Engine) -> Lake:
    return Lake(engine.volume("lake"), engine.volume("landing"))


@pytest.mark.slow
def test_the_cluster_form_comes_to_a_correct_gold_and_ends_cleanly(
    engine: Engine, lake: Lake
) -> None:
    _up(engine, *in_order(engine.services))
    _await_exact_gold(engine, lake)
    assert {layer: engine.stop(layer) for layer in LAYERS} == dict.fromkeys(LAYERS, 0)
    assert_exact(lake, _truth(lake))
    assert re.search(r"gold\.sales_by_region_day +batch \d+ ", engine.said("gold"))
    assert not [name for name in engine.running if SECRET in engine.said(name)]


@pytest.mark.slow
def test_the_local_form_does_so_too(engine: Engine, lake: Lake) -> None:
    _up(engine, "seed", "generator", "local")
    _await_exact_gold(engine, lake)
    engine.await_ready("local", "service_healthy")
    assert engine.stop("local") == 0
    assert_exact(lake, _truth(lake))


def _up(engine: Engine, *names: str) -> None:
    """Starts services in this order, each when those that it depends on are as it wants them."""
    for name in names:
        for other, how in engine.services[name].get("depends_on", {}).items():
            if other in engine.running:
                engine.await_ready(other, how["condition"])
        engine.start(name)


def _await_exact_gold(engine: Engine, lake: Lake) -> None:
    engine.await_ready("generator", "service_completed_successfully")
    wanted = sum(row[2] or 0 for row in lake.truth().gold.elements())
    engine.await_that(lambda: _total(lake) == wanted)


def _truth(lake: Lake) -> Truth:
    """What the tables must hold, of the files by the paths that the services know them by."""
    seen = lake.truth()
    inside = {path: f"/landing{path.removeprefix(str(lake.landing))}" for path in seen.files}
    files = {inside[path]: replace(file, path=inside[path]) for path, file in seen.files.items()}
    return Truth(files, seen.regions)


def _total(lake: Lake) -> int:
    # A table is there from its first commit on; its folder is a moment before.
    if not (lake.path("gold.sales_by_region_day") / "_delta_log" / f"{0:020}.json").exists():
        return -1
    return sum(row["total_quantity"] or 0 for row in lake.rows("gold.sales_by_region_day"))
