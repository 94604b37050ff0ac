"""Lookups against a plain oracle: rows stay as many as they were, whatever the dimensions hold."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from medallion_jobs.config import Lookup
from medallion_jobs.errors import DataError, UsageError
from medallion_jobs.lake.tables import commits

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
CUSTOMERS = {"customer_id": "long", "region": "string"}
KINDS = {
    "long": pa.int64(),
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}


def lookup_of(table: str = "customers", **fields: object) -> Lookup:
    usual = {"on": "customer_id", "take": "region"}
    return Lookup.model_validate({"table": f"silver.{table}", **usual, **fields})


def put(path: Path, columns: dict[str, str], *rows: tuple[object, ...]) -> Path:
    """Appends rows to a Delta table, by delta-rs."""
    schema = pa.schema([(name, KINDS[kind]) for name, kind in columns.items()])
    dicts = [dict(zip(columns, row, strict=True)) for row in rows]
    write_deltalake(path, pa.Table.from_pylist(dicts, schema), mode="append")
    return path


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=timezone.utc)


# Rows against an oracle

PRODUCTS = {"product_id": "long", "name": "string"}
PRICES = {"product": "string", "price": "long", "valid_from": "timestamp", "valid_to": "timestamp"}
STORES = {"id": "long", "country": "string", "manager": "string", "rank": "long"} | {
    "since": "date",
    "until": "date",
}
ROW = (
    "n int, code string, sold_at timestamp, day string, store_id string, country string, "
    "`held since` timestamp"
)
LOOKUPS = (
    # Text against whole numbers; then an as-of lookup by what the first one took.
    lookup_of("products", on={"product_id": "trim(code)"}, take={"product": "name"}),
    lookup_of("prices", on="product", take=["price"], as_of="sold_at"),
    # Two keys, one an expression; overlaps, of which the first by an order is taken; dates as text.
    lookup_of(
        "stores",
        on={"country": "upper(country)", "id": "store_id"},
        take=["manager"],
        as_of="day",
        valid_from="since",
        valid_to="until",
        one_by="rank desc",
    ),
    lookup_of("stores", on={"id": "store_id"}, take={"boss": "manager"}, one_by="rank, manager"),
)


def some(rng: random.Random, *values: object) -> Any:
    return rng.choice([None, *values])


def worlds(seed: int) -> dict[str, list[tuple[Any, ...]]]:
    rng = random.Random(seed)
    prices = []
    for product in ("tea", "mug", "pot", None):
        edges: list[datetime | None] = [*sorted(at(day) for day in rng.sample(range(1, 12), 4))]
        edges[0], edges[-1] = some(rng, edges[0]), some(rng, edges[-1])
        spans = [span for span in pairwise(edges) if rng.random() < 0.8]
        prices += [(product, rng.randrange(100), *span) for span in spans]
        prices.append((product, -1, at(5), at(5)))  # valid at no moment, so in nobody's way
    days = [date(2026, 1, day) for day in range(1, 8)]
    return {
        "products": [(7, "tea"), (8, "mug"), (9, None), (None, "pot"), (None, "pot")],
        "prices": prices,
        "stores": [
            (some(rng, 1, 2), some(rng, "NO", "SE"), f"m{n % 9}", n // 3, some(rng, *days), end)
            for n in range(12)
            for end in [some(rng, *days)]
        ],
        "rows": [
            (
                n,
                some(rng, "7", "007", " 8", "9", "10", "x", "7.0", ""),
                some(rng, *(at(day, rng.choice((0, 0, 1))) for day in range(1, 13))),
                some(rng, *(f"2026-01-0{day}" for day in range(1, 9)), "soon"),
                some(rng, "1", "2", "3"),
                some(rng, "no", "NO", "se", "fi"),
                some(rng, at(1)),
            )
            for n in range(150)
        ],
    }


def looked_up(world: dict[str, list[tuple[Any, ...]]]) -> Counter[tuple[Any, ...]]:
    """What the lookups should give: the row, what is taken, and the four marks."""
    found: Counter[tuple[Any, ...]] = Counter()
    for row in world["rows"]:
        _, code, sold_at, day, store_id, country, _ = row
        number = (code or "").strip()
        product = [p for p in world["products"] if number.isdigit() and p[0] == int(number)]
        name = product[0][1] if product else None
        price = [
            p
            for p in world["prices"]
            if name and p[0] == name and sold_at and (p[2] or sold_at) <= sold_at
            if p[3] is None or sold_at < p[3]
        ]
        when = date.fromisoformat(day) if day and day != "soon" else None
        store = [s for s in world["stores"] if store_id and s[0] == int(store_id)]
        there = [
            s
            for s in store
            if country and s[1] == country.upper() and when and (s[4] or when) <= when
            if s[5] is None or when < s[5]
        ]
        # Ties: smallest first, null before all; dates come before the columns taken.
        smallest = lambda s: (-s[3], s[4] or date.min, s[5] or date.min, s[2])  # noqa: E731
        managers = [s[2] for s in sorted(there, key=smallest)]
        bosses = [s[2] for s in sorted(store, key=lambda s: (s[3], s[2]))]
        everything = (product, price, managers, bosses)
        taken = (name, price[0][1] if price else None, *((m or [None])[0] for m in everything[2:]))
        assert len(price) <= 1
        found[(*row, *taken, *(not one for one in everything))] += 1
    return found


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))]
)
def test_every_row_stays_once_with_what_the_oracle_finds(
    spark: SparkSession, tmp_path: Path, seed: int
) -> None:
    from pyspark.sql import Observation

    from medallion_jobs.refine import lookup

    world = worlds(seed)
    for name, columns in (("products", PRODUCTS), ("prices", PRICES), ("stores", STORES)):
        put(tmp_path / name, columns, *world[name])
    rows = spark.createDataFrame(world["rows"], ROW).repartition(2)

    dimensions = [lookup.Dimension.read(spark, x, tmp_path / x.table.name) for x in LOOKUPS]
    joined = lookup.join_all(rows, dimensions)
    seen = Observation()
    names = [*rows.columns, "product", "price", "manager", "boss", *(f"miss {n}" for n in range(4))]
    assert [name for name in joined.columns if not name.startswith("missed ")] == [
        *rows.columns,
        *("product", "miss 0", "price", "miss 1", "manager", "miss 2", "boss", "miss 3"),
    ]
    counted = joined.observe(seen, *lookup.observed(LOOKUPS))
    came = counted.select(*(f"`{name}`" for name in names)).toArrow().to_pylist()

    expected = looked_up(world)
    assert Counter(tuple(row[name] for name in names) for row in came) == expected
    assert seen.get == {
        f"misses {n}": sum(count for row, count in expected.items() if row[11 + n])
        for n in range(4)
    }
    # Of the other seeds, one may draw a world in which nothing is found.
    assert seed > 1 or all(0 < count < 150 for count in seen.get.values())


def test_keys_of_other_types_match_by_value_and_never_stop_the_batch(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    from medallion_jobs.refine.lookup import Dimension, join_all

    cases: list[tuple[str, str, str, str, bool]] = [
        ("'007'", "string", "7", "bigint", True),
        ("'x1'", "string", "7", "int", False),
        ("'7.5'", "string", "7", "int", False),
        ("7", "int", "'007'", "string", False),
        ("7", "int", "'7'", "string", True),
        ("7.5", "double", "7", "int", False),
        ("7.0", "double", "7", "int", True),
        ("7.25", "decimal(5,2)", "7.3", "decimal(5,1)", False),
        ("7.50", "decimal(5,2)", "7.5", "decimal(5,1)", True),
        ("3000000007", "bigint", "-1294967289", "int", False),
        ("9007199254740993", "bigint", "9007199254740992", "double", False),
        ("'2026-01-31'", "string", "'2026-01-31'", "date", True),
        ("'2026-01-31 10:00:00'", "timestamp", "'2026-01-31'", "date", False),
        ("'2026-01-31 00:00:00'", "timestamp", "'2026-01-31'", "date", True),
        ("null", "void", "7", "int", False),
        ("null", "int", "7", "int", False),
    ]
    one = spark.range(1)
    rows = one.select(
        *(
            (F.expr(value) if kind == "void" else F.expr(value).cast(kind)).alias(f"k{n}")
            for n, (value, kind, *_) in enumerate(cases)
        )
    )
    dimensions = [
        Dimension.of(
            lookup_of(on={"key": f"k{n}"}, take={f"t{n}": "key"}),
            one.select(F.expr(value).cast(kind).alias("key")),
        )
        for n, (_, _, value, kind, _) in enumerate(cases)
    ]
    (row,) = join_all(rows, dimensions).collect()
    assert [row[f"miss {n}"] for n in range(len(cases))] == [not case[4] for case in cases]


# Repeated keys

DATED = {"customer_id": "long", "region": "string", "valid_from": "date", "valid_to": "date"}


def test_a_key_twice_is_refused_until_an_order_says_which(
    spark: SparkSession, tmp_path: Path
) -> None:
    from medallion_jobs.refine.lookup import Checked, Dimension

    rows = [(n, "x") for n in (7, 7, 7, 3, 3, 4, 4, 5, 5)] + [(None, "y"), (None, "y")]
    path = put(tmp_path / "t", CUSTOMERS, *rows)
    with pytest.raises(DataError) as told:
        Dimension.read(spark, lookup_of(), path)
    assert "silver.customers has more than one row for a key: customer_id=3 (2 times); " in str(
        told.value
    )
    assert "customer_id=4 (2 times); customer_id=5 (2 times)\n" in str(told.value)
    assert "one_by" in told.value.next_step
    first = Dimension.read(spark, lookup_of(one_by="region"), path).rows
    assert first.count() == 4

    # What was checked is not checked again, but for another version or another key.
    there, checked = DeltaTable(path), Checked()
    checked.note(lookup_of(), str(there.metadata().id), 0)
    Dimension.read(spark, lookup_of(), path, checked=checked)
    put(path, CUSTOMERS, (8, "x"))
    for one in (lookup_of(), lookup_of(on="region", take="customer_id")):
        with pytest.raises(DataError, match="more than one row"):
            Dimension.read(spark, one, path, checked=checked)
    # Refused once is not seen once.
    with pytest.raises(DataError, match="more than one row"):
        Dimension.read(spark, lookup_of(), path, checked=checked)


def test_rows_of_a_key_may_touch_and_not_overlap(spark: SparkSession, tmp_path: Path) -> None:
    from medallion_jobs.refine.lookup import Checked, Dimension

    day = [date(2026, 1, n) for n in range(10)[1:]]
    lookup = lookup_of(as_of="order_date")
    fine = [
        (1, "a", None, day[2]),
        (1, "b", day[2], day[4]),
        (1, "c", day[4], None),
        (1, "d", day[3], day[3]),
        (2, "a", day[2], None),
        (None, "a", None, None),
        (None, "b", None, None),
    ]
    path = put(tmp_path / "t", DATED, *fine)
    checked = Checked()
    assert Dimension.read(spark, lookup, path, checked=checked).version == 0
    assert checked.has(lookup, str(DeltaTable(path).metadata().id), 0)
    put(path, DATED, (1, "x", day[0], day[1]), (2, "x", day[5], day[6]))
    with pytest.raises(DataError) as told:
        Dimension.read(spark, lookup, path, checked=checked)
    assert (
        "customer_id=1: ever to 2026-01-03 and 2026-01-01 to 2026-01-02; "
        "customer_id=2: 2026-01-03 to ever and 2026-01-06 to 2026-01-07"
    ) in told.value.what
    Dimension.read(spark, lookup_of(as_of="order_date", one_by="region desc"), path)


# Columns, versions, plans


def test_what_a_lookup_cannot_do_is_told(spark: SparkSession, tmp_path: Path) -> None:
    from medallion_jobs.refine.lookup import Dimension, join_all, keys_of

    path = put(tmp_path / "t", CUSTOMERS, (1, "South"))
    with pytest.raises(
        UsageError, match="no column since, valid_to, nation; it has customer_id, region"
    ):
        Dimension.read(
            spark, lookup_of(take=["region", "nation"], as_of="x", valid_from="since"), path
        )
    with pytest.raises(UsageError, match=r"valid_from, valid_to of silver\.customers is text"):
        dated = spark.sql("select 1 customer_id, 'x' region, '' valid_from, '' valid_to")
        Dimension.of(lookup_of(as_of="x"), dated)
    with pytest.raises(DataError, match=r"silver\.customers is missing in version 9"):
        Dimension.read(spark, lookup_of(), path, version=9)
    with pytest.raises(DataError, match=r"silver\.customers is missing at"):
        Dimension.read(spark, lookup_of(), tmp_path / "u")

    rows = spark.sql("select 1 customer_id, 'x' Region")
    taken = Dimension.read(spark, lookup_of(), path)
    with pytest.raises(UsageError, match=r"silver.customers takes: region \(it has Region\)"):
        join_all(rows, [taken])
    renamed = lookup_of(on={"customer_id": "id"}, take={"id": "customer_id", "r": "region"})
    (row,) = join_all(spark.sql("select 1 id"), [Dimension.read(spark, renamed, path)]).collect()
    assert (row["id"], row["r"], row["miss 0"]) == (1, "South", False)

    (reference,) = [lookup_of(on={"customer_id": "x"})]
    put(path, CUSTOMERS, (1, "North"), (None, "x"))
    assert [row[0] for row in keys_of(spark, reference, path, 1).collect()] == [1]  # type: ignore[arg-type]


def test_each_read_sees_its_version_and_its_columns(spark: SparkSession, tmp_path: Path) -> None:
    from medallion_jobs.refine.lookup import Dimension, join_all, versions, versions_column

    path = put(tmp_path / "t", CUSTOMERS, (1, "South"))
    tier = lookup_of(take=["region", "tier"])
    with pytest.raises(UsageError, match="no column tier"):
        Dimension.read(spark, tier, path)
    new = pa.table({"customer_id": [2], "region": ["North"], "tier": ["gold"]})
    write_deltalake(path, new, mode="append", schema_mode="merge")
    rows = spark.sql("select 2 customer_id")

    now = Dimension.read(spark, tier, path)
    before = Dimension.read(spark, lookup_of("old"), path, version=0)
    assert versions([now, before]) == {"silver.customers": 1, "silver.old": 0}
    assert now.written_at > before.written_at
    assert abs(now.written_at - datetime.now(timezone.utc)) < timedelta(minutes=5)
    found = join_all(rows, [now]).withColumn("v", versions_column([now, before]))
    (row,) = found.withColumn("none", versions_column([])).collect()
    assert (row["region"], row["tier"], row["v"], row["none"]) == (
        *("North", "gold"),
        {"silver.customers": 1, "silver.old": 0},
        {},
    )
    assert found.schema["v"].dataType.simpleString() == "map<string,bigint>"
    (row,) = join_all(rows, [before]).collect()
    assert (row["region"], row["miss 0"]) == (None, True)

    # Of a table that is not there yet: types by use.
    empty = Dimension.placeholder(
        spark,
        lookup_of(as_of="timestamp_seconds(1790000000)", one_by="x desc"),
        rows,
        {"region": now.rows.schema[0].dataType},
    )
    assert [field.dataType.simpleString() for field in empty.rows.schema] == [
        *("int", "bigint", "timestamp", "timestamp")
    ]


def test_small_dimensions_are_broadcast_without_a_hint(spark: SparkSession, tmp_path: Path) -> None:
    from medallion_jobs.refine.lookup import Dimension, join_all

    path = put(tmp_path / "t", DATED, (1, "a", None, None))
    rows = spark.range(9).selectExpr("id customer_id", "date_add(date'2026-01-01', 1) order_date")
    for fields in ({}, {"as_of": "order_date"}):
        joined = join_all(rows, [Dimension.read(spark, lookup_of(**fields), path)])
        plan = joined._jdf.queryExecution().executedPlan().toString()
        assert "BroadcastHashJoin" in plan
        assert "NestedLoop" not in plan


# Fates


def test_what_becomes_of_rows_that_miss(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    from medallion_jobs.refine import lookup

    lookups = [
        lookup_of("a"),
        lookup_of("b", how="inner"),
        lookup_of("c", on_miss="hold", hold_for="1h"),
        lookup_of("d", on_miss="hold", hold_for="2h", how="inner"),
        lookup_of("e", on_miss="hold", hold_for="1h", after_hold="quarantine", how="inner"),
        lookup_of("f", on_miss="quarantine", how="inner"),
        lookup_of("g", on_miss="fail", how="inner"),
    ]
    hour, ago = timedelta(hours=1), timedelta(milliseconds=1)
    held, quarantined, left_out, fails = "held", "quarantined", "left out", "fails"
    # Which lookups miss, since when the row waits, what becomes of it, and for whose sake.
    cases: list[tuple[str, datetime | None, set[str], str]] = [
        ("", None, set(), ""),
        ("", NOON - 9 * hour, set(), ""),
        ("a", None, set(), ""),
        ("b", None, {left_out}, ""),
        ("c", None, {held}, "c"),
        ("c", NOON - hour + ago, {held}, "c"),
        ("c", NOON - hour, set(), ""),
        ("d", NOON - hour, {held}, "d"),
        ("d", NOON - 2 * hour, {left_out}, ""),
        ("cd", NOON - hour, {held}, "d"),
        ("e", NOON - hour + ago, {held}, "e"),
        ("e", NOON - hour, {quarantined}, "e"),
        ("f", None, {quarantined}, "f"),
        ("cf", None, {held, quarantined}, "cf"),
        ("abg", None, {left_out, fails}, ""),
    ]
    letters = "abcdefg"
    data = [
        (n, since, *(letter in missing for letter in letters))
        for n, (missing, since, _, _) in enumerate(cases)
    ]
    schema = "n int, `held since` timestamp, " + ", ".join(f"`miss {n}` boolean" for n in range(7))
    rows = spark.createDataFrame(data, schema)
    said = F.struct(F.lit('{"id":1}').alias("key"), F.lit("id=1").alias("text"))
    rows = rows.withColumns(
        {f"missed {n}": F.when(F.col(f"`miss {n}`"), said) for n in range(len(letters))}
    )
    fates = {
        held: lookup.held(lookups, NOON),
        quarantined: lookup.quarantined(lookups, NOON),
        left_out: lookup.left_out(lookups, NOON),
        fails: lookup.fails(lookups),
    }
    told = {
        "names": lookup.names(lookups, NOON),
        "reasons": lookup.reasons(lookups),
        "none": F.concat(lookup.names([], NOON), lookup.reasons([])),
        "never": lookup.held([], NOON),
    }
    came = rows.select("n", *(column.alias(name) for name, column in (fates | told).items()))
    for row, (missing, _, fate, parked_for) in zip(came.orderBy("n").collect(), cases, strict=True):
        assert {name for name in fates if row[name] is True} == fate
        assert {name for name in fates if row[name] is None} == set()
        assert row["names"] == [f"silver.{letter}" for letter in parked_for]
        assert row["reasons"] == [
            f"no match in silver.{letter} for id=1" for letter in missing if letter in "cdefg"
        ]
        assert (row["none"], row["never"]) == ([], False)

    failure = lookup.explain_failure(rows, lookups, "silver.sales")
    assert failure
    assert "silver.sales: 1 of 15 rows without a match in silver.g: id=1" in failure.what
    assert lookup.explain_failure(rows, lookups[:6], "silver.sales") is None
    fine = rows.where("n < 3")
    assert lookup.explain_failure(fine, lookups, "silver.sales") is None


# Late keys


def waiting(rows: DataFrame, lookup: Lookup, path: Path) -> list[tuple[str, str | None]]:
    from medallion_jobs.refine.lookup import Dimension, join_all, reasons, waits_for

    dimension = Dimension.read(rows.sparkSession, lookup, path)
    joined = join_all(rows, [dimension])
    found = joined.select(waits_for([dimension]).alias("for"), reasons([lookup]).alias("why"))
    return [(row["why"][0], row["for"][0]["key"]) for row in found.collect() if row["for"]]


def test_a_row_is_found_by_the_key_that_it_waits_for(spark: SparkSession, tmp_path: Path) -> None:
    from medallion_jobs.refine.lookup import changed_keys

    lookup = lookup_of(on={"customer_id": "id", "region": "area"}, take={"r": "region"}).model_copy(
        update={"on_miss": "hold"}
    )
    path = put(tmp_path / "my {dim}=1", CUSTOMERS, (1, "South"))
    rows = spark.createDataFrame(
        [("1", "South"), ("007", 'a "b"'), ("x1", "é"), ("8", None)], "id string, area string"
    )
    assert waiting(rows, lookup, path) == [
        (
            'no match in silver.customers for customer_id=007, region=a "b"',
            r'{"customer_id":7,"region":"a \"b\""}',
        ),
        ("no match in silver.customers for customer_id=x1, region=é", None),
        ("no match in silver.customers for customer_id=8, region=null", None),
    ]
    put(path, CUSTOMERS, (7, 'a "b"'), (7, 'a "b"'), (8, None))
    put(path, CUSTOMERS, (9, "é"))
    came = changed_keys(spark, lookup, path, since=0, to=2)
    assert came
    assert {row["key"] for row in came.collect()} == {
        r'{"customer_id":7,"region":"a \"b\""}',
        '{"customer_id":9,"region":"é"}',
    }
    assert came.schema.names == ["key"]
    nothing = changed_keys(spark, lookup, path, since=2, to=2)
    assert nothing
    assert nothing.collect() == []
    assert changed_keys(spark, lookup, path, since=None, to=2) is None


def rows_read(frame: DataFrame) -> int:
    return sum(pq.read_metadata(name.removeprefix("file:")).num_rows for name in files_of(frame))


def files_of(frame: DataFrame) -> list[str]:
    return [name.replace("file:///", "/") for name in frame.inputFiles()]


def merged(spark: SparkSession, path: Path, keys: int, **properties: bool) -> DataFrame:
    """Ten keys beside so many, five of them changed; what is read to find them."""
    from medallion_jobs.refine.lookup import changed_keys

    told = ", ".join(f"delta.{name} = {str(on).lower()}" for name, on in properties.items())
    spark.sql(
        f"create table delta.`{path}` (customer_id bigint, region string) using delta "
        f"tblproperties ({told})"
    )
    dimension = spark.range(keys).selectExpr("id customer_id", "'South' region")
    dimension.repartitionByRange(4, "customer_id").write.format("delta").mode("append").save(
        str(path)
    )
    new = f"(select {keys} - 5 + id customer_id, 'North' region from range(10))"
    spark.sql(
        f"merge into delta.`{path}` t using {new} s on t.customer_id = s.customer_id "
        "when matched then update set * when not matched then insert *"
    )
    came = changed_keys(spark, lookup_of(), path, since=1, to=2)
    assert came is not None
    return came


def keys_in(came: DataFrame) -> set[int]:
    return {json.loads(row["key"])["customer_id"] for row in came.collect()}


@pytest.mark.slow
def test_with_a_change_feed_only_the_changes_are_read(spark: SparkSession, tmp_path: Path) -> None:
    came = merged(spark, tmp_path / "t", 1000, enableChangeDataFeed=True)
    assert keys_in(came) == set(range(995, 1005))
    assert rows_read(came) == 15  # five of them as they were before


@pytest.mark.slow
def test_of_a_million_keys_of_which_ten_changed_few_are_read(
    spark: SparkSession, tmp_path: Path
) -> None:
    from medallion_jobs.refine.lookup import changed_keys

    many, new = 1_000_000, set(range(999_995, 1_000_005))
    fed = merged(spark, tmp_path / "feed", many, enableChangeDataFeed=True)
    assert (keys_in(fed), rows_read(fed)) == (new, 15)
    vectors = merged(spark, tmp_path / "vectors", many, enableDeletionVectors=True)
    assert (keys_in(vectors), rows_read(vectors)) == (new, 10)
    # Otherwise Delta writes the file anew in which the five stand, a quarter of the table.
    plain = merged(spark, tmp_path / "plain", many, enableChangeDataFeed=False)
    assert keys_in(plain) >= new
    (commit,) = commits(tmp_path / "plain", 2)
    assert rows_read(plain) == sum(one.rows or 0 for one in commit.added)
    assert 10 <= rows_read(plain) < many / 3
    put(tmp_path / "plain", CUSTOMERS, *((2 * many + n, "South") for n in range(10)))
    came = changed_keys(spark, lookup_of(), tmp_path / "plain", since=2, to=3)
    assert came is not None
    assert (keys_in(came), rows_read(came)) == (set(range(2 * many, 2 * many + 10)), 10)
