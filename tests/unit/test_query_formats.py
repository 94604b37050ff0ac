"""What `medallion query` writes, and where."""

from __future__ import annotations

import io
import json
import math
import re
import signal
import subprocess
import sys
import time
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from lakes import CONFIG, GOLD, SILVER, Lake, Medallion, write_table

from medallion_jobs.cli.query import Form
from medallion_jobs.errors import UsageError
from medallion_jobs.report.arrow import Batches
from medallion_jobs.report.atomic_file import open_atomically
from medallion_jobs.report.formats import WRITERS

quick = pytest.mark.usefixtures("quick_duck")
LONG = "SELECT i, i::VARCHAR || ' and more' AS word FROM range(100000000) t(i)"
MOMENT = datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc)
_PRICE, _AT = pa.decimal128(38, 10), pa.timestamp("us", tz="UTC")
TYPES = pa.schema(
    {
        "whole": pa.int64(),
        "price": _PRICE,
        "share": pa.float64(),
        "seen": _AT,
        "day": pa.date32(),
        "name": pa.string(),
        "flag": pa.bool_(),
        "data": pa.binary(),
        "inside": pa.struct({"tags": pa.list_(pa.string()), "price": _PRICE, "seen": _AT}),
        "by_name": pa.map_(pa.string(), pa.int32()),
    }
)
ROWS: list[dict[str, Any]] = [
    {
        "whole": 2**62,
        "price": Decimal("-9999999999999999999999999999.0000000001"),
        "share": 0.1,
        "seen": MOMENT,
        "day": date(2026, 1, 31),
        "name": 'a "quoted", text\nof two lines \u2028 é',
        "flag": True,
        "data": b"\xff\x00",
        "inside": {"tags": ["a", None], "price": Decimal("0E-10"), "seen": MOMENT},
        "by_name": [("k", 1)],
    },
    {
        "whole": 0,
        "price": Decimal("0E-10"),
        "share": float("nan"),
        "seen": datetime(1600, 1, 1, tzinfo=timezone.utc),
        "day": date(1, 1, 1),
        "name": "",
        "flag": False,
        "data": b"",
        "inside": {"tags": [], "price": None, "seen": None},
        "by_name": [],
    },
    dict.fromkeys(TYPES.names),
]


@pytest.fixture
def typed(lake: Lake) -> Lake:
    """The lake with a table of all types."""
    write_deltalake(lake.path(GOLD), pa.Table.from_pylist(ROWS, TYPES))
    return lake


def same(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> bool:
    return repr(found).replace("zoneinfo.ZoneInfo(key='UTC')", "datetime.timezone.utc") == repr(
        wanted
    )


@quick
@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_the_binary_formats_keep_types_and_values(
    typed: Lake, medallion: Medallion, tmp_path: Path, form: str
) -> None:
    file = tmp_path / f"rows.{form}"
    told = medallion("query", f"SELECT * FROM {GOLD}", "--out", str(file))
    assert (told.code, told.out, told.err) == (0, "", "")
    if form == "parquet":
        table = pq.read_table(file)
    else:
        table = pa.ipc.open_stream(file.read_bytes()).read_all()
    kinds = {field.name: field.type for field in table.schema}
    assert kinds["price"] == _PRICE
    assert kinds["seen"] == _AT
    assert kinds["day"] == pa.date32()
    assert table.schema.field("inside").type.field("seen").type == _AT
    assert same(table.to_pylist(), ROWS)


@quick
def test_json_is_one_array_of_plain_values(typed: Lake, medallion: Medallion) -> None:
    told = medallion("query", f"SELECT * FROM {GOLD}", "--json")
    found = json.loads(told.out, parse_constant=pytest.fail)
    at, zero = "2026-01-31T23:59:59.999999+00:00", "0.0000000000"
    assert found[0] == {
        **ROWS[0],
        "price": "-9999999999999999999999999999.0000000001",
        "seen": at,
        "day": "2026-01-31",
        "data": "/wA=",
        "inside": {"tags": ["a", None], "price": zero, "seen": at},
        "by_name": {"k": 1},
    }
    assert found[1]["share"] == "NaN"
    assert (found[1]["price"], found[1]["seen"]) == (zero, "1600-01-01T00:00:00+00:00")
    assert found[2] == ROWS[2]
    # As Python lays it out, so that what was written before stays as it was.
    assert told.out == json.dumps(found, indent=2, ensure_ascii=False) + "\n"


@quick
def test_csv_tells_null_from_an_empty_text(
    typed: Lake, medallion: Medallion, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    assert medallion("query", f"SELECT * FROM {GOLD}", "--out", str(file)).code == 0
    lines = file.read_text(encoding="utf-8").split("\n")
    assert lines[0] == ",".join(TYPES.names)
    assert lines[-2:] == ["," * (len(TYPES.names) - 1), ""]
    kinds = "{whole: 'BIGINT', price: 'DECIMAL(38,10)', share: 'DOUBLE', name: 'VARCHAR', "
    kinds += "seen: 'TIMESTAMPTZ', day: 'DATE', flag: 'BOOLEAN', data: 'VARCHAR', inside: 'JSON'}"
    options = f"header = true, types = {kinds}, allow_quoted_nulls = false, nullstr = ''"
    read = duckdb.sql(
        "SELECT whole, price, share, seen = '2026-01-31 23:59:59.999999Z', day, name, flag, "
        f"from_base64(data) AS data, inside->>'price' AS p FROM read_csv('{file}', {options})"
    ).fetchall()
    plain = [tuple(row[key] for key in list(TYPES.names)[:8]) for row in ROWS]
    wanted = [
        (*row[:3], None if row[3] is None else row[3] == MOMENT, *row[4:], price)
        for row, price in zip(plain, ("0.0000000000", None, None), strict=True)
    ]
    assert repr(read) == repr(wanted)
    assert math.isnan(read[1][2])


@quick
def test_a_table_shows_what_is_inside_as_json(typed: Lake, medallion: Medallion) -> None:
    told = medallion("query", f"SELECT inside, whole FROM {GOLD} WHERE flag")
    assert '{"tags": ["a", null], "price": "0.0000000000", "seen": "2026-' in told.out


@quick
@pytest.mark.parametrize("form", list(Form), ids=lambda form: form.value)
def test_no_rows_are_still_columns(medallion: Medallion, tmp_path: Path, form: Form) -> None:
    file = tmp_path / "out"
    sql = "SELECT 1 AS one, 'x' AS word WHERE false"
    assert medallion("query", sql, "--format", form.value, "--out", str(file)).code == 0
    if form in (Form.TABLE, Form.CSV):
        assert re.findall(r"\w+", file.read_text()) == ["one", "word"]
    elif form is Form.JSON:
        assert json.loads(file.read_text()) == []
    elif form is Form.PARQUET:
        assert pq.read_table(file).to_pydict() == {"one": [], "word": []}
    else:
        assert pa.ipc.open_stream(file.read_bytes()).read_all().num_rows == 0


@quick
@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_a_terminal_gets_no_binary(
    medallion: Medallion, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    told = medallion("query", "SELECT 1", "--format", form)
    assert (told.code, told.out) == (2, "")
    assert "--out FILE" in told.err


@quick
def test_a_table_ends_where_it_is_told_to_and_says_so(medallion: Medallion) -> None:
    sql = "SELECT i AS number FROM range(2000) t(i)"
    told = medallion("query", sql)
    assert len(told.out.split()) == 2 + 1000
    assert "the first 1,000 rows" in told.err
    told = medallion("query", sql, "--limit", "2000")
    assert (len(told.out.split()), told.err) == (2 + 2000, "")
    assert medallion("query", sql, "--limit", "3", "--format", "csv").out == "number\n0\n1\n2\n"
    assert len(json.loads(medallion("query", sql, "--json", "--limit", "1999").out)) == 1999


@quick
def test_a_format_comes_from_the_files_name(medallion: Medallion, tmp_path: Path) -> None:
    for name, words in (("a.csv", "n\n1\n"), ("a.JSON", '[\n  {\n    "n": 1\n  }\n]\n')):
        assert medallion("query", "SELECT 1 AS n", "-o", str(tmp_path / name)).code == 0
        assert (tmp_path / name).read_text() == words
    assert medallion("query", "SELECT 1 AS n", "-o", str(tmp_path / "a.txt")).code == 0
    assert (tmp_path / "a.txt").read_text().split() == ["n", "─", "1"]


# Saved queries, and versions.


@quick
def test_a_saved_query_runs_by_its_name(lake: Lake, medallion: Medallion) -> None:
    row = {"region": ["North"], "order_date": [date(2026, 1, 1)], "total_quantity": [2]}
    write_deltalake(lake.path(GOLD), pa.table(row))
    told = medallion("query", "--saved", "top_regions", "--format", "csv")
    assert told.out == "region,quantity,best_day\nNorth,2,2026-01-01\n"
    told = medallion("query", "--saved", "top_region")
    assert told.code == 2
    assert "did you mean `top_regions`" in told.err


def test_the_saved_queries_are_listed(medallion: Medallion) -> None:
    assert "Regions by quantity sold" in medallion("query", "--list").out
    found = json.loads(medallion("query", "--list", "--json").out)
    assert [one["name"] for one in found] == ["top_regions"]
    assert "gold.sales_by_region_day" in found[0]["sql"]


@pytest.mark.parametrize(
    "words",
    [(), ("SELECT 1", "--list"), ("SELECT 1", "--saved", "x"), ("--saved", "x", "--list")],
)
def test_one_query_is_asked_for(medallion: Medallion, words: tuple[str, ...]) -> None:
    told = medallion("query", *words)
    assert told.code == 2
    assert "Usage:" in told.err


@quick
def test_versions_and_moments_are_told(lake: Lake, medallion: Medallion) -> None:
    for _ in range(3):
        write_table(lake.path(GOLD))
    count = f"SELECT count(*) AS n FROM {GOLD}"
    told = medallion("query", count, "--version", "1", "--format", "csv")
    assert (told.out, told.err) == ("n\n2\n", f"{GOLD} at version 1\n")
    assert medallion("query", count, "--version", f"{GOLD}=0", "-f", "csv").out == "n\n1\n"
    assert medallion("query", count, "--as-of", "1ms", "-f", "csv").err == f"{GOLD} at version 2\n"
    early = medallion("query", count, "--as-of", "2020-01-31T12:00Z")
    assert (early.code, early.out) == (2, "")
    assert f"{GOLD} did not exist yet" in early.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--version", "x"), "--version x"),
        (("--version", "gold.a=b"), "--version gold.a=b"),
        (("--version", "a=1"), "--version a=1"),
        (("--version", "-1"), "--version -1"),
        (("--as-of", "noon"), "--as-of noon"),
        (("--list", "--format", "parquet"), "--list"),
        (("--format", "xml"), "xml"),
        (("--limit", "0"), "--limit"),
    ],
)
def test_wrong_words_are_told(medallion: Medallion, words: tuple[str, ...], said: str) -> None:
    sql = () if "--list" in words else (f"SELECT * FROM {SILVER}",)
    told = medallion("query", *sql, *words)
    assert told.code == 2
    assert said in told.err


# Whole or not at all.


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("before")

    def cut_off() -> None:
        with open_atomically(file) as out:
            out.write(b"half of")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert (file.read_text(), list(tmp_path.iterdir())) == ("before", [file])
    link = tmp_path / "link"
    link.symlink_to(file)
    with open_atomically(link) as out:
        out.write(b"after")
    assert file.read_text() == "after"
    assert link.is_symlink()


@pytest.mark.parametrize("place", ["no/folder/file.csv", "", "/dev/null"])
def test_a_place_for_no_file_is_refused(tmp_path: Path, place: str) -> None:
    with (
        pytest.raises(UsageError, match=r"folder|not a regular file"),
        open_atomically(tmp_path / place),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@quick
def test_a_query_that_fails_half_way_leaves_no_file(medallion: Medallion, tmp_path: Path) -> None:
    sql = "SELECT CASE WHEN i < 900000 THEN 0 ELSE ('x' || i)::INT END FROM range(1000000) t(i)"
    told = medallion("query", sql, "--out", str(tmp_path / "rows.parquet"))
    assert told.code == 2
    # DuckDB stops its other threads, and now and then tells that in place of the cause.
    assert "Could not convert" in told.err or "Interrupted" in told.err
    assert list(tmp_path.glob("rows*")) == []


def started(*words: str, **kwargs: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "medallion_jobs", "query", *words, "--config", str(CONFIG)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=lambda sent: sent.name)
def test_a_write_that_is_ended_leaves_the_file_as_it_was(
    tmp_path: Path, sent: signal.Signals
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("before")
    with started(LONG, "--out", str(file)) as process:
        until = time.monotonic() + 300
        while not any(one.stat().st_size for one in tmp_path.glob(".rows.csv.*")):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(sent)
        assert process.wait(300) != 0
    assert file.read_text() == "before"
    if sent is signal.SIGINT:
        assert list(tmp_path.iterdir()) == [file]


def test_a_pipe_takes_parquet() -> None:
    with started("SELECT 42 AS n", "--format", "parquet") as process:
        out, err = process.communicate(timeout=300)
    assert err == b""
    assert pq.read_table(io.BytesIO(out)).to_pydict() == {"n": [42]}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_reader_may_go_away(form: str) -> None:
    with started(LONG, "--format", form) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(4)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(300) in (0, 1)


@pytest.mark.parametrize("form", ["csv", "json", "parquet", "arrow"])
def test_rows_are_written_as_they_come(form: str) -> None:
    """Not gathered first: what the writer has got is never far from what was written."""
    size = 1_000
    held: list[int] = []

    class Sink(io.RawIOBase):
        written = 0

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.written += len(data)
            return len(data)

    sink = Sink()

    def made() -> Any:
        for number in range(20):
            held.append(sink.written)
            values = pa.array(range(number * size, (number + 1) * size))
            yield pa.record_batch({"n": values})

    reader = pa.RecordBatchReader.from_batches(pa.schema({"n": pa.int64()}), made())
    batches = Batches(reader, lambda error: error)
    WRITERS[form](batches.schema, batches, sink)  # type: ignore[arg-type]
    assert held[-1] > held[1] > 0
    assert sorted(set(held)) == held
