"""Names of columns that mean something to SQL, to paths or to patterns are names all the same.

One pipeline has them wherever its config takes the name of a column or SQL; what comes out is
what plain Python makes of the rows. Names of a config's own are letters, digits and `_`
(tests/unit/test_odd_names.py), and Delta takes no blank in the name of a column.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from support.own import OwnLake

from medallion_jobs.aggregate import Aggregation
from medallion_jobs.config import ConfigError, GoldTable, Lookup
from medallion_jobs.errors import UsageError
from medallion_jobs.refine.lookup import Dimension, join_all
from medallion_jobs.report import query
from medallion_jobs.report.verify.gold import compare

CONFIG = r"""
pipeline: odd
bronze:
  people:
    source:
      format: json
      schema_hints: >-
        id bigint, at timestamp, `n``m` string, `x.y` int, x struct<y: int>, `it's` bigint,
        `go'ne` boolean, region string
  events:
    source:
      format: json
      schema_hints: >-
        id bigint, at timestamp, `a``b` bigint, `c.d` bigint, c.d bigint, c.`e'f` int, `g"h` string,
        `$k` double, `l$1` string, `m'n\` string, `was``it` string, `é§` string,
        `wh``en` timestamp, `o``k` boolean
silver:
  people:
    from: bronze.people
    write: upsert
    keys: id
    sequence: at
    deletes: {when: "`go'ne`", how: soft}
    surrogate_key: person_key
    unknown_member: {id: -1, _input_file: none, _load_time: 2026-01-01}
  history:
    from: bronze.people
    write: scd2
    keys: id
    sequence: at
    deletes: {when: "`go'ne`", how: hard}
  followed:
    from: bronze.people
    write: upsert
    keys: id
    sequence: at
    schema: "id bigint, at timestamp, region string, `x.y` int, `it's` bigint"
  events:
    from: bronze.events
    where: "`a``b` <> 0 AND c.d >= 0"
    lookups:
      - {table: silver.people, on: {id: c.d}, take: {label: n`m, place: x.y, quote: it's}}
      - {table: silver.history, on: {id: c.d}, take: {first_label: n`m}, one_by: "`it's`, `x.y`"}
    columns:
      twice: "`a``b` * 2"
      inner: c.d
      named: concat(label, ' ', `was``it`)
    expect:
      positive: {check: "`a``b` > 0", otherwise: quarantine}
      known: {references: {table: silver.people, on: {id: c.d}}}
  waiting:
    from: bronze.events
    lookups: [{table: silver.people, on: {id: c.d}, take: {label: n`m}, on_miss: hold}]
    expect: {inside: {check: "c.`e'f` > 0 AND `m'n\\` <> ''", otherwise: drop}}
    dedupe: {}
gold:
  by_day:
    from: silver.events
    where: o`k
    period: {of: wh`en, by: day}
    measures: MEASURES
  waiting_by_day:
    from: silver.waiting
    where: o`k
    period: {of: wh`en, by: day}
    measures: MEASURES
    mode: incremental
  by_region:
    from: silver.followed
    group_by: [region]
    measures: {people: {count: "*"}, sum_of_y: {sum: x.y}, quotes: {sum: it's}}
    mode: incremental
"""
MEASURES = r"""
      total: {sum: a`b}
      by_sql: sum(`a``b`)
      nested: sum(c.d)
      dotted: {sum: c.d}
      different: {count_distinct: g"h}
      largest: {max: $k}
      newest: {last: l$1, by: [at, id]}
      gold: {count: "*", where: o`k}
"""
DAYS = ("2026-01-31 10:00:00", "2026-02-01 11:00:00")


def person(number: int, at: int, *, gone: bool = False) -> dict[str, Any]:
    return {
        "id": number,
        "at": f"2026-01-0{at} 00:00:00",
        "n`m": f"n`m {number}.{at}",
        "x.y": 10 * number + at,
        "x": {"y": -1},
        "it's": 100 + at,
        "go'ne": gone,
        "region": "North" if number % 2 else "South",
    }


def event(number: int, amount: int, of: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "at": DAYS[number % 2],
        "a`b": amount,
        "c.d": of,
        "c": {"d": 1000 + number, "e'f": number + 1},
        'g"h': f'it\'s "{number % 3}"',
        "$k": number / 4,
        "l$1": f"${number} \\1",
        "m'n\\": f"`{number}`",
        "was`it": f"it's {number}",
        "é§": "$0",
        "wh`en": DAYS[number % 2],
        "o`k": number != 4,
        "i j": "no column can be named so",
        **more,
    }


PEOPLE = [person(1, 1), person(2, 1), person(2, 2)]
LATER = [person(3, 1), person(1, 3), person(2, 4, gone=True)]
EVENTS = [
    event(0, 5, 1),
    event(1, 7, 2),
    event(2, 0, 1),
    event(3, -3, 1),
    event(4, 11, 2),
    event(5, 13, 3),
    event(6, 17, 2, c={"d": 1006, "e'f": "x"}),
]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def as_read(row: dict[str, Any]) -> dict[str, Any]:
    """A row of bronze's own columns, from its JSON."""
    inner = row.get("c")
    if inner:
        fits = isinstance(inner["e'f"], int)
        inner = {"d": inner["d"], "e'f": inner["e'f"] if fits else None}
    typed = {**row, "at": moment(row["at"]), **({"c": inner} if inner else {})}
    if "wh`en" in row:
        typed["wh`en"] = moment(row["wh`en"])
    return {name: value for name, value in typed.items() if name != "i j"}


def enriched(row: dict[str, Any], people: list[dict[str, Any]]) -> dict[str, Any]:
    """A row of silver.events, from its JSON and the people that it was looked up in."""
    of = [one for one in people if one["id"] == row["c.d"]]
    # A deleted person keeps her last values; one_by takes the first by it's.
    now = max((one for one in of if not one["go'ne"]), key=lambda one: one["at"], default={})
    first = min((one for one in of if not one["go'ne"]), key=lambda one: one["it's"], default={})
    label, said = now.get("n`m"), row["was`it"]
    return {
        **as_read(row),
        "label": label,
        "place": now.get("x.y"),
        "quote": now.get("it's"),
        "first_label": first.get("n`m"),
        "twice": row["a`b"] * 2,
        "inner": row["c"]["d"],
        "named": label and f"{label} {said}",
    }


def by_day(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    days: dict[date, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["o`k"]:
            days[row["wh`en"].date()].append(row)
    return [
        {
            "day": day,
            "total": sum(row["a`b"] for row in some),
            "by_sql": sum(row["a`b"] for row in some),
            "nested": sum(row["c"]["d"] for row in some),
            "dotted": sum(row["c.d"] for row in some),
            "different": len({row['g"h'] for row in some}),
            "largest": max(row["$k"] for row in some),
            "newest": max(some, key=lambda row: (row["at"], row["id"]))["l$1"],
            "gold": len(some),
        }
        for day, some in sorted(days.items())
    ]


def waiting_by_day(*aside: int) -> list[dict[str, Any]]:
    return by_day([as_read(row) for row in EVENTS if row["id"] not in aside])


def own(rows: list[dict[str, Any]], like: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows without what the engine adds, in the order of their ids."""
    kept = [{name: row[name] for name in like} for row in rows if row["id"] != -1]
    return sorted(kept, key=lambda row: (row["id"], row["at"]))


def events_of(lake: OwnLake) -> list[dict[str, Any]]:
    return own(lake.rows("silver.events"), enriched(EVENTS[0], PEOPLE))


def gold_of(lake: OwnLake, table: str) -> list[dict[str, Any]]:
    """Read by DuckDB, as people read it."""
    columns, rows = query.run(lake.config, f"SELECT * FROM gold.{table} ORDER BY 1")
    return [dict(zip(columns, row, strict=True)) for row in rows]


@pytest.mark.parametrize("goes_on", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_pipeline_of_odd_names_from_files_to_gold(
    goes_on: bool, tmp_path: Path, spark: object
) -> None:
    """`goes_on`: with a second increment, late keys and a backfill."""
    lake = OwnLake.of(tmp_path, CONFIG.replace(" MEASURES", MEASURES.rstrip()))
    lake.land("people", "p.json", *PEOPLE)
    lake.land("events", "e.json", *EVENTS)
    lake.run()
    assert "not checked" not in lake.cli("validate")

    # Bronze has each key under its name, and keeps what cannot be one.
    bronze = {row["id"]: row for row in lake.rows("bronze.events")}
    assert [as_read(row) for row in EVENTS] == [
        {name: row[name] for name in as_read(EVENTS[0])} for _, row in sorted(bronze.items())
    ]
    kept = {number: json.loads(row["_rescued_data"]) for number, row in bronze.items()}
    assert {told["i j"] for told in kept.values()} == {"no column can be named so"}
    assert json.loads(kept[6]["c"]) == EVENTS[6]["c"]

    # Silver: looked up, computed, judged; what breaks a rule is aside as it was.
    good = [row for row in EVENTS if row["a`b"] > 0]
    assert events_of(lake) == [enriched(row, PEOPLE) for row in good]
    (parked,) = lake.rows("quarantine/silver/events")
    assert parked["rules"] == ["positive"]
    assert json.loads(parked["row"])["a`b"] == -3
    told = json.loads(lake.cli("quality", "silver.events", "--json"))
    assert {one["rule"]: one["broken"] for one in told} == {"positive": 1, "known": 1}
    assert gold_of(lake, "by_day") == by_day([as_read(row) for row in good])
    assert gold_of(lake, "waiting_by_day") == waiting_by_day(5, 6)

    # Held, for its key is not there; and quarantined, for `e'f` did not fit.
    waiting = {row["id"]: row["label"] for row in lake.rows("silver.waiting")}
    there = {0: "n`m 1.1", 1: "n`m 2.2", 2: "n`m 1.1", 3: "n`m 1.1", 4: "n`m 2.2"}
    assert waiting == there
    assert [json.loads(row["row"])["id"] for row in lake.rows("held/silver/waiting")] == [5]
    (unfit,) = lake.rows("quarantine/silver/waiting")
    assert unfit["rules"] == ["rescued_value"]
    assert unfit["reasons"] == ['c.`e\'f`: "x" does not fit int']

    # A parked row goes on once a column of it is set.
    replay = ("quarantine", "replay", "silver.events", "--set-column", "a`b=abs(`a``b`)")
    lake.cli(*replay, "--yes")
    good = [{**row, "a`b": abs(row["a`b"])} for row in EVENTS if row["a`b"]]
    assert events_of(lake) == [enriched(row, PEOPLE) for row in good]

    if not goes_on:
        return
    # A key that comes late; the rows that went on without it are backfilled.
    lake.land("people", "q.json", *LATER, at=1)
    lake.run("bronze", "silver")
    people = [*PEOPLE, *LATER]
    assert {row["id"]: row["label"] for row in lake.rows("silver.waiting")} == {
        **there,
        5: "n`m 3.1",
    }
    done = lake.cli("replay", "silver.events", "--missed-lookup", "people", "--yes")
    assert "silver.events: 1 rows updated" in done
    lake.run("gold")
    # Of the two lookups, one was backfilled.
    mended = [
        {**enriched(row, people), "first_label": None} if row["id"] == 5 else enriched(row, PEOPLE)
        for row in good
    ]
    assert events_of(lake) == mended
    assert gold_of(lake, "by_day") == by_day([as_read(row) for row in good])
    assert gold_of(lake, "waiting_by_day") == waiting_by_day(6)

    # Of each person the newest values, and each change with its time.
    newest = {one["id"]: one for one in people if not one["go'ne"]}
    assert own(lake.rows("silver.people"), as_read({**PEOPLE[0], "_deleted": False})) == [
        as_read(
            {
                **newest[number],
                "_deleted": number == 2,
                **({"at": LATER[2]["at"]} if number == 2 else {}),
            }
        )
        for number in (1, 2, 3)
    ]
    kept_changes = [one for one in people if one["id"] != 2]
    assert own(lake.rows("silver.history"), as_read(PEOPLE[0])) == sorted(
        map(as_read, kept_changes), key=lambda row: (row["id"], row["at"])
    )
    assert gold_of(lake, "by_region") == [
        {"region": "North", "people": 2, "sum_of_y": 13 + 31, "quotes": 103 + 101},
        {"region": "South", "people": 1, "sum_of_y": 24, "quotes": 104},
    ]


BOX = '"id bigint, `s``t` struct<`e\'f`: int, `g.h`: string>"\n'
FILES = r"""
pipeline: files
bronze:
  sheets:
    source:
      format: csv
      schema: "`a``b` int, `c.d` string, `e'f` float"
      schema_evolution: add_new_columns_with_type_widening
  boxes:
    source: {format: parquet, schema: BOX}
silver:
  boxes:
    from: bronze.boxes
    schema: id bigint
""".replace("BOX", BOX.strip())


@pytest.mark.slow
def test_files_with_types_and_columns_that_grow(tmp_path: Path, spark: object) -> None:
    lake = OwnLake.of(tmp_path, FILES)
    sheets, boxes = (lake.landing / name for name in ("sheets", "boxes"))
    sheets.mkdir(parents=True)
    boxes.mkdir(parents=True)
    (sheets / "1.csv").write_text("a`b,c.d,e'f\n1,x,1.5\n")
    # Of no file with columns of its own, a batch has them all the same.
    (boxes / "1.parquet").touch()
    lake.run()
    assert lake.rows("bronze.boxes") == []

    (sheets / "2.csv").write_text('a`b,c.d,e\'f,"g""h",$k\n3000000000,y,1e300,q,$1\n')
    box = {"e'f": 7, "g.h": "`"}
    kind = pa.struct({"e'f": pa.int32(), "g.h": pa.string()})
    rows = pa.table({"id": [1], "s`t": pa.array([box], kind)})
    pq.write_table(rows, boxes / "2.parquet")
    grown = lake.having(
        "silver.boxes.schema='id bigint, `s``t` struct<`e''f`: int, `g.h`: string>'"
    )
    grown.run()
    # By DuckDB: delta-rs reads no table whose types were widened.
    _, found = query.run(lake.config, "SELECT * EXCLUDE (_load_time) FROM bronze.sheets ORDER BY 1")
    columns = ("a`b", "c.d", "e'f", 'g"h', "$k")
    assert [row[:3] + row[-2:] for row in found] == [
        (1, "x", 1.5, None, None),
        (3_000_000_000, "y", 1e300, "q", "$1"),
    ], columns
    assert lake.rows("silver.boxes") == [{"id": 1, "s`t": box}]


_BRONZE = "bronze: {t: {source: {format: json, %s}}}\n"
UNNAMABLE = {
    "bronze.t.source.schema": _BRONZE % "schema: '`i j` string'",
    "bronze.t.source.schema_hints": _BRONZE % "schema_hints: '`i j` int'",
    "silver.t.schema": _BRONZE % "schema: a string"
    + "silver: {t: {from: bronze.t, schema: '`i j` string'}}\n",
    "silver.t.parse.a": _BRONZE % "schema: a string"
    + "silver: {t: {from: bronze.t, parse: {a: '`i=j` string'}}}\n",
}


@pytest.mark.parametrize("key", UNNAMABLE)
def test_a_name_that_delta_cannot_have_is_refused_before_a_table_is_made(
    tmp_path: Path, spark: object, key: str
) -> None:
    lake = OwnLake.of(tmp_path, f"pipeline: unnamable\n{UNNAMABLE[key]}\n")
    lake.land("t", "1.json", {"a": "{}", "i j": 1})
    for attempt in (lambda: lake.cli("validate"), lake.run):
        with pytest.raises((ConfigError, UsageError), match=r"i[ =]j"):
            attempt()
    assert not lake.path(".".join(key.split(".")[:2])).exists()


def test_a_backtick_in_a_table_that_changes_and_is_followed_is_refused(
    tmp_path: Path, spark: object
) -> None:
    config = """
    pipeline: followed
    bronze: {t: {source: {format: json, schema: "id bigint, at timestamp, `a``b` bigint"}}}
    silver: {t: {from: bronze.t, write: upsert, keys: id, sequence: at}}
    gold:
      t: {from: silver.t, group_by: [id], measures: {total: {sum: a`b}}, mode: incremental}
    """
    lake = OwnLake.of(tmp_path, config)
    lake.land("t", "1.json", {"id": 1, "at": DAYS[0], "a`b": 1})
    for attempt in (lambda: lake.cli("validate"), lake.run):
        with pytest.raises((ConfigError, UsageError), match="Delta cannot change rows"):
            attempt()
    assert not lake.path("silver.t").exists()


def test_a_dimension_has_columns_named_as_what_is_beside_them(spark: SparkSession) -> None:
    rows = spark.sql("SELECT 1 AS id, DATE'2026-01-15' AS day")
    ddl = "id int, valid_from date, valid_to date, `from` string, rank string, versions string"
    begin, end = date(2026, 1, 1), date(2026, 2, 1)
    table = spark.createDataFrame([(1, begin, end, "here", "first", "all")], ddl)
    for more in ({}, {"one_by": "valid_from"}):
        lookup = Lookup.model_validate(
            {
                "table": "silver.d",
                "on": "id",
                "take": {"a": "from", "b": "rank", "c": "versions"},
                "as_of": "day",
                **more,
            }
        )
        (found,) = join_all(rows, [Dimension.of(lookup, table)]).select("a", "b", "c").collect()
        assert tuple(found) == ("here", "first", "all")


def test_measures_are_named_as_what_verify_counts(spark: SparkSession) -> None:
    measures = {"gold": "count(*)", "source": "max(k)"}
    said = {"from": "silver.t", "group_by": ["k"], "measures": measures}
    aggregation = Aggregation(GoldTable.model_validate(said))
    rows = spark.createDataFrame([(1,), (2,), (2,)], "k int")
    found = compare("gold.t", aggregation.of(rows), rows, aggregation, 1)
    assert (found.gold, found.source, found.columns) == (2, 2, {})
