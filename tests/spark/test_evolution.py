"""New columns and other types in the midst of the files: one run, and every value is somewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from support.lake import Lake, batches, local

from medallion_jobs.autoloader.schemas.registry import Registry
from medallion_jobs.errors import DataError

pytestmark = pytest.mark.usefixtures("spark")

INFERRED = "bronze.sales.source.schema=null"
FILES = 100


def record(number: int) -> dict[str, Any]:
    """Row `number`: a column more from 50 on, a field more from 70 on, another type at 80."""
    made: dict[str, Any] = {
        "id": number,
        "amount": f"{number}.50",
        "customer": {"name": f"n{number}"},
    }
    if number >= 50:
        made["channel"] = f"c{number}"
    if number >= 70:
        made["customer"]["address"] = {"zip": f"z{number}", "lines": ["a", f"b{number}"]}
    if number >= 80:
        made["customer"] = f"just a name {number}" if number % 2 else made["customer"]
        made["amount"] = {"value": number, "currency": "EUR"}
    return made


@pytest.fixture(scope="module")
def grown(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake.at(
        tmp_path_factory.mktemp("grown"),
        INFERRED,
        "bronze.sales.source.inference_files=10",
        "bronze.sales.source.max_files_per_trigger=10",
    )
    for number in range(FILES):
        lake.drop(f"{number:03}.json", json.dumps(record(number)), at=number)
    events = lake.run("bronze")
    assert len(batches(events, "bronze.sales")) == FILES // 10
    return lake


def test_every_value_is_in_a_column_or_rescued(grown: Lake) -> None:
    rows = {int(row["id"]): row for row in grown.rows("bronze.sales")}
    assert sorted(rows) == list(range(FILES))
    for number, row in rows.items():
        there, sent = value_of(row), record(number)
        for key, value in sent.items():
            assert there[key] == as_text(value), (number, key)


def value_of(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the record that it came from: rescued values win over what of them fitted."""
    rescued = json.loads(row["_rescued_data"] or "{}")
    file = rescued.pop("_file_path", None)
    assert file is None or file == row["_input_file"]
    columns = {k: v for k, v in row.items() if v is not None and not k.startswith("_")}
    return {key: as_text(parsed(value)) for key, value in {**columns, **rescued}.items()}


def parsed(value: Any) -> Any:
    """An object or array that is kept as its JSON text."""
    return json.loads(value) if isinstance(value, str) and value[:1] in "{[" else value


def as_text(value: Any) -> Any:
    """Leaves as text and absent fields left out, for inferred columns are of text."""
    if isinstance(value, dict):
        return {k: as_text(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [as_text(v) for v in value]
    return str(value)


def test_only_what_did_not_fit_is_rescued(grown: Lake) -> None:
    for row in grown.rows("bronze.sales"):
        number = int(row["id"])
        rescued = set(json.loads(row["_rescued_data"] or "{}")) - {"_file_path"}
        # An object under a text column is kept as its text: only the name instead of an
        # object does not fit its column.
        assert rescued == ({"customer"} if number >= 80 and number % 2 else set()), number


def test_the_schema_took_up_what_came_when_it_came(grown: Lake) -> None:
    registry = Registry(grown.path("schemas/sales"))
    history = registry.history()
    assert [v.why for v in history] == ["inferred", "new columns", "new columns"]
    assert [v.batch for v in history] == [None, 5, 7]
    assert [list(v.changes) for v in history[1:]] == [
        ["+ channel string"],
        ["+ customer.address struct<lines: array<string>, zip: string>"],
    ]


def test_the_batch_that_brings_a_column_has_it(grown: Lake) -> None:
    rows = {int(row["id"]): row for row in grown.rows("bronze.sales")}
    assert (rows[49]["channel"], rows[50]["channel"]) == (None, "c50")
    assert rows[69]["customer"].get("address") is None
    assert rows[70]["customer"]["address"]["zip"] == "z70"


def test_the_account_balances(grown: Lake) -> None:
    told = grown.files()
    assert len(told) == FILES
    assert {(f["state"], f["rows"], f["bad"]) for f in told.values()} == {("COMMITTED", 1, 0)}


def test_another_run_adds_nothing(grown: Lake, tmp_path: Path) -> None:
    lake = grown.copy(tmp_path)
    before = lake.versions()
    lake.run("bronze")
    assert lake.versions() == before


# --- the other modes


def landed(lake: Lake, mode: str, *settings: str) -> Lake:
    lake.drop("1.json", '{"id": 1, "n": 2}')
    lake.drop("2.json", '{"id": 2, "n": 3000000000, "new": "x"}', at=1)
    declared = "bronze.sales.source.schema=id bigint, n int"
    return lake.having(declared, f"bronze.sales.source.schema_evolution={mode}", *settings)


@pytest.mark.parametrize("mode", ["rescue", "none"])
def test_what_is_new_is_rescued(lake: Lake, mode: str) -> None:
    lake = landed(lake, mode)
    lake.run("bronze")
    rows = {row["id"]: row for row in lake.rows("bronze.sales")}
    assert (rows[1]["n"], rows[1]["_rescued_data"]) == (2, None)
    rescued = json.loads(rows[2]["_rescued_data"])
    assert local(rescued.pop("_file_path")) == str(lake.folder / "2.json")
    assert rescued == {"n": "3000000000", "new": "x"}


def test_a_new_column_stops_the_stream_where_that_is_wanted(lake: Lake) -> None:
    lake = landed(lake, "fail_on_new_columns", "bronze.sales.source.max_files_per_trigger=1")
    with pytest.raises(DataError, match=r"\+ new string(.|\n)*2\.json") as raised:
        lake.run("bronze")
    assert "add_new_columns" in raised.value.next_step
    assert [row["id"] for row in lake.rows("bronze.sales")] == [1]
    lake.having("bronze.sales.source.schema_evolution=add_new_columns").run("bronze")
    assert {row["id"]: row["new"] for row in lake.rows("bronze.sales")} == {1: None, 2: "x"}


@pytest.mark.slow
def test_types_widen_as_far_as_delta_can_and_no_further(lake: Lake) -> None:
    lake = landed(lake, "add_new_columns_with_type_widening")
    lake.drop("3.json", '{"id": 3, "n": "three", "new": "y"}', at=2)
    events = lake.run("bronze")
    spark = SparkSession.getActiveSession()
    assert spark
    table = spark.read.format("delta").load(str(lake.path("bronze.sales")))
    assert table.schema["n"].dataType.simpleString() == "bigint"
    rows = {row["id"]: row for row in table.collect()}
    assert [rows[i]["n"] for i in (1, 2, 3)] == [2, 3_000_000_000, None]
    assert json.loads(rows[3]["_rescued_data"])["n"] == "three"
    [batch] = batches(events, "bronze.sales")
    assert any("n: int -> bigint" in remark for remark in batch.remarks)


def test_hints_and_inferred_types(lake: Lake) -> None:
    lake = lake.having(
        INFERRED,
        "bronze.sales.source.infer_column_types=true",
        "bronze.sales.source.schema_hints='price decimal(10,2), customer.age int'",
    )
    lake.drop("1.json", '{"id": 1, "price": 1.25, "customer": {"name": "a", "age": 40}}')
    lake.run("bronze")
    [row] = lake.rows("bronze.sales")
    assert (row["id"], str(row["price"])) == (1, "1.25")
    assert row["customer"] == {"name": "a", "age": 40}


def test_a_table_can_begin_without_any_file(lake: Lake) -> None:
    lake = lake.having(INFERRED)
    lake.run("bronze")
    assert lake.rows("bronze.sales") == []
    lake.drop("1.json", '{"id": 1}')
    lake.run("bronze")
    assert [row["id"] for row in lake.rows("bronze.sales")] == ["1"]
