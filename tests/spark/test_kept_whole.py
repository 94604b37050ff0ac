"""A file that clean_source takes is whole in bronze and in quarantine; any other one stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.engines import assert_all_read
from support.lake import local
from support.own import OwnLake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# A kind of record each, and one file that stays; with `-m slow` all.
IN_CI = ("lines", "documents", "firehose", "wide", "csv", "text")
DELETE = "clean_source: {mode: delete, retention: 1ms, force: true}"
FORMATS = {
    "lines": "format: json",
    "documents": "format: json, options: {multiLine: true}",
    "firehose": "format: json, options: {concatenated: true}",
    "latin": "format: json, options: {encoding: iso-8859-1}",
    "windows": "format: json, options: {encoding: windows-1252}",
    "ascii": "format: json, options: {encoding: us-ascii}",
    "wide": "format: json, options: {encoding: utf-16le}",
    "csv": "format: csv",
    "csv_windows": "format: csv, options: {encoding: windows-1252, sep: ';'}",
    "csv_wide": "format: csv, options: {encoding: utf-16}",
    "csv_by_line": "format: csv, options: {multiLine: false}",
    "text": "format: text",
    "whole_text": "format: text, options: {wholetext: true}",
    "windows_text": "format: text, options: {encoding: windows-1252}",
}
# 2,000 objects without a line break, as some writers to a stream leave them: 140 kB.
OBJECTS = [json.dumps({"id": n, "name": "customer " + "x" * 40}).encode() for n in range(2000)]
ONE_LINE = b"".join(OBJECTS)
LATIN = '{"id": 2, "s": "Müller"}'.encode("latin-1")
DEEP = b'{"id": {"inner": ["caf\xe9", {"\xff": 1}]}}'
GOOD = b'{"id": 1, "s": "x"}'
FILES: dict[str, dict[str, bytes]] = {
    "lines": {
        "one line.json": ONE_LINE,
        "latin.json": GOOD + b"\n" + LATIN + b"\n" + DEEP,
        "binary.json": bytes(range(256)).replace(b"\n", b"").replace(b"\r", b"") * 300,
        "long.json": b'{"id": "' + "ä".encode() * 70_000,
    },
    "documents": {
        "latin.json": b'[{"id": 1},\n{"s": "M\xfcller"}]',
        "elements.json": b'[{"id": 1, "s": "x"}, 5, [1, 2.50], "\\ud83d", {"a": 1, "a": 2}]',
        "long.json": b'{"id": "' + b"x" * 70_000 + b"\n\n",
    },
    "firehose": {
        "objects.json": ONE_LINE,
        "latin.json": GOOD + LATIN + GOOD,
        "cut.json": GOOD + b" " + GOOD + b'{"id": 3, "s": "cu',
    },
    "latin": {"bad.json": b'{"id": 2, "s": "M\xfcller"\n' + LATIN},
    "windows": {"undefined.json": b'{"id": 2, "s": "\x80 \x81"}\n{"id": 1, "s": "\x80"}'},
    "ascii": {"umlaut.json": LATIN + b"\n" + GOOD},
    "wide": {
        "bad.json": '{"id": 1, "s": "ü"}\n{"id": "ü"'.encode("utf-16-le"),
        "half.json": '{"id": 1, "s": "a'.encode("utf-16-le") + b"\x00\xd8" + b'"\0}\0',
    },
    "csv": {
        "latin.csv": b'id,name\n1,M\xfcller\n2,x\n3,a,\xff\n4,"\xff, "" y"\n',
        "quotes.csv": b'id,name\n1,"open\n2,b\n3,\xff\n',
        "long.csv": b"id,name\n1," + b"x" * 70_000 + b",y,z\n",
        "good.csv": "id,name\n1,\ufffd ☃\n".encode(),
    },
    "csv_windows": {"undefined.csv": b"id;name\n1;\x80\n2;\x81\n3;\x80;x\n"},
    "csv_wide": {"bad.csv": "id,name\n1,ü\n2,ü,x\n".encode("utf-16")},
    "csv_by_line": {"over.csv": b'id,name\n1,"a\nb"\n2,"\xff\n'},
    "text": {"latin.txt": b"caf\xc3\xa9\nM\xfcller\n\xff\xfe\n", "good.txt": b"a\n\nb\n"},
    "whole_text": {"latin.txt": b"M\xfcl\nler\n", "good.txt": b"a\n\nb\n"},
    "windows_text": {"undefined.txt": b"\x80\n\x81\x8d\n"},
}
# Spark replaces the half of a pair before anybody sees its bytes.
STAYS = {"half.json"}
# What quarantine must hold of a file whose records the readers see only in part.
BYTES = {
    ("lines", "latin.json"): [LATIN, DEEP],
    ("documents", "latin.json"): [FILES["documents"]["latin.json"]],
    ("text", "latin.txt"): [b"M\xfcller", b"\xff\xfe"],
    ("whole_text", "latin.txt"): [b"M\xfcl\nler\n"],
    ("ascii", "umlaut.json"): [LATIN],
    ("csv", "latin.csv"): [b"1,M\xfcller", b"3,a,\xff", b'4,"\xff, "" y"'],
    ("csv_by_line", "over.csv"): [b'1,"a', b'2,"\xff', b'b"'],
}


@pytest.fixture(
    scope="module", params=[IN_CI, pytest.param(tuple(FORMATS), marks=pytest.mark.slow)], ids=len
)
def cleaned(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    spark: SparkSession,
) -> OwnLake:
    formats = {table: FORMATS[table] for table in request.param}
    lake = OwnLake.of(tmp_path_factory.mktemp("kept"), _config(formats))
    for table in formats:
        for name, data in FILES[table].items():
            lake.drop_bytes(f"../{table}/{name}", data)
    lake.run("bronze")
    lake.run("bronze")
    assert_all_read(lake.storage, spark)
    return lake


def _config(formats: dict[str, str]) -> str:
    tables = "".join(
        f"  {name}:\n    source: {{{source}, {DELETE}}}\n" for name, source in formats.items()
    )
    return f"pipeline: kept\nbronze:\n{tables}"


def test_what_was_deleted_is_in_quarantine_with_all_its_bytes(cleaned: OwnLake) -> None:
    files = [(table, *file) for table in cleaned.config.bronze for file in FILES[table].items()]
    for table, name, data in files:
        at = f"{table}/{name}"
        assert (cleaned.landing / at).exists() == (name in STAYS), at
        if name in STAYS:
            continue
        for record in _bad(cleaned, table, name):
            whole = record["bytes"] or record["line"].encode()
            assert record["is_whole"], at
            if "wide" in table:
                assert whole.decode() in data.decode("utf-16-le"), (at, record["reason"])
            else:
                assert whole in data, (at, record["reason"])


def test_records_that_were_kept_only_by_half_are_whole_now(cleaned: OwnLake) -> None:
    (line,) = _bad(cleaned, "lines", "one line.json")
    assert (bytes(line["bytes"]), len(line["line"])) == (ONE_LINE, 65_536)
    assert "see `concatenated`" in line["reason"]
    latin, deep = _bad(cleaned, "lines", "latin.json")
    assert latin["line"] == '{"id": 2, "s": "M\ufffdller"}'
    assert "bytes that are no UTF-8; see `encoding`" == latin["reason"] == deep["reason"]
    binary = b"".join(r["bytes"] for r in _bad(cleaned, "lines", "binary.json"))
    assert binary == FILES["lines"]["binary.json"]
    for (table, name), wanted in BYTES.items():
        if table in cleaned.config.bronze:
            records = [r["bytes"] or r["line"].encode() for r in _bad(cleaned, table, name)]
            assert sorted(records) == sorted(wanted), (table, name)


def test_objects_without_line_breaks_are_read(cleaned: OwnLake) -> None:
    rows = [r for r in cleaned.rows("bronze.firehose") if r["_input_file"].endswith("objects.json")]
    assert sorted(int(row["id"]) for row in rows) == list(range(2000))
    (cut,) = _bad(cleaned, "firehose", "cut.json")
    assert cut["line"] == '{"id": 3, "s": "cu'
    # Where a line begins and ends is not known before its bytes are text.
    (latin,) = _bad(cleaned, "firehose", "latin.json")
    assert latin["bytes"] == FILES["firehose"]["latin.json"]


def test_a_file_says_why_it_stays(cleaned: OwnLake) -> None:
    errors = {Path(path).name: file["error"] for path, file in cleaned.files().items()}
    assert "kept only in part" in errors["half.json"]
    (event,) = [e for e in cleaned.run("bronze") if "half.json" in str(e)][:1]
    assert "quarantine has a record of them only in part" in str(event)


def _bad(lake: OwnLake, table: str, name: str) -> Iterator[dict[str, Any]]:
    rows = lake.rows(f"quarantine/bronze/{table}")
    return iter([row for row in rows if local(row["file"]).endswith(f"/{name}")])
