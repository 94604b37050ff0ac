"""Hints on real files: the files tell what a column is, a hint tells the type of its parts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession
from support.own import OwnLake

from medallion_jobs.autoloader.schemas.registry import Registry
from medallion_jobs.config import TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.paths import TablePaths

pytestmark = pytest.mark.usefixtures("spark")

DOCS = Path(__file__).parents[2] / "docs" / "schemas.md"
METRIC = {"id": 1, "metric": {"unit": "C", "value": 1.5}}
GA4 = {
    "id": 1,
    "event_params": [
        {"key": "page", "value": {"string_value": "/"}},
        {"key": "n", "value": {"int_value": 7}},
    ],
}
NESTED = {"id": 1, "a": {"b": {"key": "4", "element": "5", "value": {"x": "6"}}}}
# By table: its hints, and the files that land for it, one batch each.
TABLES: dict[str, tuple[str, list[list[dict[str, Any]]]]] = {
    "metric": ("metric.value double", [[METRIC]]),
    "late": ("metric.value double, id int", [[{"id": 1}], [{"id": 1, "metric": {}}], [METRIC]]),
    "odd": ("metric.value double", [[{"id": 1}], [{"id": 1, "metric": "none"}], [METRIC]]),
    "ga4": ("event_params.element.value.int_value bigint", [[{"id": 0}], [GA4]]),
    "nested": (
        "a.b.value.x int, a.b.element tinyint, a.b.key bigint",
        [[{"id": 1, "a": {"c": "1"}}], [NESTED]],
    ),
    "map": ("m map<string,string>, m.value int", [[{"id": 1, "m": {"p": 1, "q": 2}}]]),
}


def config(tables: dict[str, str], **source: object) -> str:
    made = {
        name: {"source": {"format": "json", "max_files_per_trigger": 1, **source}}
        for name in tables
    }
    for name, hints in tables.items():
        made[name]["source"]["schema_hints"] = hints
    return yaml.safe_dump({"pipeline": "own", "bronze": made})


def kinds(lake: OwnLake, table: str) -> dict[str, str]:
    """The columns of the files, with their types, as DuckDB reads them from the Delta table."""
    path = lake.path(f"bronze.{table}")
    found = duckdb.sql(f"DESCRIBE SELECT * FROM delta_scan('{path}')").fetchall()
    return {name: kind for name, kind, *_ in found if not name.startswith("_")}


@pytest.fixture(scope="module")
def loaded(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> OwnLake:
    hints = {name: text for name, (text, _) in TABLES.items()}
    lake = OwnLake.of(tmp_path_factory.mktemp("hints"), config(hints, inference_files=1))
    for name, (_, batches) in TABLES.items():
        for number, rows in enumerate(batches):
            lake.land(name, f"{number}.json", *rows, at=number)
    lake.run("bronze")
    return lake


def test_the_files_tell_what_a_hint_is_in(loaded: OwnLake) -> None:
    assert kinds(loaded, "metric")["metric"] == 'STRUCT(unit VARCHAR, "value" DOUBLE)'
    assert kinds(loaded, "late")["metric"] == 'STRUCT(unit VARCHAR, "value" DOUBLE)'
    assert kinds(loaded, "odd")["metric"] == 'STRUCT(unit VARCHAR, "value" DOUBLE)'
    assert kinds(loaded, "map")["m"] == "MAP(VARCHAR, INTEGER)"
    assert kinds(loaded, "ga4")["event_params"] == (
        'STRUCT("key" VARCHAR, "value" STRUCT(int_value BIGINT, string_value VARCHAR))[]'
    )
    assert kinds(loaded, "nested")["a"] == (
        'STRUCT(c VARCHAR, b STRUCT(element TINYINT, "key" BIGINT, "value" STRUCT(x INTEGER)))'
    )


def test_every_value_is_in_its_column_or_rescued(loaded: OwnLake) -> None:
    (row,) = loaded.rows("bronze.metric")
    assert (row["metric"], row["_rescued_data"]) == ({"unit": "C", "value": 1.5}, None)
    for table in ("late", "odd"):
        last = max(loaded.rows(f"bronze.{table}"), key=lambda r: r["_input_file"])
        assert last["metric"] == {"unit": "C", "value": 1.5}
    (odd,) = (r for r in loaded.rows("bronze.odd") if r["_rescued_data"])
    assert (odd["metric"], json.loads(odd["_rescued_data"])["metric"]) == (None, "none")
    (ga4,) = (r for r in loaded.rows("bronze.ga4") if r["event_params"])
    assert [p["value"] for p in ga4["event_params"]] == [
        {"int_value": None, "string_value": "/"},
        {"int_value": 7, "string_value": None},
    ]
    (nested,) = (r for r in loaded.rows("bronze.nested") if r["a"]["b"])
    assert nested["a"]["b"] == {"element": 5, "key": 4, "value": {"x": 6}}
    assert not any(r["_rescued_data"] for r in loaded.rows("bronze.nested"))
    (m,) = loaded.rows("bronze.map")
    assert dict(m["m"]) == {"p": 1, "q": 2}


def test_a_hint_before_any_file(tmp_path: Path) -> None:
    """The first run sees no file, and makes nothing that a later file could contradict."""
    lake = OwnLake.of(tmp_path, config({"t": "metric.value double, items.element.n int, id int"}))
    (lake.landing / "t").mkdir(parents=True)
    lake.run("bronze")
    assert kinds(lake, "t") == {"id": "INTEGER"}
    lake.land("t", "1.json", {**METRIC, "items": [{"n": 1, "m": 2}]})
    lake.run("bronze")
    (row,) = lake.rows("bronze.t")
    assert (row["metric"], row["items"]) == ({"unit": "C", "value": 1.5}, [{"n": 1, "m": "2"}])
    assert (row["id"], row["_rescued_data"]) == (1, None)


def test_parquet_has_maps_and_arrays(tmp_path: Path) -> None:
    hints = "m.value bigint, m.key string, a.element bigint, s.value bigint, n.value.element bigint"
    lake = OwnLake.of(tmp_path, config({"t": hints}, format="parquet"))
    folder = lake.landing / "t"
    folder.mkdir(parents=True)
    kind = {
        "m": pa.map_(pa.string(), pa.int32()),
        "a": pa.list_(pa.int32()),
        "s": pa.struct([("value", pa.int32()), ("key", pa.string())]),
        "n": pa.map_(pa.string(), pa.list_(pa.int32())),
    }
    row = {"m": [("p", 1)], "a": [1, 2], "s": {"value": 3, "key": "k"}, "n": [("q", [4])]}
    pq.write_table(pa.Table.from_pylist([row], pa.schema(kind.items())), folder / "1.parquet")
    lake.run("bronze")
    assert kinds(lake, "t") == {
        "m": "MAP(VARCHAR, BIGINT)",
        "a": "BIGINT[]",
        "s": 'STRUCT("value" BIGINT, "key" VARCHAR)',
        "n": "MAP(VARCHAR, BIGINT[])",
    }
    (got,) = lake.rows("bronze.t")
    assert {name: got[name] for name in kind} == row
    assert got["_rescued_data"] is None


def test_a_map_that_the_version_before_made_goes_on(tmp_path: Path) -> None:
    """Its registry and its table have the column; what does not fit is rescued whole."""
    lake = OwnLake.of(tmp_path, config({"t": "id int, metric map<string,double>"}))
    lake.land("t", "1.json", {"id": 1, "metric": {"value": 2.5}})
    lake.run("bronze")
    lake.configure(config({"t": "id int, metric.value double"}))
    lake.land("t", "2.json", {"id": 2, "metric": {"unit": "C", "value": 1.5}}, at=1)
    lake.run("bronze")
    one, two = sorted(lake.rows("bronze.t"), key=lambda r: r["id"])
    assert dict(one["metric"]) == {"value": 2.5}
    held = {**dict(two["metric"] or []), **json.loads(two["_rescued_data"])}
    assert "C" in json.dumps(held)
    assert "1.5" in json.dumps(held)
    registry = Registry(TablePaths(lake.config, TableRef("bronze", "t")).schemas)
    assert len(registry.history()) == 1


def test_a_contradiction_before_the_first_batch_is_an_error(tmp_path: Path) -> None:
    lake = OwnLake.of(tmp_path, config({"t": "list.value int"}))
    lake.land("t", "1.json", {"id": 1, "list": [{"value": 1}]})
    with pytest.raises(UsageError, match=r"its elements are list\.element"):
        lake.run("bronze")
    assert not lake.path("bronze.t").exists()


def test_the_example_of_the_docs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(bronze:.*?schema_hints.*?)```", DOCS.read_text(), re.DOTALL)
    lake = OwnLake.of(tmp_path, "pipeline: own\n" + example)
    record = {
        "quantity": 2,
        "customer": {"name": "a", "address": {"zip": 8000}},
        "items": [{"price": 1.25}],
        "tags": {"a": "b"},
        "unit-price": "3.50",
        "metric": {"value": 1.5},
    }
    lake.land("sales", "1.json", record)
    lake.run("bronze")
    assert kinds(lake, "sales") == {
        "customer": 'STRUCT(address STRUCT(zip INTEGER), "name" VARCHAR)',
        "items": "STRUCT(price DECIMAL(10,2))[]",
        "metric": 'STRUCT("value" DOUBLE)',
        "quantity": "INTEGER",
        "tags": "MAP(VARCHAR, VARCHAR)",
        "unit-price": "DECIMAL(10,2)",
    }
    (row,) = lake.rows("bronze.sales")
    assert (str(row["unit-price"]), row["_rescued_data"]) == ("3.50", None)
