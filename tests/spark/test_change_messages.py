"""Real messages of Debezium (`tests/data/debezium`) become the tables that they come from.

Each scenario's files have what the database had at the end, so that a table can be compared with
its source. The messages arrive in two runs, the later half first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.debezium import assert_equal, lines_of, source

from medallion_jobs.testing import LakeHarness

BRONZE = """\
  messages:
    source:
      format: json
      schema: topic string, partition int, offset bigint, key string, value string, headers string
"""
TABLE = """\
  {name}:
    from: bronze.messages
    where: topic like '%.public.{table}'
    envelope:
      format: debezium
      column: value
      key: key
      schema: {schema}
{more}
    apply_changes:
      keys: {keys}
      sequence_by: [_commit_lsn, _lsn]
      apply_as_deletes: _op = 'd'
      apply_as_truncates: _op = 't'
{settings}
"""


def pipeline(folder: Path, *tables: Mapping[str, Any]) -> LakeHarness:
    """A pipeline with a silver table for each of these."""
    text = "pipeline: changes\nbronze:\n" + BRONZE + "silver:\n"
    for table in tables:
        more = "".join(f"      {line}\n" for line in table.get("envelope", ()))
        settings = "".join(f"      {line}\n" for line in table.get("settings", ()))
        text += TABLE.format(
            name=table.get("name", table["table"]),
            table=table["table"],
            schema=table["schema"],
            keys=table["keys"],
            more=more.rstrip(),
            settings=settings.rstrip(),
        )
    path = folder / "changes.yaml"
    path.write_text(text)
    return LakeHarness.of(path, folder)


def run_in_halves(lake: LakeHarness, lines: list[str]) -> None:
    """The later half first, then the other one, with some messages again."""
    middle = len(lines) // 2
    lake.drop("messages", "1.json", *lines[middle:], age=9_000)
    lake.run()
    lake.drop("messages", "2.json", *lines[: middle + 3], age=8_000)
    lake.run()


ORDERS = "id bigint, customer int, state string, amount decimal(10,2), placed timestamp_ntz"
SHOP = (
    {"table": "customers", "keys": "id", "schema": "id int, name string, city string, points int"},
    {
        "table": "orders",
        "keys": "id",
        "schema": ORDERS,
    },
    {
        "table": "orders",
        "name": "orders_history",
        "keys": "id",
        "schema": ORDERS,
        "settings": ["stored_as_scd_type: 2"],
    },
    {
        "table": "order_lines",
        "keys": "[order_id, line]",
        "schema": "order_id bigint, line int, product string, quantity int",
    },
    {"table": "by_index", "keys": "code", "schema": "code string, value int"},
)


IN_CI = ("order_lines", "orders_history")


@pytest.mark.parametrize(
    "names",
    [IN_CI, pytest.param(("customers", "orders", "by_index"), marks=pytest.mark.slow)],
    ids=",".join,
)
def test_every_operation_of_a_shop(spark: Any, tmp_path: Path, names: tuple[str, ...]) -> None:
    tables = [table for table in SHOP if table.get("name", table["table"]) in names]
    lake = pipeline(tmp_path, *tables)
    # Without this mode Debezium sends the default of a column in place of a null.
    run_in_halves(lake, lines_of("changes", "nulls.plain"))
    for name in names:
        if name != "orders_history":
            assert_equal(lake, name, source("changes", name))
    if "orders_history" not in names:
        return
    history = lake.rows("silver.orders_history")
    current = {(row["id"], row["state"]) for row in history if row["__END_AT"] is None}
    wanted = {(int(row["id"]), row["state"]) for row in source("changes", "orders")["rows"]}
    assert current == wanted
    # Order 9 is changed by two transactions that were open at the same time.
    ninth = sorted((r["__START_AT"]["_commit_lsn"], r["state"]) for r in history if r["id"] == 9)
    assert [state for _, state in ninth] == ["by b", "by a, after b"]


DOCUMENTS = (
    "id int, version int, body string, words array<string>, numbers array<int>, "
    "big_numbers array<bigint>, raw binary, js string, jsb string, uids array<string>"
)
EDGES = (
    {"table": "documents", "keys": "id", "schema": DOCUMENTS},
    {
        "table": "letters",
        "keys": "id",
        "schema": "id int, version int, body string, summary string",
        "settings": ["stored_as_scd_type: 2"],
    },
    {
        "table": "items",
        "keys": "id",
        "schema": "id int, name string, price decimal(12,4), stock bigint, old string",
    },
)


@pytest.mark.parametrize(
    "names",
    [("letters", "items"), pytest.param(("documents",), marks=pytest.mark.slow)],
    ids=",".join,
)
def test_values_that_are_not_sent_and_columns_that_come_and_go(
    spark: Any, tmp_path: Path, names: tuple[str, ...]
) -> None:
    lake = pipeline(tmp_path, *(table for table in EDGES if table["table"] in names))
    lines = lines_of("toast", "default.plain")
    # The rows of the snapshot come last.
    first = [line for line in lines if '\\"op\\":\\"r\\"' in line]
    lake.drop("messages", "1.json", *(line for line in lines if line not in first), age=9_000)
    # Up to the change of a number to a text.
    altered = [line for line in lines_of("alter", "default.schemas") if '.items"' in line]
    lake.drop("messages", "2.json", *altered[:14], age=8_900)
    lake.run()
    lake.drop("messages", "3.json", *first, *altered[14:], age=8_000)
    lake.run()
    if "documents" in names:
        # The key of document 1 was changed to 2: the message of the new row lacks what was not
        # changed, and the row says so.
        (document,) = lake.rows("silver.documents")
        assert (document["id"], document["version"], document["body"]) == (2, 3, "short")
        lacking = json.loads(document["_rescued_data"])
        assert lacking["raw"] == "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="
        assert {"words", "big_numbers", "js", "jsb", "uids"} < lacking.keys()
        return
    letters = lake.rows("silver.letters")
    wanted = {row["id"] for row in source("toast", "letters")["rows"]}
    assert {str(row["id"]) for row in letters if row["__END_AT"] is None} == wanted
    kept = sorted((r["id"], r["version"], r["body"][:4]) for r in letters if r["id"] in (1, 3))
    assert kept == [(1, 1, "921e"), (1, 2, "921e"), (3, 1, "d5da"), (3, 2, "d5da")]
    items = {row["id"]: row for row in lake.rows("silver.items")}
    assert_equal_rows(
        items[1], {"name": "tea", "stock": 13, "old": "x", "color": None, "rating": 5}
    )
    assert_equal_rows(items[3], {"colour": "red", "old": "z", "color": None})
    assert_equal_rows(items[5], {"price": Decimal("5.5555"), "stock": 9007199254740993})
    assert_equal_rows(items[6], {"late": True, "rating": None})
    assert json.loads(items[6]["_rescued_data"]) == {"rating": "good"}
    notes = " ".join(str(event) for event in lake.events)
    assert "changes no longer have" in notes


OF_FILES = """\
pipeline: files
bronze:
  dms:
    source:
      format: csv
      options: {header: true}
      schema: Op string, id int, name string, city string, at int
  parts:
    source:
      format: json
      schema: "before string, after string, op string, source string"
  structs:
    source:
      format: json
      schema: "after struct<id int, name string, city string>, op string, source struct<lsn bigint>"
silver:
  dms:
    from: bronze.dms
    envelope: {format: plain, op: Op, schema: "id int, name string, city string, at int"}
    apply_changes: {keys: id, sequence_by: at, apply_as_deletes: _op = 'd'}
  parts:
    from: bronze.parts
    envelope: {format: debezium, schema: "id int, name string, city string"}
    apply_changes: {keys: id, sequence_by: _lsn, apply_as_deletes: _op = 'd'}
  structs:
    from: bronze.structs
    envelope: {format: debezium, schema: "id int, name string, city string"}
    apply_changes: {keys: id, sequence_by: _lsn, apply_as_deletes: _op = 'd'}
"""


def test_a_null_in_a_file_is_a_value(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "files.yaml").write_text(OF_FILES)
    lake = LakeHarness.of(tmp_path / "files.yaml", tmp_path)
    rows = ["I,1,a,Rome,1", "U,1,a,,2", "I,2,b,Oslo,1", "D,2,,,3", "X,3,c,Nice,1"]
    lake.drop("dms", "1.csv", "Op,id,name,city,at", *rows)
    first, later = {"id": 1, "name": "a", "city": "Rome"}, {"id": 1, "name": "a", "city": None}
    for number, (op, row) in enumerate((("c", first), ("u", later)), 1):
        place = {"op": op, "source": {"lsn": number}}
        lake.drop("structs", f"{number}.json", {"after": row, **place})
        texts = {"after": json.dumps(row), "source": json.dumps(place["source"])}
        lake.drop("parts", f"{number}.json", {"op": op, **texts})
    # A part that is missing in the text of the message is another thing.
    texts = {"after": '{"id": 1, "city": "Bern"}', "source": '{"lsn": 3}'}
    lake.drop("parts", "3.json", {"op": "u", **texts})
    lake.run()
    for name, city in (("dms", None), ("structs", None), ("parts", "Bern")):
        (row,) = lake.rows(f"silver.{name}")
        assert_equal_rows(row, {"id": 1, "name": "a", "city": city, "_rescued_data": None})
    (aside,) = lake.quarantined("silver.dms")
    assert "envelope" in aside["rules"]
    assert "has no `Op` that says what the change is" in aside["reasons"][0]


def assert_equal_rows(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    assert {name: row[name] for name in wanted} == wanted


TYPES = (
    "id int, small smallint, whole int, big bigint, exact decimal(10,2), wide decimal(38,10), "
    "no_scale decimal(12,0), flag boolean, txt string, fixed string, bin binary, day date, "
    "ts timestamp_ntz, ts0 timestamp_ntz, ts3 timestamp_ntz, ts6 timestamp_ntz, ts_tz timestamp, "
    "uid string, js string, ints array<int>, exacts array<decimal(10,2)>, days array<date>"
)
UNITS = ["new_columns: rescue", "types: {ts0: millis, ts3: millis}"]
MODES = {
    "default.plain": UNITS,
    "default.schemas": UNITS[:1],
    "decimal_string.schemas": UNITS[:1],
    "time_connect.schemas": UNITS[:1],
    "time_microseconds.schemas": UNITS[:1],
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_every_type_as_the_database_has_it(spark: Any, tmp_path: Path, mode: str) -> None:
    lines = [line for line in lines_of("types", mode) if '.public.types"' in line]
    first = json.loads(json.loads(lines[0])["value"])
    # The files of some modes have only the columns that differ.
    names = first.get("payload", first)["after"]
    schema = ", ".join(
        column
        for column in re.split(r", (?=[a-z_0-9]+ [a-z])", TYPES)
        if column.split()[0] in names
    )
    table = {"table": "types", "keys": "id", "schema": schema, "envelope": MODES[mode]}
    lake = pipeline(tmp_path, table)
    run_in_halves(lake, lines)
    assert_equal(lake, "types", source("types", "types"))
