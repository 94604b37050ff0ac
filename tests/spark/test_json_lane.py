"""The fast lane of JSON lines: whatever a line holds, it comes out as if there were no lane."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from medallion_jobs.autoloader.file_entry import FileEntry, to_uri
from medallion_jobs.autoloader.readers import json_lane
from medallion_jobs.autoloader.readers.json_lines import JsonLines
from medallion_jobs.autoloader.readers.records import Input

SCHEMA = (
    "id string, n int, big bigint, price decimal(10,2), ratio double, ok boolean, "
    "at timestamp, day date, other string"
)
FIRST: dict[str, Any] = {
    "id": "a b",
    "n": 1,
    "big": 12,
    "price": 1.25,
    "ratio": 0.5,
    "ok": True,
    "at": "2026-01-31 10:00:00",
    "day": "2026-01-31",
}
REGULAR = [
    {},
    {"id": ""},
    {"id": "ünï 時 {[,:]} \u2028"},
    {"n": -7, "big": 123_456_789_012_345, "price": 3, "ratio": 12.75, "ok": False},
    {"at": "2026-01-31T10:00:00Z"},
    {"at": "2026-01-31 10:00:00.123456+02:00"},
]
IRREGULAR = [
    {"n": None},
    {"n": 3_000_000_000},
    {"n": "5"},
    {"n": 1.0},
    {"big": 10**30},
    {"price": 1.005},
    {"price": 123456789012.5},
    {"ratio": 1e300},
    {"ratio": 0.1234567890123456789},
    {"ok": "yes"},
    {"ok": None},
    {"at": "2026-02-30 10:00:00"},
    {"at": "10:15"},
    {"day": "2026-13-01"},
    {"day": "2026-01-31 10:00"},
    {"id": 'quo"te'},
    {"id": "back\\slash"},
    {"id": "tab\t"},
    {"id": {"a": 1}},
    {"other": "a column that the first line does not have"},
    {"unknown": 1},
]


def lines_of(written: dict[str, str | tuple[str, str]]) -> list[str]:
    def dumped(record: dict[str, Any]) -> str:
        return json.dumps(record, ensure_ascii=False, **written)  # type: ignore[arg-type]

    first = dumped(FIRST)
    reordered = dict(reversed(FIRST.items()))
    less = {key: value for key, value in FIRST.items() if key != "n"}
    return [
        first,
        *(dumped({**FIRST, **change}) for change in (*REGULAR, *IRREGULAR)),
        dumped(reordered),
        dumped(less),
        f" {first}",
        f"{first} ",
        f"{first}\u2028",
        f"{first}\x85",
        f"{first} {first}",
        f"{first}}}",
        first[:-1],
        first[:-1] + ', "n": 1}',
        first.replace("{", "{ "),
        first.replace('"a b"', '"raw\ttab"'),
        first.replace('"a b"', '"raw\x00"'),
        first.replace('"a b"', r'"\u0041"'),
        first.replace('"n"', r'"\u006e"'),
        first.replace("12,", "012,"),
        first.replace("12,", "-0,"),
        first.replace("12,", "+12,"),
        first.replace("true", "TRUE"),
        "",
        "[]",
    ]


@pytest.fixture(
    params=[(", ", ": "), (",", ":")], ids=["with spaces", "without"], name="separators"
)
def _separators(request: pytest.FixtureRequest) -> tuple[str, str]:
    made: tuple[str, str] = request.param
    return made


def test_every_line_is_as_without_a_lane(
    spark: SparkSession,
    tmp_path: Path,
    separators: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "in.json"
    text = "\n".join(lines_of({"separators": separators}))
    path.write_bytes(text.encode() + b'\n{"id": "caf\xe9"}\n')
    files = [FileEntry(1, to_uri(str(path)), path.stat().st_size)]
    schema = StructType.fromDDL(SCHEMA)

    def read() -> tuple[list[Any], int]:
        records = JsonLines().records(Input(spark, files, {}), schema)
        new = records.has_new
        assert not isinstance(new, bool)
        rows = records.frame.select(
            records.raw.alias("raw"),
            records.good.alias("good"),
            F.when(~records.good, records.reason).alias("reason"),
            F.when(records.good, new).alias("new"),
            *[F.when(records.good, c).alias(f"c{i}") for i, c in enumerate(records.columns)],
        ).collect()
        return sorted(map(repr, rows)), records.frame.where(F.col(json_lane.REGULAR)).count()

    fast, regular = read()
    monkeypatch.setattr(json_lane, "lane_for", lambda *_: None)
    slow, none = read()
    assert fast == slow
    # The first line, those that are written like it, and -0, which is a number like others.
    assert (regular, none) == (1 + len(REGULAR) + 1, 0)


def test_a_first_line_that_teaches_nothing_is_passed_over(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "in.json"
    lines = ["not JSON", '{"id": null, "n": 1}', '{"id": "a", "n": 1}', '{"id": "b", "n": 2}']
    path.write_text("\n".join(lines))
    files = [FileEntry(1, to_uri(str(path)), path.stat().st_size)]
    records = JsonLines().records(Input(spark, files, {}), StructType.fromDDL("id string, n int"))
    assert records.frame.where(F.col(json_lane.REGULAR)).count() == 2
