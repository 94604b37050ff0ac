"""`medallion quarantine`: list, show, export and dismiss, on tables made without a JVM."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from lakes import BRONZE, GOLD, SILVER, Answer, Lake, Medallion

from medallion_jobs.autoloader import FileEntry, Ledger, Outcome, State
from medallion_jobs.checkpoint import Lock
from medallion_jobs.lake import paths
from medallion_jobs.lake.tables import Txn, snapshot
from medallion_jobs.refine.quarantine import releases
from medallion_jobs.report import query
from medallion_jobs.report.quarantine import COLUMNS, SUMMARY_COLUMNS

DOCS = Path(__file__).parents[2] / "docs" / "quarantine.md"

# As medallion_jobs.refine.quarantine.parked_rows has them.
ROWS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("row", pa.string(), nullable=False),
        pa.field("written", pa.string()),
        pa.field("rules", pa.list_(pa.string()), nullable=False),
        pa.field("reasons", pa.list_(pa.string()), nullable=False),
        pa.field("waits_for", pa.list_(pa.struct([("lookup", pa.string()), ("key", pa.string())]))),
        pa.field("file", pa.string()),
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("batch", pa.int64(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("parked_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("since", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)
NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
APP = f"{SILVER}/v1"
# Rules and row by id.
PARKED: dict[str, tuple[list[str], dict[str, Any]]] = {
    "a": (["price", "late"], {"order_id": "o-1", "price": -5.0, "customer": {"id": 1}}),
    "b": (["price"], {"order_id": "=1+1", "price": None, "customer": None}),
    "c": (["late"], {"order_id": "", "price": 2, "note": 'say "hi", é\n'}),
}


@pytest.fixture(autouse=True)
def _quick(_one_duck: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def connect(at: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        yield _one_duck

    monkeypatch.setattr("medallion_jobs.report.quarantine.connect", connect)


def park(lake: Lake, generation: int = 1, **parked: tuple[list[str], dict[str, Any]]) -> None:
    """A batch of rows, each a minute after the one before."""
    rows = [
        {
            "id": one,
            "row": json.dumps(row, ensure_ascii=False),
            "rules": rules,
            "reasons": [f"broke {rule}" for rule in rules],
            "file": f"file:/in/{one}.json",
            "generation": generation,
            "batch": 7,
            "run_id": "run",
            "parked_at": NOON + timedelta(minutes=minute),
            "since": NOON,
        }
        for minute, (one, (rules, row)) in enumerate(parked.items())
    ]
    path = lake.paths(SILVER).quarantine
    write_deltalake(path, pa.Table.from_pylist(rows, schema=ROWS), mode="append")


def claim(lake: Lake, number: int, *ids: str) -> None:
    """As a replay of these rows by a transaction of the table."""
    parked_rows = lake.paths(SILVER).quarantine
    releases.ensure(parked_rows)
    said = {"app_id": APP, "number": number, "how": "replayed", "run_id": "run", "at": NOON}
    table = pa.Table.from_pylist([{"id": one, **said} for one in ids], schema=releases.COLUMNS)
    write_deltalake(paths.releases(parked_rows), table, mode="append")


def refuse_lines(lake: Lake) -> None:
    lines = [
        {
            "file": f"file:/in/{generation}.json",
            "file_version": 1,
            "line": line,
            "reason": reason,
            "generation": generation,
            "batch": generation,
            "run_id": "run",
            "load_time": NOON,
        }
        for line, reason, generation in (
            ("{", "not valid JSON", 1),
            ("{", "not valid JSON", 1),
            ("[1]", "not an object", 1),
            ("{", "not valid JSON", 2),
        )
    ]
    write_deltalake(lake.paths(BRONZE).quarantine, pa.Table.from_pylist(lines))


def listed(medallion: Medallion, *words: str) -> dict[str, tuple[int, ...]]:
    """By rule: open, replayed, dismissed, superseded."""
    rows = json.loads(medallion("quarantine", "list", *words, "--json").out)
    assert all(tuple(row) == SUMMARY_COLUMNS for row in rows)
    return {row["rule"]: tuple(row[name] for name in SUMMARY_COLUMNS[2:6]) for row in rows}


def shown(medallion: Medallion, *words: str) -> list[str]:
    answer = medallion("quarantine", "show", str(SILVER), *words, "--json")
    assert answer.code == 0
    return [row["id"] for row in json.loads(answer.out)]


@pytest.mark.parametrize("with_an_empty_table", [False, True])
def test_where_nothing_is_quarantined_every_command_says_so(
    lake: Lake, medallion: Medallion, tmp_path: Path, *, with_an_empty_table: bool
) -> None:
    if with_an_empty_table:
        park(lake)
    before = lake.files()
    file = tmp_path / "out.json"
    for words in (("list",), ("list", str(BRONZE)), ("show", str(SILVER))):
        answer = medallion("quarantine", *words)
        assert (answer.code, answer.out, answer.err) == (0, "", "nothing is quarantined\n")
        assert json.loads(medallion("quarantine", *words, "--json").out) == []
    answer = medallion("quarantine", "dismiss", str(SILVER), "--reason", "x", "--yes")
    assert (answer.code, answer.err) == (0, "dismissed: 0 rows\n")
    assert lake.files() == before
    assert medallion("quarantine", "export", str(SILVER), "--to", str(file)).code == 0
    assert file.read_bytes() == b""


def test_list_counts_a_row_under_each_rule_and_by_what_became_of_it(
    lake: Lake, medallion: Medallion
) -> None:
    park(lake, **PARKED)
    assert listed(medallion) == {"price": (2, 0, 0, 0), "late": (2, 0, 0, 0)}
    # A claim counts with its transaction in the table, and not before.
    claim(lake, 5, "a")
    assert listed(medallion)["price"] == (2, 0, 0, 0)
    lake.write(SILVER, 4)
    assert listed(medallion)["price"] == (2, 0, 0, 0)
    lake.write(SILVER, 5)
    assert listed(medallion) == {"price": (1, 1, 0, 0), "late": (1, 1, 0, 0)}
    assert shown(medallion) == ["c", "b"]
    (late, _) = json.loads(medallion("quarantine", "list", str(SILVER), "--json").out)
    assert (late["first"], late["last"]) == (
        NOON.isoformat(),
        (NOON + timedelta(minutes=2)).isoformat(),
    )


def test_rows_of_an_older_generation_are_superseded(
    lake: Lake, ran: Lake, medallion: Medallion
) -> None:
    assert ran is lake
    park(lake, **PARKED)
    releases.dismiss(lake.paths(SILVER).quarantine, ["b"], "known", "run")
    lake.reset(SILVER)
    park(lake, generation=2, z=PARKED["a"])
    assert listed(medallion) == {"price": (1, 0, 1, 1), "late": (1, 0, 0, 2)}
    assert shown(medallion) == ["z"]


def test_lines_of_a_file_that_was_read_again_are_superseded(
    lake: Lake, medallion: Medallion
) -> None:
    refuse_lines(lake)  # three of /in/1.json in v1, one of /in/2.json in v2
    one, two = (FileEntry(1, f"file:/in/{number}.json", 10) for number in (1, 2))
    ledger = Ledger(lake.paths(BRONZE).ledger)
    ledger.ensure()
    events = (
        # Batch and generation of the lines, then a generation that found both loaded.
        (1, 1, [Outcome(one, State.COMMITTED, rows=1, bad=3)]),
        (2, 2, [Outcome(one, State.COMMITTED, rows=1, bad=3)]),
        (2, 3, [Outcome(two, State.COMMITTED, bad=1), Outcome(one, State.MISSING)]),
    )
    for generation, number, outcomes in events:
        ledger.record(outcomes, Txn(f"{BRONZE}/v{generation}", number, "run"), generation)
    open_lines = {"not valid JSON": (3, 0, 0, 0), "not an object": (1, 0, 0, 0)}
    assert listed(medallion, str(BRONZE)) == open_lines
    # A reading without bad records leaves nothing but its event.
    ledger.record([Outcome(one, State.COMMITTED, rows=4)], Txn(f"{BRONZE}/v3", 0, "run"), 3)
    assert listed(medallion, str(BRONZE)) == {
        "not valid JSON": (1, 0, 0, 2),
        "not an object": (0, 0, 0, 1),
    }
    rows = json.loads(medallion("quarantine", "show", str(BRONZE), "--json").out)
    assert [row["file"] for row in rows] == [two.path]
    # What was dismissed stays so.
    words = ("--reason", "no", "--yes", "--rule", "not valid JSON")
    assert medallion("quarantine", "dismiss", str(BRONZE), *words).code == 0
    ledger.record([Outcome(two, State.COMMITTED, rows=1)], Txn(f"{BRONZE}/v3", 1, "run"), 3)
    assert listed(medallion, str(BRONZE))["not valid JSON"] == (0, 0, 1, 2)


def test_lines_of_bronze_stand_under_their_reason(lake: Lake, medallion: Medallion) -> None:
    refuse_lines(lake)
    park(lake, **PARKED)
    rules = listed(medallion, str(BRONZE))
    assert rules == {"not valid JSON": (3, 0, 0, 0), "not an object": (1, 0, 0, 0)}
    assert len(listed(medallion)) == 4
    words = ("--rule", "not an object", "--json")
    (line,) = json.loads(medallion("quarantine", "show", str(BRONZE), *words).out)
    assert (line["row"], line["reasons"], line["batch"]) == ("[1]", ["not an object"], 1)
    # Two lines are alike in all; the third came again with another batch.
    words = ("--rule", "not valid JSON", "--reason", "x", "--yes")
    assert "2 rows" in medallion("quarantine", "dismiss", str(BRONZE), *words).err
    assert listed(medallion, str(BRONZE))["not valid JSON"] == (0, 0, 3, 0)


def test_show_has_the_row_as_it_was_and_why(lake: Lake, medallion: Medallion) -> None:
    park(lake, **PARKED)
    (row,) = json.loads(medallion("quarantine", "show", str(SILVER), "--limit", "1", "--json").out)
    assert tuple(row) == COLUMNS
    assert json.loads(row["row"]) == PARKED["c"][1]
    assert (row["rules"], row["reasons"], row["batch"]) == (["late"], ["broke late"], 7)
    assert shown(medallion, "--rule", "price") == ["b", "a"]
    assert shown(medallion, "--since", "2026-01-31T12:01") == ["c", "b"]
    assert shown(medallion, "--since", "1h", "--rule", "late") == []
    assert "broke late" in medallion("quarantine", "show", str(SILVER)).out


def test_an_export_as_json_is_the_rows_as_they_were(
    lake: Lake, medallion: Medallion, tmp_path: Path
) -> None:
    park(lake, **PARKED)
    file = tmp_path / "rows.json"
    words = ("export", str(SILVER), "--to", str(file))
    answer = medallion("quarantine", *words)
    assert (answer.code, answer.out) == (0, "")
    assert "3 rows" in answer.err
    assert [json.loads(line) for line in file.read_text("utf-8").splitlines()] == [
        row for _, row in PARKED.values()
    ]
    refused = medallion("quarantine", *words, "--rule", "price")
    assert (refused.code, len(file.read_text("utf-8").splitlines())) == (2, 3)
    assert "--force" in refused.err
    assert medallion("quarantine", *words, "--rule", "price", "--force").code == 0
    assert len(file.read_text("utf-8").splitlines()) == 2
    assert [one.name for one in tmp_path.iterdir() if one.suffix != ""] == [file.name]
    assert len(shown(medallion)) == 3


def test_an_export_of_bronze_has_records_whole(
    lake: Lake, medallion: Medallion, tmp_path: Path
) -> None:
    refuse_lines(lake)
    about = {"file_version": 1, "reason": "long", "generation": 2, "run_id": "run"}
    record = '{"id": "' + "ä" * 70_000
    lines = [
        {"file": "file:/in/long.json", "line": record[:65_536], "bytes": record.encode()},
        {"file": "file:/in/latin.json", "line": "M\ufffdller", "bytes": b"M\xfcller"},
    ]
    write_deltalake(
        lake.paths(BRONZE).quarantine,
        pa.Table.from_pylist([{**about, **one, "batch": 9, "load_time": NOON} for one in lines]),
        mode="append",
        schema_mode="merge",
    )
    to = tmp_path / "bad.json"
    medallion("quarantine", "export", str(BRONZE), "--rule", "long", "--to", str(to))
    assert sorted(to.read_text().splitlines()) == sorted(["M\ufffdller", record])


def test_an_export_as_csv_has_no_formula_and_tells_null_from_empty(
    lake: Lake, medallion: Medallion, tmp_path: Path
) -> None:
    exact = '{"order_id": "@x", "price": -12345678901234567890.10, "tags": [1.0, {"a": 1e400}]}'
    park(lake, **PARKED, d=(["late"], {"raw": exact}))
    path = lake.paths(SILVER).quarantine
    rows = DeltaTable(path).to_pyarrow_table().to_pylist()
    rows[3]["row"] = exact
    write_deltalake(path, pa.Table.from_pylist(rows, schema=ROWS), mode="overwrite")
    file = tmp_path / "rows.csv"
    assert medallion("quarantine", "export", str(SILVER), "--to", str(file), "-f", "csv").code == 0
    with file.open(encoding="utf-8", newline="") as lines:
        read = list(csv.DictReader(lines))
    nothing = dict.fromkeys(("order_id", "price", "customer", "note", "tags"), "")
    assert read == [
        {**nothing, "order_id": "o-1", "price": "-5.0", "customer": '{"id":1}'},
        {**nothing, "order_id": "'=1+1"},
        {**nothing, "price": "2", "note": 'say "hi", é\n'},
        {
            **nothing,
            "order_id": "'@x",
            "price": "-12345678901234567890.10",
            "tags": '[1.0,{"a":1e400}]',
        },
    ]
    assert '\n"",2,,' in file.read_text("utf-8")


def test_an_export_as_parquet_is_the_quarantine_itself(
    lake: Lake, medallion: Medallion, tmp_path: Path
) -> None:
    park(lake, **PARKED)
    refuse_lines(lake)
    file = tmp_path / "rows.parquet"
    words = ("--to", str(file), "--format", "parquet", "--force")
    assert medallion("quarantine", "export", str(SILVER), *words).code == 0
    read = pq.read_table(file)
    assert (read.column_names, read.column("id").to_pylist()) == (list(COLUMNS), ["a", "b", "c"])
    assert medallion("quarantine", "export", str(BRONZE), *words).code == 0
    assert sorted(pq.read_table(file).column("row").to_pylist()) == ["[1]", "{", "{", "{"]


def test_an_export_into_no_folder_is_refused(
    lake: Lake, medallion: Medallion, tmp_path: Path
) -> None:
    park(lake, **PARKED)
    to = str(tmp_path / "nowhere" / "rows.json")
    answer = medallion("quarantine", "export", str(SILVER), "--to", to)
    assert answer.code == 2
    assert "does not exist" in answer.err


def test_dismiss_shows_first_and_then_marks(lake: Lake, medallion: Medallion) -> None:
    park(lake, **PARKED)
    before = lake.files()
    words = ("dismiss", str(SILVER), "--reason", "a test order")

    answer = medallion("quarantine", *words, "--rule", "price")
    assert (answer.code, answer.err) == (0, "2 rows; nothing was changed; add --yes to do it\n")
    assert lake.files() == before

    assert medallion("quarantine", *words, "--rule", "price", "--yes").code == 0
    assert listed(medallion) == {"price": (0, 0, 2, 0), "late": (1, 0, 1, 0)}
    again = medallion("quarantine", *words, "--rule", "price", "--yes")
    assert (again.code, again.err) == (0, "dismissed: 0 rows\n")

    assert medallion("quarantine", *words, "--id", "c", "--yes").code == 0
    assert shown(medallion) == []
    path = paths.releases(lake.paths(SILVER).quarantine)
    kept = DeltaTable(path).to_pyarrow_table().to_pylist()
    assert {row["id"]: row["reason"] for row in kept} == dict.fromkeys("abc", "a test order")
    table = snapshot(lake.paths(SILVER).quarantine)
    assert table
    assert table.rows == 3


def test_dismiss_waits_for_no_running_query(lake: Lake, medallion: Medallion) -> None:
    park(lake, **PARKED)
    with Lock(lake.home(SILVER).lock, str(SILVER)):
        before = lake.files()
        answer = medallion("quarantine", "dismiss", str(SILVER), "--reason", "x", "--yes")
        assert answer.code == 75
        assert lake.files() == before
        assert medallion("quarantine", "dismiss", str(SILVER), "--reason", "x").code == 0


def test_the_queries_of_the_docs_run(lake: Lake) -> None:
    park(lake, **PARKED)
    by_rule, by_order = re.findall(r'medallion query "(.*)"', DOCS.read_text())
    assert sorted(query.run(lake.config, by_rule)[1]) == [
        (str(SILVER), "late", 2),
        (str(SILVER), "price", 2),
    ]
    assert sorted(query.run(lake.config, by_order)[1]) == [
        ("=1+1", ["broke price"]),
        ("o-1", ["broke price", "broke late"]),
    ]


def test_held_rows_are_a_table_too(lake: Lake) -> None:
    path = lake.paths(SILVER).held
    write_deltalake(path, pa.table({"id": ["a"]}))
    releases.dismiss(path, ["a"], "known", "run")
    assert query.run(lake.config, "SELECT * FROM held.silver")[1] == [(str(SILVER), "a")]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("show", str(GOLD)), (str(GOLD), str(BRONZE), str(SILVER))),
        (("list", "sales"), (str(BRONZE), str(SILVER))),
        (("show", str(SILVER), "--rule", "x"), ("x", "late, price")),
        (("show", str(BRONZE), "--rule", "x"), ("x", "nothing is quarantined")),
        (("show", str(SILVER), "--since", "noon"), ("noon", "2h")),
        (("dismiss", str(SILVER), "--reason", " ", "--yes"), ("--reason",)),
        (("dismiss", str(SILVER), "--reason", "x", "--id", "q", "--yes"), ("q", "show")),
        (("dismiss", str(SILVER), "--reason", "x", "--rule", "q", "--yes"), ("q", "price")),
    ],
)
def test_wrong_use_names_what_there_is(
    lake: Lake, medallion: Medallion, words: tuple[str, ...], named: tuple[str, ...]
) -> None:
    park(lake, **PARKED)
    before = lake.files()
    answer: Answer = medallion("quarantine", *words)
    assert (answer.code, answer.out) == (2, "")
    for word in named:
        assert word in answer.err
    assert lake.files() == before
