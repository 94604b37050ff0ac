"""Groups, periods and measures: values worked out by hand, and the same from a stream."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import DecimalType, DoubleType, LongType, StructType
from support.own import OwnLake

from medallion_jobs.aggregate import Aggregation, complete
from medallion_jobs.config import ConfigError, GoldTable
from medallion_jobs.engine.session import ROCKSDB
from medallion_jobs.errors import UsageError
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables import Txn

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Row = dict[str, Any]

NAN = math.nan
HUGE = Decimal("99999999999999999999999999999999999.01")
PROVIDER = "spark.sql.streaming.stateStore.providerClass"
HDFS = "org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider"

SCHEMA = (
    "k string, user string, amount decimal(38,2), x double, s int, at string, list array<double>"
)
# `k` and `at` of some are null; some stand alike by `s`.
BATCHES: tuple[tuple[tuple[Any, ...], ...], ...] = (
    (
        ("a", "u1", Decimal("1.00"), NAN, 1, "2026-01-01 10:00:00", [NAN, None]),
        ("a", "u2", None, 0.0, 2, "2026-01-01 11:00:00", [0.0]),
        (None, "u1", Decimal("-5.00"), None, None, None, None),
    ),
    (
        ("a", "u1", HUGE, -0.0, 2, "2026-01-01 10:20:00", [-0.0]),
        ("a", None, Decimal("-3.00"), NAN, None, None, [NAN, None]),
        ("b", None, None, None, None, None, None),
    ),
    (
        ("a", "u3", Decimal("2.00"), 7.5, 1, "2026-01-01 10:40:00", [0.0]),
        ("a", "u3", Decimal("2.00"), 7.5, 1, "2026-01-01 09:30:00", None),
        # Not taken.
        ("no", "u9", Decimal("2.00"), 7.5, 1, "2026-01-01 09:30:00", None),
    ),
)
MEASURES: dict[str, Any] = {
    "rows": "count(*)",
    "big": {"count": "*", "where": "amount > 1"},
    "users": {"count": "user"},
    "different": {"count_distinct": "user"},
    "as_sql": "COUNT( DISTINCT user ) FILTER (WHERE s = 1)",
    "numbers": {"count_distinct": "x"},
    "lists": {"count_distinct": "list"},
    "structs": {"count_distinct": "struct(user, x)"},
    "about": {"approx_count_distinct": "user", "error": 0.02},
    "total": {"sum": "amount"},
    "points": "sum(s)",
    "some": {"sum": "s", "where": "user = 'u3'"},
    "least": {"min": "x"},
    "most": "max(x)",
    "mean": {"avg": "s"},
    "first": {"first": "user", "by": "s"},
    "last": {"last": "user", "by": ["s", "at"]},
    "alike": {"last": "user", "by": "s"},
    "zero": {"last": "x", "by": "s", "where": "user is not null"},
    "own": "max_by(user, struct(s, at))",
}
# The rows of `a` on the first of January.
OF_A: Row = {
    "rows": 5,
    "big": 3,
    "users": 5,
    "different": 3,
    "as_sql": 2,
    "numbers": 3,
    "lists": 2,
    "structs": 4,
    "about": 3,
    "total": Decimal("100000000000000000000000000000000004.01"),
    "points": 7,
    "some": 2,
    "least": 0.0,
    "most": NAN,
    "mean": 1.4,
    # Two have the smallest `s`, three of them: the smallest of u1, u3, u3.
    "first": "u1",
    "last": "u2",
    "alike": "u2",
    "zero": 0.0,
    "own": "u2",
}
# Of rows without anything but their key.
COUNTS = ("rows", "big", "users", "different", "as_sql", "numbers", "lists", "structs", "about")
NOTHING: Row = dict.fromkeys(MEASURES) | dict.fromkeys(COUNTS, 0)


def table(**said: Any) -> Aggregation:
    return Aggregation(GoldTable.model_validate({"from": "silver.rows", **said}))


BY_DAY = table(
    where="k is null or k != 'no'",
    group_by=["k"],
    period={"of": "at", "by": "day"},
    measures=MEASURES,
    columns={"twice": "rows * 2", "segment": "if(twice > 4, 'VIP', 'Regular')"},
)
IN_SESSIONS = ("rows", "different", "numbers", "total", "most", "last")
SESSIONS = table(
    where="k is null or k != 'no'",
    group_by=["k"],
    period={"of": "at", "by": "session", "gap": "30m"},
    measures={name: MEASURES[name] for name in IN_SESSIONS},
)


def rows_of(spark: SparkSession, lines: Sequence[tuple[Any, ...]]) -> DataFrame:
    made = spark.createDataFrame(list(lines), SCHEMA)
    return made.withColumn("at", F.col("at").cast("timestamp"))


def listed(rows: DataFrame, *keys: str) -> dict[tuple[Any, ...], Row]:
    """The rows by their keys; a NaN as a text, since it does not equal itself."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows.collect():
        values = {name: told(value) for name, value in row.asDict().items()}
        key = tuple(values[name] for name in keys)
        assert key not in found, "one row a group"
        found[key] = values
    return found


def told(value: Any) -> Any:
    # -0.0 would equal 0.0.
    return str(value) if isinstance(value, float) else value


def telling(expected: Mapping[str, Any]) -> Row:
    return {name: told(value) for name, value in expected.items()}


# Periods

UTC_MOMENTS = {
    # Clocks in Madrid go from 2 to 3 at 1:00 UTC.
    "spring": ["2026-03-29 00:59:59.999999", "2026-03-29 01:00:00", "2026-03-29 01:59:00"],
    # They go from 3 to 2 at 1:00 UTC: the hour from 2 is there twice.
    "autumn": ["2026-10-25 00:10:00", "2026-10-25 01:10:00", "2026-10-25 02:10:00"],
    "midnight": ["2026-10-24 22:10:00", "2026-10-31 22:59:59", "2026-10-31 23:00:00"],
    # On Lord Howe Island they go by half an hour: at 15:30 and at 15:00 UTC.
    "half": ["2026-10-03 15:20:00", "2026-10-03 15:40:00", "2026-04-04 14:50:00"],
    "back": ["2026-04-04 15:10:00", "2026-04-04 15:40:00"],
}
PERIODS: dict[tuple[str, str], list[tuple[str, str, str, str]]] = {
    # hour (in UTC), day, week, month
    ("Europe/Madrid", "spring"): [
        ("2026-03-29 00:00:00", "2026-03-29", "2026-03-23", "2026-03-01"),
        ("2026-03-29 01:00:00", "2026-03-29", "2026-03-23", "2026-03-01"),
        ("2026-03-29 01:00:00", "2026-03-29", "2026-03-23", "2026-03-01"),
    ],
    ("Europe/Madrid", "autumn"): [
        ("2026-10-25 00:00:00", "2026-10-25", "2026-10-19", "2026-10-01"),
        ("2026-10-25 01:00:00", "2026-10-25", "2026-10-19", "2026-10-01"),
        ("2026-10-25 02:00:00", "2026-10-25", "2026-10-19", "2026-10-01"),
    ],
    ("Europe/Madrid", "midnight"): [
        ("2026-10-24 22:00:00", "2026-10-25", "2026-10-19", "2026-10-01"),
        ("2026-10-31 22:00:00", "2026-10-31", "2026-10-26", "2026-10-01"),
        ("2026-10-31 23:00:00", "2026-11-01", "2026-10-26", "2026-11-01"),
    ],
    ("Asia/Kolkata", "spring"): [
        ("2026-03-29 00:30:00", "2026-03-29", "2026-03-23", "2026-03-01"),
        ("2026-03-29 00:30:00", "2026-03-29", "2026-03-23", "2026-03-01"),
        ("2026-03-29 01:30:00", "2026-03-29", "2026-03-23", "2026-03-01"),
    ],
    ("Asia/Kolkata", "midnight"): [
        ("2026-10-24 21:30:00", "2026-10-25", "2026-10-19", "2026-10-01"),
        ("2026-10-31 22:30:00", "2026-11-01", "2026-10-26", "2026-11-01"),
        ("2026-10-31 22:30:00", "2026-11-01", "2026-10-26", "2026-11-01"),
    ],
    ("Australia/Lord_Howe", "half"): [
        ("2026-10-03 14:30:00", "2026-10-04", "2026-09-28", "2026-10-01"),
        ("2026-10-03 15:30:00", "2026-10-04", "2026-09-28", "2026-10-01"),
        ("2026-04-04 14:00:00", "2026-04-05", "2026-03-30", "2026-04-01"),
    ],
    ("Australia/Lord_Howe", "back"): [
        ("2026-04-04 15:00:00", "2026-04-05", "2026-03-30", "2026-04-01"),
        ("2026-04-04 15:30:00", "2026-04-05", "2026-03-30", "2026-04-01"),
    ],
}
HOUR_DAY_WEEK_MONTH = ("hour", "day", "week", "month")


def by(period: str, zone: str, of: str = "at") -> Aggregation:
    return table(period={"of": of, "by": period}, time_zone=zone, measures={"n": "count(*)"})


@pytest.fixture(scope="module")
def placed(spark: SparkSession) -> dict[tuple[str, str], Any]:
    """Hour, day, week and month by zone and moment, and those of no moment and of a date."""
    moments = [one for part in UTC_MOMENTS.values() for one in part]
    plain = spark.createDataFrame([(one,) for one in [*moments, None]], "said string")
    plain = plain.withColumn("at", F.col("said").cast("timestamp"))
    parts = []
    for zone in dict.fromkeys(zone for zone, _ in PERIODS):
        rows = plain.withColumn("zone", F.lit(zone))
        for period in HOUR_DAY_WEEK_MONTH:
            rows = by(period, zone).placed(rows)
        parts.append(rows)
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.unionByName(part)
    kinds = dict(whole.dtypes)
    assert kinds["hour"] == "timestamp"
    assert {kinds[name] for name in ("day", "week", "month")} == {"date"}
    texts = whole.select(
        "zone", "said", *[F.col(name).cast("string") for name in HOUR_DAY_WEEK_MONTH]
    )
    return {(row[0], row[1]): tuple(row[2:]) for row in texts.collect()}


@pytest.mark.parametrize(("zone", "when"), PERIODS)
def test_a_period_is_of_the_business_clock(
    placed: dict[tuple[str, str], Any], zone: str, when: str
) -> None:
    assert [placed[zone, one] for one in UTC_MOMENTS[when]] == PERIODS[zone, when]
    assert placed[zone, None] == (None, None, None, None)  # type: ignore[index]


def test_a_moment_is_a_timestamp_or_a_day_of_the_business(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("2026-11-01",)], "text string").selectExpr(
        "text", "cast(text as date) day_sold", "cast(text as timestamp_ntz) read"
    )
    for period, of in (
        ("day", "text"),
        ("day", "read"),
        ("hour", "day_sold"),
        ("hour", "read"),
    ):
        with pytest.raises(UsageError, match=of):
            by(period, "America/New_York", of).placed(rows)
    with pytest.raises(UsageError, match="day_sold"):
        table(
            group_by=["text"],
            period={"of": "day_sold", "by": "session", "gap": "5m"},
            measures={"n": "count(*)"},
        ).placed(rows)
    # West of Greenwich, midnight of UTC would be the day before.
    for period in ("day", "week", "month"):
        rows = by(period, "America/New_York", "day_sold").placed(rows)
    assert rows.collect()[0][3:] == (date(2026, 11, 1), date(2026, 10, 26), date(2026, 11, 1))
    with pytest.raises(UsageError, match="has a column `day`"):
        by("day", "UTC", "day_sold").placed(rows)


# Measures, of a batch and of a stream


class Streamed:
    """A table of rows that grows, and gold tables that follow it in complete mode."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.folder = spark, folder
        self.outcomes: dict[str, list[complete.Outcome]] = {}

    @property
    def silver(self) -> str:
        return str(self.folder / "silver")

    def add(self, lines: Sequence[tuple[Any, ...]]) -> None:
        rows_of(self.spark, lines).coalesce(1).write.format("delta").mode("append").save(
            self.silver
        )

    def follow(self, name: str, aggregation: Aggregation) -> None:
        """Lets a query run over what is new."""
        target = self.folder / name
        whole = aggregation.of(self.spark.read.format("delta").load(self.silver))
        tables.create(self.spark, target, whole.schema, comment="a test")
        done = self.outcomes[name] = []

        def write(df: DataFrame, number: int) -> None:
            txn = Txn(f"gold.{name}/v1", number, "a run")
            done.append(complete.write(df, target, txn, new_schema=number == 0))

        rows = self.spark.readStream.format("delta").load(self.silver)
        writer = aggregation.of(rows, streaming=True).writeStream.outputMode("complete")
        writer = writer.option("checkpointLocation", str(self.checkpoint(name)))
        writer.foreachBatch(write).trigger(availableNow=True).start().awaitTermination()

    def checkpoint(self, name: str) -> Path:
        return self.folder / "checkpoints" / name

    def provider(self, name: str) -> str:
        """The state store that the newest batch was planned with."""
        offsets = self.checkpoint(name) / "offsets"
        newest = max((one for one in offsets.iterdir() if one.name.isdigit()), key=lambda p: p.name)
        planned = json.loads(newest.read_text(encoding="utf-8").splitlines()[1])
        return str(planned["conf"][PROVIDER])

    def table(self, name: str) -> DataFrame:
        return self.spark.read.format("delta").load(str(self.folder / name))

    @cached_property
    def batch(self) -> DataFrame:
        return self.spark.read.format("delta").load(self.silver)


@pytest.fixture(scope="module")
def streamed(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Streamed:
    """Two tables that followed two batches; `day` began with the store that Spark begins with."""
    made = Streamed(spark, tmp_path_factory.mktemp("streamed"))
    made.add(BATCHES[0])
    spark.conf.set(PROVIDER, HDFS)
    try:
        made.follow("day", BY_DAY)
    finally:
        spark.conf.set(PROVIDER, ROCKSDB)
    made.follow("session", SESSIONS)
    made.add(BATCHES[1])
    made.add(BATCHES[2])
    made.follow("day", BY_DAY)
    made.follow("session", SESSIONS)
    return made


def test_a_stream_comes_to_what_a_batch_comes_to(streamed: Streamed) -> None:
    for name, aggregation, keys in (
        ("day", BY_DAY, ("k", "day")),
        ("session", SESSIONS, ("k", "session_start")),
    ):
        assert aggregation.keys == keys
        rows, right = streamed.table(name), aggregation.of(streamed.batch)
        assert rows.columns == list(aggregation.columns_in_order)
        assert rows.dtypes == right.dtypes
        assert listed(rows, *keys) == listed(right, *keys)


def test_the_values_of_a_group(streamed: Streamed) -> None:
    found = listed(streamed.table("day"), "k", "day")
    day = date(2026, 1, 1)
    assert set(found) == {("a", day), ("a", None), ("b", None), (None, None)}
    shown = {"k": "a", "day": day, **OF_A, "twice": 10, "segment": "VIP"}
    assert found["a", day] == telling(shown)
    one_row = {"rows": 1, "structs": 1}
    assert found["b", None] == {
        **{"k": "b", "day": None, **NOTHING, **one_row},
        **{"twice": 2, "segment": "Regular"},
    }
    # A null in `by` leaves the row out; `max_by` does not.
    assert found[None, None]["first"] is None
    assert found[None, None]["own"] == "u1"


def test_sessions_that_came_out_of_order_are_one(streamed: Streamed) -> None:
    found = listed(streamed.table("session"), "k", "session_start")
    start = datetime(2026, 1, 1, 9, 30)
    assert set(found) == {("a", start), ("a", None), ("b", None), (None, None)}
    # Each silence of exactly the gap belongs to the session.
    assert found["a", start] == telling(
        {
            "k": "a",
            "session_start": start,
            "session_end": datetime(2026, 1, 1, 11, 30),
            **{name: OF_A[name] for name in IN_SESSIONS},
        }
    )
    assert found["b", None]["session_end"] is None
    assert found["b", None]["rows"] == 1


def test_a_longer_silence_ends_a_session(spark: SparkSession) -> None:
    moments = ["10:00:00", "10:30:00", "11:00:00.000001", "12:00:00"]
    rows = rows_of(
        spark, [("a", None, None, None, None, f"2026-01-01 {at}", None) for at in moments]
    )
    found = SESSIONS.of(rows).select(F.date_format("session_start", "HH:mm"), "rows").collect()
    assert sorted(map(tuple, found)) == [("10:00", 2), ("11:00", 1), ("12:00", 1)]


@pytest.mark.slow
def test_a_checkpoint_goes_on_with_the_store_that_it_began_with(streamed: Streamed) -> None:
    assert streamed.provider("day") == HDFS
    assert streamed.provider("session") == ROCKSDB
    state = streamed.checkpoint("session") / "state" / "0" / "0"
    assert list(state.glob("*.changelog"))


def test_a_batch_that_changes_nothing_writes_nothing(streamed: Streamed) -> None:
    path = streamed.folder / "day"
    before = tables.snapshot(path)
    streamed.add([("no", None, None, None, None, None, None)])
    streamed.follow("day", BY_DAY)
    after = tables.snapshot(path)
    assert before
    assert after
    assert {done.how for done in streamed.outcomes["day"]} == {"same"}
    assert {done.groups for done in streamed.outcomes["day"]} == {4}
    since = list(tables.commits(path, before.version + 1))
    assert not any(commit.added for commit in since)
    assert (after.rows, after.files) == (before.rows, before.files)
    # The transaction is there: the start checks see that the table is not behind its checkpoint.
    newest = max(int(p.name) for p in (streamed.checkpoint("day") / "commits").glob("[0-9]*"))
    assert after.txn("gold.day/v1") == newest


# The write by itself


def test_the_write_is_skipped_only_where_the_table_has_these_rows(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "gold"
    lines = [("a", None, 1.5), ("b", 2.5, None), (None, 2.5, 1.5)]
    rows = spark.createDataFrame(lines, "k string, x double, y double")
    tables.create(spark, path, rows.schema, comment="a test")
    number = iter(range(20))

    def written(df: DataFrame, *, new_schema: bool = False) -> str:
        return complete.write(
            df, path, Txn("gold.t/v1", next(number), "r"), new_schema=new_schema
        ).how

    assert written(rows, new_schema=True) == "replaced"
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('a.b' = 'c')")
    assert written(rows.orderBy(F.desc("k")).repartition(2)) == "same"
    # A null that changes its column, of a row whose values are else the same.
    lines[0] = ("a", 1.5, None)
    moved = spark.createDataFrame(lines, rows.schema)
    assert written(moved) == "replaced"
    # Somebody else's rows do not stay.
    spark.sql(f"DELETE FROM delta.`{path}` WHERE k = 'a'")
    assert written(moved) == "replaced"
    last = Txn("gold.t/v1", next(number) - 1, "another run")
    assert complete.write(rows, path, last).how == "before"
    found = spark.read.format("delta").load(str(path)).collect()
    assert {tuple(row) for row in found} == set(lines)


# Going on by rows that are added


def test_what_goes_on_by_added_rows_alone(spark: SparkSession) -> None:
    measures: dict[str, Any] = {
        **MEASURES,
        "tiny": {"sum": "cast(amount as decimal(20,8))"},
        "digits": {"sum": "cast(s as decimal(38,10))"},
        "ratio": {"sum": "x"},
        "text": {"min": "user"},
    }
    aggregation = table(group_by=["k"], measures=measures)
    taken = [line for batch in BATCHES for line in batch if line[0] != "no"]
    # Without the sum of huge amounts, which would not fit into `tiny`.
    taken = [(*line[:2], None if line[2] == HUGE else line[2], *line[3:]) for line in taken]
    old, new, both = (
        aggregation.aggregated(rows_of(spark, part)) for part in (taken[:4], taken[4:], taken)
    )
    ways = aggregation.additive(both.schema)
    assert set(ways) == {
        *("rows", "big", "users", "total", "points", "some", "least", "most", "text"),
        "tiny",
    }
    joined = old.alias("old").join(new.alias("new"), F.expr("old.k <=> new.k"), "full_outer")
    going_on = joined.select(
        F.expr("coalesce(old.k, new.k)").alias("k"),
        *[
            way(F.col(f"old.{name}"), F.col(f"new.{name}")).alias(name)
            for name, way in ways.items()
        ],
    )
    assert dict(going_on.dtypes) == {
        name: kind for name, kind in both.dtypes if name in going_on.columns
    }
    right = both.select("k", *ways)
    assert listed(going_on, "k") == listed(right, "k")


def test_a_sum_goes_on_only_where_no_digit_can_be_lost() -> None:
    aggregation = table(group_by=["k"], measures={"total": {"sum": "x"}})

    def goes_on(kind: Any) -> bool:
        return "total" in aggregation.additive(StructType().add("total", kind))

    assert goes_on(LongType())
    assert goes_on(DecimalType(38, 6))
    assert goes_on(DecimalType(37, 20))
    assert not goes_on(DecimalType(38, 7))
    assert not goes_on(DoubleType())


def test_a_distinct_that_no_stream_can_count_is_refused(spark: SparkSession) -> None:
    aggregation = table(group_by=["k"], measures={"n": "sum(DISTINCT s)"})
    rows = rows_of(spark, BATCHES[0])
    aggregation.aggregated(rows)
    with pytest.raises(UsageError, match="DISTINCT"):
        aggregation.aggregated(rows, streaming=True)


# What `medallion validate` finds

CONFIG = """\
pipeline: shop
bronze:
  sales: {source: {format: json, schema: "id bigint, region string, sold string, at timestamp"}}
silver:
  sales: {from: bronze.sales}
gold:
  groups:
    from: silver.sales
    where: regoin is null
    group_by: [regionn]
    period: {of: sold, by: day}
    measures: {n: count(*)}
  values:
    from: silver.sales
    group_by: [region]
    measures:
      good: count(*)
      missing: {sum: idd}
      unordered: {last: id, by: [att]}
      apart: sum(DISTINCT id)
  columns:
    from: silver.sales
    group_by: [region]
    period: {of: at, by: day}
    measures: {n: {count: '*', where: id > 1}}
    columns:
      twice: n * 2
      half: m / 2
      four: twice * 2
  taken:
    from: silver.sales
    period: {of: at, by: day, name: sold}
    measures: {n: count(*)}
  apart:
    from: silver.sales
    mode: incremental
    group_by: [region]
    period: {of: at, by: session, gap: 30m}
    time_zone: Europe/Madrid
    measures: {n: count(DISTINCT id)}
"""


def test_each_mistake_of_gold_is_told_at_its_line(spark: SparkSession, tmp_path: Path) -> None:
    lake = OwnLake.of(tmp_path, CONFIG)
    with pytest.raises(ConfigError) as told_all:
        lake.cli("validate", "--config-only")
    found = [(one.path, one.origin.line) for one in told_all.value.problems]
    lines = CONFIG.splitlines()
    assert [path for path, _ in found] == [
        "gold.groups.where",
        "gold.groups.group_by",
        "gold.groups.period.of",
        "gold.values.measures.missing",
        "gold.values.measures.unordered.by",
        "gold.values.measures.apart",
        "gold.columns.columns.half",
        "gold.taken.period.of",
    ]
    for path, line in found:
        assert line
        assert path.split(".")[-1] in lines[line - 1]
