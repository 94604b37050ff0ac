"""Sidings: rows are kept as they were, once, and leave once."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.lake import Lake

from medallion_jobs.config import TableRef
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Txn
from medallion_jobs.maintenance import upkeep

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType

    from medallion_jobs.refine.quarantine.parked_rows import ParkedRows

SALES = TableRef("silver", "sales")
APP = "silver.sales/v1"
MOMENT = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=timezone.utc)

# Names, and types as DDL has them; `_` is a field with everything in it.
LEAVES = {
    "_corrupt_record": "string",
    "a.b": "tinyint",
    "with space": "smallint",
    'quo"te': "int",
    "ключ": "bigint",
    "key": "boolean",
    "f": "float",
    "d": "double",
    "money": "decimal(38,18)",
    "whole": "decimal(38,0)",
    "bytes": "binary",
    "day": "date",
    "at": "timestamp",
    "local": "timestamp_ntz",
    "took": "interval day to second",
}
NESTED = (
    ", ".join(f"`{name}`: {kind}" for name, kind in LEAVES.items())
    + ", nothing: struct<x: int>, list: array<timestamp>"
    + ", deep: array<struct<m: map<string, array<struct<t: timestamp, s: string>>>>>"
    + ", by_name: map<string, double>, by_day: map<date, struct<at: timestamp_ntz>>"
    + ", by_number: map<decimal(10,2), map<int, binary>>, lists: array<array<date>>"
)
TEXTS = ["", "null", '"', "\\", "\0\x01\x7f", "\u2028\r\n\t", "😀é", "{}", " x ", "NaN", "1e5", "'"]


def value(kind: DataType, draw: random.Random) -> Any:
    """One of a type, a null at times."""
    name = kind.typeName()
    if draw.random() < 0.15:
        return None
    if name == "struct":
        return tuple(value(field.dataType, draw) for field in kind)  # type: ignore[attr-defined]
    if name == "array":
        item = kind.elementType  # type: ignore[attr-defined]
        return [value(item, draw) for _ in range(draw.randrange(4))]
    if name == "map":
        keys = [value(kind.keyType, draw) for _ in range(draw.randrange(4))]  # type: ignore[attr-defined]
        return {k: value(kind.valueType, draw) for k in keys if k is not None}  # type: ignore[attr-defined]
    return leaf(name, kind, draw)


def leaf(name: str, kind: DataType, draw: random.Random) -> Any:
    bits = {"byte": 8, "short": 16, "integer": 32, "long": 64}
    span = timedelta(microseconds=draw.randrange(315_537_897_600_000_000))
    moment = datetime(1, 1, 1) + span
    inexact = [float("nan"), float("inf"), float("-inf"), -0.0, 0.1, draw.uniform(-1e9, 1e9)]
    if name in bits:
        return draw.choice([0, -(2 ** (bits[name] - 1)), draw.getrandbits(bits[name] - 1)])
    if name == "decimal":
        digits = draw.randrange(10 ** draw.randint(1, kind.precision))  # type: ignore[attr-defined]
        return Decimal(f"{draw.choice('+-')}{digits}E-{kind.scale}")  # type: ignore[attr-defined]
    made: dict[str, Callable[[], Any]] = {
        "string": lambda: draw.choice([*TEXTS, "".join(draw.choices(TEXTS, k=3))]),
        "boolean": lambda: draw.random() < 0.5,
        "float": lambda: draw.choice([*inexact[:4], draw.gauss(0, 1), 1e-45, 3.4028234e38]),
        "double": lambda: draw.choice([*inexact, 5e-324, 1.7976931348623157e308, draw.random()]),
        "binary": lambda: draw.randbytes(draw.randrange(4)),
        "date": moment.date,
        "timestamp": lambda: moment.replace(tzinfo=timezone.utc),
        "timestamp_ntz": lambda: moment,
        "daytimeinterval": lambda: timedelta(microseconds=draw.getrandbits(52) - 2**51),
    }
    return made[name]()


def comparable(column: Column, kind: DataType) -> Column:
    """A column that `<=>` compares exactly: it does not take maps, and -0.0 for 0.0."""
    from pyspark.sql import functions as F

    name = kind.typeName()
    if name in ("float", "double"):
        return column.cast("string")
    if name == "struct":
        fields = [comparable(column.getField(f.name), f.dataType) for f in kind]  # type: ignore[attr-defined]
        return F.when(column.isNotNull(), F.struct(*fields))
    if name == "array":
        return F.transform(column, lambda one: comparable(one, kind.elementType))  # type: ignore[attr-defined]
    if name == "map":
        keys = F.map_keys(column)
        values = F.map_values(column)
        return F.struct(
            F.transform(keys, lambda one: comparable(one, kind.keyType)),  # type: ignore[attr-defined]
            F.transform(values, lambda one: comparable(one, kind.valueType)),  # type: ignore[attr-defined]
        )
    return column


def changed(rows: DataFrame) -> list[Any]:
    """The rows whose column `r` is not the same once it was a text; as texts."""
    from pyspark.sql import functions as F

    from medallion_jobs.refine.quarantine.row_text import from_text, to_text

    kind = rows.schema["r"].dataType
    kept = rows.select("r", to_text(F.col("r"), kind).alias("text"))  # type: ignore[arg-type]
    back = kept.withColumn("b", from_text(F.col("text"), kind))  # type: ignore[arg-type]
    assert back.schema["b"].dataType.simpleString() == kind.simpleString()
    same = comparable(F.col("r"), kind).eqNullSafe(comparable(F.col("b"), kind))
    return back.where(~same).select("text", F.col("b").cast("string")).collect()


def test_a_row_comes_back_from_its_text_as_it_was(spark: SparkSession) -> None:
    draw = random.Random(5)
    schema = spark.sql(f"SELECT CAST(null AS struct<{NESTED}>) AS r").schema
    kind = schema["r"].dataType
    rows = [(value(kind, draw),) for _ in range(200)]
    assert changed(spark.createDataFrame(rows, schema)) == []


# What Python's own types cannot hold.
_EDGES = """
    SELECT struct(
        timestamp_micros(us) AS at, CAST(timestamp_micros(us) AS timestamp_ntz) AS local,
        date_from_unix_date(days) AS day, map(timestamp_micros(us), days) AS m,
        INTERVAL '-3-2' YEAR TO MONTH AS i, null AS void, text,
        array(struct(null AS void, timestamp_micros(us) AS at)) AS list
    ) AS r FROM VALUES
        (9223372036854775807L, 2147483647, ''), (-9223372036854775808L, -2147483648, 'é'),
        (-62135596800000001L, -719529, ''), (253402300800000000L, 2932897, null)
    AS t(us, days, text)
"""


def test_the_first_and_last_moments_come_back_too(spark: SparkSession) -> None:
    assert changed(spark.sql(_EDGES)) == []


def test_a_column_that_is_new_is_null_and_what_does_not_fit_fails(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    from medallion_jobs.lake.tables.schema import parse_ddl
    from medallion_jobs.refine.quarantine.row_text import from_text

    def read(text: str, ddl: str) -> Any:
        row = spark.range(1).select(from_text(F.lit(text), parse_ddl(ddl)).alias("r")).first()
        assert row
        return tuple(row["r"])

    assert read('{"a":1,"gone":2}', "a bigint, new array<date>") == (1, None)
    for wrong, ddl in (('{"a":"x"}', "a int"), ('{"a":"x"}', "a date"), ("{", "a int")):
        with pytest.raises(Exception, match=r"MALFORMED|CAST_INVALID_INPUT"):
            read(wrong, ddl)


def test_what_would_not_come_back_is_named(spark: SparkSession) -> None:
    from medallion_jobs.refine.quarantine.row_text import unkeepable

    schema = spark.sql(
        "SELECT parse_json('1') AS v, map('k', array(parse_json('1'))) AS deep, "
        "make_interval(1) AS i, date'2026-01-01' AS fine, map(1, interval 1 year) AS fine_too"
    ).schema
    named = ["v variant", "deep map<string,array<variant>>", "i interval"]
    assert unkeepable(schema) == named


def txn(batch: int, app_id: str = APP) -> Txn:
    return Txn(app_id, batch, "run")


def newest(number: int) -> Callable[[str], int]:
    """The target's newest transaction, by application id."""
    return lambda app_id: {APP: number}[app_id]


def frame(spark: SparkSession, letters: str) -> DataFrame:
    """Rows that broke two rules, the first by the row's own name."""
    rows = [(f'{{"x":"{letter}"}}', [letter, "all"], ["why"]) for letter in letters]
    return spark.createDataFrame(rows, "row string, rules array<string>, reasons array<string>")


def told(**frames: DataFrame | None) -> dict[str, str]:
    """The names of the rows of many frames, in one job."""
    from pyspark.sql import functions as F

    named = [
        rows.select(F.lit(label).alias("label"), F.col("rules")[0].alias("name"))
        for label, rows in frames.items()
        if rows is not None
    ]
    letters = dict.fromkeys(frames, "")
    for label, name in sorted(map(tuple, reduce(lambda a, b: a.union(b), named).collect())):
        letters[label] += name
    return letters


class Yard:
    """A siding with rows of generation 1, and how they are called."""

    def __init__(self, spark: SparkSession, parked_rows: ParkedRows) -> None:
        self.spark, self.parked_rows = spark, parked_rows

    def put(self, letters: str, of: Txn, generation: int = 1) -> int:
        return self.parked_rows.put(frame(self.spark, letters), of, generation, MOMENT)

    def open(self, number: int, generation: int = 1) -> DataFrame | None:
        """Those that are open when this is the target's newest transaction."""
        return self.parked_rows.open(self.spark, generation=generation, committed=newest(number))

    def claim(self, letters: str, number: int) -> int:
        rows = self.open(-1)
        assert rows is not None
        ids = rows.where(rows["rules"][0].isin(*letters))
        said = {"app_id": APP, "number": number, "how": "released", "run_id": "run"}
        return self.parked_rows.release(self.spark, ids, **said)

    def claimed(self, number: int) -> DataFrame | None:
        return self.parked_rows.released(self.spark, APP, number)


@pytest.fixture(scope="module")
def storage(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake.at(tmp_path_factory.mktemp("parked"))


def test_rows_are_put_once_and_leave_with_the_transaction_that_took_them(
    spark: SparkSession, storage: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medallion_jobs.refine.quarantine.parked_rows import ParkedRows

    yard = Yard(spark, ParkedRows.held(TablePaths(storage.config, SALES)))
    assert yard.open(9) is None
    assert not yard.parked_rows.has(txn(0))
    assert yard.put("abc", txn(0)) == 3
    assert yard.put("xyz", txn(0)) == 3
    assert (yard.parked_rows.has(txn(0)), yard.parked_rows.has(txn(1))) == (True, False)

    assert yard.claim("a", 1) == 1
    seen = {"unborn": yard.open(0), "born": yard.open(1), "later": yard.open(7)}
    # An attempt that was cut off claimed others, for this batch and a later one.
    assert yard.claim("bc", 3) == 2
    seen |= {"cut_off": yard.open(3)}
    assert yard.claim("b", 2) == 1
    seen |= {"still": yard.open(1), "again": yard.open(3), "with_2": yard.claimed(2)}
    seen |= {"anew": yard.open(9, generation=2)}

    # Upkeep of the rows leaves the claims, which lie in their folder.
    for path in (yard.parked_rows.path, paths.releases(yard.parked_rows.path)):
        upkeep.carry_out("held", path, upkeep.Limits(timedelta(days=1)))
    assert not yard.parked_rows.tidy(spark, generation=1, committed=newest(2))
    monkeypatch.setattr("medallion_jobs.refine.quarantine.parked_rows._MAX_RELEASES", 2)
    assert yard.parked_rows.tidy(spark, generation=1, committed=newest(2))
    assert yard.put("abc", txn(0)) == 3
    seen |= {"tidied": yard.open(2), "with_1": yard.claimed(1), "still_with_2": yard.claimed(2)}

    # The next attempt lets nothing out.
    yard.parked_rows.withdraw(app_id=APP, number=2)
    seen |= {"none": yard.open(9)}
    assert told(**seen) == {
        "unborn": "abc",
        "born": "bc",
        "later": "bc",
        "cut_off": "",
        "still": "bc",
        "again": "c",
        "with_2": "b",
        "anew": "",
        "tidied": "c",
        "with_1": "",
        "still_with_2": "b",
        "none": "bc",
    }


def test_a_row_that_is_parked_again_keeps_its_first_moment_and_a_dismissed_one_is_not_open(
    spark: SparkSession, storage: Lake
) -> None:
    from pyspark.sql import functions as F

    from medallion_jobs.refine.quarantine import releases
    from medallion_jobs.refine.quarantine.parked_rows import ParkedRows
    from medallion_jobs.report import quarantine as report

    yard = Yard(spark, ParkedRows.quarantine(TablePaths(storage.config, SALES)))
    yard.put("ab", txn(0))
    first = yard.open(0)
    assert first is not None
    waits = F.array(F.struct(F.lit("dim").alias("lookup"), F.lit("7").alias("key")))
    again = first.where(F.col("rules")[0] == "a").unionByName(
        frame(spark, "c").withColumn("waits_for", waits), allowMissingColumns=True
    )
    later = MOMENT + timedelta(days=2)
    assert yard.parked_rows.put(again, txn(1), 1, later) == 2
    kept = yard.open(0)
    assert kept is not None
    rows = {(row["batch"], row["rules"][0]): row for row in kept.collect()}
    assert len({row["id"] for row in rows.values()}) == len(rows) == 4
    since = {key: row["since"].replace(tzinfo=timezone.utc) for key, row in rows.items()}
    assert (since[1, "a"], since[1, "c"]) == (MOMENT, later)
    assert rows[1, "c"]["waits_for"] == [("dim", "7")]

    # What was put is what the commands without a JVM read.
    shown = report.rows(storage.config, SALES, report.Wanted(rule="a"), 5)
    assert [one[1:6] for one in shown] == [
        (["a", "all"], ["why"], None, batch, "run") for batch in (1, 0)
    ]
    assert shown[1][6:] == (MOMENT, '{"x":"a"}')

    releases.dismiss(yard.parked_rows.path, [str(one[0]) for one in shown], "known", "run")
    assert told(open=yard.open(-1)) == {"open": "bc"}
    counts = {row[1]: row[2:6] for row in report.summary(storage.config, [SALES])}
    assert counts == {"a": (0, 0, 2, 0), "all": (2, 0, 2, 0), "b": (1, 0, 0, 0), "c": (1, 0, 0, 0)}


def test_a_row_that_moves_is_in_one_place_also_after_a_crash_in_between(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medallion_jobs.refine.quarantine.parked_rows import ParkedRows

    config = Lake.at(tmp_path).config
    held = Yard(spark, ParkedRows.held(TablePaths(config, SALES)))
    bad = Yard(spark, ParkedRows.quarantine(TablePaths(config, SALES)))
    held.put("abc", txn(0))
    rows = held.open(0)
    assert rows is not None
    assert held.claimed(0) is None
    assert held.parked_rows.without(spark, rows, bad.parked_rows) is rows

    def move(letters: str) -> None:
        some = rows.where(rows["rules"][0].isin(*letters))
        held.parked_rows.move(some, bad.parked_rows, txn(7), 1, MOMENT)

    move("a")
    # The second under the same transaction, cut off before it has left hold.
    with monkeypatch.context() as patched:
        patched.setattr(ParkedRows, "release_now", lambda *_, **__: None)
        move("b")
    seen = {"in_both": held.open(0), "bad": bad.open(0)}
    left = held.open(0)
    assert left is not None
    seen |= {"sent": held.parked_rows.without(spark, left, bad.parked_rows), "held": held.open(0)}
    assert told(**seen) == {"in_both": "bc", "bad": "ab", "sent": "c", "held": "c"}
