"""Gold tables loaded into a real PostgreSQL: values, changes, drift, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession
from support.lake import batches
from support.own import OwnLake
from support.postgres import LOADER, PASSWORD, Postgres, server
from support.warehouse import lake_with_sink, polled

from medallion_jobs.config import ConfigError, TableRef
from medallion_jobs.errors import DataError, TransientError, UsageError
from medallion_jobs.sinks.postgres import Loaded, Loader

TOTALS = TableRef("gold", "totals")


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with server() as made:
        # Defaults that an administrator may well have set.
        made.run(
            "ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'",
            "ALTER DATABASE postgres SET idle_in_transaction_session_timeout = '1s'",
        )
        yield made


@pytest.fixture(autouse=True)
def empty(database: Postgres) -> None:
    """Each test begins with an empty schema."""
    database.run("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")


def load(lake: OwnLake, spark: SparkSession, *, whole: bool = False) -> Loaded:
    (done,) = Loader(lake.config, TOTALS).load(spark, whole=whole)
    return done


def write(lake: OwnLake, rows: pa.Table, **properties: str) -> None:
    write_deltalake(
        lake.path("gold.totals"),
        rows,
        mode="overwrite",
        schema_mode="overwrite",
        configuration=properties or None,
    )


def totals(numbers: Iterable[int], n: Callable[[int], int] = lambda number: number) -> pa.Table:
    """Groups of three keys, some of them null."""
    chosen = list(numbers)
    start = date(2026, 1, 1)
    return pa.table(
        {
            "region": [None if i % 7 == 0 else f"region {i % 5}" for i in chosen],
            "day": [None if i % 11 == 0 else start + timedelta(days=i) for i in chosen],
            "number": pa.array(chosen, pa.int64()),
            "n": pa.array([n(i) for i in chosen], pa.int64()),
        }
    )


def one_row(**values: pa.Scalar) -> pa.Table:
    return pa.table({name: pa.array([value.as_py()], value.type) for name, value in values.items()})


KEYS = "region, day, number"
VALUES = """
    SELECT * FROM VALUES
    (1L, 9223372036854775807L, -2147483648, -32768S, -128Y,
     12345678901234567890123456789012345678BD, -0.000000000000000001BD, double('NaN'),
     float('-Infinity'), '', true, date '0001-01-01', timestamp '1883-11-18 12:03:57.999999Z',
     timestamp_ntz '2026-03-29 02:30:00.000001', X'00ff', struct('é"\\\\u0000' AS a, 1.50BD AS b),
     array(1, null), map('k', double('NaN'))),
    (2L, -9223372036854775808L, 2147483647, 32767S, 127Y,
     -99999999999999999999999999999999999999BD, 99999999999999999999.999999999999999999BD,
     double('-1.7976931348623157E308'), float('1.4E-45'), '  \u00e9\U0001f600\\n''"\\\\', false,
     date '9999-12-31', timestamp '9999-12-31 23:59:59.999999Z',
     timestamp_ntz '0001-01-01 00:00:00', X'', struct(null AS a, null AS b), array(), map()),
    (3L, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
     null, null, null)
    AS t (k, big, whole, small, tiny, large, exact, real8, real4, words, yes, day, moment, wall,
          raw, pair, list, dict)
"""
EXPECTED: list[tuple[Any, ...]] = [
    (
        *(1, 2**63 - 1, -(2**31), -(2**15), -128),
        Decimal("12345678901234567890123456789012345678"),
        Decimal("-0.000000000000000001"),
        *(nan, -inf, "", True, date(1, 1, 1)),
        datetime(1883, 11, 18, 12, 3, 57, 999999, tzinfo=timezone.utc),
        datetime(2026, 3, 29, 2, 30, 0, 1),
        *(b"\0\xff", {"a": 'é"\\u0000', "b": 1.5}, [1, None], {"k": "NaN"}),
    ),
    (
        *(2, -(2**63), 2**31 - 1, 2**15 - 1, 127),
        Decimal("-99999999999999999999999999999999999999"),
        Decimal("99999999999999999999.999999999999999999"),
        *(-1.7976931348623157e308, 1e-45, "  é\U0001f600\n'\"\\", False, date(9999, 12, 31)),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc),
        datetime(1, 1, 1),
        *(b"", {"a": None, "b": None}, [], {}),
    ),
    (3, *[None] * 17),
]


def test_every_type_comes_over_to_the_letter(
    database: Postgres, tmp_path: Path, spark: SparkSession
) -> None:
    lake = lake_with_sink(tmp_path, database, keys="k", schema="public")
    spark.sql(VALUES).write.format("delta").save(str(lake.path("gold.totals")))
    zones = spark._jvm.java.util.TimeZone  # type: ignore[union-attr]
    own = zones.getDefault()
    # Where an hour is left out, and days once were ten behind.
    zones.setDefault(zones.getTimeZone("Europe/Madrid"))
    try:
        done = load(lake, spark)
    finally:
        zones.setDefault(own)

    assert (done.way, done.inserted) == ("whole", 3)
    with database.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        rows = connection.execute("SELECT * FROM totals ORDER BY k").fetchall()
    assert [plain(row) for row in rows] == [plain(row) for row in EXPECTED]
    # Again, and from a new Loader: nothing is touched.
    marks = "SELECT xmin::text FROM totals UNION ALL SELECT xmin::text FROM medallion_loads"
    before = database.rows(marks)
    assert load(lake, spark).way == "none"
    assert Loader(lake.config, TOTALS).catch_up(spark) is None
    assert database.rows(marks) == before
    assert database.rows("SELECT to_regclass('totals__staging')") == [(None,)]


def plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row that can be compared: NaN equals nothing, and a real is read as a double."""
    told = ["NaN" if isinstance(x, float) and isnan(x) else x for x in row]
    told[8] = None if row[8] is None else f"{row[8]:.3g}"
    return tuple(told)


def contents(database: Postgres, table: str) -> list[tuple[Any, ...]]:
    return database.rows(f"SELECT * FROM {table} ORDER BY number")


def test_changes_alone_make_the_table_that_a_whole_load_makes(
    database: Postgres, tmp_path: Path, spark: SparkSession
) -> None:
    lake = lake_with_sink(tmp_path, database, keys=KEYS)
    write(lake, totals(range(30)), **{"delta.enableChangeDataFeed": "true"})
    table = DeltaTable(lake.path("gold.totals"))
    write_deltalake(table, totals(range(30, 60)), mode="append")
    assert str(load(lake, spark)) == "warehouse: 60 rows of version 1 loaded"
    # Files are put together, no row is changed.
    assert table.optimize.compact()["numFilesAdded"] == 1
    assert load(lake, spark).way == "none"
    assert database.rows("SELECT version FROM medallion_loads") == [(2,)]

    table.delete("number IN (0, 3, 7)")  # among them null keys
    table.update({"n": "n * 1000"}, predicate="number IN (7, 14, 22)")
    back = totals((3, 14, 60, 61, 62, 63), n=lambda number: -number)
    merge = table.merge(back, "t.number = s.number", source_alias="s", target_alias="t")
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    untouched = database.rows("SELECT xmin::text FROM totals WHERE number = 5")
    done = load(lake, spark)
    assert (done.way, done.removed, done.inserted) == ("changes", 5, 7)
    assert database.rows("SELECT xmin::text FROM totals WHERE number = 5") == untouched

    by_changes = contents(database, "totals")
    assert len(by_changes) == 62
    assert load(lake, spark, whole=True).way == "whole"
    assert contents(database, "totals") == by_changes
    # A feed as long as the table is no help.
    table.update({"n": "n + 1"})
    assert load(lake, spark).way == "whole"


def test_a_rewritten_table_is_loaded_by_what_differs_and_readers_see_whole_versions(
    database: Postgres, tmp_path: Path, spark: SparkSession
) -> None:
    lake = lake_with_sink(tmp_path, database, keys=KEYS)
    write(lake, totals(range(40)))
    load(lake, spark)
    database.run("CREATE VIEW seen AS SELECT region, n FROM totals")
    write(lake, totals(range(3, 43), n=lambda number: number + (number % 10 == 0)))
    versions = {(40, sum(range(40))), (40, sum(range(3, 43)) + 4)}
    with polled(database, "SELECT count(*), sum(n) FROM totals") as answers:
        done = load(lake, spark)
        again = load(lake, spark, whole=True)
    assert (done.way, done.removed, done.inserted) == ("changes", 6, 6)
    assert (again.way, again.inserted) == ("whole", 40)
    assert answers == versions
    assert database.rows("SELECT count(*) FROM seen") == [(40,)]
    noted = database.rows("SELECT table_name, version, columns FROM medallion_loads")
    assert noted == [("totals", 1, ["region", "day", "number", "n"])]


def test_columns_come_go_and_grow(database: Postgres, tmp_path: Path, spark: SparkSession) -> None:
    lake = lake_with_sink(tmp_path, database, keys="number")
    old = {"number": pa.scalar(1, pa.int32()), "n": pa.scalar(5, pa.int16())}
    write(lake, one_row(**old, paid=pa.scalar(Decimal("1.5")), label=pa.scalar("x")))
    load(lake, spark)
    database.run("ALTER TABLE totals ADD COLUMN note text DEFAULT 'hers'")
    new = {"number": pa.scalar(1), "n": pa.scalar(5), "paid": pa.scalar(Decimal("12.345"))}
    odd = 'is"new"'

    write(lake, one_row(**new, **{odd: pa.scalar(True)}))
    strict = lake_with_sink(tmp_path, database, keys="number", new_columns="fail")
    with pytest.raises(UsageError, match='is"new" boolean'):
        Loader(strict.config, TOTALS).check(spark)
    done = load(lake_with_sink(tmp_path, database, keys="number"), spark)
    assert done.way == "whole"
    assert done.remarks == (
        'columns added: is"new"',
        "no longer in gold, null in every row: label",
    )
    assert kinds(database) == {
        "number": "bigint",
        "n": "bigint",
        "paid": "numeric(5,3)",
        "label": "text",
        "note": "text",
        odd: "boolean",
    }
    row = (1, 5, Decimal("12.345"), None, "hers", True)
    assert database.rows("SELECT * FROM totals") == [row]

    write(lake, one_row(**new, **{odd: pa.scalar("no")}))
    with pytest.raises(UsageError) as caught:
        load(lake, spark)
    assert 'is"new": boolean in the database, text in gold' in caught.value.what
    # A type that others build on stays theirs to change.
    write(lake, one_row(**{**new, "paid": pa.scalar(Decimal("12345.678"))}))
    database.run("CREATE VIEW seen AS SELECT paid FROM totals")
    with pytest.raises(UsageError, match="view"):
        load(lake, spark)
    assert database.rows("SELECT * FROM totals") == [row]


def kinds(database: Postgres) -> dict[str, str]:
    found = database.rows(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'totals'::regclass AND attnum > 0"
    )
    return dict(found)  # type: ignore[arg-type]


def test_what_a_person_has_to_mend_is_told_at_once(
    database: Postgres, tmp_path: Path, spark: SparkSession
) -> None:
    def told(**settings: object) -> UsageError:
        lake = lake_with_sink(tmp_path, database, keys=KEYS, **settings)
        with pytest.raises(UsageError) as caught:
            Loader(lake.config, TOTALS).check(spark)
        assert PASSWORD not in str(caught.value)
        return caught.value

    lake = lake_with_sink(tmp_path, database, keys=KEYS)
    write(lake, totals(range(3)))
    assert "login was refused" in told(user=LOADER, password="wrong").what
    assert "login was refused" in told(user=LOADER).what
    assert "may not create tables in schema public" in told(user=LOADER, password=PASSWORD).what
    assert "there is no schema nowhere" in told(schema="nowhere").what
    database.run("CREATE TABLE hers AS SELECT 1 AS number")
    assert "rows that no load wrote" in told(table="hers").what
    database.run(
        "CREATE VIEW seen AS SELECT 1 AS number", f"GRANT ALL ON SCHEMA public TO {LOADER}"
    )
    assert "is no table" in told(table="seen").what
    told(user=LOADER, password=PASSWORD, table="hers")
    database.run(f"GRANT ALL ON SCHEMA public TO {LOADER}", "DROP TABLE medallion_loads")

    own = lake_with_sink(tmp_path, database, keys=KEYS, user=LOADER, password=PASSWORD)
    assert load(own, spark).inserted == 3
    shown = spark._jsparkSession.sharedState().statusStore().executionsList()  # type: ignore[union-attr]
    plans = [shown.apply(place).physicalPlanDescription() for place in range(shown.size())]
    assert any("totals__staging" in plan for plan in plans)
    assert not any(PASSWORD in plan for plan in plans)


def test_rows_that_postgres_does_not_store(
    database: Postgres, tmp_path: Path, spark: SparkSession
) -> None:
    lake = lake_with_sink(tmp_path, database, keys="region, number")

    def rows(label: str = "fine", inner: str = "x") -> pa.Table:
        labels, lists = ["fine", label], [["x"], [inner]]
        return pa.table({"region": ["North"] * 2, "number": [1, 2], "label": labels, "l": lists})

    write(lake, rows())
    load(lake, spark)
    for bad in (rows(label="a\0"), rows(inner="\\\\\0")):
        write(lake, bad)
        with pytest.raises(DataError) as caught:
            load(lake, spark)
        assert "NUL" in caught.value.what
        assert "region='North', number=2" in caught.value.what
    assert database.rows("SELECT number, label FROM totals") == [(1, "fine"), (2, "fine")]

    database.run("UPDATE medallion_loads SET version = 10")
    with pytest.raises(DataError, match="older state of the lake was restored"):
        load(lake, spark)
    database.run("ALTER TABLE totals ADD CHECK (label <> 'odd')")
    write(lake, rows(label="odd"))
    with pytest.raises(DataError, match="totals_label_check"):
        load(lake, spark, whole=True)


def test_a_database_that_is_away(database: Postgres, tmp_path: Path, spark: SparkSession) -> None:
    lake = lake_with_sink(tmp_path, database, keys=KEYS, attempts=2)
    write(lake, totals(range(4)))
    database.stop()
    try:
        with pytest.raises(TransientError) as caught:
            load(lake, spark)
        assert "after 2 attempts" in caught.value.what
        assert "refused" in caught.value.what
    finally:
        database.start()
    assert load(lake, spark).inserted == 4


def test_the_command(database: Postgres, tmp_path: Path, spark: SparkSession) -> None:
    lake = lake_with_sink(tmp_path, database, keys=KEYS)
    with pytest.raises(UsageError, match=r"no table gold\.totals"):
        lake.cli("load")
    write(lake, totals(range(4)))
    (told,) = json.loads(lake.cli("load", "gold.totals", "--json"))
    assert (told["table"], told["version"], told["way"], told["inserted"]) == (
        "gold.totals",
        0,
        "whole",
        4,
    )
    assert "none" in lake.cli("load")
    assert "whole" in lake.cli("load", "--whole")
    with pytest.raises(UsageError, match=r"gold\.others"):
        lake.cli("load", "gold.others")


def test_a_run_loads_what_it_wrote_and_what_an_earlier_one_could_not(
    database: Postgres, tmp_path: Path, spark: SparkSession
) -> None:
    lake = lake_with_sink(tmp_path, database, keys="region", attempts=1)
    config = lake.config_file.read_text()
    lake.configure(config.replace("measures:", "mode: incremental\n    measures:"))
    lake.land("sales", "1.json", {"region": "north", "n": 1}, {"region": "south", "n": 2})
    lake.run()
    found = "SELECT region, n FROM totals ORDER BY region"
    assert database.rows(found) == [("north", 1), ("south", 1)]

    lake.land("sales", "2.json", {"region": "north", "n": 3}, {"region": None, "n": 4})
    database.kill()
    (batch,) = batches(lake.run(), "gold.totals")
    # The gold table has the batch all the same; the next run loads it, though nothing new came.
    assert "the load is retried" in " ".join(batch.remarks)
    assert '"north"' in lake.cli("query", "SELECT region FROM gold.totals WHERE n = 2", "--json")
    database.start()
    lake.run()
    assert database.rows(found) == [("north", 2), ("south", 1), (None, 1)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"{'m' * 64}: count(*)", "m: count(*)"),
        ("m: \"first(parse_json('1'))\"", "m: count(*)"),
        ("m: \"max(concat('a', char(0)))\"", "m: count(*)"),
    ],
    ids=["a name", "a type", "a value"],
)
def test_a_table_that_was_rebuilt_since_it_could_not_be_loaded(
    database: Postgres, tmp_path: Path, spark: SparkSession, old: str, new: str
) -> None:
    """The old table is not loaded at the start: nobody could get past it."""
    lake = lake_with_sink(tmp_path, database, keys="region")
    config = lake.config_file.read_text()
    without = config.partition("    sinks:")[0]
    lake.configure(without.replace("n: count(*)", old))
    lake.land("sales", "1.json", {"region": "north", "n": 1}, {"region": "south", "n": 2})
    lake.run()
    lake.configure(config.replace("n: count(*)", old))
    if "char(0)" in old:
        with pytest.raises(DataError, match="NUL"):
            lake.run("gold")
    else:
        with pytest.raises(ConfigError, match="64 bytes" if "mm" in old else "no type"):
            lake.cli("validate")
    lake.configure(config.replace("n: count(*)", new))
    lake.reset("gold.totals")
    (batch,) = batches(lake.run("gold"), "gold.totals")
    assert "2 rows" in " ".join(batch.remarks)
    counted = database.rows("SELECT region, m FROM totals ORDER BY region")
    assert [row[0] for row in counted] == ["north", "south"]
    assert batches(lake.run("gold"), "gold.totals") == []
    assert database.rows("SELECT region, m FROM totals ORDER BY region") == counted
