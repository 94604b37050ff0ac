"""The ways of writing a silver table: what is added, changed, dropped and counted; once."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from support.rows_read import rows_read
from support.written import Written

from medallion_jobs.errors import DataError
from medallion_jobs.lake import tables

KEYED = {"write": "upsert", "keys": "id", "sequence": "at"}


def test_each_batch_leaves_one_commit_with_its_transaction_even_when_nothing_changes(
    spark: Any, tmp_path: Path
) -> None:
    from medallion_jobs.lake.tables import Txn

    ways: dict[str, dict[str, Any]] = {"first": {"dedupe": {"keys": "id"}}, "upsert": KEYED}
    for name, settings in ways.items():
        table = Written(spark, tmp_path / name, "id int, at int, v string", settings)
        table.write((1, 1, "a"))
        assert table.write((1, 2, "b")).written
        rows, said = table.rows(), table.commit().info["userMetadata"]
        assert '"moment": "now"' in said and '"run": "run 1"' in said
        # The same batch again, by another run: dropped, and told so.
        again = table.write_frame(table.frame((1, 9, "z"), (2, 9, "z")), run="run 2")
        assert (again.written, table.rows()) == (False, rows), name
        empty = table.write()
        assert (empty.written, empty.rows_out, table.rows()) == (True, 0, rows), name
        assert table.commit().version == 3, f"{name}: creation, and a commit a batch"
    keys = ("txnAppId", "txnVersion")
    assert [spark.conf.get(f"spark.databricks.delta.write.{k}", None) for k in keys] == [None] * 2
    assert tables.changes(table.path, Txn(table.app_id, 1, "run 1")).updated == 1


def test_keep_first_drops_what_the_batch_or_the_table_has_and_only_adds(
    spark: Any, tmp_path: Path
) -> None:
    table = Written(
        spark,
        tmp_path / "t",
        "id bigint, name string, v map<string,int>",
        {"dedupe": {"keys": ["id", "name"]}},
    )
    first = table.write((1, "a", {"x": 2}), (1, "a", {"x": 1}), (1, None, {}), (1, None, {}))
    assert (first.rows_out, first.repeated) == (2, 2)
    second = table.write((1, None, {"y": 1}), (1, "a", {}), (None, None, None), (2, "it's \\", {}))
    assert (second.rows_out, second.repeated) == (2, 2)
    assert table.write((None, None, {"z": 1}), (2, "it's \\", {})).rows_out == 0
    # Of the batch's repeats the smallest was kept, a map by its entries.
    assert (1, "a", {"x": 1}) in table.rows()
    assert len(table.rows()) == 4
    assert all(not commit.info.get("removed") for commit in tables.commits(table.path, 0))
    operations = {commit.info["operation"] for commit in tables.commits(table.path, 1)}
    assert operations == {"WRITE"}


@pytest.mark.slow
def test_what_a_batch_reads_does_not_grow_with_the_table(spark: Any, tmp_path: Path) -> None:
    """The small form of `scripts/bench/dedupe.py`; running ids, a tenth of them repeats."""
    table = Written(spark, tmp_path / "t", "id bigint", {"dedupe": {"keys": "id"}})
    read = []
    for batch in range(8):
        table.batch = batch
        with rows_read(spark) as counting:
            outcome = table.write_frame(spark.range(batch * 90, batch * 90 + 100, 1, 1))
        assert (outcome.rows_out, outcome.repeated) == ((100, 0) if batch == 0 else (90, 10))
        read.append(counting.of(table.path))
    assert len(table.rows()) == 730
    # Each opens the file of the batch before it, and no other.
    assert 0 < max(read[2:]) <= 1.5 * read[2], read


def test_within_the_watermark_older_rows_of_the_table_are_not_searched(
    spark: Any, tmp_path: Path
) -> None:
    settings = {
        "dedupe": {"keys": "id", "within": "watermark"},
        "watermark": {"column": "at", "delay": "1h"},
    }
    table = Written(spark, tmp_path / "t", "id int, at timestamp", settings)
    at = [datetime(2026, 1, 1, hour, 0, 0, 1, tzinfo=timezone.utc) for hour in range(4)]
    table.write((1, at[0]), (2, at[2]))
    outcome = table.write((1, at[3]), (2, at[3]), watermark=at[2])
    assert (outcome.rows_out, outcome.repeated) == (1, 1)
    assert table.rows("id") == [(1,), (1,), (2,)]


@pytest.mark.parametrize(
    ("keep", "best"), [("highest", 9), pytest.param("lowest", 1, marks=pytest.mark.slow)]
)
def test_keep_highest_and_lowest_replace_only_what_is_strictly_worse(
    spark: Any, tmp_path: Path, keep: str, best: int
) -> None:
    dedupe = {"keys": "id", "keep": keep, "order_by": "score"}
    table = Written(spark, tmp_path / keep, "id int, score int, v string", {"dedupe": dedupe})
    table.write((1, 5, "old"), (2, 5, "old"), (3, None, "old"), (3, None, "also"))
    outcome = table.write(
        (1, 1, "new"),
        (1, 9, "new"),
        (2, 5, "new"),
        (3, 4, "new"),
        (None, 1, "new"),
        (2, None, "x"),
    )
    assert (outcome.rows_out, outcome.updated, outcome.repeated) == (1, 2, 3)
    assert table.rows() == sorted(
        [(1, best, "new"), (2, 5, "old"), (3, 4, "new"), (None, 1, "new")], key=repr
    )


def test_a_row_is_known_by_all_that_was_read_of_it(spark: Any) -> None:
    from pyspark.sql import functions as F

    from medallion_jobs.refine.write import dedupe

    technical = ("_input_file", "_load_time", "_rescued_data")

    def keys(ddl: str, *rows: str) -> list[str]:
        frame = spark.sql(
            f"SELECT from_json(one, '{ddl}') AS r FROM VALUES " + ", ".join(rows) + " t(one)"
        )
        key = dedupe.row_key(F.col("r"), frame.schema["r"].dataType, technical=technical)
        return [row[0] for row in frame.select(key).collect()]

    ddl = (
        "t timestamp, d double, m map<string,int>, s struct<a int, b int>, "
        "l array<map<string,int>>, _rescued_data string, _input_file string"
    )
    same = keys(
        ddl,
        """'{"d": 0.1, "m": {"a": 1, "b": 2}, "l": [{"x": 1, "y": 2}], "_input_file": "one",
             "_rescued_data": "{\\\\"q\\\\":\\\\"1\\\\",\\\\"_file_path\\\\":\\\\"one\\\\"}"}'""",
        """'{"d": 0.1, "m": {"b": 2, "a": 1}, "l": [{"y": 2, "x": 1}], "_input_file": "two",
             "_rescued_data": "{\\\\"_file_path\\\\":\\\\"two\\\\",\\\\"q\\\\":\\\\"1\\\\"}"}'""",
    )
    assert len(set(same)) == 1
    assert all(len(key) == 32 and set(key) <= set("0123456789abcdef") for key in same)
    rows = [
        "'{}'",
        """'{"t": "2026-01-01T00:00:00.000001Z"}'""",
        """'{"t": "2026-01-01T00:00:00.000002Z"}'""",
        """'{"d": 0.1}'""",
        """'{"d": 0.10000000000000002}'""",
        """'{"s": {"a": 1}}'""",
        """'{"s": {"b": 1}}'""",
        """'{"m": {"a": 1}}'""",
        """'{"m": {"a": 2}}'""",
        """'{"_rescued_data": "{\\\\"q\\\\":\\\\"1\\\\"}"}'""",
        """'{"_rescued_data": "{\\\\"q\\\\":\\\\"2\\\\"}"}'""",
    ]
    old = keys(ddl, *rows)
    assert len(set(old)) == len(rows)
    # A column that is added later, or one inside another, changes no key of an older row.
    wider = ddl.replace("b int", "b int, c int").replace("d double", "d double, new string")
    assert keys(wider, *rows) == old


def test_a_whole_row_is_told_apart_by_what_was_read_not_by_what_is_kept(
    spark: Any, tmp_path: Path
) -> None:
    table = Written(spark, tmp_path / "t", "id int", {"dedupe": {}}, hidden="_row_key string")
    outcome = table.write((1, "x"), (1, "y"), (1, "x"))
    assert (outcome.rows_out, outcome.repeated) == (2, 1)
    assert table.rows("id", "_row_key") == [(1, "x"), (1, "y")]
    assert table.write((1, "y"), (1, "z")).rows_out == 1


@pytest.mark.parametrize(
    "settings", [{"dedupe": {"keys": "id"}}, pytest.param(KEYED, marks=pytest.mark.slow)]
)
def test_rows_are_computed_once_and_counted_even_when_none_is_good(
    spark: Any, tmp_path: Path, settings: dict[str, Any]
) -> None:
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    table = Written(spark, tmp_path / "t", "id int, at int", settings)
    for batch, good in enumerate(("id < 4", "id < 0")):
        seen, table.batch = Observation(), batch
        rows = spark.range(0, 10, 1, 2).selectExpr("int(id) AS id", "int(rand() * 9) AS at")
        rows = rows.observe(seen, F.count(F.lit(1)).alias("rows")).where(good)
        outcome = table.write_frame(rows)
        assert (seen.get, outcome.rows_out) == ({"rows": 10}, 4 if batch == 0 else 0)
    assert spark._jsparkSession.sharedState().cacheManager().isEmpty()


def test_upsert_takes_the_newest_change_and_counts_the_others(spark: Any, tmp_path: Path) -> None:
    table = Written(spark, tmp_path / "t", "id int, at int, v string", KEYED)
    table.write((1, 5, "a"), (2, 5, "a"), (None, 5, "a"))
    outcome = table.write(
        (1, 4, "late"), (2, 6, "b"), (2, 7, "c"), (None, 5, "again"), (3, 1, "n"), (3, 1, "n")
    )
    assert (outcome.rows_out, outcome.updated, outcome.repeated, outcome.ignored) == (1, 1, 1, 3)
    rows = [(1, 5, "a"), (2, 7, "c"), (None, 5, "a"), (3, 1, "n")]
    assert table.rows() == sorted(rows, key=repr)
    before = len(list(table.path.glob("*.parquet")))
    table.write((2, 6, "b"), (1, 5, "a"))
    added = [a.rows for a in table.commit().added]
    assert sum(rows or 0 for rows in added) == 0, "late and repeated changes rewrite no file"
    assert len(list(table.path.glob("*.parquet"))) - before <= 1


def test_a_change_without_a_sequence_stops_the_batch(spark: Any, tmp_path: Path) -> None:
    for write in ("upsert", "scd2"):
        table = Written(
            spark, tmp_path / "silver" / write, "id int, at int", {**KEYED, "write": write}
        )
        with pytest.raises(DataError, match=rf"silver\.{write} have no at, such as id=7"):
            table.write((7, None), (8, 1))
        assert table.rows() == []
    assert spark._jsparkSession.sharedState().cacheManager().isEmpty()


@pytest.mark.slow
def test_a_delete_for_good_outlives_a_crash_before_its_commit_and_other_writers_of_the_query(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**KEYED, "deletes": {"when": "op = 'D'", "how": "hard"}}
    table = Written(spark, tmp_path / "t", "id int, at int", settings, hidden="op string")
    table.write((1, 1, "U"), (2, 1, None))
    with monkeypatch.context() as dying:
        dying.setattr(tables, "merge", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            table.write((1, 3, "D"), (9, 3, "D"))
    assert table.rows() == [(1, 1), (2, 1)]
    # The second attempt has more to delete than the first.
    outcome = table.write_frame(table.frame((1, 3, "D"), (9, 3, "D"), (2, 3, "D")))
    assert (outcome.written, outcome.deleted, outcome.ignored) == (True, 2, 0)
    graves = spark.read.format("delta").load(str(table.graves))
    assert graves.select("key").distinct().count() == 3
    # Parked rows that are put back are written under an id of their own.
    table.app_id, table.batch = "silver.made/v1/replay", -1
    assert table.write((9, 2, "U"), (1, 4, "U")).ignored == 1
    # A table that is made anew does not know what was deleted before.
    table.app_id = "silver.made/v2"
    assert table.write((9, 2, "U")).rows_out == 1
    assert table.rows() == [(1, 4), (9, 2)]


@pytest.mark.slow
def test_a_soft_deleted_row_keeps_its_values_and_comes_back(spark: Any, tmp_path: Path) -> None:
    settings = {**KEYED, "deletes": {"when": "op = 'D'"}}
    ddl = "id int, at int, v string"
    table = Written(spark, tmp_path / "t", ddl, settings, hidden="op string")
    table.write((1, 1, "a", "U"))
    table.write((1, 3, None, "D"), (1, 2, "b", "U"))
    assert table.rows() == [(1, 3, "b", True, 2)]
    assert table.write((1, 3, "same moment", "U")).updated == 1
    assert table.rows("at", "_deleted") == [(3, True)]
    table.write((1, 4, "c", "U"))
    assert table.rows() == [(1, 4, "c", False, 4)]
