"""Files with what is to become of each: land them, load them, hold the tables against it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from support.lake import Lake, local

SOURCE = "bronze.sales.source"
_SHOWN = 1000


class Fate(NamedTuple):
    """What is in a file, and where it goes.

    Attributes:
        rows: of each, the columns that are not null; under "rescued" what is rescued.
        bad: reason and text of each record in quarantine.
        error: a part of what the ledger tells of the file.
    """

    content: bytes
    rows: Sequence[Mapping[str, Any]] = ()
    bad: Sequence[tuple[str, str]] = ()
    state: str = "COMMITTED"
    error: str = ""


def aside(content: bytes, error: str) -> Fate:
    """A file that cannot be read as a whole."""
    return Fate(content, state="QUARANTINED", error=error)


def empty_lake(folders: pytest.TempPathFactory, *settings: str) -> Lake:
    """A lake of one bronze table, by these settings of its source."""
    lake = Lake.at(folders.mktemp("bad_input"), *(f"{SOURCE}.{one}" for one in settings))
    lake.generate(0)
    lake.folder.mkdir(parents=True, exist_ok=True)
    return lake


def land(lake: Lake, fates: Mapping[str, Fate]) -> None:
    for name, fate in fates.items():
        lake.drop_bytes(name, fate.content)


def run_twice(lake: Lake, later: str, content: bytes) -> Lake:
    """Loads what is there, and then a file that comes later."""
    lake.run("bronze")
    lake.drop_bytes(later, content, at=100)
    lake.run("bronze")
    return lake


def assert_fate(lake: Lake, name: str, fate: Fate) -> None:
    path = str(lake.folder / name)
    told = lake.files()[path]
    assert (told["state"], told["rows"], told["bad"]) == (
        fate.state,
        len(fate.rows),
        len(fate.bad),
    ), told["error"]
    assert fate.error in (told["error"] or "")
    assert bool(told["error"]) == bool(fate.error)
    rows = [_shown(row) for row in lake.rows("bronze.sales") if local(row["_input_file"]) == path]
    assert rows == [_short(row) for row in fate.rows]
    bad = [one for one in bad_records(lake) if local(one["file"]) == path]
    assert sorted((one["reason"], _short(one["line"])) for one in bad) == (
        sorted((reason, _short(line)) for reason, line in fate.bad)
    )
    assert told["rescued"] == sum("rescued" in row for row in rows)


def assert_account(lake: Lake, names: Collection[str]) -> None:
    """Of these files, and no others, the ledger counts what the two tables hold."""
    told = lake.files()
    assert {os.path.relpath(path, lake.folder) for path in told} == set(names)
    assert sum(one["rows"] for one in told.values()) == len(lake.rows("bronze.sales"))
    assert sum(one["bad"] for one in told.values()) == len(bad_records(lake))


def bad_records(lake: Lake) -> list[dict[str, Any]]:
    """The rows of the quarantine, which is made when there is something to put there."""
    table = "quarantine/bronze/sales"
    return lake.rows(table) if lake.path(table).exists() else []


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    there = {k: v for k, v in row.items() if v is not None and not k.startswith("_")}
    if row["_rescued_data"] is not None:
        there["rescued"] = json.loads(row["_rescued_data"])
        assert there["rescued"].pop("_file_path") == row["_input_file"]
    shown: dict[str, Any] = _short(there)
    return shown


def _short(value: Any) -> Any:
    """Long texts by their length and sum, so that a failed test can be read."""
    if isinstance(value, Mapping):
        return {key: _short(one) for key, one in value.items()}
    if isinstance(value, str) and len(value) > _SHOWN:
        return f"{len(value):,} characters, {hashlib.md5(value.encode()).hexdigest()}"
    return value
