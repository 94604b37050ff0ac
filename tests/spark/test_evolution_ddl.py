"""What `alterations` writes is what Delta takes, and what it makes of it is what was wanted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StructType

TABLE = """
    id int, price decimal(10,2), day date, small tinyint, single float, whole smallint, count int,
    big bigint, `we.ird``-ly` struct<`a.b`: int>,
    customer struct<name: string, address: struct<city: string>>,
    items array<struct<sku: string, n: int, parts array<struct<w: int>>>>,
    tags map<string, struct<v: int>>, keyed map<int, bigint>, codes array<int>
"""
# Every row of Delta's table of wider types, and new columns at every depth.
WANTED = """
    id bigint, price decimal(12,3), day timestamp_ntz, small smallint, single double,
    whole double, count decimal(12,2), big decimal(20,0),
    `we.ird``-ly` struct<`a.b`: bigint, `new``.one`: string>,
    customer struct<name: string, address: struct<city: string, zip: string>, vip: boolean>,
    items array<struct<
        sku: string, n: bigint, parts array<struct<w: bigint, h: int>>, `unit.p`: double>>,
    tags map<string, struct<v: bigint, note: string>>, keyed map<bigint, decimal(20,0)>,
    codes array<bigint>,
    `select` struct<`from`: array<struct<`a-b`: int>>>, `größe` double, stamp timestamp_ntz
"""


def columns(ddl: str) -> StructType:
    from medallion_jobs.lake.tables.schema import parse_ddl

    return parse_ddl(ddl)


def test_delta_takes_every_alteration(spark: SparkSession, tmp_path: Path) -> None:
    from medallion_jobs.autoloader.schemas.evolution import alterations, merge, widened
    from medallion_jobs.lake import tables

    path = tmp_path / "grown"
    properties = {"delta.enableTypeWidening": "true"}
    tables.create(spark, path, columns(TABLE), comment="", properties=properties)
    table, wanted = columns(TABLE), columns(WANTED)
    assert widened(table, wanted) == wanted
    tails = alterations(table, wanted)
    assert len(tails) == 3
    for tail in tails:
        spark.sql(f"ALTER TABLE delta.`{path}` {tail}")
    has = spark.read.format("delta").load(str(path)).schema
    assert has.jsonValue() == wanted.jsonValue()
    assert alterations(has, wanted) == alterations(has, merge(table, wanted)) == []


def test_the_types_of_hints(spark: SparkSession) -> None:
    from medallion_jobs.autoloader.schemas.hints import split, types
    from medallion_jobs.errors import UsageError

    hinted = types(
        split(
            "a.`b,c` decimal(10,2), m: map<string,array<int>>, "
            "s struct<x: int, y: date>, t timestamp"
        )
    )
    assert {path: kind.simpleString() for path, kind in hinted.items()} == {
        ("a", "b,c"): "decimal(10,2)",
        ("m",): "map<string,array<int>>",
        ("s",): "struct<x:int,y:date>",
        ("t",): "timestamp",
    }
    for wrong in (
        "a.b number",
        "a int not null",
        "a int comment 'whole, part'",
        "a decimal(99,2)",
        "a char",
    ):
        with pytest.raises(UsageError) as told:
            types(split(wrong))
        assert wrong in told.value.what
