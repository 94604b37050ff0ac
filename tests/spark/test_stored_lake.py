"""A lake that an earlier version left goes on: no refusal, no row changed, the next files exact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import exact
from support.lake import Lake, batches, rows_at
from support.pipelines import PIPELINES, assert_exact, found_in
from support.stored_lake import StoredLake, StoredSales, archives, unpacked


@pytest.fixture(scope="module", params=archives(), ids=lambda path: path.stem)
def stored(request: pytest.FixtureRequest, spark: object) -> Iterator[Path]:
    with unpacked(request.param) as place:
        yield place


def test_the_sales_lake(stored: Path) -> None:
    lake = StoredSales.here()
    before = contents(lake)
    events = lake.run()
    assert contents(lake) == before
    (redone,) = batches(events, "silver.sales")
    assert "written by the run before" in redone.remarks[0]
    for file in lake.later.iterdir():
        file.rename(lake.folder / file.name)
    assert batches(lake.run(), "bronze.sales")[0].files == 2
    exact.assert_exact(lake)


@pytest.mark.slow
@pytest.mark.parametrize("name", PIPELINES)
def test_the_other_lakes(stored: Path, name: str) -> None:
    lake = StoredLake.named(name)
    before = contents(lake, "bronze", "silver")
    quarantined = quarantine(lake)
    held_before = len(held(lake))
    events = lake.run()
    assert contents(lake, "bronze", "silver") == before
    if name == "iot_sales":  # it was killed before rows without a customer were held
        (redone,) = batches(events, "silver.sales_enriched")
        assert "written by the run before" in redone.remarks[0]
        assert len(held(lake)) > held_before
    else:
        assert batches(events, f"bronze.{lake.folder.name}")
        assert quarantine(lake) == quarantined != []
    files = [file for table in lake.config.bronze for file in (lake.staging / table).glob("*")]
    assert files
    lake.land(sorted(files, key=lambda file: file.name.split("_")[-2]))
    lake.run()
    if name == "transactions":
        # The version that stored the lake wrote JSON within JSON without spaces.
        for table, rows in lake.tables().items():
            assert _without_spaces(found_in(lake, table)) == _without_spaces(rows)
    else:
        assert_exact(lake)
    if name == "iot_sales":
        lake.cli("verify", "--layers")  # it raises where a table differs


def _without_spaces(rows: Counter[tuple[Any, ...]]) -> Counter[Any]:
    return Counter(_bare(row) for row in rows.elements())


def _bare(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_bare, value))
    return value.replace(" ", "") if isinstance(value, str) else value


def contents(lake: Lake, *layers: str) -> dict[str, list[str]]:
    """Every row of every table of these layers, as text."""
    return {
        f"{layer}.{name}": sorted(map(str, lake.rows(f"{layer}.{name}")))
        for layer in layers or exact.LAYERS
        for name in getattr(lake.config, layer)
    }


def quarantine(lake: Lake) -> list[str]:
    """Every quarantined row, of all tables."""
    return put_aside(lake, "quarantine")


def held(lake: Lake) -> list[str]:
    """Every row that waits for a dimension, or has waited."""
    return put_aside(lake, "held")


def put_aside(lake: Lake, why: str) -> list[str]:
    logs = (lake.storage / "_medallion" / why).rglob("_delta_log")
    rows = [row for log in logs for row in rows_at(log.parent)]
    # Columns that the version which stored the lake did not have.
    newer = ("bytes", "is_whole")
    return sorted(str({k: v for k, v in row.items() if k not in newer}) for row in rows)
