"""JSON in JSON: the strict rules hold at every level, and what does not fit is rescued whole."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from medallion_jobs.autoloader.file_entry import FileEntry, to_uri
from medallion_jobs.autoloader.readers.json_lines import JsonLines
from medallion_jobs.autoloader.readers.records import Input

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COLUMNS = """
    id string, price decimal(20,2), ratio double,
    s struct<n: int, yes: boolean, price: decimal(10,2), t: string, at: timestamp>,
    deep struct<a: struct<b: struct<c: int, d: string>, n: int>>,
    ints array<int>, texts array<string>, rows array<struct<n: int>>,
    bag map<string,int>, keyed map<int,string>, bags map<string,struct<n: int>>
"""


class Case(NamedTuple):
    """A line; the columns of it that are not null; what is rescued; whether it has new fields."""

    line: str
    values: dict[str, Any]
    rescued: dict[str, str | None] | None = None
    has_new: bool = False


def _s(**fields: Any) -> dict[str, Any]:
    return {"n": None, "yes": None, "price": None, "t": None, "at": None, **fields}


def _deep(c: int | None = None, d: str | None = None, n: int | None = None) -> dict[str, Any]:
    return {"a": {"b": {"c": c, "d": d}, "n": n}}


def _rescued(key: str, value: str, values: dict[str, Any], *, has_new: bool = False) -> Case:
    return Case(f'{{"{key}": {value}}}', values, {key: value}, has_new)


CASES = {
    "a struct": Case('{"s": {"n": 1, "t": "x"}}', {"s": _s(n=1, t="x")}),
    "an empty struct": Case('{"s": {}}', {"s": _s()}),
    "nulls": Case(
        '{"s": null, "ints": null, "bag": null, "deep": {"a": null}}', {"deep": {"a": None}}
    ),
    "an inner null": Case('{"s": {"n": null}}', {"s": _s()}),
    "an inner yes": _rescued("s", '{"yes": "yes", "n": 2}', {"s": _s(n=2)}),
    "an inner true": Case('{"s": {"yes": true}}', {"s": _s(yes=True)}),
    "an inner fraction": _rescued("s", '{"n": 1.5}', {"s": _s()}),
    "an inner digit too many": _rescued("s", '{"price": 1.005}', {"s": _s()}),
    "an inner decimal": Case('{"s": {"price": 1.05}}', {"s": _s(price=Decimal("1.05"))}),
    "an inner time of day": _rescued("s", '{"at": "10:15"}', {"s": _s()}),
    "an inner object in a text": Case('{"s": {"t": {"x": [1]}}}', {"s": _s(t='{"x": [1]}')}),
    "an unknown inner field": _rescued("s", '{"n": 1, "z": 2}', {"s": _s(n=1)}, has_new=True),
    "an inner field of another case": _rescued("s", '{"n": 1, "T": "x"}', {"s": _s(n=1)}),
    "an inner field without a name": _rescued("s", '{"n": 1, "": "x"}', {"s": _s(n=1)}),
    "an inner field that no table has": _rescued("s", '{"n": 1, "a=b": 2}', {"s": _s(n=1)}),
    "an inner key twice": Case(
        '{"s": {"n": 1, "n": 2}}', {"s": _s(n=1)}, {"s": '{"n": 1, "n": 2}'}
    ),
    "a struct that is a number": _rescued("s", "5", {}),
    "a struct that is an array": _rescued("s", '[{"n": 1}]', {}),
    "a struct that is an empty text": Case('{"s": ""}', {}, {"s": ""}),
    "a struct that is a text of one": Case(r'{"s": "{\"n\": 1}"}', {}, {"s": '{"n": 1}'}),
    "a text of one behind a space": Case(r'{"s" : " {\"n\": 1}"}', {}, {"s": ' {"n": 1}'}),
    "a text of one with an escape": Case(r'{"s":"\u007b\"n\": 1}"}', {}, {"s": '{"n": 1}'}),
    "a column of text that holds one": Case(r'{"id": "{\"n\": \"\\\"\"}"}', {"id": r'{"n": "\""}'}),
    "a key that is escaped": Case(
        r'{"\u0073": {"\u006e": 1}, "id": "["}', {"s": _s(n=1), "id": "["}
    ),
    "three levels": Case(
        '{"deep": {"a": {"b": {"c": 1, "d": "x"}, "n": 2}}}', {"deep": _deep(1, "x", 2)}
    ),
    "a misfit three levels down": _rescued(
        "deep", '{"a":{"b":{"c":"x","d":"y"},"n":2}}', {"deep": _deep(None, "y", 2)}
    ),
    "new three levels down": _rescued(
        "deep", '{"a":{"b":{"c":1,"e":2}}}', {"deep": _deep(1)}, has_new=True
    ),
    "a text for a struct below": Case(
        r'{"deep": {"a": {"b": "{\"c\": 1}", "n": 1}}}',
        {"deep": {"a": {"b": None, "n": 1}}},
        {"deep": r'{"a": {"b": "{\"c\": 1}", "n": 1}}'},
    ),
    "an array": Case('{"ints": [1, null, "3"]}', {"ints": [1, None, 3]}),
    "an empty array": Case('{"ints": [], "rows": []}', {"ints": [], "rows": []}),
    "a misfit in an array": _rescued("ints", '[1,"x",3]', {"ints": [1, None, 3]}),
    "an array that is an object": _rescued("ints", '{"a":1}', {}),
    "an array that is a text of one": Case('{"ints": "[1]"}', {}, {"ints": "[1]"}),
    "an array of anything as text": Case(
        r'{"texts": ["a", 1, null, {"x": "{"}, "[1]", "\"q\""]}',
        {"texts": ["a", "1", None, '{"x": "{"}', "[1]", '"q"']},
    ),
    "an array of structs": Case(
        '{"rows": [{"n": 1}, null, {}]}', {"rows": [{"n": 1}, None, {"n": None}]}
    ),
    "a misfit in an array of structs": _rescued("rows", '[{"n":1},2]', {"rows": [{"n": 1}, None]}),
    "a text of a struct in an array": Case(
        r'{"rows": [{"n":1},"{\"n\":2}"]}',
        {"rows": [{"n": 1}, None]},
        {"rows": r'[{"n":1},"{\"n\":2}"]'},
    ),
    "new in an array of structs": _rescued(
        "rows", '[{"n":1},{"m":2}]', {"rows": [{"n": 1}, {"n": None}]}, has_new=True
    ),
    "a map": Case('{"bag": {"a": 1, "B c": null}}', {"bag": {"a": 1, "B c": None}}),
    "a misfit in a map": _rescued("bag", '{"a":1,"b":"x"}', {"bag": {"a": 1, "b": None}}),
    "a map with a key twice": _rescued("bag", '{"a":1,"a":2}', {}),
    "a map with typed keys": Case('{"keyed": {"1": "a"}}', {"keyed": {1: "a"}}),
    "a misfit among typed keys": _rescued("keyed", '{"x":"a"}', {}),
    "one typed key written twice": _rescued("keyed", '{"1":"a","01":"b"}', {}),
    "new in a map of structs": _rescued(
        "bags", '{"k":{"m":1}}', {"bags": {"k": {"n": None}}}, has_new=True
    ),
    "a long decimal": Case(
        '{"price": 123456789012345678.91}', {"price": Decimal("123456789012345678.91")}
    ),
    "a long decimal as text": Case(
        '{"id": -0.12345678901234567890, "ratio": 0.30000000000000004}',
        {"id": "-0.12345678901234567890", "ratio": 0.30000000000000004},
    ),
    "forty digits": Case(
        f'{{"new": {"9" * 40}.5, "id": "{"9" * 40}.5"}}',
        {"id": "9" * 40 + ".5"},
        {"new": "9" * 40 + ".5"},
        has_new=True,
    ),
    "a long number inside": Case(
        r'{"s": {"price": 123.4567890123456789, "t": 1234567890123456.75}, "id": "a\\"}',
        {"s": _s(t="1234567890123456.75"), "id": "a\\"},
        {"s": '{"price": 123.4567890123456789, "t": 1234567890123456.75}'},
    ),
    "a long number in a text": Case(
        r'{"id": "x\", 123456789012345678.91, \"y"}', {"id": 'x", 123456789012345678.91, "y'}
    ),
    "a whole number past 64 bits": Case(
        '{"id": 123456789012345678901234567890}', {"id": "1" + "23456789012345678901234567890"}
    ),
    "new": Case('{"new": 1}', {}, {"new": "1"}, has_new=True),
    "new and an empty object": Case('{"new": {}}', {}, {"new": "{}"}, has_new=True),
    "another case": Case('{"ID": 1}', {}, {"ID": "1"}),
    "a reserved name": Case('{"_Input_File": 1}', {}, {"_Input_File": "1"}),
    "names that no table has": Case(
        '{"a b": 1, "": 2, "a;b": 3, "a=": 4}', {}, {"a b": "1", "": "2", "a;b": "3", "a=": "4"}
    ),
    "names that a table can have": Case('{"a.b": 1}', {}, {"a.b": "1"}, has_new=True),
    "an emoji": Case('{"\\ud83d\\ude00": "`\'"}', {}, {"\U0001f600": "`'"}, has_new=True),
}


@pytest.fixture(scope="module")
def rows(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each case's row: good, has_new, and the columns."""
    folder = tmp_path_factory.mktemp("nested")
    path = folder / "cases.json"
    path.write_text("\n".join(case.line for case in CASES.values()) + "\n")
    records = JsonLines().records(Input(spark, [_found(path)], {}), StructType.fromDDL(COLUMNS))
    frame = records.frame.select(
        records.raw.alias("line"),
        records.good.alias("good"),
        F.when(records.good, records.has_new).alias("has_new"),
        *records.columns,
    )
    found = [row.asDict(recursive=True) for row in frame.collect()]
    return dict(zip(CASES, found, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_a_nested_value_is_read_as_strictly_as_a_column(rows: dict[str, Any], name: str) -> None:
    case, row = CASES[name], dict(rows[name])
    assert row.pop("line") == case.line
    assert row.pop("good")
    assert row.pop("has_new") == case.has_new
    rescued = row.pop("_rescued_data")
    assert {key: value for key, value in row.items() if value is not None} == case.values
    if rescued is not None:
        rescued = json.loads(rescued)
        assert rescued.pop("_file_path").endswith("/cases.json")
    assert rescued == case.rescued


@pytest.mark.slow
def test_an_expression_grows_with_the_fields_and_not_with_the_depth(
    spark: SparkSession, tmp_path: Path
) -> None:
    kind, line, wide = "int", "1", ", ".join(f"f{n}: int" for n in range(20))
    for _ in range(8):
        kind, line = f"struct<x: {kind}, {wide}>", f'{{"x": {line}, "f3": 3}}'
    (tmp_path / "deep.json").write_text(f'{{"c": {line}}}\n{{"c": {line.replace("1", "true")}}}\n')
    found = [_found(tmp_path / "deep.json")]
    records = JsonLines().records(Input(spark, found, {}), StructType.fromDDL(f"c {kind}"))
    plan = records.frame.select(*records.columns)
    size = len(plan._jdf.queryExecution().optimizedPlan().toString())
    assert size < 400_000
    good, misfit = plan.selectExpr("c" + ".x" * 8, "c.f3", "_rescued_data").collect()
    assert tuple(good) == (1, 3, None)
    assert misfit[:2] == (None, 3)
    assert misfit[2]


def _found(path: Path) -> FileEntry:
    return FileEntry(0, to_uri(str(path)), path.stat().st_size)
