"""Every type of avro, as other programs write it: in its column exactly, or rescued exactly."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.avro import avro_file, logical, record
from support.engines import by_id, lake_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from support.own import OwnLake

MOMENT = 1_704_103_200_123_456_000  # 2024-01-01 10:00:00.123456
AT = datetime(2024, 1, 1, 10, 0, 0, 123456)
TIME = logical("long", "time-micros")
ZERO = "00000000-0000-0000-0000-00000000000"
DURATION = logical("fixed", "duration", name="Span", size=12)
LONG = logical("bytes", "decimal", precision=50, scale=2)
# By field: its type, its value in the file, its value in the table, and what is rescued.
TYPES: dict[str, tuple[Any, Any, Any, Any]] = {
    "none": ("null", None, None, None),
    "day": (logical("int", "date"), 19723, AT.date(), None),
    "milli": (logical("int", "time-millis"), 36_900_123, None, "10:15:00.123"),
    "micro": (TIME, 36_900_123_456, None, "10:15:00.123456"),
    "whole": (logical("long", "timestamp-nanos"), MOMENT, AT.replace(tzinfo=timezone.utc), None),
    "part": (logical("long", "timestamp-nanos"), MOMENT + 1, None,
             "2024-01-01T10:00:00.123456001Z"),
    "local": (logical("long", "local-timestamp-nanos"), MOMENT, AT, None),
    "before": (logical("long", "local-timestamp-nanos"), -1, None,
               "1969-12-31T23:59:59.999999999"),
    "zone": (logical("long", "local-timestamp-micros"), MOMENT // 1000, AT, None),
    "text_uuid": (logical("string", "uuid"), f"{ZERO}1", f"{ZERO}1", None),
    "uuid": (logical("fixed", "uuid", name="Id", size=16), bytes(15) + b"\x0f",
             f"{ZERO}f", None),
    "span": (DURATION, b"\x01\0\0\0\xff\xff\xff\xff\0\x01\0\0", None,
             "1 months 4294967295 days 256 ms"),
    "short": (logical("bytes", "decimal", precision=9, scale=2), b"\xff\x6a", Decimal("-1.50"),
              None),
    "long": (LONG, (-(10**47) - 5).to_bytes(30, "big", signed=True), None, f"-1{'0' * 45}.05"),
    "zero": (LONG, b"", None, "0.00"),
    "text": ("string", b"\xff\xfe", None, "//4="),
    "texts": ({"type": "array", "items": "string"}, [b"a", b"\xff"], ["a", None], ["a", "/w=="]),
    "map": ({"type": "map", "values": TIME}, [(b"\xff", 1), (b"a", 2)], None,
            {"/w==": "00:00:00.000001", "a": "00:00:00.000002"}),
    "keys": ({"type": "map", "values": "long"}, [(b"\xff", 1), (b"a", 2)], [("a", 2)],
             {"/w==": 1, "a": 2}),
    "kind": ({"type": "enum", "name": "Kind", "symbols": ["A", "B"]}, 1, "B", None),
    "again": (["null", "Kind"], (1, 0), "A", None),
    "other": (["null", "boolean", TIME, "string"], (2, 1), {"member0": None, "member2": None},
              {"member1": "00:00:00.000001"}),
    "number": (["int", "long"], (0, 7), 7, None),
    "inner": (record("Inner", t=["null", TIME], span="Span", n="long"),
              {"t": (0, None), "span": bytes(12), "n": 1}, {"n": 1},
              {"span": "0 months 0 days 0 ms", "n": 1}),
    "inners": ({"type": "array", "items": "Inner"}, [{"t": (1, 0), "span": bytes(12), "n": 2}],
               [{"n": 2}], [{"t": "00:00:00.000000", "span": "0 months 0 days 0 ms", "n": 2}]),
}  # fmt: skip
ROW = record(id="long")
ODD = {
    "record": (avro_file(["null", ROW], [(1, {"id": 1})]), ""),
    "null": (avro_file(["null", ROW], [(1, {"id": 2}), (0, None)]), "one of its rows is null"),
    "bytes": (avro_file(["null", "bytes"], [(1, b"x")]), "is a union of null and bytes, which has"),
    "number": (avro_file("long", [1]), "its avro schema is long, which has no columns"),
    "two": (avro_file([record("A", id="long"), record("B", id="long")], []), "records (A, B)"),
    "itself": (avro_file(record("Node", id="long", next=["null", "Node"]), []), "record Node is"),
    "brotli": (avro_file(ROW, [], codec="brotli"), "compressed by brotli, which Spark's avro"),
    "none": (avro_file({"type": "record"}, []), "the schema in its avro header is not valid"),
}


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> OwnLake:
    made = lake_of(
        tmp_path_factory.mktemp("avro"),
        all="format: avro",
        cut="format: avro, options: {nanoseconds: truncate}",
        odd="format: avro, schema: id bigint",
    )
    schema = record(id="long", **{name: kind for name, (kind, *_) in TYPES.items()})
    row = {"id": 1, **{name: value for name, (_, value, *_) in TYPES.items()}}
    made.drop_bytes("../all/1.avro", avro_file(schema, [row]))
    part = record(id="long", at=["null", TYPES["part"][0]])
    made.drop_bytes("../cut/1.avro", avro_file(part, [{"id": 1, "at": (1, MOMENT + 999)}]))
    for name, (content, _) in ODD.items():
        made.drop_bytes(f"../odd/{name}.avro", content)
    made.run()
    return made


def test_every_logical_type(spark: SparkSession, lake: OwnLake) -> None:
    row = by_id(spark, lake, "all")[1]
    rescued = row.pop("_rescued_data")
    assert row == {name: held for name, (_, _, held, _) in TYPES.items() if held is not None}
    assert rescued == {name: told for name, (*_, told) in TYPES.items() if told is not None}
    assert by_id(spark, lake, "cut")[1] == {"at": AT.replace(tzinfo=timezone.utc)}


def test_schemas_that_are_no_table(spark: SparkSession, lake: OwnLake) -> None:
    told = {Path(path).stem: one for path, one in lake.files().items() if "/odd/" in path}
    assert set(told) == set(ODD)
    for name, (_, error) in ODD.items():
        assert bool(told[name]["error"]) == bool(error)
        assert error in (told[name]["error"] or ""), name
    assert list(by_id(spark, lake, "odd")) == [1]
