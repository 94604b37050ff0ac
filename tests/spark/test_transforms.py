"""The declared transforms of a silver table, each key and the page that tells of them."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from ruamel.yaml import YAML
from support.pages import ROOT

from medallion_jobs.config import SilverTable
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.hidden_columns import UNDECIDED, is_hidden
from medallion_jobs.refine.transform import compute, shape
from medallion_jobs.refine.transform.step import applied
from medallion_jobs.testing.transforms import check_transform

PACKAGE = "spark_transforms"
Rows = list[dict[str, Any]]


def refined(rows: DataFrame, keys: Mapping[str, Any]) -> DataFrame:
    """The rows after all declared steps; there are no lookups."""
    table = SilverTable.model_validate({"from": "bronze.x", **keys})
    steps = [
        *shape.steps(table, [PACKAGE]),
        *compute.cast_steps(table),
        *compute.column_steps(table),
    ]
    made = applied(rows, steps)
    assert {name for name in made.columns if is_hidden(name)} == {
        *(f"cast {name}" for name in table.cast),
        *(f"parse {name}" for name in table.parse),
        *([UNDECIDED] if table.where and not table.transform else []),
    }
    return made


def rows_of(frame: DataFrame) -> Rows:
    """As Python values; moments with their zone."""
    return frame.toArrow().to_pylist()  # type: ignore[no-any-return]


def told(spark: SparkSession, ddl: str, given: Sequence[Any], **keys: Any) -> Rows:
    return rows_of(refined(spark.createDataFrame(list(given), ddl), keys))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc,arg-type]


# --- the page -----------------------------------------------------------------------------


def examples() -> Iterator[Any]:
    page = (ROOT / "docs" / "transforms.md").read_text(encoding="utf-8")
    shown = re.findall(r"```yaml\n([^`]*)```\s+```text\n(.*?)```", page, re.DOTALL)
    assert len(shown) == 8
    for yaml, text in shown:
        yield pytest.param(yaml, text, id=yaml.partition(":")[0])


@pytest.mark.parametrize(("yaml", "text"), [*examples()])
def test_the_page_shows_what_is_done(spark: SparkSession, yaml: str, text: str) -> None:
    lines = [line.partition("->") for line in text.splitlines()]
    given = [json.loads(left) for left, _, _ in lines]
    wanted = [one for _, _, right in lines for one in objects(right)]
    ddl = ", ".join(f"{k} {kind}" for k, kind in ddl_of(given).items())
    made = refined(spark.createDataFrame(given, ddl), YAML(typ="safe").load(yaml))
    own = [name for name in made.columns if not is_hidden(name)]
    shown = made.select(*own).toArrow().to_pylist()
    assert [plain(row) for row in shown] == [plain(row) for row in wanted]
    if wanted:
        order = [name for name in own if any(name in row for row in wanted)]
        assert list(dict.fromkeys(k for row in wanted for k in row)) == order


def objects(text: str) -> Iterator[Any]:
    text = text.strip()
    while text:
        found, end = json.JSONDecoder().raw_decode(text)
        yield found
        text = text[end:].strip()


def ddl_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {key: type_of(value) for row in rows for key, value in row.items() if value != []}


def type_of(value: Any) -> str:
    if isinstance(value, dict):
        return f"struct<{', '.join(f'{k}: {type_of(v)}' for k, v in value.items())}>"
    if isinstance(value, list):
        return f"array<{type_of(value[0])}>"
    return {str: "string", int: "bigint"}[type(value)]


def plain(value: Any) -> Any:
    """Without nulls, and with every value as JSON has it."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return plain(dict(value))  # Arrow gives a map as its pairs
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, datetime) else value


# --- casts --------------------------------------------------------------------------------

# By type, the texts that it reads; it reads none of the other types' texts, and none of these.
READS: dict[str, dict[str, Any]] = {
    "int": {"1": 1, " 7 ": 7, "1.0": 1, "-5.0": -5, "50.00": 50, "+3": 3, "007": 7},
    "bigint": {"9999999999": 9999999999, "99999999999.00": 99999999999},
    "decimal(12,2)": {
        "1": Decimal(1), " 7 ": Decimal(7), "1.0": Decimal(1), "-5.0": Decimal(-5),
        "50.00": Decimal(50), "+3": Decimal(3), "007": Decimal(7), "1.9": Decimal("1.9"),
        "1.100": Decimal("1.1"), "1e2": Decimal(100), "9999999999": Decimal(9999999999),
        "9999999999.99": Decimal("9999999999.99"),
    },
    "double": {
        "1.005": 1.005, "1e300": 1e300, "99999999999.00": 99999999999.0,
        "0.30000000000000004": 0.30000000000000004,
    },
    "boolean": {"true": True, "FALSE": False},
}  # fmt: skip
READS["bigint"] |= READS["int"]
READS["double"] |= {text: float(value) for text, value in READS["decimal(12,2)"].items()}
NO_VALUES = ("1e999", "-1e999", "NaN", "nan", "Infinity", "-inf", "1d", "1f", "0x1p3", "1,25", "")
# A double does not give back these digits.
NO_VALUES += ("9223372036854775808", "12345678901234567.89", "1e-400")
NO_VALUES += ("yes", "y", "1_0", "0x10", "1 000", "null", "--1", "1e")


def test_a_text_is_read_as_a_type_or_is_marked_and_never_changed(spark: SparkSession) -> None:
    texts = [None, *dict.fromkeys([t for reads in READS.values() for t in reads]), *NO_VALUES]
    names = {f"c{place}": kind for place, kind in enumerate(READS)}
    made = told(
        spark,
        ", ".join(f"{name} string" for name in ["text", *names]),
        [(text, *[text] * len(names)) for text in texts],
        cast=names,
    )
    for name, kind in names.items():
        read = {row["text"]: row[name] for row in made if row[name] is not None}
        assert (kind, read) == (kind, READS[kind])
        marked = {row["text"] for row in made if row[f"cast {name}"]}
        assert marked == set(texts) - {None} - READS[kind].keys()
    assert all(row[f"cast {name}"] is not None for row in made for name in names)


MOMENTS = {
    "2026-01-31 10:00:00": utc(2026, 1, 31, 10),
    "2026-01-31T10:00:00.123Z": utc(2026, 1, 31, 10, 0, 0, 123000),
    "2026-01-31T10:00:00+02:00": utc(2026, 1, 31, 8),
    "2026-01-31": utc(2026, 1, 31),
    "2026-01-31T23:30:00-05:00": utc(2026, 2, 1, 4, 30),
    "0001-01-01": utc(1, 1, 1),
    "2026-01-31Tnoon": None,
    "10:15": None,
    "1700000000": None,
    "31/01/2026": None,
    "2026-02-30": None,
    "0000-01-31": None,
    "10000-01-31": None,
}
BY_FORMATS = {
    "2026-01-31 10:00:00": utc(2026, 1, 31, 10),
    " 2026-01-31 10:00:00.5 ": utc(2026, 1, 31, 10, 0, 0, 500000),
    "2026-01-31T10:00:00Z": utc(2026, 1, 31, 10),
    "2026-01-31T10:00:00+02": utc(2026, 1, 31, 8),
    "2026-01-31T23:30:00-05:00": utc(2026, 2, 1, 4, 30),
    "01/02/2026": utc(2026, 1, 2),
    "13/02/2026": utc(2026, 2, 13),
    "31/02/2026": None,
    "2026-01-31": None,
    "0000-01-31 10:00:00": None,
}
FORMATS = ["yyyy-MM-dd HH:mm:ss[.SSSSSS]", "yyyy-MM-dd'T'HH:mm:ssX", "yyyy-MM-dd'T'HH:mm:ssXXX"]
FORMATS += ["MM/dd/yyyy", "dd/MM/yyyy"]


def test_texts_of_moments(spark: SparkSession) -> None:
    texts = list(dict.fromkeys([*MOMENTS, *BY_FORMATS]))
    made = told(
        spark,
        "text string, t string, d string, ntz string, ft string, fd string",
        [(text,) * 6 for text in texts],
        cast={
            "t": "timestamp",
            "d": "date",
            "ntz": "timestamp_ntz",
            "ft": {"to": "timestamp", "formats": FORMATS},
            "fd": {"to": "date", "formats": FORMATS},
        },
    )
    by_text = {row["text"]: row for row in made}
    for text, moment in MOMENTS.items():
        row = by_text[text]
        assert (text, row["t"], row["cast t"]) == (text, moment, moment is None)
        assert row["ntz"] == (moment and moment.replace(tzinfo=None))
        assert (row["d"], row["cast d"]) == (moment and moment.date(), moment is None)
    for text, moment in BY_FORMATS.items():
        row = by_text[text]
        assert (text, row["ft"], row["cast ft"]) == (text, moment, moment is None)
        assert (row["fd"], row["cast fd"]) == (moment and moment.date(), moment is None)


def test_digits_below_the_microsecond_are_never_cut(spark: SparkSession) -> None:
    nine = {"formats": ["yyyy-MM-dd HH:mm:ss.SSSSSSSSS"]}
    texts = ["2026-01-31 10:00:00.123456789", "2026-01-31 10:00:00.123456000"]
    made = told(
        spark,
        "t string, d string, ntz string, ft string, fd string",
        [(text,) * 5 for text in texts],
        cast={
            "t": "timestamp",
            "d": "date",
            "ntz": "timestamp_ntz",
            "ft": {"to": "timestamp", **nine},
            "fd": {"to": "date", **nine},
        },
    )
    moment = utc(2026, 1, 31, 10, 0, 0, 123456)
    for row, kept in zip(made, (None, moment), strict=True):
        assert (row["t"], row["ft"], row["cast t"]) == (kept, kept, kept is None)
        assert row["ntz"] == (kept and kept.replace(tzinfo=None))
        assert row["d"] == row["fd"] == moment.date()  # a date is asked for without its time


def test_casts_from_other_types_never_change_a_value(spark: SparkSession) -> None:
    huge, now = 2**53 + 1, utc(2026, 1, 31, 10, 0, 0, 5)
    cases: list[tuple[str, Any, str, Any]] = [
        ("double", 1.0, "int", 1),
        ("double", 1.9, "int", None),
        ("double", 3e9, "int", None),
        ("double", 1.005, "decimal(12,2)", None),
        ("double", 10.5, "decimal(12,2)", Decimal("10.50")),
        ("double", float("nan"), "decimal(12,2)", None),
        ("double", float("nan"), "float", None),
        ("double", 1e300, "float", None),
        ("double", 0.5, "float", 0.5),
        ("bigint", huge, "double", None),
        ("bigint", huge - 1, "double", float(huge - 1)),
        ("bigint", huge, "string", str(huge)),
        ("bigint", 2, "boolean", None),
        ("bigint", 1, "boolean", True),
        ("decimal(10,3)", Decimal("1.250"), "decimal(10,2)", Decimal("1.25")),
        ("decimal(10,3)", Decimal("1.255"), "decimal(10,2)", None),
        ("decimal(10,3)", Decimal("1.255"), "string", "1.255"),
        ("boolean", True, "int", 1),
        ("bigint", 1_700_000_000, "timestamp", utc(2023, 11, 14, 22, 13, 20)),
        ("double", 1.5, "timestamp", utc(1970, 1, 1, 0, 0, 1, 500000)),
        ("bigint", 1_700_000_000_000, "timestamp", None),
        ("bigint", 2**63 - 1, "timestamp", None),
        ("timestamp", now, "date", now.date()),
        ("timestamp", now, "bigint", None),
        ("timestamp", now.replace(microsecond=0), "bigint", int(now.timestamp())),
        ("date", now.date(), "timestamp", utc(2026, 1, 31)),
        ("timestamp", now, "timestamp", now),
        ("date", now.date(), "string", "2026-01-31"),
    ]
    numbered = {f"c{place}": case for place, case in enumerate(cases)}
    [made, empty] = told(
        spark,
        ", ".join(f"{name} {has}" for name, (has, *_) in numbered.items()),
        [tuple(value for _, value, *_ in cases), (None,) * len(cases)],
        cast={name: to for name, (_, _, to, _) in numbered.items()},
    )
    for name, (has, value, to, wanted) in numbered.items():
        assert (has, value, to, made[name]) == (has, value, to, wanted)
        assert (has, value, to, made[f"cast {name}"]) == (has, value, to, wanted is None)
        assert (empty[name], empty[f"cast {name}"]) == (None, False)
    [row] = told(
        spark, "day int", [(20260131,)], cast={"day": {"to": "date", "formats": ["yyyyMMdd"]}}
    )
    assert row["day"] == date(2026, 1, 31)


def test_defaults_fill_what_is_missing_and_what_is_unreadable(spark: SparkSession) -> None:
    defaults: dict[str, tuple[Any, Any]] = {
        "decimal(5,2)": (0, Decimal(0)),
        "bigint": (-1, -1),
        "double": (1.5, 1.5),
        "boolean": (False, False),
        "date": ("2000-02-29", date(2000, 2, 29)),
        "timestamp": ("2026-01-31T12:00+02:00", utc(2026, 1, 31, 10)),
        "timestamp_ntz": ("2026-01-31 12:00", datetime(2026, 1, 31, 12)),
        "string": ("none", "none"),
    }
    names = {f"c{place}": kind for place, kind in enumerate(defaults)}
    [missing, unreadable] = told(
        spark,
        ", ".join(f"{name} string" for name in names),
        [(None,) * len(names), ("?",) * len(names)],
        cast={name: {"to": kind, "default": defaults[kind][0]} for name, kind in names.items()},
    )
    for name, kind in names.items():
        filled = defaults[kind][1]
        assert (kind, missing[name], missing[f"cast {name}"]) == (kind, filled, False)
        if kind == "string":
            assert (unreadable[name], unreadable[f"cast {name}"]) == ("?", False)
        else:
            assert (kind, unreadable[name], unreadable[f"cast {name}"]) == (kind, filled, True)


def test_what_is_rescued_joins_what_is_there(spark: SparkSession) -> None:
    file = '"_file_path":"file:/a.json"'
    given = [
        ("x", "y", "{" + file + ',"n":{"a": 1.10}}'),
        ("x", "1", "{ }\n"),
        ("x", "1", '{"a":"first"}'),
        ("x", "1", "a note"),
        ("x", '"\\', None),
        ("1", None, "{" + file + "}"),
        ("1", None, None),
    ]
    casts = {"a": {"to": "int", "rescue": True}, "b": {"to": "int", "rescue": True}}
    made = told(spark, "a string, b string, _rescued_data string", given, cast=casts)
    assert [row["_rescued_data"] for row in made] == [
        "{" + file + ',"n":{"a": 1.10},"a":"x","b":"y"}',
        '{ "a":"x"}',
        '{"a":"first","cast a":"x"}',
        '{"_rescued_data":"a note","a":"x"}',
        '{"a":"x","b":"\\"\\\\"}',
        "{" + file + "}",
        None,
    ]
    assert [row["a"] for row in made] == [None] * 5 + [1] * 2
    # Parsed and cast in one table, whose rows have no such column yet.
    both = told(
        spark,
        "a string, b string",
        [("x", "{"), ("1", "{}")],
        parse={"b": "c int"},
        cast={"a": {"to": "int", "rescue": True}},
    )
    assert [row["_rescued_data"] for row in both] == ['{"b":"{","a":"x"}', None]


# --- parse and the other shapes -----------------------------------------------------------


def test_json_text_is_parsed_strictly_and_kept_where_it_does_not_fit(spark: SparkSession) -> None:
    ddl = "sku string, price decimal(10,2), at timestamp, tags array<string>, d decimal(30,20)"
    whole = {
        '{"sku": "A", "price": 1.10, "at": "2026-01-31T10:00:00Z", "tags": ["x", "{y}"]}': {
            "sku": "A",
            "price": Decimal("1.10"),
            "at": utc(2026, 1, 31, 10),
            "tags": ["x", "{y}"],
        },
        '{"price": 12345678.90}': {"price": Decimal("12345678.90")},
        '{"d": 0.12345678901234567890}': {"d": Decimal("0.12345678901234567890")},
        ' {"sku": null} ': {},
        "{}": {},
        "null": None,
        None: None,
    }
    partly = {
        '{"sku": "A", "price": 1.005}': {"sku": "A"},
        '{"sku": "A", "price": 12345678.901234567890}': {"sku": "A"},
        '{"sku": "A", "price": "1,25"}': {"sku": "A"},
        '{"sku": "A", "color": "red"}': {"sku": "A"},
        '{"sku": "A", "Price": 1}': {"sku": "A"},
        '{"sku": "A", "tags": "x"}': {"sku": "A"},
        '{"sku": "A", "tags": "[1]"}': {"sku": "A"},
    }
    none = ["", "text", "{", '{"sku": "A"}{"sku": "B"}', '{"sku": "A"} x', '{"sku": "A"}],["x"']
    none += ["[]", "5", '"{}"', '{"price": NaN}', '{"sku": "A"},{"sku": "B"}']
    given = [(place, text) for place, text in enumerate([*whole, *partly, *none])]
    made = told(spark, "id int, p string", given, parse={"p": ddl})
    assert [*made[0]] == ["id", "p", "parse p", "_rescued_data"]
    fields = ("sku", "price", "at", "tags", "d")
    for (_, text), row in zip(given, made, strict=True):
        value = {**whole, **partly}.get(text)
        filled = value if value is None else {field: value.get(field) for field in fields}
        assert (text, row["p"]) == (text, filled)
        kept = None if text in whole else json.dumps({"p": text}, separators=(",", ":"))
        assert (text, row["_rescued_data"]) == (text, kept)
        assert (text, row["parse p"]) == (text, text not in whole)


def test_arrays_and_maps_are_parsed_too(spark: SparkSession) -> None:
    [good, bad] = told(
        spark,
        "a string, m string, s string",
        [('[{"x": 1}, {}]', '{"k": "v"}', '{"x": 1}'), ('{"x": 1}', '{"k": "v", "k": "w"}', "[]")],
        parse={
            "a": "array<struct<x: int>>",
            "m": "map<string, string>",
            "s": "struct<x: int not null>",
        },
    )
    assert (good["a"], good["m"], good["s"]) == ([{"x": 1}, {"x": None}], [("k", "v")], {"x": 1})
    assert (bad["a"], bad["m"], bad["s"], good["_rescued_data"]) == (None, None, None, None)
    assert json.loads(bad["_rescued_data"]) == {
        "a": '{"x": 1}',
        "m": '{"k": "v", "k": "w"}',
        "s": "[]",
    }


def test_the_order_is_fixed_whatever_the_file_says(spark: SparkSession) -> None:
    made = told(
        spark,
        "ID bigint, items string, other struct<x: int, Y: int>",
        [
            (1, '[{"sku": "a", "n": "2"}, {"sku": "b", "n": "x"}, null]', (7, 8)),
            (2, "[]", (7, 8)),
            (3, None, None),
            (-4, "[]", (7, 8)),
        ],
        columns={"n": "coalesce(n, 0) + 1", "twice": "n * 2"},
        cast={"n": "int"},
        rename={"one_n": "n", "ONE_SKU": "sku", "id": "id"},
        flatten=["OTHER", "one"],
        explode={"one": "Items"},
        where="id > 0",
        parse={"items": "array<struct<sku: string, n: string>>"},
    )
    own = [name for name in made[0] if not is_hidden(name)]
    assert own == ["id", "items", "other_x", "other_Y", "_rescued_data", "sku", "n", "twice"]
    assert [(row["id"], row["other_x"], row["sku"], row["n"], row["twice"]) for row in made] == [
        (1, 7, "a", 3, 6),
        (1, 7, "b", 1, 2),
        (1, 7, None, 1, 2),
        (2, 7, None, 1, 2),
        (3, None, None, 1, 2),
    ]
    assert [row["cast n"] for row in made] == [False, True, False, False, False]


COLUMNS = "id int, s string, items array<int>, m map<string,int>, meta struct<os: string, v: int>"
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"where": "nope > 1"}, "nope"),
    ({"where": "sum(id) > 1"}, "sum"),
    ({"parse": {"id": "a int"}}, "id is int, not JSON text"),
    ({"parse": {"nope": "a int"}}, "has no column nope; it has id, s, items"),
    ({"parse": {"s": "int"}}, "int has no columns:"),
    ({"parse": {"s": "a nonsense"}}, "nonsense"),
    ({"explode": {"one": "m"}}, "m is map<string,int>, not an array"),
    ({"explode": {"one": "nope"}}, "no column nope"),
    ({"explode": {"ID": "items"}}, "items of items cannot become ID: there is a column id"),
    ({"flatten": "items"}, "items is array<int>, not a struct"),
    ({"flatten": "meta", "rename": {"id": "s"}}, "id cannot become s: there is a column s"),
    ({"rename": {"nope": "x"}}, "no column nope"),
    ({"rename": {"id": "S"}}, "there is a column s already"),
    ({"cast": {"nope": "int"}}, "no column nope"),
    ({"cast": {"s": "nonsense"}}, "nonsense"),
    ({"cast": {"meta": "string"}}, "does not support struct<os:string,v:int>"),
    ({"cast": {"s": "array<int>"}}, "does not support array<int>"),
    ({"cast": {"id": "date"}}, "cannot cast"),
    ({"cast": {"s": {"to": "int", "formats": ["yyyy"]}}}, "are for dates and timestamps"),
    ({"cast": {"s": {"to": "date", "formats": ["YYYY-MM-dd"]}}}, "'YYYY-MM-dd' is not a datetime"),
    ({"cast": {"s": {"to": "date", "formats": ["yyyy-MM-dd'"]}}}, "is not a datetime pattern"),
    ({"cast": {"s": {"to": "timestamp", "formats": ["HH:mm"]}}}, "has no year"),
    ({"cast": {"s": {"to": "int", "default": "none"}}}, "default 'none' is not a valid int"),
    ({"cast": {"s": {"to": "int", "default": 1.5}}}, "default 1.5 is not a valid int"),
    ({"cast": {"s": {"to": "int", "default": True}}}, "default True is not a valid int"),
    ({"cast": {"s": {"to": "int", "default": 2**31}}}, "is not a valid int"),
    ({"cast": {"s": {"to": "decimal(3,1)", "default": 100}}}, "is not a valid decimal"),
    ({"cast": {"s": {"to": "decimal(3,1)", "default": 1.25}}}, "is not a valid decimal"),
    ({"cast": {"s": {"to": "double", "default": "inf"}}}, "is not a valid double"),
    ({"cast": {"s": {"to": "date", "default": "soon"}}}, "is not a valid date"),
    ({"cast": {"s": {"to": "boolean", "default": 1}}}, "is not a valid boolean"),
    ({"cast": {"s": {"to": "binary", "default": "x"}}}, "cannot be a value of type binary"),
    ({"columns": {"x": "nope + 1"}}, "nope"),
    ({"columns": {"x": "id +"}}, "PARSE_SYNTAX_ERROR"),
    ({"columns": {"x": "explode(items)"}}, "generator is not supported"),
    ({"columns": {"x": "sum(id)"}}, "GROUP BY"),
    ({"columns": {"x": "row_number() OVER (order by id)"}}, "computed from its own row"),
    ({"columns": {"x": "meta.*"}}, "Invalid usage"),
    ({"columns": {"x": "y", "y": "id"}}, "`y`"),
]


def test_a_mistake_is_found_on_empty_frames_and_named(spark: SparkSession) -> None:
    empty = spark.createDataFrame([], COLUMNS)
    for keys, said in MISTAKES:
        with pytest.raises((UsageError, PySparkException)) as raised:
            refined(empty, keys)
        assert said in str(raised.value), keys
    assert refined(empty, {"columns": {"x": "' over (' || s"}}).columns[-1] == "x"


def test_names_can_be_given_on(spark: SparkSession) -> None:
    empty = spark.createDataFrame([], COLUMNS)
    renamed = refined(empty, {"rename": {"id": "key", "s": "id"}})
    assert renamed.columns == ["key", "id", "items", "m", "meta"]
    exploded = refined(empty, {"explode": {"items": "items"}})
    assert exploded.dtypes[2] == ("items", "int")
    assert exploded.columns == empty.columns


def test_columns_that_would_fall_on_one_name_are_refused(spark: SparkSession) -> None:
    frames = {
        "meta struct<os: string>, META_OS int": "meta.os cannot become meta_os: .* META_OS already",
        "meta struct<os: string, OS: string>": "meta.OS and meta.os would both become meta_OS",
        "meta struct<`a b`: string>": "'meta_a b', which meta.a b would become",
    }
    for ddl, said in frames.items():
        with pytest.raises(UsageError, match=said):
            refined(spark.createDataFrame([], ddl), {"flatten": "meta"})
    with pytest.raises(UsageError, match="_rescued_data is not a string column"):
        refined(spark.createDataFrame([], "s string, _rescued_data int"), {"parse": {"s": "a int"}})


# --- Python transforms, and their harness -------------------------------------------------

MODULE = """
from pyspark.sql import DataFrame, functions as F

def with_total(rows: DataFrame) -> DataFrame:
    return rows.withColumn("total", F.col("price") * F.col("quantity"))

def only_price(rows):
    return rows.select("price")

def spaced(rows):
    return rows.withColumn("a b", F.lit(1))

def doubled(rows):
    return rows.select("*", F.lit(1).alias("PRICE"))

def wrong_column(rows):
    return rows.select("nope")
"""


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("code") / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "orders.py").write_text(MODULE, encoding="utf-8")
    sys.path.insert(0, str(folder.parent))
    yield
    sys.path.remove(str(folder.parent))
    for name in [one for one in sys.modules if one.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def test_a_python_function_comes_after_the_other_shapes_and_before_casts(
    spark: SparkSession,
) -> None:
    keys: dict[str, Any] = {
        "cast": {"total": "string"},
        "transform": f"{PACKAGE}.orders:with_total",
        "rename": {"p": "price"},
        "parse": {"extra": "a int"},
    }
    [row] = told(spark, "p int, quantity int, extra string", [(2, 3, "?")], **keys)
    assert (row["total"], row["parse extra"], row["cast total"]) == ("6", True, False)
    empty = spark.createDataFrame([], "price int, quantity int, extra string")
    refused = {
        "doubled": "more than one column named price",
        "spaced": "a space in their name.* `a b`",
        "only_price": "dropped the columns .* `parse extra`",
    }
    for function, said in refused.items():
        with pytest.raises(UsageError, match=said):
            refined(empty, {"parse": keys["parse"], "transform": f"{PACKAGE}.orders:{function}"})
    assert refined(empty, {"transform": f"{PACKAGE}.orders:only_price"}).columns == ["price"]
    with pytest.raises(PySparkException, match="nope"):
        refined(empty, {"transform": f"{PACKAGE}.orders:wrong_column"})
    with pytest.raises(UsageError, match="`python_packages` does not name it"):
        refined(empty, {"transform": "os.path:join"})


def checked(spark: SparkSession, transform: Any, **other: Any) -> None:
    given = {
        "given": [{"price": 2, "quantity": 3}, {"price": 4}],
        "schema": "price int, quantity int",
        "expected": [
            {"price": 4, "quantity": None, "total": None},
            {"price": 2, "quantity": 3, "total": 6},
        ],
    }
    check_transform(spark, transform, **{**given, **other})


def test_the_harness_lets_a_right_function_pass(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        checked(spark, f"{PACKAGE}.orders:with_total")
        check_transform(
            spark,
            lambda rows: rows.withColumns(
                {"day": F.to_date("at"), "at": F.col("at") + F.expr("interval 1 hour")}
            ),
            given=[
                {
                    "at": datetime(2026, 1, 31, 23, 30),
                    "many": [{"t": utc(2026, 1, 1)}, None],
                    "m": {"k": Decimal("1.50")},
                    "d": float("nan"),
                }
            ],
            schema="at timestamp, many array<struct<t: timestamp, n: int>>, "
            "m map<string, decimal(5,2)>, d double",
            expected=[
                {
                    "day": date(2026, 1, 31),
                    "at": datetime(2026, 2, 1, 0, 30),
                    "many": [{"t": datetime(2026, 1, 1), "n": None}, None],
                    "m": {"k": Decimal("1.5")},
                    "d": float("nan"),
                }
            ],
        )
    finally:
        monkeypatch.undo()
        time.tzset()


def with_total(rows: DataFrame) -> DataFrame:
    return rows.withColumn("total", F.col("price") * F.col("quantity"))


def counting(rows: DataFrame) -> DataFrame:
    return with_total(rows).withColumn("n", F.lit(rows.count()))


def setting(rows: DataFrame) -> DataFrame:
    rows.sparkSession.conf.set("spark.sql.shuffle.partitions", "7")
    return with_total(rows)


def viewing(rows: DataFrame) -> DataFrame:
    rows.createOrReplaceTempView("left_here")
    return with_total(rows)


def caching(rows: DataFrame) -> DataFrame:
    return with_total(rows.cache())


def registering(rows: DataFrame) -> DataFrame:
    rows.sparkSession.udf.register("left_here", lambda: 1)
    return with_total(rows)


def numbering(rows: DataFrame) -> DataFrame:
    return rows.withColumn("total", F.row_number().over(Window.orderBy(F.lit(1))))


def drawing(rows: DataFrame) -> DataFrame:
    return rows.withColumn("total", F.rand())


WRONG: list[tuple[Callable[[DataFrame], DataFrame], str]] = [
    (counting, "ran 1 Spark jobs while it built its plan"),
    (setting, "changed the session: settings"),
    (viewing, "changed the session: temporary views"),
    (registering, "changed the session: temporary functions"),
    (caching, "changed the session: cached tables"),
    (numbering, "returned other rows when the given rows had another order"),
    (drawing, "returned other rows"),
]


@pytest.mark.parametrize(("transform", "said"), WRONG, ids=lambda one: getattr(one, "__name__", ""))
def test_the_harness_finds_what_a_pipeline_cannot_bear(
    spark: SparkSession, transform: Callable[[DataFrame], DataFrame], said: str
) -> None:
    with pytest.raises(AssertionError, match=said):
        checked(spark, transform)
    if transform is caching:
        spark.catalog.clearCache()


def test_the_harness_shows_the_difference(spark: SparkSession) -> None:
    price = {"price": 4, "quantity": None, "total": None}
    with pytest.raises(AssertionError) as raised:
        checked(spark, with_total, expected=[price, price, {**price, "total": True}])
    assert str(raised.value).splitlines() == [
        "with_total did not return the expected rows:",
        "  missing, 1 x: price=4, quantity=None, total='True, a bool'",
        "  missing, 1 x: price=4, quantity=None, total=None",
        "  not expected, 1 x: price=2, quantity=3, total=6",
    ]
    with pytest.raises(AssertionError, match="has the columns price, quantity, total; expected"):
        checked(spark, with_total, expected=[{"price": 1}])
    with pytest.raises(UsageError, match="has color, which `schema` lacks"):
        checked(spark, with_total, given=[{"color": 1}])
    with pytest.raises(UsageError, match="cannot import no_such_package"):
        checked(spark, "no_such_package.orders:x")
