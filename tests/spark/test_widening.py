"""Types grow wider where values need it: a value that fits nothing decides nothing."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession
from support.own import OwnLake

pytestmark = pytest.mark.usefixtures("spark")

MODE = "add_new_columns_with_type_widening"
# By column: its type, its values, row by row, the type that it gets, and the rescued values.
SCALARS: dict[str, tuple[str, tuple[str | None, ...], str, tuple[str, ...]]] = {
    "fraction": ("int", ("3", "2.5", "x"), "DOUBLE", ("x",)),
    "long": ("int", ("3000000000", "x", "1"), "BIGINT", ("x",)),
    "short": ("smallint", ("70000", "x", "1"), "BIGINT", ("x",)),
    "both": ("int", ("3000000000", "x", "2.5"), "DOUBLE", ("x",)),
    "big": ("int", ("12345678901234567890", "x", "1"), "DECIMAL(20,0)", ("x",)),
    "longer": ("bigint", ("12345678901234567890123", "x", "1"), "DECIMAL(23,0)", ("x",)),
    "exact": ("bigint", ("2.5", "x", "9223372036854775807"), "DECIMAL(21,1)", ("x",)),
    "money": ("decimal(5,2)", ("1234567.125", "x", "1.25"), "DECIMAL(10,3)", ("x",)),
    "real": ("float", ("1.5", "x", "1e300"), "DOUBLE", ("x",)),
    "day": ("date", ("2026-01-31", "x", None), "DATE", ("x",)),
    "same": ("int", ("1", "x", None), "INTEGER", ("x",)),
    "too_long": ("int", ("1", "9" * 39, "3000000000"), "BIGINT", ("9" * 39,)),
}
NESTED: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "object": (
        "struct<b: struct<c: int>>",
        ({"b": {"c": 1}}, {"b": {"c": "x"}}, {"b": {"c": 2.5}}),
        "STRUCT(b STRUCT(c DOUBLE))",
    ),
    "list": ("array<int>", ([1, None], ["x", 3000000000], []), "BIGINT[]"),
    "objects": (
        "array<struct<n: int>>",
        ([{"n": 1}], [{"n": "x"}, {"n": 2.5}], "x"),
        "STRUCT(n DOUBLE)[]",
    ),
    "map": ("map<string,int>", ({"p": 1}, {"q": 2.5, "r": "x"}, None), "MAP(VARCHAR, DOUBLE)"),
    "keys": ("map<int,string>", ({"3000000000": "a"}, {"x": "b"}, None), "MAP(BIGINT, VARCHAR)"),
}


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> OwnLake:
    scalars = ", ".join(f"{name} {kind}" for name, (kind, *_) in SCALARS.items())
    nested = ", ".join(f"`{name}` {kind}" for name, (kind, *_) in NESTED.items())
    made = {
        "json": {"format": "json", "schema": f"id int, {scalars}, {nested}"},
        "csv": {"format": "csv", "schema": f"id int, {scalars}"},
        "parquet": {"format": "parquet", "schema": "id int, n int, o array<struct<n: int>>"},
    }
    bronze = {name: {"source": {**one, "schema_evolution": MODE}} for name, one in made.items()}
    lake = OwnLake.of(
        tmp_path_factory.mktemp("wider"), yaml.safe_dump({"pipeline": "own", "bronze": bronze})
    )
    rows = [
        {"id": number, **{name: values[number] for name, (_, values, *_) in SCALARS.items()}}
        for number in range(3)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    lake.drop_bytes("../csv/1.csv", text.getvalue().encode())
    # As numbers where they are numbers, spelled as they are.
    lines = []
    for number, row in enumerate(rows):
        pairs = [f'"{name}": {literal(value)}' for name, value in row.items()]
        pairs += [f'"{n}": {json.dumps(values[number])}' for n, (_, values, _) in NESTED.items()]
        lines.append("{" + ", ".join(pairs) + "}")
    lake.drop("../json/1.json", *lines)
    for name, kind, value in (
        ("1", pa.string(), "x"),
        ("2", pa.float64(), 2.5),
        ("3", pa.int32(), 3),
    ):
        item = pa.list_(pa.struct([("n", kind)]))
        schema = pa.schema([("id", pa.int32()), ("n", kind), ("o", item)])
        table = pa.Table.from_pylist([{"id": int(name), "n": value, "o": [{"n": value}]}], schema)
        path = lake.landing / "parquet" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path)
    lake.run("bronze")
    return lake


def rows_of(lake: OwnLake, table: str) -> list[dict[str, Any]]:
    """Read by DuckDB; delta-rs does not know tables whose types have grown."""
    path = lake.path(f"bronze.{table}")
    found: list[dict[str, Any]] = (
        duckdb.sql(f"SELECT * FROM delta_scan('{path}') ORDER BY id").to_arrow_table().to_pylist()
    )
    spark = SparkSession.getActiveSession()
    assert spark
    read = spark.read.format("delta").load(str(path)).collect()
    assert len(read) == len(found)
    return found


def literal(value: object) -> str:
    text = "null" if value is None else str(value)
    is_number = text[:1].isdigit() and "-" not in text
    return text if is_number or text == "null" else json.dumps(text)


def kinds(lake: OwnLake, table: str) -> dict[str, str]:
    path = lake.path(f"bronze.{table}")
    found = duckdb.sql(f"DESCRIBE SELECT * FROM delta_scan('{path}')").fetchall()
    return {name: kind for name, kind, *_ in found}


@pytest.mark.parametrize("table", ["json", "csv"])
def test_the_values_that_fit_decide(lake: OwnLake, table: str) -> None:
    has = kinds(lake, table)
    assert {name: has[name] for name in SCALARS} == {
        n: kind for n, (_, _, kind, _) in SCALARS.items()
    }
    rows = rows_of(lake, table)
    for name, (_, values, _, misfits) in SCALARS.items():
        for row, value in zip(rows, values, strict=True):
            rescued = json.loads(row["_rescued_data"] or "{}").get(name)
            if row[name] is None:
                # Exactly as it came, and only what fits nothing.
                assert rescued == value, name
                assert value is None or value in misfits, (name, value)
            else:
                assert rescued is None, name
                same = str(row[name])
                assert same == value or Decimal(same) == Decimal(value or ""), (name, value)


def test_parts_of_a_value_grow_too(lake: OwnLake) -> None:
    has = kinds(lake, "json")
    assert {name: has[name] for name in NESTED} == {
        name: kind for name, (*_, kind) in NESTED.items()
    }
    rows = rows_of(lake, "json")
    assert rows[2]["object"] == {"b": {"c": 2.5}}
    assert rows[1]["list"] == [None, 3000000000]
    assert rows[1]["objects"] == [{"n": None}, {"n": 2.5}]
    assert dict(rows[1]["map"]) == {"q": 2.5, "r": None}
    assert dict(rows[0]["keys"]) == {3000000000: "a"}
    assert json.loads(rows[0]["_rescued_data"] or "{}").keys() <= {"_file_path"}
    for name in ("object", "list", "objects", "map", "keys"):
        assert "x" in str(json.loads(rows[1]["_rescued_data"])[name]) or name == "keys"


def test_a_file_of_another_type_does_not_decide(lake: OwnLake) -> None:
    has = kinds(lake, "parquet")
    assert (has["n"], has["o"]) == ("DOUBLE", "STRUCT(n DOUBLE)[]")
    rows = {row["id"]: row for row in rows_of(lake, "parquet")}
    assert [rows[i]["n"] for i in (1, 2, 3)] == [None, 2.5, 3.0]
    assert [rows[i]["o"][0]["n"] for i in (2, 3)] == [2.5, 3.0]
    assert json.loads(rows[1]["_rescued_data"])["n"] == "x"
