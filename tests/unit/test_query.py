"""SQL over a lake's tables, by the names that people know."""

from __future__ import annotations

import re
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from lakes import BRONZE, GOLD, Lake, write_table

from medallion_jobs import places
from medallion_jobs.autoloader import Found, Ledger, Outcome, State
from medallion_jobs.config import TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.report.query import run
from medallion_jobs.tables import Txn

DOCS = Path(__file__).parents[2] / "docs" / "files.md"

pytestmark = pytest.mark.usefixtures("quick_duck")


def test_values_come_back_in_their_types(lake: Lake) -> None:
    row = {
        "region": None,
        "order_date": date(2026, 1, 31),
        "total_quantity": 2**40,
        "price": Decimal("0.10"),
        "seen": datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc),
    }
    write_deltalake(lake.path(GOLD), pa.Table.from_pylist([row]).cast(_gold_types()))
    columns, rows = run(lake.config, f"SELECT * FROM {GOLD}")
    assert [dict(zip(columns, one, strict=True)) for one in rows] == [row]


def _gold_types() -> pa.Schema:
    return pa.schema(
        {
            "region": pa.string(),
            "order_date": pa.date32(),
            "total_quantity": pa.int64(),
            "price": pa.decimal128(10, 2),
            "seen": pa.timestamp("us", tz="UTC"),
        }
    )


def test_all_tables_there_are_also_those_of_other_pipelines(lake: Lake) -> None:
    for name in ("customers", "dim_store"):
        write_table(lake.path(TableRef("silver", name)), rows=2)
    sql = "SELECT count(*) FROM silver.customers JOIN SILVER.Dim_Store USING (n)"
    assert run(lake.config, sql)[1] == [(2,)]


def test_the_ledger_and_the_quarantine_are_tables_too(lake: Lake) -> None:
    ledger = Ledger(places.ledger(lake.config, "sales"))
    ledger.ensure()
    ledger.admit([Found(1, "file:/a.json", 1)])
    for name in ("sales", "other"):
        write_table(places.quarantine(lake.config, TableRef("bronze", name)), rows=2)
    assert run(lake.config, "SELECT path, state FROM ledger.sales")[1] == [
        ("file:/a.json", "DISCOVERED")
    ]
    sql = "SELECT table_name, count(*) FROM quarantine.bronze GROUP BY ALL ORDER BY ALL"
    assert run(lake.config, sql)[1] == [("bronze.other", 2), ("bronze.sales", 2)]


def test_the_queries_of_the_docs_run(lake: Lake) -> None:
    ledger = Ledger(places.ledger(lake.config, "sales"))
    ledger.ensure()
    file = Found(1_700_000_000_000_000, "file:/a.json", 3)
    ledger.admit([file])
    outcomes = [Outcome(file, State.COMMITTED, rows=2, bad=1)]
    ledger.record(outcomes, Txn("bronze.sales/v1", 0, "run"), 1)
    write_deltalake(lake.path(BRONZE), pa.table({"_input_file": [file.path] * 2}))
    line = {"file": [file.path], "line": ["{"], "reason": ["not valid JSON"]}
    write_deltalake(places.quarantine(lake.config, BRONZE), pa.table(line))

    queries = re.findall(r'medallion query "(.*)"', DOCS.read_text())
    *others, books = [run(lake.config, sql)[1] for sql in queries]
    assert len(others) == 4
    assert all(len(rows) == 1 for rows in others)
    assert books == []

    write_deltalake(lake.path(BRONZE), pa.table({"_input_file": [file.path]}), mode="append")
    assert run(lake.config, queries[-1])[1] == [(file.path, 2, 3)]


def test_a_query_needs_no_table_and_an_empty_lake_none(lake: Lake) -> None:
    assert run(lake.config, "SELECT 1 AS one") == (["one"], [(1,)])
    assert lake.files() == {}


def test_folders_that_are_no_tables_are_no_names(lake: Lake) -> None:
    write_table(lake.path(GOLD))
    layer = lake.path(GOLD).parent
    (layer / "no_log").mkdir()
    write_table(layer / "quo'te")
    write_table(layer / 'x" AS SELECT 1 --')
    with pytest.raises(UsageError) as refused:
        run(lake.config, "SELECT * FROM gold.no_log")
    assert refused.value.next_step == f"tables there are: {GOLD}"


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM gold.nothing", "nothing"),
        ("SELECT sum(no_column) FROM gold.sales_by_region_day", "no_column"),
        ("SELECT 1 + CAST('x' AS INT)", "Could not convert"),
    ],
)
def test_a_wrong_query_is_told_with_the_tables_there_are(lake: Lake, sql: str, words: str) -> None:
    write_table(lake.path(GOLD))
    with pytest.raises(UsageError) as refused:
        run(lake.config, sql)
    assert refused.value.exit_code == 2
    assert words in refused.value.what
    assert refused.value.next_step == f"tables there are: {GOLD}"


def test_an_empty_lake_says_that_it_is(lake: Lake) -> None:
    with pytest.raises(UsageError) as refused:
        run(lake.config, "SELECT * FROM gold.nothing")
    assert refused.value.next_step == "tables there are: none"


@pytest.mark.parametrize("sql", ["", "  ", "SET TimeZone = 'UTC'"])
def test_what_gives_no_rows_is_no_query(lake: Lake, sql: str) -> None:
    with pytest.raises(UsageError, match="no query"):
        run(lake.config, sql)


@pytest.mark.parametrize(
    "sql", [f"DELETE FROM {GOLD}", f"INSERT INTO {GOLD} VALUES (1)", f"DROP TABLE {GOLD}"]
)
def test_a_table_cannot_be_changed(lake: Lake, sql: str) -> None:
    write_table(lake.path(GOLD))
    before = lake.files()
    with pytest.raises(UsageError):
        run(lake.config, sql)
    assert lake.files() == before
