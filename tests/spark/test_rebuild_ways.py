"""Every way to write a table: a lake that was rebuilt goes on as one that was not."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable
from support import ways
from support.own import OwnLake


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
