"""Which files are found, what is known of them besides their rows, and what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timezone
from pathlib import Path

import pytest
from support.lake import Lake, batches, local, order

from medallion_jobs.observe.events import Event, Note

SOURCE = "bronze.sales.source"
BRONZE = "bronze.sales"
DAY = 24 * 60 * 60
# What `Lake.drop` gives a file: so many seconds after this moment.
FIXED = datetime.fromtimestamp(1_700_000_000, timezone.utc)


def having(lake: Lake, **source: object) -> Lake:
    return lake.having(*(f"{SOURCE}.{name}={value}" for name, value in source.items()))


def ids(lake: Lake) -> list[str]:
    return sorted(row["order_id"] for row in lake.rows(BRONZE))


def states(lake: Lake) -> dict[str, str]:
    return {Path(path).name: one["state"] for path, one in lake.files().items()}


def notes(events: Sequence[Event]) -> str:
    told = (e.facts["about"] for e in events if isinstance(e, Note) and e.what == "note")
    return "\n".join(map(str, told))


def test_files_that_were_there_before(lake: Lake, spark: object) -> None:
    lake = having(lake, include_existing_files="false")
    lake.drop("before.json", order(order_id="before"))
    assert sum(done.files for done in batches(lake.run("bronze"), BRONZE)) == 0
    assert states(lake) == {"before.json": "SKIPPED"}
    (told,) = lake.files().values()
    assert (told["attempts"], told["error"]) == (0, "existed before the first run")
    lake.drop("after.json", order(order_id="after"), at=-60)
    lake.run("bronze")
    assert ids(lake) == ["after"]
    assert states(lake) == {"before.json": "SKIPPED", "after.json": "COMMITTED"}
    lake.cli("files", "retry", "--path", "before", "--yes")
    lake.run("bronze")
    assert ids(lake) == ["after", "before"]
    # Nothing is written into a source: others read it, too.
    assert {path.name for path in lake.landing.rglob("*")} == {"sales", "before.json", "after.json"}


def test_columns_from_folders_and_about_files(lake: Lake, spark: object) -> None:
    declared = lake.config.bronze["sales"].source.schema_
    lake = having(
        lake,
        schema=f"{declared}, region string, day date",
        partition_columns="[region, day, shop]",
        add_columns="[_file_size, _file_modified, _batch_id]",
        max_files_per_trigger=3,
    )
    whole = lake.drop("region=N%C3%B6rd%2FOst+1/day=2026-01-31/shop=7/a.json", order(order_id="a"))
    lake.drop("region=__HIVE_DEFAULT_PARTITION__/day=no day/b.json", order(order_id="b"), at=1)
    lake.drop("c.json", order(order_id="c", shop="x"), at=2)
    lake.drop("region=outer/region=inner/d.json", order(order_id="d"), at=3)

    lake.run("bronze")

    rows = {row["order_id"]: row for row in lake.rows(BRONZE)}
    assert {key: (r["region"], r["day"], r["shop"]) for key, r in rows.items()} == {
        "a": ("Nörd/Ost+1", date(2026, 1, 31), "7"),
        "b": (None, None, None),
        "c": (None, None, None),
        "d": ("inner", None, None),
    }
    assert {key: (r["_batch_id"], r["_file_modified"]) for key, r in rows.items()} == {
        "a": (0, FIXED),
        "b": (0, FIXED.replace(second=FIXED.second + 1)),
        "c": (0, FIXED.replace(second=FIXED.second + 2)),
        "d": (1, FIXED.replace(second=FIXED.second + 3)),
    }
    assert rows["a"]["_file_size"] == whole.stat().st_size
    assert local(rows["a"]["_input_file"]) == str(whole)
    # What does not fit its type is still told, by the path.
    assert "day=no day" in local(rows["b"]["_input_file"])
    # A key of that name in a record is not the folder's.
    assert json.loads(rows["c"]["_rescued_data"])["shop"] == "x"


def test_several_roots_and_filters(lake: Lake, spark: object) -> None:
    lake = having(
        lake,
        path=f"[{lake.folder}, '{lake.landing}/eu-*/in', '{lake.landing}/{{us,ca}}']",
        path_glob_filter="'*.json'",
        recursive="false",
        modified_after=FIXED.isoformat(),
    )
    wanted = {"1.json": "one", "../eu-1/in/2.json": "two", "../eu-2/in/3.json": "three"}
    wanted |= {"../us/4.json": "four", "../ca/5.json": "five"}
    left = {"1.jsonl": "name", "deep/1.json": "depth", "../eu-1/out/1.json": "pattern"}
    left |= {"../mx/1.json": "root"}
    for name, one in {**wanted, **left}.items():
        lake.drop(name, order(order_id=one), at=1)
    lake.drop("old.json", order(order_id="age"))

    lake.run("bronze")
    assert ids(lake) == sorted(wanted.values())
    # Other filters: what the folders show is held against the ledger anew.
    having(lake, recursive="true", path_glob_filter="'*.json*'").run("bronze")
    assert ids(lake) == sorted([*wanted.values(), "name", "depth"])


def test_from_a_manifest(lake: Lake, spark: object, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest"
    manifest.mkdir()
    lake = having(lake, discovery="manifest", manifest=manifest)
    events = manifest / "events.jsonl"

    def named(*lines: object, end: str = "\n") -> None:
        with events.open("a") as out:
            out.write("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines) + end)

    path = lake.drop("there.json", order(order_id="there"))
    named({"path": str(path)})
    lake.run("bronze")  # the first run lists the folders, too
    assert ids(lake) == ["there"]

    first = lake.drop("1 é.json", order(order_id="1"))
    second = lake.drop("2.json", order(order_id="2"), at=1)
    late = lake.drop("late.json", order(order_id="late"), at=2)
    lake.drop("unnamed.json", order(order_id="unnamed"), at=3)
    of_s3 = {"bucket": {"name": "bucket"}, "object": {"key": "sales/1.json", "size": 120}}
    named(
        {"path": str(first), "size": first.stat().st_size, "modified": "2026-01-31T10:00:00Z"},
        {"path": second.as_uri()},
        {"path": str(lake.folder / "gone.json"), "size": 5},
        {"Event": "s3:TestEvent", "Bucket": "bucket"},
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": of_s3}]},
        "no JSON",
    )
    named({"path": str(late)}, end="")  # its line is not whole yet
    told = notes(lake.run("bronze"))
    assert ids(lake) == ["1", "2", "there"]
    assert states(lake)["gone.json"] == "MISSING"
    assert "events.jsonl:6: s3a://bucket/sales/1.json is outside the source's path" in told
    assert "events.jsonl:7: not JSON" in told
    assert told.count("events.jsonl:") == 2

    named("")
    told = notes(lake.run("bronze"))
    assert ids(lake) == ["1", "2", "late", "there"]
    assert "events.jsonl:" not in told
    # What no line named is made good by the listing, and nothing is read twice by it.
    having(lake, backfill_interval="1ms").run("bronze")
    assert ids(lake) == ["1", "2", "late", "there", "unnamed"]


def test_clean_source(lake: Lake, spark: object, tmp_path: Path) -> None:
    """Files go with the run after the one that read them: each run cleans before its batches."""
    archive = tmp_path / "archive"
    other = having(replace(lake, storage=tmp_path / "other"), register_as_reader="true")
    cleaning = {"clean_source.retention": "1ms"}
    moving = having(lake, **cleaning, **{"clean_source.mode": "move"})
    moving = having(moving, **{"clean_source.move_to": archive})

    both = lake.drop("deep/both.json", order(order_id="both"))
    other.run("bronze")
    one = lake.drop("one.json", order(order_id="one"), at=1)
    moving.run("bronze")
    assert both.exists()
    assert states(lake) == {"both.json": "COMMITTED", "one.json": "COMMITTED"}

    told = notes(moving.run("bronze"))
    assert (both.exists(), one.exists()) == (False, True)
    assert (archive / "deep" / "both.json").read_text() == order(order_id="both") + "\n"
    assert "1 file(s) kept, sales.sales has not read their current content" in told
    assert states(lake) == {"both.json": "ARCHIVED", "one.json": "COMMITTED"}
    other.run("bronze")
    assert ids(other) == ["both", "one"]
    moving.run("bronze")
    assert not one.exists()
    assert states(lake) == {"both.json": "ARCHIVED", "one.json": "ARCHIVED"}

    deleting = having(
        lake, **cleaning, **{"clean_source.mode": "delete", "clean_source.force": "true"}
    )
    two = lake.drop("two.json", order(order_id="two"), at=2)
    deleting.run("bronze")
    told = notes(deleting.run("bronze"))
    assert two.exists()
    registration = Path(told.partition("delete ")[2].partition(":")[0])
    assert str(other.storage) in registration.read_text()
    registration.unlink()
    deleting.run("bronze")
    assert not two.exists()
    assert lake.files()[str(two)]["state"] == "ARCHIVED"
    lake.reset(BRONZE)
    deleting.run("bronze")
    assert ids(lake) == ["both", "one", "two"]
    assert set(states(lake).values()) == {"ARCHIVED"}


@pytest.mark.slow
def test_caps_and_metrics(lake: Lake, spark: object) -> None:
    lake = having(lake, max_files_per_trigger=2, max_bytes_per_trigger=1000)
    sizes = [200, 200, 200, 900, 1500, 300]
    for age, size in enumerate(sizes):
        line = order(extra=1) if age == 1 else order()
        path = lake.drop_bytes(f"{age}.json", line.encode().ljust(size - 1) + b"\n", at=age)
        assert path.stat().st_size == size
    lake.drop("bad.json", "{", at=6)

    lake.run("bronze")

    columns = "batch, files, bytes, rows_in, rows_out, rescued, quarantined, files_left, bytes_left"
    query = "SELECT * FROM metrics.batches ORDER BY batch"
    rows = json.loads(lake.cli("query", query, "--json"))
    assert [tuple(row[c] for c in columns.split(", ")) for row in rows] == [
        (0, 2, 400, 2, 2, 1, 0, 5, 2902),
        (1, 1, 200, 1, 1, 0, 0, 4, 2702),
        (2, 1, 900, 1, 1, 0, 0, 3, 1802),
        (3, 1, 1500, 1, 1, 0, 0, 2, 302),
        (4, 2, 302, 2, 1, 0, 1, 0, 0),
    ]
    assert all(row["listing_seconds"] > 0 for row in rows)
    assert all(row["oldest_waiting_seconds"] > DAY for row in rows[:-1])
    assert rows[-1]["oldest_waiting_seconds"] is None
