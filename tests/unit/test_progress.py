"""What a run says: a line for a person, a line of JSON for a program."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from medallion_jobs.errors import DataError
from medallion_jobs.observe.console import folded
from medallion_jobs.observe.events import (
    SEPARATOR,
    BatchDone,
    Note,
    TableFailed,
    as_json,
    as_line,
    format_age,
    format_bytes,
    waiting,
)

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
        "318 files/s · 567 quarantined · 3.1 s · backlog 2,000 · a.json: MISSING · slow"
    )


def test_what_is_nothing_is_not_said() -> None:
    line = as_line(replace(BATCH, files=0, quarantined=0, remarks=()))
    assert "files" not in line
    assert "quarantined" not in line
    assert line.endswith("backlog 2,000")


def test_a_batch_of_files_tells_what_waits() -> None:
    batch = replace(
        BATCH,
        bytes=12_345_678,
        rescued=5,
        quarantined=0,
        remarks=(),
        files_left=3,
        bytes_left=1_200_000,
        oldest_waiting_seconds=4.2,
    )
    assert as_line(batch) == (
        f"{'bronze.sales':<28} batch 12 · 1,234,567 in · 1,234,000 out · 1,000 files · 12.3 MB · "
        "318 files/s · 5 rescued · 3.1 s · waiting 3 files, 1.2 MB, oldest 4 s"
    )
    assert waiting(replace(batch, files_left=1, bytes_left=None)) == "waiting 1 file, oldest 4 s"


def test_where_nothing_waits_nothing_is_said_of_it() -> None:
    line = as_line(replace(BATCH, remarks=(), files_left=0, bytes_left=0))
    assert line.endswith("3.1 s")


def test_a_failed_table_is_told_with_its_error() -> None:
    error = DataError(
        "silver.x: no", code="batch_failed", untouched="the table", next_step="run again"
    )
    failed = TableFailed.of("silver.x", error)
    assert as_line(failed) == f"{'silver.x':<28} failed: silver.x: no"
    told = json.loads(as_json(failed))
    assert datetime.fromisoformat(told.pop("at")).tzinfo is not None
    assert told == {
        "event": "table_failed",
        "table": "silver.x",
        "code": "batch_failed",
        "what": "silver.x: no",
        "untouched": "the table",
        "next_step": "run again",
    }


def test_files_a_second() -> None:
    assert replace(BATCH, files=5, seconds=2.0).files_per_second == 2.5
    assert replace(BATCH, seconds=0.0).files_per_second == 0
    assert "2.5 files/s" in as_line(replace(BATCH, files=5, seconds=2.0))


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (12_345_678, "12.3 MB"),
        (5 * 10**15, "5.0 PB"),
        (5 * 10**18, "5000.0 PB"),
    ],
)
def test_sizes_for_a_person(count: int, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_200, "2 h"),
        (172_800, "2 d"),
    ],
)
def test_ages_for_a_person(seconds: float, text: str) -> None:
    assert format_age(seconds) == text


def test_a_line_is_broken_between_its_parts() -> None:
    line = as_line(BATCH)
    for width in (60, 80, 100):
        lines = folded(line, width).splitlines()
        assert len(lines) > 1
        assert all(len(one) <= width for one in lines)
        assert all(one.startswith(" " * 29) and one[29] != " " for one in lines[1:])
        assert SEPARATOR.join(one.strip() for one in lines) == line
    assert folded(line, 500) == line


def test_a_part_that_is_too_wide_is_broken_between_its_words() -> None:
    word = "x" * 200
    indent = " " * 29
    assert folded(f"{'gold.x':<28} a · {word} · b", 80).splitlines()[1:] == [
        indent + word,
        indent + "b",
    ]
    lines = folded(f"{'gold.x':<28} a · {'some-word ' * 20}", 80).splitlines()
    assert len(lines) > 3
    assert all(len(one) <= 80 for one in lines)
    assert all(one.startswith(indent + "some-word") for one in lines[1:])


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
        "files_aside": 0,
        "aside_example": None,
        "quarantined": 567,
        "seconds": 3.14159,
        "backlog": 2_000,
        "remarks": ["a.json: MISSING", "slow"],
        "bytes": 0,
        "rescued": 0,
        "filtered": 0,
        "dropped": 0,
        "held": 0,
        "repeated": 0,
        "files_left": None,
        "bytes_left": None,
        "oldest_waiting_seconds": None,
        "listing_seconds": None,
        "set_aside": None,
        "files_per_second": 318.31,
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
