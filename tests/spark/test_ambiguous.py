"""Different changes of a key with the same sequence: one is kept, and no other is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.own import OwnLake

from medallion_jobs.refine.quarantine.parked_rows import ParkedRows

pytestmark = pytest.mark.usefixtures("spark")

_KEYED = """
    from: bronze.changes
    keys: id
    sequence: at
    lookups: [{table: silver.places, on: {id: id}, take: {place: place}}]
    columns: {loaded: _load_time, shouted: upper(v), told: "concat(place, v)"}
    deletes: {when: op = 'D', how: soft}
    expect: {known: {check: "v <> 'bad'", otherwise: quarantine}}
"""
CONFIG = f"""
pipeline: own
bronze:
  changes:
    source: {{format: json, schema: "id int, at int, v string, op string, m map<string,int>"}}
  places:
    source: {{format: json, schema: "id int, place string"}}
silver:
  places: {{from: bronze.places, select: [id, place]}}
  newest:
    write: upsert{_KEYED}
  all:
    write: scd2{_KEYED}
"""
ORDERED = """
pipeline: own
bronze:
  ordered:
    source: {format: json, schema: "id int, at int, v string", add_columns: [_file_modified]}
silver:
  by_file: {from: bronze.ordered, write: upsert, keys: id, sequence: at, select: [id, at, v]}
"""
A = {"id": 1, "at": 1, "v": "a", "m": {"x": 1, "y": 2}}


def lake_in(folder: Path) -> OwnLake:
    lake = OwnLake.of(folder, CONFIG)
    for table in ("changes", "places"):
        (lake.landing / table).mkdir(parents=True)
    return lake


def parked(lake: OwnLake, table: str) -> list[tuple[int, int, str]]:
    """The open rows under the rule, as quarantine shows them."""
    shown = json.loads(
        lake.cli("quarantine", "show", table, "--rule", "ambiguous_sequence", "--json")
    )
    for row in shown:
        assert row["rules"] == ["ambiguous_sequence"]
    return sorted((r["id"], r["at"], r["v"]) for r in (json.loads(one["row"]) for one in shown))


def kept(lake: OwnLake, table: str) -> list[tuple[int, int, str]]:
    path = lake.path(f"silver.{table}")
    found = duckdb.sql(f"SELECT id, \"at\", v FROM delta_scan('{path}') ORDER BY ALL").fetchall()
    assert found == sorted((r["id"], r["at"], r["v"]) for r in lake.rows(f"silver.{table}"))
    return found


def last_batch(lake: OwnLake, table: str) -> dict[str, Any]:
    rows = json.loads(
        lake.cli(
            "query",
            "SELECT rows_in, rows_out, quarantined, repeated, remarks FROM metrics.batches "
            f"WHERE table_name = '{table}' ORDER BY generation, batch DESC LIMIT 1",
            "--format",
            "json",
        )
    )
    return dict(rows[0])


def first_batches(lake: OwnLake) -> None:
    lake.land("places", "p.json", {"id": 1, "place": "north"})
    lake.land(
        "changes",
        "1.json",
        A,
        {**A, "v": "b"},
        {**A, "m": {"y": 2, "x": 1}},  # the same
        {**A, "v": "bad"},  # breaks a rule, and is no change
        {"id": 2, "at": 1, "v": "a"},
        {"id": 2, "at": 1, "v": "a", "op": "D"},  # a delete wins, as documented
        {"id": 3, "at": 1, "v": "a"},
        {"id": 3, "at": 2, "v": "b"},
    )


def test_each_change_is_in_the_table_or_in_quarantine(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    first_batches(lake)
    lake.run()
    assert kept(lake, "newest") == [(1, 1, "a"), (2, 1, "a"), (3, 2, "b")]
    assert kept(lake, "all")[:2] == [(1, 1, "a"), (2, 1, "a")]
    for table in ("silver.newest", "silver.all"):
        assert parked(lake, table) == [(1, 1, "b")]
    batch = last_batch(lake, "silver.newest")
    # The second A, the change of 2 under its delete, and the older change of 3.
    assert (batch["rows_in"], batch["quarantined"]) == (8, 2)
    assert batch["rows_out"] + batch["quarantined"] + batch["repeated"] == 8
    assert "1 rows quarantined: another change of their key has the same at" in batch["remarks"]
    # Delivered again, with another load time and another place: duplicates; and others.
    lake.land("places", "q.json", {"id": 3, "place": "south"}, at=1)
    lake.land("changes", "2.json", A, {**A, "v": "c"}, {"id": 3, "at": 1, "v": "z"}, at=1)
    lake.run()
    assert kept(lake, "newest") == [(1, 1, "a"), (2, 1, "a"), (3, 2, "b")]
    assert parked(lake, "silver.newest") == [(1, 1, "b"), (1, 1, "c")]
    # The older change of 3 has no effect there; here it is another one than the table's.
    assert parked(lake, "silver.all") == [(1, 1, "b"), (1, 1, "c"), (3, 1, "z")]
    (reason, *_) = json.loads(lake.cli("quarantine", "show", "silver.all", "--json"))
    assert "another change has the same sequence, and other values of v, shouted" in str(reason)
    verified = json.loads(lake.cli("verify", "silver.newest", "--layers", "--json"))
    assert verified["right"] is True


@pytest.mark.slow
def test_a_replay_decides(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    first_batches(lake)
    lake.land("changes", "2.json", {**A, "v": "c"}, at=1)
    lake.run()
    replay = ("quarantine", "replay", "silver.all", "--rule", "ambiguous_sequence", "--yes")
    # Nothing has changed: they stay, and the table too.
    lake.cli(*replay)
    assert parked(lake, "silver.all") == [(1, 1, "b"), (1, 1, "c")]
    # With one new sequence they are two changes of it: one goes on.
    lake.cli(*replay, "--set-column", "at=5")
    assert len(parked(lake, "silver.all")) == 1
    assert [row for row in kept(lake, "all") if row[0] == 1] == [(1, 1, "a"), (1, 5, "b")]
    lake.cli(*replay, "--set-column", "at=6")
    assert parked(lake, "silver.all") == []
    assert [row for row in kept(lake, "all") if row[0] == 1][-1] == (1, 6, "c")


@pytest.mark.slow
def test_a_crash_before_they_are_parked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class CrashError(Exception):
        pass

    def dies(*_: object, **__: object) -> None:
        raise CrashError

    lake = lake_in(tmp_path)
    first_batches(lake)
    with monkeypatch.context() as patch:
        patch.setattr(ParkedRows, "put", dies)
        with pytest.raises(Exception, match="CrashError"):
            lake.run()
    lake.run()
    for table in ("silver.newest", "silver.all"):
        assert parked(lake, table) == [(1, 1, "b")]
    assert kept(lake, "newest") == [(1, 1, "a"), (2, 1, "a"), (3, 2, "b")]


def test_the_order_of_files_decides_within_a_batch(tmp_path: Path) -> None:
    lake = OwnLake.of(tmp_path, ORDERED)
    lake.land("ordered", "1.json", {"id": 1, "at": 1, "v": "z"}, at=20)
    lake.land("ordered", "2.json", {"id": 1, "at": 1, "v": "a"}, at=10)
    lake.run()
    assert kept(lake, "by_file") == [(1, 1, "z")]
    assert json.loads(lake.cli("quarantine", "list", "silver.by_file", "--json")) == []
    # The table does not say which file its row is from.
    lake.land(
        "ordered", "3.json", {"id": 1, "at": 1, "v": "b"}, {"id": 1, "at": 1, "v": "z"}, at=30
    )
    lake.run()
    assert kept(lake, "by_file") == [(1, 1, "z")]
    assert parked(lake, "silver.by_file") == [(1, 1, "b")]
