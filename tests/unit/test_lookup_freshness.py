"""How old a dimension is, and what is said of it; and a dimension that is not there."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from lakes import write_table

from medallion_jobs.config import Lookup, TableRef
from medallion_jobs.errors import DataError, UsageError
from medallion_jobs.refine.lookup import Dimension, check_dimension, remarks, stale, versions
from medallion_jobs.refine.lookup.age import written_at

NAME = TableRef("silver", "customers")
NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


def lookup_of(**fields: object) -> Lookup:
    usual = {"table": str(NAME), "on": "customer_id", "take": "region"}
    return Lookup.model_validate({**usual, **fields})


def dimension(written: datetime, **fields: object) -> Dimension:
    nothing: Any = None
    return Dimension(lookup_of(**fields), 3, written, nothing)


def at(path: Path, version: int, moment: datetime, operation: str) -> None:
    """Makes a commit say another time and operation."""
    log = path / "_delta_log" / f"{version:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if info := action.get("commitInfo"):
            info |= {"timestamp": int(moment.timestamp() * 1000), "operation": operation}
    log.write_text("".join(json.dumps(action) + "\n" for action in actions))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for number, operation in enumerate(("WRITE", "MERGE", "OPTIMIZE", "VACUUM END")):
        write_table(tmp_path / "t")
        at(tmp_path / "t", number, NOON + timedelta(hours=number), operation)
    return tmp_path / "t"


@pytest.mark.parametrize(("version", "hours"), [(0, 0), (1, 1), (2, 1), (3, 1)])
def test_upkeep_makes_no_rows_newer(table: Path, version: int, hours: int) -> None:
    assert written_at(NAME, table, version) == NOON + timedelta(hours=hours)


def test_of_a_cleaned_log_the_oldest_time_that_it_has_is_taken(table: Path) -> None:
    DeltaTable(table).create_checkpoint()
    for version in (0, 1):
        (table / "_delta_log" / f"{version:020}.json").unlink()
    assert written_at(NAME, table, 3) == NOON + timedelta(hours=2)
    with pytest.raises(DataError, match=r"version 1 of silver\.customers is missing"):
        written_at(NAME, table, 1)


def test_an_age_up_to_the_limit_is_no_remark() -> None:
    assert stale(dimension(NOON - timedelta(days=900)), NOON) is None
    assert stale(dimension(NOON - timedelta(days=1), max_age="1d"), NOON) is None


def test_a_stale_dimension_is_told_or_refused() -> None:
    written = NOON - timedelta(days=1, milliseconds=1)
    told = (
        "silver.customers was last written at 2026-01-30 11:59:59 UTC, which is longer ago than 1d"
    )
    assert stale(dimension(written, max_age="1d"), NOON) == told
    with pytest.raises(DataError, match=told) as refused:
        stale(dimension(written, max_age="1d", when_stale="fail"), NOON)
    assert "load silver.customers" in refused.value.next_step


def test_a_dimension_that_the_run_makes_may_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no dimension silver\.customers") as told:
        check_dimension(NAME, tmp_path / "t", made=[tmp_path / "u"])
    assert "medallion generate --files 0" in told.value.next_step
    check_dimension(NAME, tmp_path / "t", made=[tmp_path / "t"])
    write_table(tmp_path / "t")
    check_dimension(NAME, tmp_path / "t")


def test_remarks_tell_what_became_of_the_rows() -> None:
    lookups = [
        lookup_of(),
        lookup_of(how="inner"),
        lookup_of(on_miss="hold", how="inner"),
        lookup_of(on_miss="quarantine"),
        lookup_of(),
    ]
    counts = {"misses 0": 1200, "misses 1": 2, "misses 2": 3, "misses 3": 4, "misses 4": 0}
    assert remarks(lookups, counts) == (
        "1,200 rows without a match in silver.customers",
        "2 rows without a match in silver.customers, left out",
        "3 rows without a match in silver.customers, held",
        "4 rows without a match in silver.customers, quarantined",
    )


def test_versions_are_by_table() -> None:
    assert versions([dimension(NOON), dimension(NOON)]) == {"silver.customers": 3}
