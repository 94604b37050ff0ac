"""Promotion: a table gets the columns and types that it would have if its files were read now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from support.own import OwnLake

from medallion_jobs.autoloader.schemas.registry import Registry
from medallion_jobs.errors import MedallionError
from medallion_jobs.lake.tables import adopt

pytestmark = pytest.mark.usefixtures("spark")

DATA = Path(__file__).parents[1] / "data"
SOURCES = {
    "odd": "format: json",
    "sheet": "format: csv, options: {dateFormat: dd.MM.yyyy}",
    "typed": "format: parquet",
}
LOOSE = """
pipeline: loose
bronze:
  loose:
    source: {format: json, schema_evolution: rescue}
silver:
  loose: {from: bronze.loose, select: [id, amount]}
gold:
  loose: {from: silver.loose, mode: complete, group_by: [amount], measures: {n: count(*)}}
"""
NARROW = {
    "odd": "id bigint, price int, name struct<first: string>",
    "sheet": "id bigint, price string",
    "typed": "id bigint",
}
WIDE = {
    "odd": "id bigint, price decimal(12,2), name struct<first: string, last: string>, "
    "channel string, size int, tags array<int>, at timestamp, `unit-price` double",
    "sheet": "id bigint, price decimal(6,2), day date, note string",
    "typed": "id bigint, size bigint, channel string",
}
COLUMNS = {
    "odd": [
        *("price:decimal(12,2)", "name.last", "channel", "size:int", "tags:array<int>"),
        *("at:timestamp", "`unit-price`"),
    ],
    "sheet": ["price", "day", "note"],
    "typed": ["size", "channel"],
}
# A column that only the wide table has.
NEW = {"odd": ("channel", "string"), "typed": ("size", "bigint")}
SLOW = pytest.mark.slow
# Written by hand: what writers of JSON do. The texts have to come through letter for letter.
ODD = r"""
{"id":1,"price":7,"channel":"web","size":3,"unit-price":0.10}
{"id":2,"price":3000000000,"channel":"a \"quote\", a comma, {a brace}","size":"4"}
{"id":3,"price":1.5,"channel":5.00,"size":5.00,"tags":[1,2,null]}
{"id":4,"price":"1,25","channel":null,"size":9999999999,"tags":["x",1]}
{"id":5,"name":{"first":"Ada","last":"L"},"channel":{"of": "an object"},"other":1.10}
{"id":6,"name":{"first":"Bo","age":3},"channel":["a",  1e400],"size":true}
{"id":7,"name":"only a text","channel":"null","tags":"null","_file_path":"mine"}
{"id":8,"_file_path":"mine","channel":"b"}
{"id":9,"at":"2026-01-31T10:00:00Z","channel":"\u00e9\ud83d\ude00 \u2028","Channel":"other"}
{"id":10,"at":"10:15","channel":"\ud83d","price":12345678901234567890,"unit-price":"1e3"}
{"id":11,"price":-0,"size":"","channel":"","name":null}
{"id":"x","price":2}
"""
SHEET = 'id,price,day,note,more\n1,1.50,31.01.2026,"a, b",x\n2,"1,25",2026-01-31,,\n3,,,"""q""",y\n'


def land(lake: OwnLake) -> None:
    lake.drop_bytes("../odd/a.json", ODD.strip().encode())
    lake.drop_bytes("../odd/b.json", b'{"id":20,"price":1}\n')
    lake.drop_bytes("../sheet/a.csv", SHEET.encode())
    table = {"id": [1, 2, 3], "size": [1, None, 3], "channel": ["web", "shop", None]}
    folder = lake.landing / "typed"
    folder.mkdir(parents=True)
    pq.write_table(pa.table(table), folder / "a.parquet")


def rows(lake: OwnLake, table: str) -> list[dict[str, Any]]:
    """By delta-rs, as DuckDB has them too; rescued data as JSON."""
    found = DeltaTable(lake.path(table)).to_pyarrow_table()
    path = lake.path(table)
    count = duckdb.sql(f"SELECT count(*) FROM delta_scan('{path}')").fetchone()
    assert count == (found.num_rows,)
    kept = [name for name in found.column_names if name not in ("_load_time", "_ingestion_time")]
    read = [{**row, "_rescued_data": _parsed(row)} for row in found.select(kept).to_pylist()]
    return sorted(read, key=lambda row: json.dumps(row, sort_keys=True, default=str))


def _parsed(row: dict[str, Any]) -> object:
    text = row["_rescued_data"]
    return text and json.loads(text)


def config(tables: Sequence[str], columns: Mapping[str, str]) -> str:
    return "pipeline: promote\nbronze:\n" + "".join(
        f"  {name}: {{source: {{{SOURCES[name]}, schema: '{columns[name]}'}}}}\n" for name in tables
    )


def promote(lake: OwnLake, table: str, *columns: str) -> str:
    return lake.cli("schema", "promote", table, *columns, "--reason", "a test", "--yes")


@pytest.mark.parametrize("tables", [("odd", "sheet"), pytest.param(("typed",), marks=SLOW)])
def test_rows_are_as_if_their_files_were_read_with_the_columns(
    tables: tuple[str, ...], tmp_path: Path
) -> None:
    lake = OwnLake.of(tmp_path / "narrow", config(tables, NARROW))
    wide = OwnLake(tmp_path / "wide" / "lake", lake.landing, lake.settings)
    wide.configure(config(tables, WIDE))
    land(lake)
    lake.run()
    wide.run()
    counts = {table: len(rows(lake, f"bronze.{table}")) for table in tables}
    (first, *_), (column, kind) = tables, NEW[tables[0]]

    with pytest.raises(MedallionError, match=f"write `{column} {kind}` into `schema`") as refused:
        promote(lake, f"bronze.{first}", f"{column}:{kind}")
    assert refused.value.code == "promotion_against_config"
    lake.configure(config(tables, WIDE))
    if first == "odd":
        with pytest.raises(MedallionError, match="columns of other types") as refused:
            lake.run("bronze")
        told = "medallion schema promote bronze.odd 'price:decimal(12,2)'"
        assert told in refused.value.next_step
        said = json.loads(lake.cli("schema", "promote", "bronze.odd", "channel", "size", "--json"))
        assert said["size"] == {
            **{"type": "int", "rescued": 6, "filled": 3, "unfit": 3, "put_back": 0, "lost": 0}
        }
    assert len(Registry(lake.path(f"schemas/{first}")).history()) == 1

    for table in tables:
        promote(lake, f"bronze.{table}", *COLUMNS[table])
        assert rows(lake, f"bronze.{table}") == rows(wide, f"bronze.{table}"), table
        assert len(rows(lake, f"bronze.{table}")) == counts[table]

    lake.drop_bytes("../odd/c.json", b'{"id":30,"channel":"new","price":3.25}\n')
    for one in (lake, wide):
        one.run()
    lake.cli("verify", "--layers")
    assert rows(lake, f"bronze.{first}") == rows(wide, f"bronze.{first}")
    reasons = [version.why for version in Registry(lake.path(f"schemas/{first}")).history()]
    assert reasons[:2] == ["declared", "promoted"]
    done = lake.rows("metrics/rebuilds")[0]
    assert (done["reason"], done["rows_before"], done["rows_after"]) == (
        *("a test", counts[done["table_name"].removeprefix("bronze.")]),
        counts[done["table_name"].removeprefix("bronze.")],
    )
    assert done["part"].startswith("promoted: ")


def test_readers_go_on_and_a_crash_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = OwnLake.of(tmp_path, LOOSE)
    lake.land("loose", "1.json", {"id": "1", "amount": "10"})
    lake.run()
    lake.land("loose", "2.json", {"id": "2", "amount": "20", "channel": "web", "n": 5})
    lake.run("bronze")  # silver has not read it yet
    bronze, registry = lake.path("bronze.loose"), Registry(lake.path("schemas/loose"))
    untouched = DeltaTable(bronze).version(), registry.history()
    for columns, why in (
        (["chanel"], "no row has it in `_rescued_data`; most frequent there are: channel, n"),
        (["Amount"], "of another letter case"),
        (["channel.of"], "there is no column channel; promote it as a whole"),
        (["_rescued_data"], "its values do not come from inside the files"),
        (["channel:binary"], "is not read as binary"),
        (["amount:int"], "silver.loose streams it, and has not read all of its rows"),
    ):
        with pytest.raises(MedallionError, match=why):
            promote(lake, "bronze.loose", *columns)
    assert (DeltaTable(bronze).version(), registry.history()) == untouched
    assert "nothing" not in lake.cli("schema", "promote", "bronze.loose", "channel", "--dry-run")
    assert (DeltaTable(bronze).version(), registry.history()) == untouched

    # Files that are gone are not needed.
    for file in lake.landing.joinpath("loose").iterdir():
        file.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(adopt, "rearrange", _dies)
        with pytest.raises(_Death):
            promote(lake, "bronze.loose", "channel", "n:int")
    assert (DeltaTable(bronze).version(), registry.history()) == untouched
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "record", _dies)
        with pytest.raises(_Death):
            promote(lake, "bronze.loose", "channel", "n:int")
    assert registry.history() == untouched[1]
    adds = [a["add"] for a in _log(bronze) if "add" in a]
    assert len(adds) == 1  # the other file has no such row
    assert not any(action["dataChange"] for action in adds)

    lake.land("loose", "3.json", {"id": "3", "amount": "20", "channel": "shop", "n": "x"})
    lake.run()
    assert [v.why for v in registry.history()] == ["inferred", "promoted"]
    assert [(r["id"], r["channel"], r["n"]) for r in rows(lake, "bronze.loose")] == [
        *(("1", None, None), ("2", "web", 5), ("3", "shop", None)),
    ]
    assert [r["id"] for r in sorted(lake.rows("silver.loose"), key=str)] == ["1", "2", "3"]
    lake.cli("verify", "--layers")

    # Another type of a column: all rows are written again, and readers go on.
    promote(lake, "bronze.loose", "amount:bigint")
    lake.land("loose", "4.json", {"id": "4", "amount": 30, "channel": "x"})
    lake.run("bronze")
    assert [r["amount"] for r in rows(lake, "bronze.loose")] == [10, 20, 20, 30]
    with pytest.raises(MedallionError, match=r"silver\.loose"):
        lake.run("silver")
    lake.cli("rebuild", "silver.loose", "--downstream", "--reason", "a test", "--yes")
    lake.run()
    assert sorted(r["amount"] for r in lake.rows("silver.loose")) == [10, 20, 20, 30]
    lake.cli("verify", "--layers")


def test_a_crash_between_the_table_and_its_registry_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "{pipeline: p, bronze: {grown: {source: {format: json%s}}}}"
    lake = OwnLake.of(tmp_path, text % "")
    registry, table = Registry(lake.path("schemas/grown")), lake.path("bronze.grown")
    for number, row in enumerate(({"id": "1", "price": "1"}, {"id": "2", "zip": "z"})):
        lake.land("grown", f"{number}.json", row, at=number)
        with monkeypatch.context() as patch:
            patch.setattr(Registry, "record", _fails)
            with pytest.raises(Exception, match="the process died"):
                lake.run()
        assert len(registry.history()) == number
        assert ("zip" in DeltaTable(table).to_pyarrow_table().column_names) == bool(number)
        lake.run()
        lake.cli("verify", "--layers")
    assert [(v.version, v.why, v.batch) for v in registry.history()] == [
        *((1, "inferred", None), (2, "new columns", 1)),
    ]
    # A refused hint names the table, and leaves no version.
    lake.configure(text % ", schema_hints: price date")
    with pytest.raises(MedallionError) as refused:
        lake.run()
    assert "bronze.grown has columns of other types" in refused.value.what
    assert "`price`: the table has string, wanted is date" in refused.value.what
    assert "medallion schema promote bronze.grown price:date" in refused.value.next_step
    lake.configure(text % "")
    lake.run()
    assert len(registry.history()) == 2


@SLOW
def test_messages_of_debezium_in_a_partitioned_table(tmp_path: Path) -> None:
    text = """
    pipeline: messages
    bronze:
      odd:
        source: {{format: json, schema: "{}"}}
        layout: {{partition_by: [op]}}
    """
    columns = "source struct<table: string, lsn: bigint, txId: int>, ts_ms bigint, at timestamp_ntz"
    lake = OwnLake.of(tmp_path / "narrow", text.format("op string"))
    messages = list(debezium())
    for number in range(3):
        lake.land("odd", f"{number}.json", *messages[number::3], at=number)
    lake.run()
    wide = OwnLake(tmp_path / "wide" / "lake", lake.landing, lake.settings)
    wide.configure(text.format(f"op string, {columns}"))
    wide.run()

    lake.configure(wide.config_file.read_text(encoding="utf-8"))
    promote(lake, "bronze.odd", "source", "ts_ms", "at")

    assert rows(lake, "bronze.odd") == rows(wide, "bronze.odd")
    table = lake.path("bronze.odd")
    found = duckdb.sql(
        f"SELECT op, source.lsn, ts_ms, messages.at FROM delta_scan('{table}') messages"
    ).fetchall()
    wanted = (
        (m["op"], m["source"]["lsn"], m["ts_ms"], datetime.fromisoformat(m["at"])) for m in messages
    )
    assert sorted(found, key=str) == sorted(wanted, key=str)
    lake.land("odd", "more.json", *messages[:5], at=9)  # both read the same folder
    for one in (lake, wide):
        one.run()
        one.cli("verify", "--layers")
    assert rows(lake, "bronze.odd") == rows(wide, "bronze.odd")


def debezium() -> Iterator[dict[str, Any]]:
    """Changes as Debezium sent them; each with a time of its own, without a zone."""
    sent = (DATA / "debezium" / "changes.default.plain.jsonl").read_text(encoding="utf-8")
    for number, line in enumerate(sent.split("\n")):
        value = json.loads(json.loads(line)["value"] or "{}") if line else {}
        if "source" in value:
            yield {**value, "at": f"2026-01-31T10:00:{number % 60:02}"}


def _fails(*_: object) -> None:
    raise RuntimeError("the process died")


class _Death(BaseException):
    """Is handled by nobody, as a kill."""


def _dies(*_: object, **__: object) -> int:
    raise _Death


def _log(table: Path) -> list[dict[str, Any]]:
    newest = max((table / "_delta_log").glob("*.json"))
    return [json.loads(line) for line in newest.read_text(encoding="utf-8").splitlines()]
