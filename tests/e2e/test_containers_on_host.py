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
    with Engine(tmp_path, ENVIRONMENT) as made:
        yield made


def test_the_cluster_form_comes_to_a_correct_gold_and_ends_cleanly(engine: Engine) -> None:
    services = engine.services
    for name in in_order(services):
        for other, how in services[name].get("depends_on", {}).items():
            if other in engine.running:
                engine.await_ready(other, how["condition"])
        engine.start(name)
    engine.await_ready("generator", "service_completed_successfully")
    engine.await_ready("gold", "service_healthy")

    lake = Lake(engine.volume("lake"), engine.volume("landing"))
    truth = _as_seen_inside(lake.truth(), lake.landing)
    engine.await_that(lambda: _total(lake) == sum(row[2] or 0 for row in truth.gold.elements()))

    assert {layer: engine.stop(layer) for layer in LAYERS} == dict.fromkeys(LAYERS, 0)
    assert_exact(lake, truth)
    assert re.search(r"gold\.sales_by_region_day +batch \d+ ", engine.said("gold"))


def _as_seen_inside(truth: Truth, landing: Path) -> Truth:
    """The files under the path that the services know them by."""
    inside = {path: f"/landing{path.removeprefix(str(landing))}" for path in truth.files}
    files = {inside[path]: replace(file, path=inside[path]) for path, file in truth.files.items()}
    return Truth(files, truth.regions)


def _total(lake: Lake) -> int:
    return sum(row["total_quantity"] or 0 for row in lake.rows("gold.sales_by_region_day"))
