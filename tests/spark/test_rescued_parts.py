"""A part that did not fit its struct is not missing; and a null that others read is told of."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from support.lake import batches
from support.own import OwnLake

CONFIG = """
pipeline: shop
bronze:
  e:
    source:
      format: json
      schema: >-
        id bigint, at timestamp, n int, p string,
        c struct<zip: int, tags: array<int>, a: struct<no: int, s: string>>
silver:
"""
AT = "2026-01-01 10:00:00"
WHOLE = {"zip": 3, "tags": [4], "a": {"no": 5, "s": "s"}}
P = {"sku": "B", "n": 1, "tags": ["a"]}
ROWS: list[dict[str, Any]] = [
    {"id": 1, "at": AT, "n": 1, "c": WHOLE, "p": json.dumps(P)},
    {"id": 2},  # all is missing
    {"id": 3, "at": AT, "n": "x", "c": {"zip": "x", "tags": [1, 2], "a": {"no": "z", "s": "k"}}},
    {"id": 4, "at": AT, "c": "whole"},
    {"id": 5, "at": AT, "c": [1, 2]},
    {"id": 6, "at": AT, "c": {"zip": 1, "tags": [1, "y"], "a": {"no": 1}}},
    {"id": 7, "at": AT, "c": {"zip": 2, "tags": [3], "a": "inner"}},
    {"id": 8, "at": "noon", "p": json.dumps({**P, "n": "x"})},
    {"id": 9, "at": AT, "p": '{"sku": "B", "tags"'},
    {"id": 10, "at": AT, "p": json.dumps({**P, "more": 1})},
    {"id": 11, "at": AT, "p": '{"sku": "B"} {"n": 1}'},
]
ALL = {row["id"] for row in ROWS}


def drops(check: str) -> str:
    return f"expect: {{known: {{check: '{check}', otherwise: drop}}}}"


PARSED = "parse: {p: 'sku string, n int, tags array<string>'}"
# By case: what the table says, which rows are in the table, and which in quarantine.
CASES: dict[str, tuple[str, set[int], set[int]]] = {
    "field": (drops("c.zip > 0"), {1, 6, 7}, {3, 4, 5}),
    "flattened": (
        "flatten: c\n    expect: {known: {not_null: c_zip, otherwise: drop}}",
        {1, 6, 7},
        {3, 4, 5},
    ),
    "flattened_list": (f"flatten: c\n    {drops('c_tags[0] > 2')}", {1, 7}, {4, 5, 6}),
    "field_of_a_field": (drops("c.a.no > 0"), {1, 6}, {3, 4, 5, 7}),
    "struct_in_it": (drops("c.a.s is not null"), {1, 3}, {4, 5, 7}),
    "list_in_it": ('where: "exists(c.tags, t -> t > 3)"', {1}, {4, 5, 6}),
    "parsed": (f"{PARSED}\n    {drops('p.n > 0')}", {1, 10}, {8, 9, 11}),
    "parsed_text": (f"{PARSED}\n    {drops('length(p.sku) = 1')}", {1, 8, 10}, {9, 11}),
    "watermark": ("watermark: {column: at, delay: 1h, late: drop}", ALL - {8}, {8}),
    "as_before": (f'on_rescued: "null"\n    {drops("c.zip > 0")}', {1, 6, 7}, set()),
}
QUICK = ("field", "flattened_list", "list_in_it", "parsed", "watermark")


def lake_of(folder: Path, cases: Iterable[str]) -> tuple[OwnLake, Any]:
    config = CONFIG + "".join(
        f"  {name}:\n    from: bronze.e\n    {CASES[name][0]}\n" for name in cases
    )
    lake = OwnLake.of(folder, config)
    lake.land("e", "e.json", *ROWS)
    return lake, lake.run()


def ids(lake: OwnLake, case: str) -> tuple[set[int], set[int]]:
    parked = f"quarantine/silver/{case}"
    rows = lake.rows(parked) if lake.path(parked).exists() else []
    return (
        {row["id"] for row in lake.rows(f"silver.{case}")},
        {json.loads(row["row"])["id"] for row in rows},
    )


def check(lake: OwnLake, events: Any, cases: Iterable[str]) -> None:
    found = {case: ids(lake, case) for case in cases}
    assert found == {case: CASES[case][1:] for case in cases}
    for case in cases:
        [batch] = batches(events, f"silver.{case}")
        put = (batch.rows_out, batch.quarantined, batch.dropped, batch.repeated, batch.filtered)
        assert sum(put) == batch.rows_in == len(ROWS), case


def test_a_part_that_did_not_fit(tmp_path: Path, spark: object) -> None:
    check(*lake_of(tmp_path, QUICK), QUICK)


@pytest.mark.slow
def test_every_part(tmp_path: Path, spark: object) -> None:
    check(*lake_of(tmp_path, CASES), CASES)


READERS = """
  own:
    from: bronze.e
    rename: {n: number}
    columns: {twice: number * 2, zip: c.zip}
    select: [id, at, number, twice, zip]
    EXPECT
  second:
    from: silver.own
    expect: {known: {not_null: number, otherwise: drop}}
  unread: {from: bronze.e, select: [id, n]}
gold:
  totals:
    from: silver.own
    period: {of: at, by: day}
    measures: {total: sum(twice), zips: {sum: zip}, rows: count(*)}
"""
NO = "rows have a null for a value that did not fit"


# Of the sales pipeline: tests/spark/test_lookup.py.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("expect", "told"),
    [
        (
            "",
            {
                f"1 {NO}: at, read by gold.totals",
                f"1 {NO}: number, read by silver.second, gold.totals",
                f"3 {NO}: c.zip, read by gold.totals",
            },
        ),
        ("expect: {fit: {not_rescued: [number, at, zip]}}", set()),
        ('on_rescued: "null"', set()),
    ],
    ids=["told", "watched", "as_before"],
)
def test_a_null_that_other_tables_read_is_told_of(
    tmp_path: Path, spark: object, expect: str, told: set[str]
) -> None:
    lake = OwnLake.of(tmp_path, CONFIG + READERS.replace("EXPECT", expect))
    lake.land("e", "e.json", *ROWS)
    events = lake.run()
    remarks = {
        table: batches(events, table)[0].remarks for table in ("silver.own", "silver.unread")
    }
    assert {remark for remark in remarks["silver.own"] if NO in remark} == told
    assert not any(NO in remark for remark in remarks["silver.unread"])
    days = {row["day"] and str(row["day"]): row["rows"] for row in lake.rows("gold.totals")}
    assert days == {"2026-01-01": 9, None: 2}
