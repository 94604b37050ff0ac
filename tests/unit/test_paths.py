"""Where everything of a table lies: these places are an interface, and none may move."""

from __future__ import annotations

from pathlib import Path

import pytest

from medallion_jobs.autoloader import AutoLoader
from medallion_jobs.autoloader.archive.cleanup import Cleaned
from medallion_jobs.autoloader.archive.registrations import Reader
from medallion_jobs.checkpoint import QueryFolder
from medallion_jobs.config import Pipeline, TableRef, pipeline_from_values
from medallion_jobs.errors import UsageError
from medallion_jobs.gold import GoldStream
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.silver import SilverStream

BRONZE, SILVER = TableRef("bronze", "orders"), TableRef("silver", "orders")
OF_A_TABLE = (
    "data",
    "state",
    "checkpoints",
    "ledger",
    "discovered",
    "events",
    "schemas",
    "quarantine",
    "held",
    "tombstones",
    "changes",
    "metrics",
    "rule_metrics",
)
LIVE = {
    "data": "silver/orders",
    "state": "_medallion",
    "checkpoints": "_medallion/checkpoints/silver/orders",
    "ledger": "_medallion/ledger/orders",
    "discovered": "_medallion/ledger/orders/discovered",
    "events": "_medallion/ledger/orders/events",
    "schemas": "_medallion/schemas/orders",
    "quarantine": "_medallion/quarantine/silver/orders",
    "held": "_medallion/held/silver/orders",
    "tombstones": "_medallion/tombstones/silver/orders",
    "changes": "_medallion/changes/silver/orders",
    "metrics": "_medallion/metrics/silver/orders",
    "rule_metrics": "_medallion/metrics/quality/silver/orders",
}
IN_A_SLOT = {
    "data": "_medallion/slots/rebuild/silver/orders",
    "state": "_medallion/slots/rebuild",
    "checkpoints": "_medallion/slots/rebuild/checkpoints/silver/orders",
    "ledger": "_medallion/slots/rebuild/ledger/orders",
    "discovered": "_medallion/slots/rebuild/ledger/orders/discovered",
    "events": "_medallion/slots/rebuild/ledger/orders/events",
    "schemas": "_medallion/slots/rebuild/schemas/orders",
    "quarantine": "_medallion/slots/rebuild/quarantine/silver/orders",
    "held": "_medallion/slots/rebuild/held/silver/orders",
    "tombstones": "_medallion/slots/rebuild/tombstones/silver/orders",
    "changes": "_medallion/slots/rebuild/changes/silver/orders",
    "metrics": "_medallion/slots/rebuild/metrics/silver/orders",
    "rule_metrics": "_medallion/slots/rebuild/metrics/quality/silver/orders",
}


def config_at(root: str, landing: Path) -> Pipeline:
    values = {
        "pipeline": "shop",
        "storage": {"root": root},
        "bronze": {"orders": {"source": {"format": "json", "path": str(landing)}}},
        "silver": {"orders": {"from": "bronze.orders", "select": ["a"]}},
        "gold": {
            "totals": {
                "from": "silver.orders",
                "group_by": ["a"],
                "measures": {"n": "count(*)"},
                "mode": "incremental",
                "sinks": [{"jdbc": {"url": "jdbc:postgresql://db/shop"}}],
            }
        },
    }
    return pipeline_from_values(values, "a test")


@pytest.fixture
def config(tmp_path: Path) -> Pipeline:
    (tmp_path / "in").mkdir()
    return config_at(str(tmp_path / "lake"), tmp_path / "in")


@pytest.mark.parametrize("root", ["/data/lake", "s3a://bucket/lake", "s3a://bucket"])
@pytest.mark.parametrize(("slot", "places"), [("live", LIVE), ("rebuild", IN_A_SLOT)])
def test_every_place_of_a_table(root: str, slot: str, places: dict[str, str]) -> None:
    table = TablePaths(config_at(root, Path("/in")), SILVER, slot)
    found = {name: str(getattr(table, name)) for name in OF_A_TABLE}
    assert found == {name: f"{root}/{place}" for name, place in places.items()}


def test_no_place_is_left_out() -> None:
    properties = {name for name, value in vars(TablePaths).items() if isinstance(value, property)}
    assert properties == {*OF_A_TABLE, "is_live", "everything"}
    assert LIVE.keys() == IN_A_SLOT.keys() == set(OF_A_TABLE)


def test_the_places_of_the_whole_lake() -> None:
    config = config_at("/lake", Path("/in"))
    assert str(paths.lake(config)) == "/lake"
    assert str(paths.warehouse(config)) == "/lake/_medallion/warehouse"
    quarantine = TablePaths(config, SILVER).quarantine
    assert str(paths.releases(quarantine)) == "/lake/_medallion/quarantine/silver/orders/_claims"
    assert {str(ref): str(path) for ref, path in paths.sources(config).items()} == {
        "bronze.orders": "/lake/_medallion/ledger/orders/discovered",
        "silver.orders": "/lake/bronze/orders",
        "gold.totals": "/lake/silver/orders",
    }


def test_live_unless_another_slot_is_named(config: Pipeline) -> None:
    assert TablePaths(config, SILVER) == TablePaths(config, SILVER, "live")
    assert str(TablePaths(config, SILVER)) == "silver.orders"
    assert str(TablePaths(config, SILVER, "rebuild")) == "silver.orders in slot rebuild"


@pytest.mark.parametrize("name", ["", "..", "a/b", "a-b", "1st", "live\n", "a" * 65])
def test_a_slot_has_the_name_of_a_folder_below_its_own(config: Pipeline, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a slot"):
        TablePaths(config, SILVER, name)


def test_a_stream_writes_into_its_slot_and_reads_what_is_live(config: Pipeline) -> None:
    live, beside = (SilverStream(config, "orders", slot=slot).claim for slot in ("live", "rebuild"))
    table = TablePaths(config, SILVER, "rebuild")
    assert (beside.target_path, beside.query_folder) == (table.data, QueryFolder.of(table))
    assert beside.query_folder.ref == live.query_folder.ref
    assert (beside.source_path, beside.reads) == (live.source_path, live.reads)
    assert beside.source_path == TablePaths(config, BRONZE).data
    assert beside.logic == live.logic


def test_a_loader_writes_into_its_slot(config: Pipeline) -> None:
    loader = AutoLoader.to_table(config, "orders", slot="rebuild")
    table = TablePaths(config, BRONZE, "rebuild")
    assert loader.claim.target_path == loader.written_to == table.data
    assert loader.claim.source_path == loader.ledger.discovered == table.discovered
    called = AutoLoader.to_function(config, "orders", print, slot="rebuild")
    assert called.claim.target_path == called.ledger.events == table.events


def test_a_database_is_loaded_with_the_live_table_only(config: Pipeline) -> None:
    live, beside = (GoldStream(config, "totals", slot=slot) for slot in ("live", "rebuild"))
    assert len(live.sinks) == 1
    assert len(beside.sinks) == 0
    assert beside.claim.target_path == TablePaths(config, beside.ref, "rebuild").data
    assert beside.claim.source_path == live.claim.source_path == TablePaths(config, SILVER).data


def registered(config: Pipeline) -> Pipeline:
    values = config.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    values["bronze"]["orders"]["source"]["register_as_reader"] = True
    return Pipeline.model_validate(values)


def test_a_slot_waits_for_files_and_cleans_none(
    config: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that the live table's query cleans must have been read in every slot."""
    config = registered(config)
    cleaned = []
    for slot in ("live", "rebuild"):
        loader = AutoLoader.to_table(config, "orders", slot=slot)
        loader.ledger.ensure()
        clean = lambda _, slot=slot: cleaned.append(slot) or Cleaned()  # noqa: E731
        monkeypatch.setattr(loader.cleaner, "clean", clean)
        loader.discover()
    assert cleaned == ["live"]
    files = list((tmp_path / "in" / ".medallion" / "readers").iterdir())
    assert len(files) == 2
    readers = {Reader.of(TablePaths(config, BRONZE, slot)).ledger for slot in ("live", "rebuild")}
    assert readers == {
        str(tmp_path / "lake" / "_medallion" / x / "ledger" / "orders")
        for x in ("", "slots/rebuild")
    }
