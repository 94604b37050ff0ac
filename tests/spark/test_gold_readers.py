"""Whoever reads a gold table while complete mode writes it sees all of one batch, never less."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from medallion_jobs.aggregate import complete
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables import Txn
from medallion_jobs.report.lake_views import connect, scan

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

GROUPS = 1_000


@pytest.mark.timeout(900)
@pytest.mark.parametrize("batches", [12, pytest.param(100, marks=pytest.mark.slow)])
def test_a_reader_sees_whole_batches(spark: SparkSession, tmp_path: Path, batches: int) -> None:
    table = tmp_path / "gold" / "totals"
    tables.create(spark, table, _rows(spark, 0).schema, comment="read while it is written")
    complete.write(_rows(spark, 0), table, Txn("gold.totals/v1", 0, "test"), new_schema=True)
    with _polled(table) as seen:
        for number in range(1, batches):
            done = complete.write(_rows(spark, number), table, Txn("gold.totals/v1", number, "t"))
            assert done.how == "replaced"
    assert {count for count, _, _ in seen} == {GROUPS}
    # Each look sees the rows of one batch, and no look an older one than the look before it.
    assert all(least == most for _, least, most in seen)
    assert [least for _, least, _ in seen] == sorted(least for _, least, _ in seen)
    assert len({least for _, least, _ in seen}) > batches / 4


def test_a_stream_goes_on_over_a_table_that_is_written_anew(
    spark: SparkSession, tmp_path: Path
) -> None:
    table = tmp_path / "totals"
    tables.create(spark, table, _rows(spark, 0).schema, comment="read on")
    feed = "'delta.enableChangeDataFeed' = 'true'"
    spark.sql(f"ALTER TABLE delta.`{table}` SET TBLPROPERTIES ({feed})")
    held: Counter[tuple[int, int]] = Counter()

    def take(changes: DataFrame, _: int) -> None:
        for row in changes.collect():
            held[row["product"], row["total"]] += 1 if row["_change_type"] == "insert" else -1

    for number, total in enumerate((0, 1, 1, 2)):
        done = complete.write(_rows(spark, total), table, Txn("gold.totals/v1", number, "test"))
        assert done.how == ("same" if number == 2 else "replaced")
        changes = spark.readStream.format("delta").option("readChangeFeed", True)
        query = changes.load(str(table)).writeStream.foreachBatch(take).trigger(availableNow=True)
        query.option("checkpointLocation", str(tmp_path / "reads on")).start().awaitTermination()
        assert +held == Counter({(product, total): 1 for product in range(GROUPS)})


def _rows(spark: SparkSession, batch: int) -> DataFrame:
    return spark.range(0, GROUPS, 1, 4).selectExpr("id AS product", f"{batch} AS total")


@contextmanager
def _polled(table: Path) -> Iterator[list[tuple[int, int, int]]]:
    """What a reader sees, look after look, until the block ends."""
    seen: list[tuple[int, int, int]] = []
    failed: list[BaseException] = []
    stop = threading.Event()

    def poll() -> None:
        try:
            with connect(Path()) as duck:
                while not stop.is_set():
                    sql = f"SELECT count(*), min(total), max(total) FROM {scan(table)}"
                    seen.extend(duck.execute(sql).fetchall())
        except BaseException as error:
            failed.append(error)

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        yield seen
    finally:
        stop.set()
        reader.join()
    assert failed == []
