"""What a run says: a line for a person, a line of JSON for a program."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from medallion_jobs.metrics.progress import BatchDone, Note, as_json, as_line

BATCH = BatchDone(
    table="bronze.sales",
    batch=12,
    rows_in=1_234_567,
    rows_out=1_234_000,
    files=1_000,
    quarantined=567,
    seconds=3.14159,
    backlog=2_000,
    remarks=("a.json: MISSING", "slow"),
)


def test_a_batch_as_a_line() -> None:
    assert as_line(BATCH) == (
        f"{'bronze.sales':<28} batch 12 · 1,234,567 in · 1,234,000 out · 1,000 files · "
        "567 quarantined · 3.1 s · backlog 2,000 · a.json: MISSING · slow"
    )


def test_what_is_nothing_is_not_said() -> None:
    line = as_line(replace(BATCH, files=0, quarantined=0, remarks=()))
    assert "files" not in line
    assert "quarantined" not in line
    assert line.endswith("backlog 2,000")


def test_a_batch_as_json() -> None:
    told = json.loads(as_json(BATCH))
    at = told.pop("at")
    assert datetime.fromisoformat(at).tzinfo
    assert told == {
        "event": "batch",
        "table": "bronze.sales",
        "batch": 12,
        "rows_in": 1_234_567,
        "rows_out": 1_234_000,
        "files": 1_000,
        "quarantined": 567,
        "seconds": 3.14159,
        "backlog": 2_000,
        "remarks": ["a.json: MISSING", "slow"],
    }


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({}, "done"),
        ({"seconds": 2.04}, "done (2.0 s)"),
        ({"about": "x", "seconds": 1}, "done (x, 1.0 s)"),
    ],
)
def test_a_note_as_a_line(facts: dict[str, object], line: str) -> None:
    assert as_line(Note("gold.x", "done", facts)) == f"{'gold.x':<28} {line}"


def test_a_note_as_json_is_one_line_whatever_it_tells() -> None:
    line = as_json(Note("gold.x", "two\nlines", {"path": Path("a"), "name": "\udcff"}))
    assert "\n" not in line
    line.encode()
    told = json.loads(line)
    assert (told["event"], told["facts"]["path"]) == ("note", "a")
