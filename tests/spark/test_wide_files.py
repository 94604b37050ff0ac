"""Files of many columns: a batch is planned in about the time that its columns take."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from medallion_jobs.testing import LakeHarness

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COLUMNS = 60
ROWS = 20


def value(column: int, row: int) -> str | int:
    return row + column if column % 2 else f"text {row} {column}"


def name(column: int) -> str:
    return f"c{column:03}"


def as_json(rows: list[dict[str, str | int]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def as_reordered_json(rows: list[dict[str, str | int]]) -> str:
    """Not all written alike: they do not take the fast lane."""
    turned = [dict(list(row.items())[at:] + list(row.items())[:at]) for at, row in enumerate(rows)]
    return as_json(turned)


def as_csv(rows: list[dict[str, str | int]]) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in (rows[0], *(r.values() for r in rows)))


@pytest.mark.timeout(300)  # planned the exponential way, it does not end
@pytest.mark.parametrize(
    ("form", "written"),
    [("json", as_json), ("json", as_reordered_json), ("csv", as_csv)],
    ids=["json", "reordered json", "csv"],
)
def test_wide_rows(
    form: str,
    written: Callable[[list[dict[str, str | int]]], str],
    spark: SparkSession,
    tmp_path: Path,
) -> None:
    schema = ", ".join(f"{name(at)} {'bigint' if at % 2 else 'string'}" for at in range(COLUMNS))
    config = tmp_path / "wide.yaml"
    source = f'{{format: {form}, schema: "{schema}"}}'
    config.write_text(f"pipeline: wide\nbronze:\n  wide:\n    source: {source}\n")
    rows = [{name(at): value(at, row) for at in range(COLUMNS)} for row in range(ROWS)]
    lake = LakeHarness.of(config, tmp_path)
    lake.drop("wide", f"1.{form}", written(rows))
    lake.run()
    found = [{key: row[key] for key in rows[0]} for row in lake.rows("bronze.wide")]
    assert sorted(found, key=str) == sorted(rows, key=str)
