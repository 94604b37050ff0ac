"""Silver and gold after others have changed, cleaned up or restored the table that they read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from deltalake import DeltaTable
from support.own import OwnLake

from medallion_jobs.errors import MedallionError
from medallion_jobs.observe.events import BatchDone, Event, TableFailed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONFIG = """
pipeline: upstream
bronze:
  up_sales:
    source: {format: json, schema: "id string, k int, v int, n int"}
  up_names:
    source: {format: json, schema: "k int, name string"}
silver:
  up_names: {from: bronze.up_names, select: [k, name]}
  up_rows: {from: bronze.up_sales, select: [id, k, v]}
  up_named:
    from: bronze.up_sales
    lookups: [{table: silver.up_names, on: k, take: [name], on_miss: "null"}]
    select: [id, name]
  up_newest: {from: bronze.up_sales, write: upsert, keys: k, sequence: n, select: [k, v, n]}
  up_applied:
    from: bronze.up_sales
    apply_changes: {keys: k, sequence_by: n}
    select: [k, v, n]
gold:
  up_complete: {from: silver.up_rows, group_by: [k], measures: {total: sum(v)}}
  up_followed: {from: silver.up_rows, group_by: [k], measures: {total: sum(v)}, mode: incremental}
  up_latest: {from: silver.up_newest, group_by: [k], measures: {total: sum(v)}, mode: incremental}
"""
KEEPS = CONFIG.replace("up_rows: {", "up_rows: {on_source_change: keep, ").replace(
    "up_complete: {", "up_complete: {on_source_change: keep, "
)
READS_BRONZE = {"silver.up_rows", "silver.up_named", "silver.up_newest", "silver.up_applied"}


def sales(name: str, factor: int, n: int) -> list[dict[str, object]]:
    return [{"id": f"{name}{k}", "k": k, "v": factor * k, "n": n} for k in (1, 2, 3)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, spark: object) -> OwnLake:
    """Two batches, and one that only bronze has."""
    made = OwnLake.of(tmp_path_factory.mktemp("upstream"), CONFIG)
    made.land("up_names", "n.json", *({"k": k, "name": f"n{k}"} for k in (1, 2, 3)))
    for n, name in enumerate("ab"):
        made.land("up_sales", f"{name}.json", *sales(name, 10**n, n), at=n)
        made.run()
    made.land("up_sales", "c.json", *sales("c", 100, 2), at=2)
    made.run("bronze")
    return made


@pytest.fixture
def lake(finished: OwnLake, tmp_path: Path) -> Iterator[OwnLake]:
    """A copy; what it lands in the folders that all copies read is removed at the end."""
    landed = {*finished.landing.rglob("*.json")}
    yield finished.copy(tmp_path)
    for file in {*finished.landing.rglob("*.json")} - landed:
        file.unlink()


def runs(lake: OwnLake, *layers: str) -> tuple[dict[str, TableFailed], list[Event]]:
    """The error of each table that a run leaves, and what the run told."""
    from medallion_jobs.testing import LakeHarness

    harness = LakeHarness(lake.config)
    try:
        harness.run(*layers)
    except MedallionError:
        assert any(isinstance(event, TableFailed) for event in harness.events)
    return {e.table: e for e in harness.events if isinstance(e, TableFailed)}, harness.events


def rows(lake: OwnLake, table: str, columns: str) -> list[tuple[object, ...]]:
    with duckdb.connect() as duck:
        duck.execute("LOAD delta")
        sql = f"SELECT {columns} FROM delta_scan('{lake.path(table)}') ORDER BY ALL"
        found = duck.execute(sql).fetchall()
    if not table.startswith("gold."):  # delta-rs reads no deletion vectors
        assert len(found) == DeltaTable(lake.path(table)).to_pyarrow_table().num_rows
    return found


def fits(lake: OwnLake) -> None:
    """Each table is what it would be if it were computed from its source as that is now."""
    now = rows(lake, "bronze.up_sales", "id, k, v, n")
    assert rows(lake, "silver.up_rows", "id, k, v") == [row[:3] for row in now]
    assert rows(lake, "silver.up_named", "id, name") == [(i, f"n{k}") for i, k, *_ in now]
    newest: dict[object, tuple[object, ...]] = {}
    for _, k, v, n in sorted(now, key=lambda row: row[3]):
        newest[k] = (k, v, n)
    for table in ("up_newest", "up_applied"):
        assert rows(lake, f"silver.{table}", "k, v, n") == sorted(newest.values())
    gold_fits(lake)


def gold_fits(lake: OwnLake) -> None:
    totals: dict[object, int] = {}
    for k, v in rows(lake, "silver.up_rows", "k, v"):
        totals[k] = totals.get(k, 0) + int(str(v))
    for table in ("up_complete", "up_followed"):
        assert rows(lake, f"gold.{table}", "k, total") == sorted(totals.items())
    assert rows(lake, "gold.up_latest", "k, total") == rows(lake, "silver.up_newest", "k, v")


class Other:
    """Another program, which works with Spark's SQL or with delta-rs."""

    def __init__(self, spark: SparkSession, path: Path) -> None:
        self.spark, self.path = spark, path

    def sql(self, text: str) -> None:
        self.spark.sql(text.replace("THIS", f"delta.`{self.path}`"))

    def writable(self) -> None:
        self.sql("ALTER TABLE THIS SET TBLPROPERTIES ('delta.appendOnly' = 'false')")

    @property
    def table(self) -> DeltaTable:
        return DeltaTable(self.path)

    def restore(self, versions: int) -> None:
        self.sql(f"RESTORE TABLE THIS TO VERSION AS OF {self.table.version() - versions}")

    def vacuum(self) -> None:
        self.table.optimize.compact()
        self.table.vacuum(0, enforce_retention_duration=False, dry_run=False)


CHANGES: dict[str, Callable[[Other], object]] = {
    "DELETE": lambda other: other.sql("DELETE FROM THIS WHERE k = 1"),
    "UPDATE": lambda other: other.sql("UPDATE THIS SET v = v + 1000 WHERE k = 2"),
    "RESTORE": lambda other: other.restore(2),
}


@pytest.mark.slow
def test_maintenance_and_new_columns_are_no_change(lake: OwnLake, spark: SparkSession) -> None:
    tables = ("bronze.up_sales", "silver.up_rows", "silver.up_newest", "silver.up_names")
    bronze, *silver = others = [Other(spark, lake.path(table)) for table in tables]
    for other in others:
        other.sql("OPTIMIZE THIS")
        other.table.optimize.compact()
    # The query that writes such a table is refused; those that read it go on.
    bronze.sql("ALTER TABLE THIS ADD COLUMNS (extra string)")
    assert runs(lake, "silver", "gold")[0] == {}
    fits(lake)
    for other in silver:
        other.sql("ALTER TABLE THIS ADD COLUMNS (extra string)")
    assert runs(lake, "gold")[0] == {}
    gold_fits(lake)


# In CI, tests/e2e/test_operations.py has a DELETE, its refusal and the rebuild.
@pytest.mark.slow
@pytest.mark.parametrize("operation", CHANGES)
def test_changed_rows_of_bronze_are_refused_and_a_rebuild_propagates_them(
    lake: OwnLake, spark: SparkSession, operation: str
) -> None:
    other = Other(spark, lake.path("bronze.up_sales"))
    other.writable()
    CHANGES[operation](other)
    version = other.table.version()
    before = {table: DeltaTable(lake.path(table)).version() for table in READS_BRONZE}
    failed, _ = runs(lake, "silver")
    assert {table: error.code for table, error in failed.items()} == dict.fromkeys(
        READS_BRONZE, "source_rows_changed"
    )
    error = failed["silver.up_rows"]
    told = f"{error.what} {error.next_step}"
    assert f"{operation} in version {version}" in told
    assert "medallion rebuild silver.up_rows --downstream" in told
    assert ("on_source_change: keep" in told) == (operation != "RESTORE")
    assert {table: DeltaTable(lake.path(table)).version() for table in READS_BRONZE} == before
    lake.cli("rebuild", "bronze.up_sales+", "--reason", "bronze was changed", "--yes")
    assert runs(lake)[0] == {}
    fits(lake)


@pytest.mark.slow
def test_changed_rows_of_silver(lake: OwnLake, spark: SparkSession) -> None:
    """Incremental gold follows them, also those of delta-rs; complete gold is refused."""
    assert runs(lake)[0] == {}
    others = [Other(spark, lake.path(f"silver.{name}")) for name in ("up_rows", "up_newest")]
    for change in CHANGES.values():
        for other in others:
            change(other) if change is not CHANGES["RESTORE"] else other.restore(1)
        others[0].table.delete("k = 3")
        failed, _ = runs(lake, "gold")
        assert {t: e.code for t, e in failed.items()} == {"gold.up_complete": "source_rows_changed"}
        lake.cli("rebuild", "gold.up_complete", "--reason", "silver was changed", "--yes")
        gold_fits(lake)


def test_rows_are_kept_where_the_config_says_so(lake: OwnLake, spark: SparkSession) -> None:
    lake.configure(KEEPS)
    assert runs(lake)[0] == {}
    kept = rows(lake, "silver.up_rows", "id, k, v")
    bronze = Other(spark, lake.path("bronze.up_sales"))
    bronze.writable()
    bronze.sql("DELETE FROM THIS WHERE k = 1")
    deleted = bronze.table.version()
    lake.land("up_sales", "kept.json", *sales("kept", 7, 3), at=3)
    failed, told = runs(lake)
    assert failed.keys() == READS_BRONZE - {"silver.up_rows"}
    (batch,) = [e for e in told if isinstance(e, BatchDone) and e.table == "silver.up_rows"]
    assert (batch.rows_in, batch.rows_out) == (3, 3)
    assert any(f"DELETE in version {deleted}" in remark for remark in batch.remarks)
    new = [("kept1", 1, 7), ("kept2", 2, 14), ("kept3", 3, 21)]
    assert rows(lake, "silver.up_rows", "id, k, v") == sorted([*kept, *new])
    # A commit that adds a row is not skipped, or the row would be missing.
    bronze.writable()
    bronze.sql(
        "MERGE INTO THIS AS t USING (SELECT * FROM THIS WHERE id IN ('kept2', 'kept3')) AS s "
        "ON t.id = s.id AND s.id = 'kept2' WHEN MATCHED THEN UPDATE SET v = 0 "
        "WHEN NOT MATCHED THEN INSERT *"
    )
    failed, _ = runs(lake, "silver")
    assert "MERGE in version" in failed["silver.up_rows"].what
    assert "may have added rows" in failed["silver.up_rows"].what
    lake.cli("rebuild", "bronze.up_sales+", "--reason", "bronze was changed", "--yes")
    assert runs(lake)[0] == {}
    fits(lake)


def test_a_reader_that_fell_behind(lake: OwnLake, spark: SparkSession) -> None:
    lake.land("up_sales", "d.json", *sales("d", 1000, 3), at=3)
    runs(lake, "bronze")
    Other(spark, lake.path("bronze.up_sales")).vacuum()
    failed, _ = runs(lake, "silver")
    assert {table: error.code for table, error in failed.items()} == dict.fromkeys(
        READS_BRONZE, "source_files_gone"
    )
    lake.cli("rebuild", "bronze.up_sales+", "--reason", "fell behind", "--yes")
    assert runs(lake)[0] == {}
    fits(lake)
