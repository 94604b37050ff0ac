"""SQL over a lake's tables, by the names that people know."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deletion_vectors import take_away
from deltalake import DeltaTable, write_deltalake
from lakes import BRONZE, GOLD, SILVER, Lake, write_table

from medallion_jobs.autoloader import FileEntry, Ledger, Outcome, State
from medallion_jobs.config import TableRef, load
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Txn
from medallion_jobs.report.query import names, run, saved
from medallion_jobs.report.time_travel import TimeTravel, version_at

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "files.md"
CONFIGS = sorted((ROOT / "conf").glob("[!b]*.yaml"))
START = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
COUNT = f"SELECT count(*) FROM {GOLD}"

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
    ledger = Ledger(lake.paths(BRONZE).ledger)
    ledger.ensure()
    ledger.admit([FileEntry(1, "file:/a.json", 1)])
    for name in ("sales", "other"):
        write_table(lake.paths(TableRef("bronze", name)).quarantine, rows=2)
    assert run(lake.config, "SELECT path, state FROM ledger.sales")[1] == [
        ("file:/a.json", "DISCOVERED")
    ]
    sql = "SELECT table_name, count(*) FROM quarantine.bronze GROUP BY ALL ORDER BY ALL"
    assert run(lake.config, sql)[1] == [("bronze.other", 2), ("bronze.sales", 2)]


def test_the_queries_of_the_docs_run(lake: Lake) -> None:
    ledger = Ledger(lake.paths(BRONZE).ledger)
    ledger.ensure()
    file = FileEntry(1_700_000_000_000_000, "file:/a.json", 3)
    ledger.admit([file])
    outcomes = [Outcome(file, State.COMMITTED, rows=2, bad=1)]
    ledger.record(outcomes, Txn("bronze.sales/v1", 0, "run"), 1)
    write_deltalake(lake.path(BRONZE), pa.table({"_input_file": [file.path] * 2}))
    line = {"file": [file.path], "line": ["{"], "reason": ["not valid JSON"]}
    write_deltalake(lake.paths(BRONZE).quarantine, pa.table(line))

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
    assert refused.value.next_step == f"existing tables: {GOLD}"


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
    assert refused.value.next_step == f"existing tables: {GOLD}"


def test_an_empty_lake_says_that_it_is(lake: Lake) -> None:
    with pytest.raises(UsageError) as refused:
        run(lake.config, "SELECT * FROM gold.nothing")
    assert refused.value.next_step == "existing tables: none"


@pytest.mark.parametrize("sql", ["", "  ", "SET TimeZone = 'UTC'"])
def test_what_gives_no_rows_is_no_query(lake: Lake, sql: str) -> None:
    with pytest.raises(UsageError, match="not a query"):
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


def test_columns_of_one_name_are_told_apart(lake: Lake) -> None:
    sql = "SELECT 1 AS a, 2 AS a, 3 AS a_1, INTERVAL '-14 months 2 days' AS age"
    assert run(lake.config, sql) == (
        ["a", "a_1", "a_1_1", "age"],
        [(1, 2, 3, "-1 year -2 months 2 days")],
    )


# Older versions.


def written_at(table: Path, version: int, moment: datetime) -> None:
    """Makes a commit one of that moment."""
    file = table / "_delta_log" / f"{version:020}.json"
    actions = [json.loads(line) for line in file.read_text().splitlines()]
    for action in actions:
        if "commitInfo" in action:
            action["commitInfo"]["timestamp"] = int(moment.timestamp() * 1000)
    file.write_text("".join(json.dumps(action) + "\n" for action in actions))


def grown(lake: Lake, ref: TableRef, commits: int = 4, start: datetime = START) -> Path:
    """A table with one row more at each version, an hour after the one before."""
    path = lake.path(ref)
    for version in range(commits):
        write_table(path)
        written_at(path, version, start + timedelta(hours=version))
    return path


def test_a_version_is_read(lake: Lake) -> None:
    grown(lake, GOLD)
    grown(lake, SILVER)
    assert run(lake.config, COUNT) == (["count_star()"], [(4,)])
    assert run(lake.config, COUNT, TimeTravel(only=0))[1] == [(1,)]
    both = f"SELECT (SELECT count(*) FROM {GOLD}), (SELECT count(*) FROM {SILVER})"
    assert run(lake.config, both, TimeTravel({GOLD: 1}))[1] == [(2, 4)]
    assert run(lake.config, both, TimeTravel({GOLD: 1, SILVER: 2}))[1] == [(2, 3)]
    assert run(lake.config, both, TimeTravel({GOLD: 0}, as_of=START + timedelta(hours=1)))[1] == [
        (1, 2)
    ]


@pytest.mark.parametrize(
    ("hours", "rows"), [(0, 1), (0.99, 1), (1, 2), (2.5, 3), (3, 4), (1000, 4)]
)
def test_a_moment_is_that_of_the_last_commit_before_it(lake: Lake, hours: float, rows: int) -> None:
    grown(lake, GOLD)
    assert run(lake.config, COUNT, TimeTravel(as_of=START + timedelta(hours=hours)))[1] == [(rows,)]


def test_the_commits_own_clock_comes_first(lake: Lake) -> None:
    """As Delta has it, with `delta.enableInCommitTimestamps`."""
    table = grown(lake, GOLD, 2)
    file = table / "_delta_log" / f"{1:020}.json"
    later = int((START + timedelta(hours=9)).timestamp() * 1000)
    file.write_text(
        file.read_text().replace('"timestamp":', f'"inCommitTimestamp":{later},"timestamp":')
    )
    assert version_at("t", table, START + timedelta(hours=8)) == 0
    assert version_at("t", table, START + timedelta(hours=9)) == 1


def test_all_tables_that_a_query_names_are_as_they_were(lake: Lake) -> None:
    grown(lake, GOLD)
    grown(lake, SILVER, start=START + timedelta(hours=1))
    sql = f"SELECT (SELECT count(*) FROM {GOLD}), (SELECT count(*) FROM {SILVER})"
    assert run(lake.config, sql, TimeTravel(as_of=START + timedelta(hours=2)))[1] == [(3, 2)]


def test_a_table_that_was_not_yet_there_is_named_if_the_query_does(lake: Lake) -> None:
    grown(lake, GOLD)
    grown(lake, SILVER, start=START + timedelta(days=1))
    then = TimeTravel(as_of=START + timedelta(hours=5))
    # Its name is a part of the other's name, of a text and of a comment, no more.
    assert run(lake.config, f"{COUNT} WHERE '{SILVER}' <> '' -- {SILVER}", then)[1] == [(4,)]
    with pytest.raises(UsageError, match=r"silver\.sales did not exist yet.*2026-11-02 12:00:00"):
        run(lake.config, f"SELECT * FROM {SILVER}", then)


def test_the_engines_own_tables_are_as_they_were_too(lake: Lake) -> None:
    for hours, name in enumerate(("sales", "other")):
        path = lake.paths(TableRef("bronze", name)).quarantine
        write_table(path)
        written_at(path, 0, START + timedelta(hours=hours))
    sql = "SELECT table_name FROM quarantine.bronze"
    assert run(lake.config, sql, TimeTravel(as_of=START))[1] == [("bronze.sales",)]
    assert len(run(lake.config, sql, TimeTravel(as_of=START + timedelta(hours=1)))[1]) == 2


def test_a_version_whose_files_are_gone_is_named(lake: Lake) -> None:
    table = grown(lake, GOLD, 2)
    write_deltalake(table, pa.table({"n": [0]}), mode="overwrite")
    DeltaTable(table).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert run(lake.config, COUNT)[1] == [(1,)]
    with pytest.raises(UsageError, match=f"{GOLD} can no longer be read at version 1"):
        run(lake.config, f"SELECT n + 1 FROM {GOLD}", TimeTravel(only=1))


def test_a_version_whose_log_is_gone_is_named(lake: Lake) -> None:
    table = grown(lake, GOLD)
    DeltaTable(table).create_checkpoint()
    for version in range(3):
        (table / "_delta_log" / f"{version:020}.json").unlink()
    with pytest.raises(UsageError, match=f"{GOLD} can no longer be read at version 1") as refused:
        run(lake.config, COUNT, TimeTravel(only=1))
    assert "3" in refused.value.next_step
    with pytest.raises(UsageError, match=f"log of {GOLD} starts at 2026-11-01 15:00:00 UTC"):
        run(lake.config, COUNT, TimeTravel(as_of=START + timedelta(hours=1)))
    assert run(lake.config, COUNT, TimeTravel(as_of=START + timedelta(hours=4)))[1] == [(4,)]


@pytest.mark.parametrize(
    ("sql", "past", "words"),
    [
        (COUNT, TimeTravel({GOLD: 4}), f"{GOLD} has no version 4; the newest is 3"),
        (COUNT, TimeTravel({SILVER: 0}), "given for silver.sales, which the query does not name"),
        (f"{COUNT}, {SILVER}", TimeTravel(only=0), "needs a query that names one table"),
        ("SELECT 1", TimeTravel(only=0), "needs a query that names one table"),
    ],
)
def test_a_version_that_cannot_be_meant_is_refused(
    lake: Lake, sql: str, past: TimeTravel, words: str
) -> None:
    grown(lake, GOLD)
    grown(lake, SILVER)
    with pytest.raises(UsageError, match=words):
        run(lake.config, sql, past)


def test_rows_that_a_deletion_vector_takes_away_are_not_read(lake: Lake) -> None:
    """As tables have them that Spark updates; delta-rs refuses to read such a table."""
    table = lake.path(GOLD)
    write_table(table, rows=10)
    take_away(table, 1, 3, 5)
    assert run(lake.config, f"SELECT n FROM {GOLD} ORDER BY n")[1] == [
        (n,) for n in (0, 2, 4, 6, 7, 8, 9)
    ]
    assert run(lake.config, COUNT, TimeTravel(only=1))[1] == [(7,)]
    assert run(lake.config, COUNT, TimeTravel(only=0))[1] == [(10,)]


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("FROM gold.x JOIN Silver.Y USING (n)", {("gold", "x"), ("silver", "y")}),
        ('SELECT * FROM "gold" . "x ""y"""', {("gold", 'x "y"')}),
        ("SELECT 'gold.x' -- gold.y\n/* gold.z\n*/ FROM gold.w", {("gold", "w")}),
        ("FROM memory.gold.x", {("memory", "gold"), ("gold", "x")}),
        ("SELECT 1.5", set()),
    ],
)
def test_the_names_in_a_query(sql: str, found: set[tuple[str, str]]) -> None:
    assert names(sql) == found


# Saved queries.


def test_an_unknown_saved_query_is_told_with_the_nearest() -> None:
    config = load(ROOT / "conf" / "transactions.yaml", environ={}).pipeline
    with pytest.raises(UsageError, match=r"no saved query `vip_user`; did you mean `vip_users`\?"):
        saved(config, "vip_user")
    with pytest.raises(UsageError) as refused:
        saved(config, "zzz")
    assert refused.value.what == "no saved query `zzz`"


DECIMAL = pa.decimal128(38, 2)
GOLDS = {
    "sales_by_region_day": pa.table(
        {
            "region": ["North", "North", "South", None],
            "order_date": [date(2026, 1, 1), date(2026, 1, 2), None, date(2026, 1, 1)],
            "total_quantity": [1, 2, 6, None],
        }
    ),
    "user_summary": pa.table(
        {
            "user_id": [7, 6, 5, 4, 3, 2, None, 1],
            "total_spent": pa.array(
                [*map(Decimal, ("1000", "1000.01", "-5", "2000", "1000", "0", "9999")), None],
                DECIMAL,
            ),
            "transaction_count": [1] * 8,
        }
    ),
    "daily_active_users": pa.table(
        {
            "date": [date(2026, 1, 1), date(2026, 1, 7), date(2026, 1, 8), None],
            "dau": [2, 4, 6, 99],
            "events_count": [3, 4, 7, 99],
        }
    ),
    "orders_daily": pa.table(
        {
            "state": ["paid", "sent", "paid", "open", None, "paid"],
            "day": [date(2026, 1, 1)] * 2 + [date(2026, 1, 2)] * 3 + [None],
            "orders": [2, 1, 3, 9, 9, 1],
            "total": pa.array(
                [*map(Decimal, ("1.5", "2")), None, *map(Decimal, ("99", "99", "4"))], DECIMAL
            ),
        }
    ),
    "fact_daily_sales": pa.table(
        {
            "sale_date": [date(2026, 1, 1)] * 6,
            "store_id": [1] * 6,
            "region": ["North"] * 4 + [None] * 2,
            "category": ["a", "b", "c", "d", "a", None],
            "daily_sales_amount": pa.array(
                [*map(Decimal, ("1", "2", "3")), None, *map(Decimal, ("5", "4"))], DECIMAL
            ),
        }
    ),
}
SAVED = {
    "top_regions": [
        ("South", 6, None),
        ("North", 3, date(2026, 1, 2)),
        (None, None, None),
    ],
    "vip_users": [
        (4, Decimal("2000.00"), "VIP"),
        (6, Decimal("1000.01"), "VIP"),
        (3, Decimal("1000.00"), "Regular"),
        (7, Decimal("1000.00"), "Regular"),
        (2, Decimal("0.00"), "Regular"),
    ],
    "activity_trend": [
        (date(2026, 1, 8), 6, 7, 5.0),
        (date(2026, 1, 7), 4, 4, 3.0),
        (date(2026, 1, 1), 2, 3, 2.0),
    ],
    "turnover": [
        (date(2026, 1, 1), Decimal("3.50"), 3),
        (date(2026, 1, 2), None, 3),
        (None, Decimal("4.00"), 1),
    ],
    "best_categories": [
        ("North", "c", Decimal(3)),
        ("North", "b", Decimal(2)),
        ("North", "a", Decimal(1)),
        (None, "a", Decimal(5)),
        (None, None, Decimal(4)),
    ],
}


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_saved_query_that_is_shipped_is_right(lake: Lake, file: Path) -> None:
    config = load(file, environ={}, loads_sinks=False).pipeline.model_copy(
        update={"storage": lake.config.storage, "landing": lake.config.landing}
    )
    for name in config.gold.keys() & GOLDS.keys():
        write_deltalake(TablePaths(config, TableRef("gold", name)).data, GOLDS[name])
    assert config.queries
    for name, one in config.queries.items():
        assert one.description
        assert run(config, saved(config, name).sql)[1] == SAVED[name], name


def test_show_tables_lists_every_view(lake: Lake) -> None:
    write_table(lake.path(GOLD))
    write_table(lake.path(SILVER))
    columns, rows = run(lake.config, "show tables;")
    assert columns == ["schema", "table"]
    assert {(SILVER.layer, SILVER.name), (GOLD.layer, GOLD.name)} <= set(rows)
    _, of_gold = run(lake.config, "SHOW ALL TABLES FROM gold")
    assert of_gold == [(GOLD.layer, GOLD.name)]
    assert run(lake.config, "SHOW TABLES FROM nowhere")[1] == []
    assert run(lake.config, f"DESCRIBE {SILVER}")[1][0][:2] == ("n", "BIGINT")


def test_a_table_that_never_ran_is_said_to_have_never_run(lake: Lake) -> None:
    write_table(lake.path(SILVER))
    with pytest.raises(UsageError, match=f"{GOLD} has never run") as raised:
        run(lake.config, f"SELECT * FROM {SILVER} JOIN {GOLD} USING (n)")
    assert raised.value.code == "table_never_written"
    assert "medallion run" in raised.value.next_step
