"""`medallion rebuild`: a table is computed again beside the live one, and swapped in."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable
from support.lake import rows_at, snapshot_of
from support.own import OwnLake

from medallion_jobs.checkpoint import Lock, QueryFolder, journal
from medallion_jobs.config import TableRef
from medallion_jobs.errors import LockHeld, MedallionError
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.rebuild import PartRebuild

# The names are this file's own: the session's catalog is shared by all tests.
CONFIG = """
pipeline: rebuilds
bronze:
  again_orders:
    source: {format: json, schema: "order_id string, quantity int, customer string"}
  again_customers:
    source: {format: json, schema: "customer string, region string"}
silver:
  again_customers:
    from: bronze.again_customers
    select: [customer, region]
  again_orders:
    from: bronze.again_orders
    columns: {pieces: quantity * FACTOR}
    expect:
      positive: {check: quantity > 0, otherwise: quarantine}
    lookups:
      - {table: silver.again_customers, on: customer, take: [region], on_miss: hold, hold_for: 1h}
    select: [order_id, quantity, region, pieces, _input_file]
  again_large:
    from: silver.again_orders
    where: pieces > 1
    select: [order_id, pieces]
gold:
  again_totals:
    from: silver.again_orders
    group_by: [region]
    measures: {total: sum(pieces)}
    mode: complete
  again_followed:
    from: silver.again_orders
    group_by: [region]
    measures: {total: sum(pieces)}
    mode: incremental
"""
ORDERS = TableRef("silver", "again_orders")


def order(name: str, quantity: int, customer: str = "c1") -> dict[str, Any]:
    return {"order_id": name, "quantity": quantity, "customer": customer}


def factor(lake: OwnLake, value: str) -> None:
    """Ships a config in which `pieces` is computed in another way."""
    lake.configure(CONFIG.replace("FACTOR", value))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, spark: object) -> OwnLake:
    """Two good rows, one in quarantine, one held; all tables were written twice."""
    made = OwnLake.of(tmp_path_factory.mktemp("rebuilds"), CONFIG.replace("FACTOR", "1"))
    made.land("again_customers", "c.json", {"customer": "c1", "region": "North"})
    made.land("again_orders", "o.json", order("a", 1), order("bad", -1), order("early", 4, "c2"))
    made.run()
    made.land("again_orders", "o2.json", order("b", 2), at=10)
    made.run()
    return made


@pytest.fixture
def lake(finished: OwnLake, tmp_path: Path) -> Iterator[OwnLake]:
    """A copy; what it lands in the folders that all copies read is removed at the end."""
    landed = {*finished.landing.rglob("*.json")}
    yield finished.copy(tmp_path)
    for file in {*finished.landing.rglob("*.json")} - landed:
        file.unlink()


def rebuild(lake: OwnLake, *words: str) -> str:
    return lake.cli("rebuild", *words, "--reason", "a bug", "--yes")


def pieces(lake: OwnLake, table: str = "silver.again_orders") -> dict[str, int]:
    """By order, as delta-rs and DuckDB read it."""
    path = lake.path(table)
    read = {row["order_id"]: row["pieces"] for row in rows_at(path)}
    sql = f"SELECT order_id, pieces FROM delta_scan('{path}')"
    with duckdb.connect() as duck:
        duck.execute("LOAD delta")
        found = duck.execute(sql).fetchall()
    assert dict(found) == read
    assert len(found) == len(read)
    return read


def totals(lake: OwnLake, table: str) -> dict[str, int]:
    with duckdb.connect() as duck:
        duck.execute("LOAD delta")
        sql = f"SELECT region, total FROM delta_scan('{lake.path(table)}')"
        return dict(duck.execute(sql).fetchall())


class Readers:
    """Reads `pieces` with DuckDB, again and again; `seen` has what was read, without repeats."""

    def __init__(self, path: Path) -> None:
        self.seen: list[tuple[int, ...]] = []
        self._sql = f"SELECT pieces FROM delta_scan('{path}') ORDER BY pieces"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        with duckdb.connect() as duck:
            duck.execute("LOAD delta")
            while True:
                is_last = self._ended.is_set()
                found = tuple(row[0] for row in duck.execute(self._sql).fetchall())
                if self.seen[-1:] != [found]:
                    self.seen.append(found)
                if is_last:
                    return
                time.sleep(0.02)

    def __enter__(self) -> Readers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def test_a_wrong_expression(lake: OwnLake) -> None:
    before = DeltaTable(lake.path("silver.again_orders"))
    bronze = snapshot_of(lake.path("bronze.again_orders"))
    factor(lake, "10")
    # It lands before the rebuild, and the live query has not read it.
    lake.land("again_orders", "o3.json", order("c", 3), at=20)
    lake.run("bronze")
    bronze_now = snapshot_of(lake.path("bronze.again_orders"))
    assert bronze.items() < bronze_now.items()

    with Readers(lake.path("silver.again_orders")) as readers:
        told = rebuild(lake, "silver.again_orders")

    assert readers.seen == [(1, 2), (10, 20, 30)]
    assert "silver.again_large reads it and cannot go on" in told
    assert pieces(lake) == {"a": 10, "b": 20, "c": 30}
    assert snapshot_of(lake.path("bronze.again_orders")) == bronze_now
    after = DeltaTable(lake.path("silver.again_orders"))
    assert after.metadata().id == before.metadata().id
    assert after.history()[0]["operation"] == "WRITE"
    assert not (lake.storage / "_medallion/slots/rebuild/silver/again_orders").exists()
    assert journal.read(lake.config, ORDERS) is None
    lake.cli("status")

    # The query goes on from where the rebuild was: each row once, and what waited goes on.
    lake.land("again_orders", "o4.json", order("d", 4), at=30)
    lake.land("again_customers", "c2.json", {"customer": "c2", "region": "South"}, at=30)
    lake.run("bronze")
    with pytest.raises(MedallionError) as refused:
        lake.run("silver")
    assert refused.value.code == "source_rebuilt"
    assert "medallion rebuild silver.again_large" in refused.value.next_step
    rebuild(lake, "silver.again_large", "gold.again_totals")
    lake.run()
    everything = {"a": 10, "b": 20, "c": 30, "d": 40, "early": 40}
    assert pieces(lake) == pieces(lake, "silver.again_large") == everything
    for table in ("gold.again_totals", "gold.again_followed"):
        assert totals(lake, table) == {"North": 100, "South": 40}
    (bad,) = [
        r for r in rows_at(lake.path("quarantine/silver/again_orders")) if r["generation"] > 1
    ]
    assert json.loads(bad["row"])["order_id"] == "bad"
    lake.cli("verify")

    told_rows = json.loads(lake.cli("query", "--json", "FROM metrics.rebuilds ORDER BY started_at"))
    first = told_rows[0]
    assert (first["table_name"], first["reason"]) == ("silver.again_orders", "a bug")
    assert (first["rows_before"], first["rows_after"]) == (2, 3)
    assert first["config_before"] != first["config_after"]
    assert (first["generation_before"], first["generation_after"]) == (1, 2)


def test_one_file_and_one_condition(lake: OwnLake) -> None:
    factor(lake, "10")
    quarantine, held = (f"{kind}/silver/again_orders" for kind in ("quarantine", "held"))

    rebuild(lake, "silver.again_orders", "--file", "o2.json")
    assert pieces(lake) == {"a": 1, "b": 20}
    with pytest.raises(MedallionError) as refused:
        lake.run("silver")
    assert refused.value.code == "source_rebuilt"

    # The rule is gone: what it has parked comes to the table, and leaves quarantine with that.
    lake.configure(CONFIG.replace("FACTOR", "10").replace("quantity > 0", "quantity > -9"))
    rebuild(lake, "silver.again_orders", "--where", "quantity < 2 OR quantity = 4", "--downstream")
    assert pieces(lake) == {"a": 10, "b": 20, "bad": -10}
    assert pieces(lake, "silver.again_large") == {"a": 10, "b": 20}
    assert (open_rows(lake, quarantine), open_rows(lake, held)) == ([], ["early"])
    lake.land("again_customers", "c2.json", {"customer": "c2", "region": "South"}, at=30)
    lake.run()
    assert pieces(lake) == {"a": 10, "b": 20, "bad": -10, "early": 40}
    for table in ("gold.again_totals", "gold.again_followed"):
        assert totals(lake, table) == {"North": 20, "South": 40}
    lake.cli("verify")
    told = json.loads(lake.cli("query", "--json", "FROM metrics.rebuilds ORDER BY started_at"))
    assert ["LIKE '%o2.json%'" in (row["part"] or "") for row in told[:2]] == [True, False]


def test_a_running_query_is_waited_for(lake: OwnLake) -> None:
    factor(lake, "10")
    folder = QueryFolder.of(TablePaths(lake.config, ORDERS))
    with Lock(folder.lock, "another run"), pytest.raises(LockHeld) as held:
        rebuild(lake, "silver.again_orders", "--wait", "1s")
    assert "medallion stop" in held.value.next_step
    assert pieces(lake) == {"a": 1, "b": 2}


@pytest.mark.slow
def test_rows_of_a_run_before_the_rebuild_are_computed_again(lake: OwnLake) -> None:
    lake.land("again_orders", "o3.json", order("c", 3), at=20)
    lake.run()
    assert pieces(lake) == {"a": 1, "b": 2, "c": 3}
    factor(lake, "10")
    rebuild(lake, "silver.again_orders", "--downstream")
    lake.run()
    everything = {"a": 10, "b": 20, "c": 30}
    assert pieces(lake) == pieces(lake, "silver.again_large") == everything
    assert totals(lake, "gold.again_totals") == totals(lake, "gold.again_followed")


@pytest.mark.parametrize("step", [pytest.param("_commit", marks=pytest.mark.slow), "_park"])
def test_a_part_that_was_interrupted(
    lake: OwnLake, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    factor(lake, "10")
    words = ("silver.again_orders", "--file", "o.json")
    with monkeypatch.context() as patched:
        patched.setattr(PartRebuild, step, interrupted)
        with pytest.raises(BaseException):  # noqa: B017 (as the command line ends)
            rebuild(lake, *words)
    assert pieces(lake) == ({"a": 1, "b": 2} if step == "_commit" else {"a": 10, "b": 2})
    with pytest.raises(MedallionError) as refused:
        lake.run("silver")
    assert refused.value.code == "rebuild_interrupted"

    rebuild(lake, *words)
    assert pieces(lake) == {"a": 10, "b": 2}
    for kind, rows in (("quarantine", ["bad"]), ("held", ["early"])):
        assert open_rows(lake, f"{kind}/silver/again_orders") == rows
    assert journal.read(lake.config, ORDERS) is None
    assert len(lake.rows("metrics/rebuilds")) == 1


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_part_that_fails_changes_nothing(lake: OwnLake) -> None:
    lake.configure(
        CONFIG.replace("FACTOR", "10").replace("otherwise: quarantine", "otherwise: fail")
    )
    with pytest.raises(MedallionError):
        rebuild(lake, "silver.again_orders", "--where", "quantity < 2")
    assert journal.read(lake.config, ORDERS) is None
    factor(lake, "1")
    lake.run()
    assert pieces(lake) == {"a": 1, "b": 2}
    assert open_rows(lake, "quarantine/silver/again_orders") == ["bad"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("silver.again_orders", "--where", "pieces > 1"), "invalid_part"),
        (("silver.again_orders", "--since", "1h"), "rows_without_origin"),
        (("gold.again_totals", "--file", "o.json"), "part_not_possible"),
        (("bronze.again_orders",), "bronze_not_rebuilt"),
        (("silver.nothing",), "unknown_table"),
    ],
)
def test_what_cannot_be_rebuilt(finished: OwnLake, words: tuple[str, ...], code: str) -> None:
    before = finished.versions()
    with pytest.raises(MedallionError) as refused:
        rebuild(finished, *words)
    assert refused.value.code == code
    assert refused.value.next_step
    assert finished.versions() == before


def test_a_dry_run_shows_what_would_change(lake: OwnLake) -> None:
    factor(lake, "10")
    before = lake.versions()
    words = ("rebuild", "silver.again_orders", "--dry-run", "--sample", "1", "--json")

    part = json.loads(lake.cli(*words, "--file", "o2.json"))["silver.again_orders"]
    assert lake.versions() == before
    assert (part["changed"], part["added"], part["removed"]) == (1, 0, 0)
    (row,) = part["sample"]
    assert (row["identity"]["order_id"], row["values"]) == ("b", {"pieces": ["2", "20"]})

    whole = json.loads(lake.cli(*words))["silver.again_orders"]
    assert (whole["changed"], whole["added"], whole["removed"], len(whole["sample"])) == (
        2,
        0,
        0,
        1,
    )
    assert pieces(lake) == {"a": 1, "b": 2}
    assert "medallion rebuild silver.again_orders" in lake.cli("status")
    # What is built is swapped in, not built again.
    built = DeltaTable(lake.storage / "_medallion/slots/rebuild/silver/again_orders").file_uris()
    rebuild(lake, "silver.again_orders")
    names = {Path(uri).name for uri in DeltaTable(lake.path("silver.again_orders")).file_uris()}
    assert {Path(uri).name for uri in built} == names
    assert [row["reason"] for row in lake.rows("metrics/rebuilds")] == ["a bug"]
    assert pieces(lake) == {"a": 10, "b": 20}


def open_rows(lake: OwnLake, parked: str) -> list[str]:
    """The orders that are still parked, in the generation of now."""
    claims = lake.path(parked) / "_claims"
    gone = {row["id"] for row in rows_at(claims)} if claims.exists() else set()
    rows = [row for row in lake.rows(parked) if row["id"] not in gone]
    return sorted(json.loads(row["row"])["order_id"] for row in rows)
