"""The stored messages of Debezium: folded by key, they come to the rows of the database."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.lake import ROOT

DATA = ROOT / "tests" / "data" / "debezium"
FILES = sorted(DATA.glob("*.jsonl"))


def records(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text("utf-8").splitlines():
        yield json.loads(line)


def payload(text: str | None) -> Any:
    message = json.loads(text) if text else None
    return message["payload"] if message and message.keys() == {"schema", "payload"} else message


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_records_are_whole_and_in_order(file: Path) -> None:
    last: dict[tuple[str, int], int] = defaultdict(lambda: -1)
    prefix = file.name.removesuffix(".jsonl").partition(".")[2].replace(".", "_")
    for record in records(file):
        assert list(record) == ["topic", "partition", "offset", "key", "value", "headers"]
        own = "shop" if prefix == "default_plain" else f"shop_{prefix}"
        assert record["topic"].startswith(f"{own}.")
        place = record["topic"], record["partition"]
        assert record["offset"] == last[place] + 1
        last[place] += 1
        has_schema = record["value"] is not None and "schema" in json.loads(record["value"])
        assert has_schema is (file.stem.endswith("schemas") and record["value"] is not None)
    assert last


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_keys_come_to_those_of_the_database(file: Path) -> None:
    scenario, mode, _ = file.stem.split(".")
    tables = json.loads((DATA / "source" / f"{scenario}.json").read_text("utf-8"))
    rows: dict[str, dict[str, Any]] = {name: {} for name in tables}
    for record in records(file):
        table = record["topic"].partition(".public.")[2]
        table = {"Odd_Names": "Odd Names"}.get(table, table)
        if not table:
            continue
        value = payload(record["value"])
        key = json.dumps(payload(record["key"]))
        if value and value.get("op") == "t":
            rows[table].clear()
        elif value is None or value.get("__deleted") == "true" or value.get("op") == "d":
            rows[table].pop(key, None)
        else:
            rows[table][key] = value if mode == "flat" else value["after"]
    for name, table in tables.items():
        if name == "items_full" or (mode != "default" and not rows[name]):
            continue  # it was dropped, which no message reports; or it is left out in this mode
        if scenario == "slot":
            # A row was deleted while there was no slot, and its delete is in no message.
            assert rows[name].pop(json.dumps({"id": 2}))
        if table["key"]:
            assert len(rows[name]) == len(table["rows"]), name
        if table["key"] == ["id"] and table["columns"]["id"] in ("integer", "bigint"):
            found = sorted(str(row["id"]) for row in rows[name].values())
            assert found == sorted(row["id"] for row in table["rows"])
    texts = {
        (name, str(row["id"])): row[column]
        for name, column in (("customers", "name"), ("orders", "state"))
        if mode == "nulls"
        for row in rows[name].values()
    }
    expected = {
        (name, row["id"]): row[column]
        for name, column in (("customers", "name"), ("orders", "state"))
        if texts
        for row in tables[name]["rows"]
    }
    assert texts == expected
