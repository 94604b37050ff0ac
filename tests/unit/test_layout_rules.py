"""What of a layout the columns cannot bear, and what a broken check is told with."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from medallion_jobs.config import ConfigError, Layout, load
from medallion_jobs.engine.failures import explain
from medallion_jobs.errors import DataError
from medallion_jobs.lake.tables import layout as layouts

INNER = StructType([StructField(f"i{n}", LongType()) for n in range(30)])
COLUMNS = StructType(
    [
        StructField("id", LongType()),
        StructField("nested", INNER),
        StructField("flag", BooleanType()),
        StructField("late", StringType()),
        StructField("raw", BinaryType()),
        StructField("_file", StringType()),
    ]
)


def problems(**layout: object) -> list[tuple[str, str]]:
    return layouts.problems(COLUMNS, Layout.model_validate(layout))


@pytest.mark.parametrize(
    ("layout", "key", "says"),
    [
        ({"partition_by": ["id", "nowhere"]}, "partition_by", "no column nowhere; it has id, "),
        ({"cluster_by": ["nowhere"]}, "cluster_by", "no column nowhere"),
        ({"comments": {"nowhere": "x"}}, "comments", "no column nowhere"),
        ({"partition_by": ["nested"]}, "partition_by", "nested is struct"),
        ({"partition_by": ["raw"]}, "partition_by", "raw is binary"),
        ({"partition_by": ["_file"]}, "partition_by", "_file starts with _"),
        ({"cluster_by": ["flag"]}, "cluster_by", "flag is boolean"),
        ({"cluster_by": ["nested"]}, "cluster_by", "nested is struct"),
        # 1 + 30 + 1 columns stand before it.
        ({"cluster_by": ["late"]}, "cluster_by", "late has no statistics"),
    ],
)
def test_what_cannot_be(layout: dict[str, object], key: str, says: str) -> None:
    ((found, why),) = problems(**layout)
    assert found == key
    assert says in why


def test_what_can_be() -> None:
    assert problems(partition_by=["flag", "late"], comments={"raw": "bytes"}) == []
    indexed = {"delta.dataSkippingNumIndexedCols": "33"}
    assert problems(cluster_by=["late"], properties=indexed) == []
    named = {"delta.dataSkippingStatsColumns": "id, `late`"}
    assert problems(cluster_by=["id", "late"], properties=named) == []
    one = StructType([StructField("id", LongType())])
    ((_, why),) = layouts.problems(one, Layout(partition_by=("id",)))
    assert "at least one column" in why


@pytest.mark.parametrize(
    "text",
    [
        "An error occurred while calling o1.save.\n: org.apache.spark.SparkException: Job aborted\n"
        "Caused by: x.DeltaInvariantViolationException: [DELTA_VIOLATE_CONSTRAINT_WITH_VALUES] "
        "CHECK constraint positive (a > 0) violated by row with values:\n - a : -1\n - b : x\n"
        "\tat org.apache.spark.sql.delta.schema.DeltaInvariantViolationException",
        "[USER_RAISED_EXCEPTION] [DELTA_VIOLATE_CONSTRAINT_WITH_VALUES] CHECK constraint positive "
        '(a > 0) violated by row with values: {"a":-1} SQLSTATE: P0001',
    ],
)
def test_a_broken_check_is_told(text: str) -> None:
    error = explain("gold.made", PySparkException(text), Path())
    assert isinstance(error, DataError)
    assert "gold.made: a row breaks the check positive (a > 0): " in error.what
    assert "-1" in error.what
    assert "org.apache" not in error.what
    assert "nothing of the batch is visible" in error.untouched


STAR = """\
pipeline: shop
bronze:
  in: {source: {format: json, schema: id bigint}}
silver:
  dim: {from: bronze.in, write: upsert, keys: id, sequence: id}
  fact:
    from: bronze.in
    lookups: [{table: silver.dim, on: id, take: {other: id}, on_miss: unknown}]
"""


def mistakes(folder: Path, *overrides: str) -> list[tuple[str, str]]:
    file = folder / "star.yaml"
    file.write_text(STAR)
    with pytest.raises(ConfigError) as raised:
        load(file, None, overrides, environ={})
    return [(one.path, one.what) for one in raised.value.problems]


def test_unknown_needs_an_unknown_member(tmp_path: Path) -> None:
    ((path, reason),) = mistakes(tmp_path)
    assert path == "silver.fact.lookups.0.on_miss"
    assert "silver.dim has no `unknown_member`" in reason
    having = "silver.dim.unknown_member={id: -1}"
    load(tmp_path / "star.yaml", None, [having], environ={})
    held = ["silver.fact.lookups.0.on_miss=hold", "silver.fact.lookups.0.after_hold=unknown"]
    ((path, _),) = mistakes(tmp_path, *held)
    assert path == "silver.fact.lookups.0.after_hold"


def test_a_surrogate_key_is_not_said_twice(tmp_path: Path) -> None:
    having = "silver.dim.unknown_member={id: -1}"
    said = ["silver.dim.surrogate_key=sk", "silver.dim.select=[sk, id]"]
    ((path, reason),) = mistakes(tmp_path, having, *said)
    assert path == "silver.dim.select"
    assert "sk is the surrogate key" in reason
