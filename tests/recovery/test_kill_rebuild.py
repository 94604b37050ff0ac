"""`kill -9` in a rebuild, on a way back and in a promotion: the same command finishes it.

Live tables are whole meanwhile.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import ways
from support.dies_in_rebuild import BACK, POINTS, PROMOTION
from support.own import OwnLake
from support.processes import Medallion

from medallion_jobs.autoloader.schemas.registry import Registry
from medallion_jobs.checkpoint import journal
from medallion_jobs.config import TableRef
from medallion_jobs.errors import Refused
from medallion_jobs.lake.paths import TablePaths

SCRIPT = Path(__file__).parents[1] / "support" / "dies_in_rebuild.py"
TABLE = TableRef("silver", "way_upsert")
# The live table and its checkpoint do not belong together: between these two moments.
REFUSED = (
    *("before_the_rows_are_replaced", "after_the_rows_are_replaced", "amid_what_is_kept_beside"),
    *("before_the_checkpoint_is_moved", "after_the_checkpoint_is_moved"),
    "after_the_generation_is_opened",
)
QUICK = ("after_the_rows_are_replaced",)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, spark: object) -> OwnLake:
    return ways.made(tmp_path_factory.mktemp("ways"), ways.FEW)


def rows(lake: OwnLake) -> dict[str, list[str]]:
    return ways.rows(lake, ways.FEW_TABLES)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "point", [p if p in QUICK else pytest.param(p, marks=pytest.mark.slow) for p in POINTS]
)
def test_killed(point: str, finished: OwnLake, tmp_path: Path) -> None:
    plain, killed = finished.copy(tmp_path / "plain"), finished.copy(tmp_path / "killed")
    words = ("rebuild", str(TABLE), "--downstream", "--reason", "a test", "--yes")

    with Medallion(killed, *words, script=SCRIPT, DIES_AT=point) as command:
        assert command.wait() == -9, command.text

    # Readers see all rows: here, those of before and those of after are the same.
    assert rows(killed) == rows(plain)
    ways.land(plain, 2)  # both read the same folder
    plain.run()
    if point in REFUSED:
        with pytest.raises(Refused) as refused:
            killed.run()
        assert refused.value.code == "rebuild_interrupted"
    elif point != "before_the_slot_is_removed":
        # The live table goes on as if nothing had been.
        killed.run()
        assert rows(killed) == rows(plain)

    killed.cli(*words)
    killed.run()
    assert rows(killed) == rows(plain)
    assert journal.read(killed.config, TABLE) is None
    killed.cli("verify")
    (done,) = [r for r in killed.rows("metrics/rebuilds") if r["table_name"] == str(TABLE)]
    assert (done["generation_before"], done["generation_after"]) == (1, 2)


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory, spark: object) -> OwnLake:
    """A lake whose table was rebuilt, and read one file more since."""
    lake = ways.made(tmp_path_factory.mktemp("logged"), ways.LOGGED)
    lake.cli("rebuild", *ways.LOGGED_TABLES, "--reason", "a mistake", "--yes")
    ways.land(lake, 2)
    lake.run()
    return lake


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("point", BACK)
def test_killed_on_the_way_back(point: str, rebuilt: OwnLake, tmp_path: Path) -> None:
    plain, killed = rebuilt.copy(tmp_path / "plain"), rebuilt.copy(tmp_path / "killed")
    (table,) = ways.LOGGED_TABLES
    words = ("checkpoint", "rollback", table, "--reason", "back", "--yes")

    with Medallion(killed, *words, script=SCRIPT, DIES_AT=point) as command:
        assert command.wait() == -9, command.text

    ways.land(plain, 3)  # both read the same folder
    plain.run()
    if point in ("after_the_change_log_is_back", "before_the_checkpoint_is_back"):
        with pytest.raises(Refused) as refused:
            killed.run()
        assert refused.value.code == "rebuild_interrupted"
        assert "checkpoint rollback" in refused.value.next_step

    killed.cli(*words)
    killed.run()
    assert ways.rows(killed, ways.LOGGED_TABLES) == ways.rows(plain, ways.LOGGED_TABLES)
    killed.cli("verify", "--layers")
    assert journal.read(killed.config, TableRef.parse(table)) is None
    (done,) = [r for r in killed.rows("metrics/rebuilds") if r["reason"] == "back"]
    assert (done["generation_before"], done["generation_after"]) == (2, 1)


@pytest.fixture(scope="module")
def rescued(tmp_path_factory: pytest.TempPathFactory, spark: object) -> OwnLake:
    """A lake with values that have no column yet."""
    source = "{format: json, schema_evolution: rescue}"
    config = f"pipeline: p\nbronze:\n  loose:\n    source: {source}\n"
    lake = OwnLake.of(tmp_path_factory.mktemp("loose"), config)
    lake.land("loose", "1.json", {"id": "1"})
    lake.run()
    lake.land("loose", "2.json", {"id": "2", "n": 5}, {"id": "3", "n": "x"}, at=1)
    lake.run()
    return lake


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("point", PROMOTION)
def test_killed_in_a_promotion(point: str, rescued: OwnLake, tmp_path: Path) -> None:
    killed = rescued.copy(tmp_path / "killed")
    words = ("schema", "promote", "bronze.loose", "n:int", "--reason", "a test", "--yes")
    is_done = point.startswith(("after_the_files", "after_the_version_is"))

    with Medallion(killed, *words, script=SCRIPT, DIES_AT=point) as command:
        assert command.wait() == -9, command.text

    killed.land("loose", "3.json", {"id": "4", "n": 7}, at=2)
    killed.run()
    # A row has its value in the column or in the rescued data.
    assert _values(killed) == {"1": None, "2": "5", "3": "x", "4": "7"}
    assert any(row.get("n") for row in killed.rows("bronze.loose")) == is_done
    killed.cli(*words)
    killed.run()
    assert _values(killed) == {"1": None, "2": "5", "3": "x", "4": "7"}
    assert sorted(str(row["n"]) for row in killed.rows("bronze.loose")) == [
        "5",
        "7",
        "None",
        "None",
    ]
    killed.cli("verify", "--layers")
    history = Registry(TablePaths(killed.config, TableRef("bronze", "loose")).schemas).history()
    assert [version.why for version in history] == ["inferred", "promoted"]


def _values(lake: OwnLake) -> dict[str, object]:
    """What each row has of `n`, wherever it stands."""
    found = {}
    for row in lake.rows("bronze.loose"):
        rescued = json.loads(row["_rescued_data"] or "{}")
        assert row.get("n") is None or "n" not in rescued
        value = row.get("n") or rescued.get("n")
        found[row["id"]] = value and str(value)
    return found
