"""`kill -9` at each point of a rebuild: live tables are whole, and the same command finishes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import ways
from support.dies_in_rebuild import POINTS
from support.own import OwnLake
from support.processes import Medallion

from medallion_jobs.checkpoint import journal
from medallion_jobs.config import TableRef
from medallion_jobs.errors import Refused

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
