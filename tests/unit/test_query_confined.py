"""SQL of a saved query, or of a person's, reads the lake's tables and can do nothing else."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from lakes import GOLD, Lake, write_table

from medallion_jobs.errors import UsageError
from medallion_jobs.report import query
from medallion_jobs.report.lake_views import connect
from medallion_jobs.report.sandbox import confine

# {outside}, {inside}: folders beside the lake, and of one of its tables.
READS = (
    "SELECT * FROM read_text('{outside}/secret.csv')",
    "SELECT * FROM '{outside}/secret.csv'",
    "FROM read_csv('{inside}/../../../outside/secret.csv')",
    "SELECT * FROM sniff_csv('{outside}/secret.csv')",
    "SELECT * FROM glob('{outside}/*')",
    "SELECT * FROM delta_scan('{outside}/table')",
    "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
    "SELECT * FROM mine",
)
CHANGES = (
    "COPY (SELECT 1) TO '{outside}/made.csv'",
    "COPY (SELECT 1) TO '{inside}/made.csv'",
    "SELECT 1; COPY (SELECT 1) TO '{inside}/made.csv'; SELECT 2",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{inside}/made.csv'",
    "EXPLAIN (FORMAT json) COPY (SELECT 1) TO '{inside}/made.csv'",
    "/* EXPLAIN */ explain\n--\n(analyze) copy (select 1) to '{inside}/made.csv'",
    "EXPORT DATABASE '{inside}/made'",
    "ATTACH '{inside}/made.db' AS made",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "PRAGMA temp_directory='{outside}'",
    "CREATE PERSISTENT SECRET made (TYPE s3)",
    "DELETE FROM gold.sales_by_region_day",
)


@pytest.fixture
def places(lake: Lake) -> dict[str, Path]:
    write_table(lake.path(GOLD), rows=3)
    outside = lake.root / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_text("a\nsecret\n")
    write_table(outside / "table")
    return {"outside": outside, "inside": lake.path(GOLD)}


@pytest.mark.parametrize("sql", [*READS, *CHANGES])
def test_a_query_reads_the_tables_and_does_nothing_else(
    lake: Lake, places: dict[str, Path], sql: str
) -> None:
    mine = pa.table({"a": ["this program's own"]})
    assert mine.num_rows
    before = lake.files()
    with pytest.raises(UsageError):
        query.run(lake.config, sql.format(**places))
    assert lake.files() == before


def test_what_is_confined_stays_so() -> None:
    with connect(Path()) as duck:
        confine(duck, ())
        for setting in ("allowed_directories = ['/']", "lock_configuration = false"):
            with pytest.raises(Exception, match="configuration has been locked"):
                duck.execute(f"SET {setting}")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM {table}",
        "SELECT count(*) FROM {table};",
        "WITH one AS (FROM {table}) SELECT count(*) FROM one -- COPY",
        "SELECT count(*) FROM (PIVOT {table} ON n USING count(*)) WHERE '3' IS NOT NULL OR true",
    ],
)
def test_what_only_reads_is_answered(lake: Lake, places: dict[str, Path], sql: str) -> None:
    columns, rows = query.run(lake.config, sql.format(table=GOLD))
    assert len(columns) == len(rows) == 1


@pytest.mark.parametrize("sql", ["EXPLAIN SELECT 1", "EXPLAIN ANALYZE SELECT 1", "SHOW TABLES"])
def test_a_plan_can_be_asked_for(lake: Lake, places: dict[str, Path], sql: str) -> None:
    assert query.run(lake.config, sql)


def test_a_sort_that_does_not_fit_in_memory_still_goes_to_disk(
    lake: Lake, places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB's own temporary folder is not shut off."""
    monkeypatch.chdir(tmp_path)
    with connect(Path()) as duck:
        duck.execute("SET memory_limit = '40MB'; SET threads = 1")
        confine(duck, (lake.path(GOLD),))
        sql = "SELECT count(DISTINCT a::VARCHAR || repeat('x', 30)) FROM range(1_000_000) t(a)"
        assert duck.execute(sql).fetchall() == [(1_000_000,)]
