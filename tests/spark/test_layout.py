"""How tables lie on disk: made so, brought in line at each start, kept through every rewrite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from support.lake import batches
from support.own import OwnLake

from medallion_jobs.config import Layout, TableRef
from medallion_jobs.errors import DataError, UsageError
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables import Txn
from medallion_jobs.lake.tables import schema as schemas

REF = TableRef("gold", "made")
DDL = "id bigint, city string, day date"
CLUSTERED = Layout(
    cluster_by=("city",),
    comment="Who lives where",
    comments={"id": "it's the key"},
    properties={"owner.team": "people", "delta.logRetentionDuration": "interval 40 days"},
    checks={"Positive": "id > 0 -- never less"},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lake" / "gold" / "made"


def make(spark: Any, path: Path, layout: Layout, ddl: str = DDL) -> None:
    schema = schemas.parse_ddl(ddl)
    tables.create(spark, path, schema, comment="made for a test", layout=layout)
    tables.ensure_layout(spark, REF, path, layout)


def frame(spark: Any, *ids: int, ddl: str = DDL) -> Any:
    fill = {
        "bigint": "id",
        "string": "concat('c', id)",
        "date": "date'2026-01-01' + cast(id as int)",
    }
    columns = [one.split() for one in ddl.split(", ")]
    wanted = [f"{fill[kind]} as {name}" for name, kind in columns]
    return spark.createDataFrame([(i,) for i in ids], "id bigint").selectExpr(*wanted)


def add(spark: Any, path: Path, *ids: int) -> None:
    frame(spark, *ids).coalesce(1).write.format("delta").mode("append").save(str(path))


def version(path: Path) -> int:
    there = tables.snapshot(path)
    assert there
    return there.version


def told(spark: Any, path: Path) -> dict[str, Any]:
    """What the table says of its layout."""
    detail = spark.sql(f"DESCRIBE DETAIL delta.`{path}`").collect()[0]
    return {
        "partitions": detail["partitionColumns"],
        "clustering": detail["clusteringColumns"],
        "comment": detail["description"],
        "comments": {
            f.name: f.metadata["comment"]
            for f in DeltaTable(path).schema().fields
            if f.metadata.get("comment")
        },
        "properties": {
            key: value
            for key, value in detail["properties"].items()
            if not key.startswith(("medallion.", "delta.constraints."))
        },
        "checks": sorted(
            key.removeprefix("delta.constraints.")
            for key in detail["properties"]
            if key.startswith("delta.constraints.")
        ),
    }


AS_CLUSTERED = {
    "partitions": [],
    "clustering": ["city"],
    "comment": "Who lives where",
    "comments": {"id": "it's the key"},
    "properties": {"owner.team": "people", "delta.logRetentionDuration": "interval 40 days"},
    "checks": ["positive"],
}


def test_made_changed_and_taken_back(spark: Any, path: Path) -> None:
    make(spark, path, CLUSTERED)
    assert (version(path), told(spark, path)) == (0, AS_CLUSTERED)
    # What somebody else has set stays, whatever becomes of ours.
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('theirs' = '1')")
    spark.sql(f"ALTER TABLE delta.`{path}` ADD CONSTRAINT theirs CHECK (id < 1000)")
    before = version(path)
    make(spark, path, CLUSTERED)
    assert version(path) == before

    other = Layout(
        cluster_by=("id", "day"),
        comment="Others",
        comments={"city": "where"},
        properties={"owner.team": "others"},
        checks={"positive": "id >= 0", "told": "city is not null"},
    )
    make(spark, path, other)
    assert told(spark, path) == {
        "partitions": [],
        "clustering": ["id", "day"],
        "comment": "Others",
        "comments": {"city": "where"},
        "properties": {"owner.team": "others", "theirs": "1"},
        "checks": ["positive", "theirs", "told"],
    }
    # One each: the old check, the old property, the new ones, comments, clustering, two checks.
    assert version(path) == before + 7
    make(spark, path, other)
    assert version(path) == before + 7

    make(spark, path, Layout())
    after = told(spark, path)
    assert (after["clustering"], after["comment"], after["comments"]) == ([], None, {})
    assert (after["properties"], after["checks"]) == ({"theirs": "1"}, ["theirs"])
    still = version(path)
    make(spark, path, Layout())
    assert version(path) == still


def test_a_check_that_rows_break_is_not_added(spark: Any, path: Path) -> None:
    make(spark, path, Layout())
    add(spark, path, -1, -2, 3)
    with pytest.raises(DataError, match=r"2 rows break positive \(id > 0\), such as") as refused:
        make(spark, path, Layout(comment="new", checks={"positive": "id > 0"}))
    assert '"id":-1' in str(refused.value)
    with pytest.raises(UsageError, match="cannot be computed"):
        make(spark, path, Layout(comment="new", checks={"odd": "nothing > 0"}))
    with pytest.raises(UsageError, match="comments: the table has no column nothing"):
        make(spark, path, Layout(comments={"nothing": "is this"}))
    assert version(path) == 1


def test_what_replaces_all_rows_keeps_the_layout(spark: Any, path: Path) -> None:
    make(spark, path, CLUSTERED)
    txn = Txn("gold.made/v1", 0, "run")
    rows = frame(spark, 1, 2)
    assert tables.replace(rows, path, txn, new_schema=True, layout=CLUSTERED)
    assert not tables.replace(frame(spark, 7), path, Txn("gold.made/v1", 0, "another run"))
    assert tables.rows_written(path, txn) == 2
    assert told(spark, path) == AS_CLUSTERED
    # Other columns: what the new generation's first batch brings.
    wider = DDL + ", more bigint"
    txn = Txn("gold.made/v2", 0, "run")
    layout = CLUSTERED.model_copy(update={"checks": {"more": "more < 5"}})
    with pytest.raises(Exception, match="CHECK constraint more"):
        rows = frame(spark, 1, 7, ddl=wider)
        tables.replace(rows, path, txn, new_schema=True, layout=layout)
    assert tables.replace(frame(spark, 1, ddl=wider), path, txn, new_schema=True, layout=layout)
    tables.ensure_layout(spark, REF, path, layout)
    assert told(spark, path) == {**AS_CLUSTERED, "checks": ["more"]}


@pytest.mark.slow
def test_partitions_are_for_good_until_the_table_is_made_anew(spark: Any, path: Path) -> None:
    by_day = Layout(partition_by=("day",), optimize_after=2)
    make(spark, path, by_day)
    add(spark, path, 1, 2)
    assert (len(list(path.glob("day=*"))), tables.files_since(path)) == (2, 2)
    # Where nothing can be put together, OPTIMIZE is not tried again after each batch.
    assert tables.optimize_if_due(spark, path, by_day) is None
    assert (tables.files_since(path), version(path)) == (0, 1)
    with pytest.raises(UsageError, match=r"is partitioned by day; .* by city") as refused:
        make(spark, path, Layout(partition_by=("city",)))
    assert "medallion rebuild gold.made" in refused.value.next_step
    with pytest.raises(UsageError, match="must be not partitioned"):
        make(spark, path, CLUSTERED)
    schema = schemas.parse_ddl(DDL)
    for layout in (CLUSTERED, CLUSTERED, by_day):
        tables.recreate(spark, path, schema, layout=layout)
        tables.ensure_layout(spark, REF, path, layout)
        if layout == CLUSTERED:
            assert told(spark, path) == AS_CLUSTERED
    assert (told(spark, path)["partitions"], told(spark, path)["clustering"]) == (["day"], [])


def test_optimize_changes_no_row_for_anybody(spark: Any, path: Path) -> None:
    layout = Layout(cluster_by=("id",), optimize_after=4, target_file_size="1m")
    make(spark, path, layout)
    tables.set_properties(spark, path, {"delta.enableChangeDataFeed": "true"})
    for n in range(3):
        add(spark, path, 2 * n, 2 * n + 1)
    got: list[int] = []
    stream = spark.readStream.format("delta").load(str(path)).writeStream
    stream = stream.foreachBatch(lambda rows, _: got.append(rows.count()))
    query = stream.option("checkpointLocation", str(path.parent / "checkpoint")).start()
    try:
        query.processAllAvailable()
        assert tables.optimize_if_due(spark, path, layout) is None
        add(spark, path, 6, 7)
        query.processAllAvailable()
        assert (tables.files_since(path), sum(got)) == (4, 8)
        before = version(path)
        assert tables.optimize_if_due(spark, path, layout) == "optimized: 4 files became 1"
        assert (tables.files_since(path), version(path)) == (0, before + 1)
        add(spark, path, 8)
        query.processAllAvailable()
        assert (query.isActive, sum(got)) == (True, 9)
    finally:
        query.stop()
    feed = spark.read.format("delta").option("readChangeFeed", True)
    changes = feed.option("startingVersion", before + 1).load(str(path))
    assert [row["id"] for row in changes.collect()] == [8]
    # The size was the table's, not the session's.
    assert int(spark.conf.get("spark.databricks.delta.optimize.maxFileSize")) > 2**20


CONFIG = """
pipeline: shop
bronze:
  orders:
    source:
      format: json
      schema: order_id string, quantity int, day date
      max_files_per_trigger: 1
    layout:
      partition_by: [day]
      optimize_after: 2
      comment: Orders as they came
silver:
  orders:
    from: bronze.orders
    select: [order_id, quantity, day]
    layout:
      cluster_by: [order_id]
      comments: {quantity: pieces}
      checks: {ordered: quantity > 0}
gold:
  by_day:
    from: silver.orders
    group_by: [day]
    measures: {pieces: {sum: quantity}}
    mode: incremental
"""


def order(name: str, quantity: int) -> dict[str, Any]:
    return {"order_id": name, "quantity": quantity, "day": "2026-01-31"}


BROKEN = r"a row breaks the check ordered .*quantity : -7"


def test_in_silver(spark: Any, tmp_path: Path) -> None:
    lake = OwnLake.of(tmp_path, CONFIG)
    rows = [order("o-0", 1), order("bad", -7), order("o-1", 2)]
    write_deltalake(lake.path("bronze.orders"), pa.Table.from_pylist(rows))
    with pytest.raises(DataError, match=BROKEN):
        lake.run("silver")
    assert lake.rows("silver.orders") == []
    lake.configure(CONFIG.replace("quantity > 0", "quantity > -10"))
    (batch,) = batches(lake.run("silver"), "silver.orders")
    assert (batch.rows_in, batch.rows_out) == (3, 3)
    assert {k: v for k, v in told(spark, lake.path("silver.orders")).items() if v} == {
        "clustering": ["order_id"],
        "comment": "Clean and enriched rows of bronze.orders",
        "comments": {"quantity": "pieces"},
        "properties": {"delta.enableChangeDataFeed": "true"},
        "checks": ["ordered"],
    }


@pytest.mark.slow
def test_a_pipeline(spark: Any, tmp_path: Path) -> None:
    lake = OwnLake.of(tmp_path, CONFIG)
    lake.land("orders", "0.json", order("o-0", 1), order("bad", -7))
    lake.land("orders", "1.json", order("o-1", 2), at=1)
    with pytest.raises(DataError, match=BROKEN):
        lake.run("bronze", "silver")
    bronze, silver = lake.path("bronze.orders"), lake.path("silver.orders")
    made = told(spark, bronze)
    assert (made["partitions"], made["comment"]) == (["day"], "Orders as they came")
    # The two files of two batches are one.
    assert (len(lake.rows("bronze.orders")), len(DeltaTable(bronze).file_uris())) == (3, 1)

    layout = CONFIG[CONFIG.index("      cluster_by") : CONFIG.index("gold:")]
    other = CONFIG.replace(layout, "      partition_by: [day]\n      comments: {day: when}\n")
    lake.configure(other)
    with pytest.raises(UsageError, match=r"silver\.orders is not partitioned"):
        lake.run("silver")
    lake.reset("silver.orders")
    lake.run("silver")
    assert {k: v for k, v in told(spark, silver).items() if v} == {
        "partitions": ["day"],
        "comments": {"day": "when"},
        "comment": "Clean and enriched rows of bronze.orders",
        "properties": {"delta.enableChangeDataFeed": "true"},
    }
    assert len(lake.rows("silver.orders")) == 3
    # A start that finds all in line writes nothing.
    versions = lake.versions()
    lake.run("bronze", "silver")
    assert lake.versions() == versions

    lake.land("orders", "2.json", order("o-2", 3), at=2)
    lake.run("bronze", "silver")
    words = ("maintain", "--optimize", "bronze.orders", "silver.orders", "--older-than", "1h")
    shown = {one["table"]: one for one in json.loads(lake.cli(*words, "--dry-run", "--json"))}
    assert {one["files_after"] for one in shown.values()} == {None}
    done = {one["table"]: one for one in json.loads(lake.cli(*words, "--json"))}
    for name, rows in (("bronze.orders", 4), ("silver.orders", 4)):
        assert (done[name]["files"], done[name]["files_after"]) == (2, 1)
        assert (done[name]["skipped"], done[name]["kept"], done[name]["removed"]) == ("", "", 0)
        assert len(lake.rows(name)) == rows
    again = json.loads(lake.cli("maintain", "--optimize", "--json"))
    assert [(one["table"], one["files"], one["files_after"]) for one in again] == [
        ("bronze.orders", 1, 1),
        ("silver.orders", 1, 1),
    ]
