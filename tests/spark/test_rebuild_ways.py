"""Every way to write a table: a lake that was rebuilt goes on as one that was not."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable
from support import ways
from support.own import OwnLake

from medallion_jobs.errors import MedallionError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, spark: object) -> OwnLake:
    return ways.made(tmp_path_factory.mktemp("ways"))


def test_a_rebuilt_lake_goes_on_as_one_that_was_not(finished: OwnLake, tmp_path: Path) -> None:
    plain, rebuilt = finished.copy(tmp_path / "plain"), finished.copy(tmp_path / "rebuilt")
    ids = {table: DeltaTable(rebuilt.path(table)).metadata().id for table in ways.TABLES}

    rebuilt.cli("rebuild", "all", "--reason", "a test", "--yes")

    assert ways.rows(rebuilt) == ways.rows(plain)
    assert all(ways.rows(plain).values())
    assert {t: DeltaTable(rebuilt.path(t)).metadata().id for t in ways.TABLES} == ids
    for part in (2, 3):
        ways.land(plain, part)  # both read the same folder
        for lake in (plain, rebuilt):
            lake.run()
        assert ways.rows(rebuilt) == ways.rows(plain)
    for lake in (plain, rebuilt):
        lake.cli("verify")

    # Again, from the generation that a rebuild has opened.
    rebuilt.cli("rebuild", "silver.way_append", "--downstream", "--reason", "again", "--yes")
    assert ways.rows(rebuilt) == ways.rows(plain)
    assert not list((rebuilt.storage / "_medallion/slots/rebuild").rglob("*.parquet"))


def test_back_to_the_generation_before(finished: OwnLake, tmp_path: Path) -> None:
    plain, back = finished.copy(tmp_path / "plain"), finished.copy(tmp_path / "back")
    tables = ("silver.way_applied", "silver.way_upsert", "silver.way_scd2")
    with pytest.raises(MedallionError) as refused:
        back.cli("checkpoint", "rollback", tables[0], "--reason", "no", "--yes")
    assert refused.value.code == "rollback_not_possible"
    back.cli("rebuild", *tables, "--reason", "a mistake", "--yes")
    ways.land(plain, 2)  # both read the same folder
    for lake in (plain, back):
        lake.run()

    for table in tables:
        back.cli("checkpoint", "rollback", table, "--reason", "back", "--yes")

    # What the newer generation has read since is not there yet, and is read again.
    assert ways.rows_of(back.path(tables[2])) == ways.rows_of(finished.path(tables[2]))
    for part in (2, 3):
        ways.land(plain, part)
        for lake in (plain, back):
            lake.run()
        assert ways.rows(back) == ways.rows(plain)
    # A rebuild after that opens a generation that no table has seen.
    back.cli("rebuild", *tables, "--reason", "again", "--yes")
    assert ways.rows(back) == ways.rows(plain)
    assert '"v3"' in back.cli("checkpoint", "list", "--json")
