"""Every type of parquet and avro: a value is in its column exactly, or rescued exactly.

Each table is read whole by delta-rs, by DuckDB and by Spark: one value that another engine cannot
read would make the column unreadable.
"""

from __future__ import annotations

import io
import json
import math
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import arrow_types
from support.engines import TECHNICAL, by_id, lake_of, rows_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from support.own import OwnLake


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def check_any_types(spark: SparkSession, folder: Path, seed: int, columns: int, rows: int) -> None:
    random = Random(seed)
    kinds = {f"c{at}": leaf.arrow for at, leaf in enumerate(arrow_types.LEAVES)}
    kinds |= {f"n{at}": arrow_types.any_type(random, 1 + at % 3) for at in range(columns)}
    values = {
        name: [arrow_types.any_value(kind, random) for _ in range(rows)]
        for name, kind in kinds.items()
    }
    arrays = {name: arrow_types.array(kind, values[name]) for name, kind in kinds.items()}
    lake = lake_of(folder, things="format: parquet")
    lake.drop_bytes("../things/1.parquet", parquet({"row": range(rows), **arrays}))
    lake.run()
    found = {row["row"]: row for row in rows_of(spark, lake, "things")}
    held = {name for name in found[0] if name not in (*TECHNICAL, "row")}
    assert held == {name for name, kind in kinds.items() if arrow_types.has_column(kind)}
    for name, kind in kinds.items():
        for at, value in enumerate(values[name]):
            check_value(kind, value, found[at].get(name), found[at]["_rescued_data"].get(name))


def check_value(kind: pa.DataType, value: Any, cell: Any, rescued: Any) -> None:
    """A value is in its column, as far as it fits, and rescued if some of it does not."""
    where = (str(kind), value, cell, rescued)
    if arrow_types.has_column(kind):
        kept = arrow_types.stored(kind, value)
        assert arrow_types.comparable(cell) == arrow_types.comparable(kept), where
    lost = None if arrow_types.fits(kind, value) else value
    assert arrow_types.is_shown(kind, lost, rescued), where


def test_any_arrow_types(spark: SparkSession, tmp_path: Path) -> None:
    check_any_types(spark, tmp_path, 1, 12, 30)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_more_arrow_types(spark: SparkSession, tmp_path: Path, seed: int) -> None:
    check_any_types(spark, tmp_path, seed, 60, 200)


# --- files of other programs


def of_duckdb(select: str, to: Path) -> bytes:
    with duckdb.connect() as duck:
        duck.execute(f"COPY (SELECT {select}) TO '{to}' (FORMAT parquet)")
    return to.read_bytes()


def of_pandas() -> bytes:
    file = io.BytesIO()
    at = pd.to_datetime([1, 10**9 + 1_001, -1, 10**9 + 1_000], unit="ns", utc=True)
    pd.DataFrame({"id": range(1, 5), "at": at, "day": at.tz_localize(None)}).to_parquet(file)
    return file.getvalue()


def kept_by_pyarrow(columns: dict[str, Any]) -> bytes:
    """A file with Spark's schema of another one, as pyarrow keeps it when columns are added."""
    fields = [{"name": "id", "type": "long", "nullable": True, "metadata": {}}]
    told = json.dumps({"type": "struct", "fields": fields})
    table = pa.table(columns)
    spark = {"org.apache.spark.sql.parquet.row.metadata": told}
    file = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(spark), file)
    return file.getvalue()


DUCKDB = """
    1::INT AS id, TIME '10:15:00.123456' AS at,
    TIMESTAMP_NS '2024-01-01 10:00:00.000000001' AS moment,
    INTERVAL '14 months 3 days 1.5 seconds' AS span,
    UUID 'a7c1d3d6-0000-4000-8000-0000000000ff' AS one,
    [UUID '00000000-0000-0000-0000-000000000001', NULL] AS many,
    {'t': TIME '00:00:00', 'n': 1::UTINYINT} AS both, MAP {'a': INTERVAL 1 DAY} AS spans,
    MAP {UUID '00000000-0000-0000-0000-000000000002': 1.5::FLOAT} AS by_uuid,
    '{"a": 1}'::JSON::VARIANT AS any, 'b'::ENUM ('a', 'b') AS kind, '\\x00'::BLOB AS bytes
"""
UNTYPED = {"v": pa.nulls(1), "l": pa.array([[None]], pa.list_(pa.null())),
    "s": pa.array([{"a": 1, "b": None}], pa.struct({"a": pa.int64(), "b": pa.null()}))}  # fmt: skip
TYPED = {"v": ["text"], "l": [["x"]], "s": [{"a": 2, "b": True}]}
IDS = [*range(6)]
TWICE = {
    "m": pa.array([[("a", 1), ("b", 2), ("a", 3)], [("a", 1)]], pa.map_(pa.string(), pa.int8()))
}
NUMBERS = {
    "whole": [1.0, 1.5, -0.0, math.nan, 2.0**63, 1e300],
    "exact": pa.array([1, 2**53 + 1, 2**53, 2**63 - 1, -(2**63), None]),
    "short": [1, 128, -128, None, 2**40, 0],
    "price": pa.array([Decimal("1.500"), Decimal("1.505"), None] + [Decimal("0.000")] * 3),
}
SMALLER = "id bigint, whole bigint, exact double, short tinyint, price decimal(5,2)"
TABLES = {
    "duck": "format: parquet",
    "panda": "format: parquet",
    "cut": "format: parquet, options: {nanoseconds: truncate}",
    "untyped": "format: parquet, inference_files: 1, max_files_per_trigger: 1",
    "closed": "format: parquet, schema: id bigint, schema_evolution: fail_on_new_columns",
    "numbers": f"format: parquet, schema: '{SMALLER}'",
    "kept": "format: parquet",
    "odd": "format: parquet, schema: id bigint",
}


@pytest.fixture(scope="module")
def others(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> OwnLake:
    folder = tmp_path_factory.mktemp("others")
    lake = lake_of(folder, **TABLES)
    ids = pa.array(IDS)
    files = {
        "duck/1": of_duckdb(DUCKDB, folder / "duck"),
        "panda/1": of_pandas(),
        "cut/1": of_pandas(),
        "untyped/1": parquet({"id": ids[:1], **UNTYPED}),
        "untyped/2": parquet({"id": ids[1:2], **TYPED}),
        "closed/1": parquet({"id": [1], "none": pa.nulls(1), "t": pa.array([1], pa.time64("us"))}),
        "numbers/1": parquet({"id": ids, **NUMBERS}),
        "kept/1": kept_by_pyarrow({"id": [1], "added": pa.array([1], pa.timestamp("ns"))}),
        "kept/2": parquet({"id": ids[2:4], **TWICE}),
        "odd/brotli": parquet({"id": [1]}, compression="brotli"),
        "odd/names": parquet({"id": [1], "s": [{"a": 1, "A": 2}]}),
        "odd/good": parquet({"id": [1]}),
    }
    for at, (name, content) in enumerate(files.items()):
        lake.drop_bytes(f"../{name}.parquet", content, at=at)
    lake.run()
    return lake


def test_types_of_duckdb(spark: SparkSession, others: OwnLake) -> None:
    assert by_id(spark, others, "duck")[1] == {
        "one": "a7c1d3d6-0000-4000-8000-0000000000ff",
        "many": ["00000000-0000-0000-0000-000000000001", None],
        "both": {"n": 1},
        "by_uuid": [("00000000-0000-0000-0000-000000000002", 1.5)],
        "kind": "b",
        "bytes": b"\x00",
        "_rescued_data": {
            "at": "10:15:00.123456",
            "moment": "2024-01-01T10:00:00.000000001",
            "span": "14 months 3 days 1500 ms",
            "both": {"t": "00:00:00.000000", "n": 1},
            "spans": {"a": "0 months 1 days 0 ms"},
            "any": {"a": 1},
        },
    }


def test_nanoseconds_of_pandas(spark: SparkSession, others: OwnLake) -> None:
    start = datetime(1970, 1, 1, tzinfo=timezone.utc)
    last = start + timedelta(seconds=1, microseconds=1)
    rows = by_id(spark, others, "panda")
    assert rows[4] == {"at": last, "day": last.replace(tzinfo=None)}
    texts = ["1970-01-01T00:00:00.000000001", "1970-01-01T00:00:01.000001001"]
    texts.append("1969-12-31T23:59:59.999999999")
    rescued = [{"at": f"{text}Z", "day": text} for text in texts]
    assert [rows[at] for at in (1, 2, 3)] == [{"_rescued_data": one} for one in rescued]
    cut = [row["at"] for row in by_id(spark, others, "cut").values()]
    assert cut == [start, last, start - timedelta(microseconds=1), last]


def test_a_column_without_a_type_is_not_there_yet(spark: SparkSession, others: OwnLake) -> None:
    rows = by_id(spark, others, "untyped")
    assert rows[0] == {"s": {"a": 1, "b": None}, "_rescued_data": {"l": [None]}}
    assert rows[1] == {"v": "text", "l": ["x"], "s": {"a": 2, "b": True}}
    assert by_id(spark, others, "closed")[1] == {"_rescued_data": {"t": "00:00:00.000001"}}


def test_numbers_are_taken_where_they_are_the_same(spark: SparkSession, others: OwnLake) -> None:
    rows = by_id(spark, others, "numbers")
    price = Decimal("0.00")
    assert rows == {
        0: {"whole": 1, "exact": 1.0, "short": 1, "price": Decimal("1.50")},
        1: {"_rescued_data": {"whole": Decimal("1.5"), "exact": 2**53 + 1, "short": 128,
                              "price": Decimal("1.505")}},
        2: {"exact": 2.0**53, "short": -128, "_rescued_data": {"whole": Decimal("-0.0")}},
        3: {"price": price, "_rescued_data": {"whole": "NaN", "exact": 2**63 - 1}},
        4: {"exact": -(2.0**63), "price": price,
            "_rescued_data": {"whole": Decimal("9.223372036854776e18"), "short": 2**40}},
        5: {"short": 0, "price": price, "_rescued_data": {"whole": Decimal("1e300")}},
    }  # fmt: skip


def test_columns_that_spark_does_not_know_of(spark: SparkSession, others: OwnLake) -> None:
    rescued = {"added": "1970-01-01T00:00:00.000000001"}
    assert by_id(spark, others, "kept")[1] == {"_rescued_data": rescued}


def test_a_map_with_a_key_twice(spark: SparkSession, others: OwnLake) -> None:
    rows = by_id(spark, others, "kept")
    assert rows[2] == {"_rescued_data": {"m": {"a #1": 1, "b #2": 2, "a #3": 3}}}
    assert rows[3] == {"m": [("a", 1)]}


def test_why_a_file_cannot_be_read(others: OwnLake) -> None:
    told = {path: one for path, one in others.files().items() if "/odd/" in path}
    by_name = {Path(path).stem: one for path, one in told.items()}
    assert by_name["good"]["state"] == "COMMITTED"
    assert by_name["brotli"]["error"].startswith("compressed by Brotli, which Spark cannot read")
    assert by_name["names"]["error"] == "columns that differ by case alone: s.A, s.a"
