"""JSON files as they come: encodings, compressions, documents, sizes, and what is inferred."""

from __future__ import annotations

import bz2
import gzip
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql.types import StructType
from support.own import OwnLake

from medallion_jobs.autoloader.file_entry import FileEntry, to_uri
from medallion_jobs.autoloader.readers import encodings
from medallion_jobs.autoloader.readers.json_documents import JsonDocuments
from medallion_jobs.autoloader.readers.json_lines import JsonLines
from medallion_jobs.autoloader.readers.records import FormatReader, Input, UnreadableError
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LINES = '{"id": "a", "n": 1}\n{"id": "b", "n": 2}\n'
SMALL = "id string, n int"
TWO = [("a", 1), ("b", 2)]
LONG = 5_000_000
LATIN_1 = b'{"id": "caf\xe9"}'

FILES = {
    "plain.json": LINES.encode(),
    "bom.json": b"\xef\xbb\xbf" + LINES.encode(),
    "a.json.gz": gzip.compress(LINES.encode()),
    "b.JSON.GZ": gzip.compress(LINES.encode()),
    "c.json.bz2": bz2.compress(LINES.encode()),
    "d.json.deflate": zlib.compress(LINES.encode()),
    "gzip inside.json": gzip.compress(LINES.encode()),
    "utf-16 inside.json": LINES.encode("utf-16"),
    "null bytes.json": b'{"id": "a\0b"}\n\0\n{"id": "a\\u0000b"}\n',
    "latin1.json": LATIN_1 + b"\n",
    "long.json": b'{"id": "' + b"x" * LONG + b'", "n": 1}\n',
    "longer.json": b'{"id": "\\t' + b"x" * 20_000_009 + b'", "n": 1}\n{"n": 7}\n',
    "digits.json": b'{"id": ' + b"1" * 5000 + b"}\n",
    "key.json": b'{"' + b"k" * 50_001 + b'": 1}\n',
    "200 levels.json": b'{"n": 1, "z": ' + b"[" * 200 + b"]" * 200 + b"}\n",
    "2000 levels.json": b'{"n": 1, "z": ' + b"[" * 2000 + b"]" * 2000 + b'}\n{"n": 7}\n',
}


@pytest.fixture(scope="module")
def by_file(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """All files in one batch: by name, the rows and the bad records."""
    found = _files(tmp_path_factory.mktemp("files"), FILES)
    rows: dict[str, list[Any]] = {name: [] for name in FILES}
    for row in _read(spark, JsonLines(), found, SMALL):
        rows[Path(row.pop("file")).name.replace("%20", " ")].append(row)
    return rows


@pytest.mark.parametrize(
    "name", ["plain.json", "bom.json", "a.json.gz", "b.JSON.GZ", "c.json.bz2", "d.json.deflate"]
)
def test_a_file_is_read_whatever_its_compression(by_file: dict[str, Any], name: str) -> None:
    assert [(row["id"], row["n"]) for row in by_file[name]] == TWO
    assert all(row["good"] for row in by_file[name])


def test_compressed_data_under_a_plain_name_is_told(by_file: dict[str, Any]) -> None:
    first, *rest = by_file["gzip inside.json"]
    assert not any(row["good"] for row in (first, *rest))
    assert "compressed" in first["reason"] or "null bytes" in first["reason"]


def test_another_encoding_is_quarantined(by_file: dict[str, Any]) -> None:
    rows = by_file["utf-16 inside.json"]
    assert rows
    assert {(row["good"], "another encoding" in row["reason"]) for row in rows} == {(False, True)}


def test_null_bytes_are_no_json_but_escaped_they_are(by_file: dict[str, Any]) -> None:
    raw, alone, escaped = by_file["null bytes.json"]
    assert (raw["good"], raw["raw"]) == (False, '{"id": "a\0b"}')
    assert (alone["good"], alone["raw"]) == (False, "\0")
    assert (escaped["good"], escaped["id"]) == (True, "a\0b")


def test_bytes_that_are_no_utf_8_are_bad_and_kept(by_file: dict[str, Any]) -> None:
    (row,) = by_file["latin1.json"]
    assert (row["good"], row["reason"]) == (False, "bytes that are no UTF-8; see `encoding`")
    assert bytes(row["bytes"]) == LATIN_1


def test_long_texts_and_numbers_are_read(by_file: dict[str, Any]) -> None:
    (row,) = by_file["long.json"]
    assert len(row["id"]) == LONG
    longer, good = by_file["longer.json"]
    assert (longer["good"], len(longer["id"]), good["n"]) == (True, 20_000_010, 7)
    (digits,) = by_file["digits.json"]
    assert (digits["good"], digits["reason"]) == (False, "a number of more than 1,000 digits")
    (key,) = by_file["key.json"]
    assert (key["good"], key["reason"]) == (False, "a key of more than 50,000 characters")


def test_deep_values_are_read_and_those_beyond_are_bad(by_file: dict[str, Any]) -> None:
    (row,) = by_file["200 levels.json"]
    assert (row["n"], json.loads(row["_rescued_data"])["z"]) == (1, "[" * 200 + "]" * 200)
    bad, good = by_file["2000 levels.json"]
    reason = "more than 250 levels of objects and arrays"
    assert (bad["good"], bad["reason"], good["n"]) == (False, reason, 7)


CHARSETS = {
    "UTF-16": "utf-16",
    "utf-16le": "utf-16-le",
    "UTF-16BE": "utf-16-be",
    "utf-32": "utf-32",
}
ONE_BYTE = {"ISO-8859-1": "latin-1", "windows-1252": "cp1252"}


@pytest.mark.parametrize("encoding", [*CHARSETS, *ONE_BYTE])
@pytest.mark.parametrize("reader", [JsonLines(), JsonDocuments()], ids=["lines", "documents"])
def test_an_encoding_is_read(
    spark: SparkSession, tmp_path: Path, reader: FormatReader, encoding: str
) -> None:
    name = "caf\xe9 \u20ac\u0a85\ufb00" if encoding in CHARSETS else "caf\xe9"
    name += "\u20ac\u2019" if encoding == "windows-1252" else ""
    lines = [f'{{"id": " {name}\\"#", "n": {n}}}' for n in (1, 2)]
    is_lines = isinstance(reader, JsonLines)
    text = "\r\n".join(["#, \"'", *lines]) if is_lines else "[" + ",\r\n".join(lines) + "]"
    data = gzip.compress(text.encode({**CHARSETS, **ONE_BYTE}[encoding]))
    found = _files(tmp_path, {"x.json.gz": data})
    rows = _read(spark, reader, found, SMALL, encoding=encoding)
    assert [row["raw"].rstrip() for row in rows if not row["good"]] == (
        ["#, \"'"] if is_lines else []
    )
    assert [(r["id"], r["n"]) for r in rows if r["good"]] == [(f' {name}"#', n) for n in (1, 2)]


def test_what_cannot_be_read_is_refused_and_not_empty(spark: SparkSession, tmp_path: Path) -> None:
    found = _files(tmp_path, {"a.json.lz4": LINES.encode(), "b.json.Snappy": LINES.encode()})
    with pytest.raises(UnreadableError) as caught:
        JsonLines().records(Input(spark, found, {}), StructType.fromDDL(SMALL))
    assert set(caught.value.files) == set(found)
    with pytest.raises(UsageError, match="EBCDIC"):
        encodings.of({"encoding": "EBCDIC"})


DOCUMENTS = {
    "object": '{\n  "id": "a",\n  "n": 1\n}\n',
    "array": '\ufeff [ {"id": "a", "n": 1},\n{"id": "b", "new": 12345678901234567.25}, {} ]',
    "no objects": r'[{"n": 1}, 5, "x", null, [{"n": 2}], "{\"n\": 3}", {"n": 1, "n": 2}]',
    "empty": "",
    "blank": " \n\t ",
    "empty array": "[]",
    "number": "42",
    "text of an object": r'"{\"n\": 3}"',
    "cut short": '[{"n": 1},\n {"n": 2',
    "two": '{"n": 1}\n{"n": 2}',
    "text behind": '[{"n": 1}] x',
    "bracket behind": '{"n": 1}]',
    "key without quotes": '[{"n": 1.1234567890123456, 12345678901234.5678: 1}]',
}


def test_a_document_is_an_object_or_an_array_of_them(spark: SparkSession, tmp_path: Path) -> None:
    found = _files(tmp_path, {f"{name}.json": text.encode() for name, text in DOCUMENTS.items()})
    good: dict[str, list[Any]] = {name: [] for name in DOCUMENTS}
    bad: dict[str, list[Any]] = {name: [] for name in DOCUMENTS}
    for row in _read(spark, JsonDocuments(), found, SMALL):
        name = Path(row["file"]).stem.replace("%20", " ")
        rescued = json.loads(row["_rescued_data"])["new"] if row["_rescued_data"] else None
        if row["good"]:
            good[name].append((row["id"], row["n"], rescued))
        else:
            bad[name].append(row["raw"])
            assert row["reason"]
    assert {name: rows for name, rows in good.items() if rows} == {
        "object": [("a", 1, None)],
        "array": [("a", 1, None), ("b", None, "12345678901234567.25"), (None, None, None)],
        "no objects": [(None, 1, None)],
    }
    whole = ["number", "cut short", "two", "text behind", "bracket behind", "key without quotes"]
    assert {name: rows for name, rows in bad.items() if rows} == {
        "no objects": ["5", '"x"', "null", '[{"n": 2}]', r'"{\"n\": 3}"', '{"n": 1, "n": 2}'],
        "text of an object": ['"{\\"n\\": 3}"'],
        **{name: [DOCUMENTS[name]] for name in whole},
    }


def test_formats_of_moments(spark: SparkSession, tmp_path: Path) -> None:
    line = '{"at": "31/12/2025 10:00", "day": "31.12.2025", "s": {"day": "2025-12-31"}}'
    found = _files(tmp_path, {"x.json": line.encode()})
    formats = {"timestampFormat": "dd/MM/yyyy HH:mm", "dateFormat": "dd.MM.yyyy"}
    columns = "at timestamp, day date, s struct<day: date>"
    (row,) = _read(spark, JsonLines(), found, columns, **formats)
    assert (str(row["at"]), str(row["day"])) == ("2025-12-31 10:00:00", "2025-12-31")
    assert json.loads(row["_rescued_data"])["s"] == '{"day": "2025-12-31"}'
    inferred = JsonLines().infer(Input(spark, found, formats), typed=True)
    assert inferred["at"].dataType.simpleString() == "timestamp"


OBJECTS = """
{"a": 1, "Key": 1, "key": "x", "none": null, "empty": {}, "empties": [{}], "nothing": []}
{"a": 2.5, "a.b": 1, "a b": 1, "": 1, "`q'\\"": 1, "\U0001f600": true, "x=": {"y": 1}}
{"o": {"x": 1, "X": 2, "a b": 1, "e": { }}, "mixed": {"a": 1}, "list": [{"p": 1}, {"q": [1.5]}]}
{"o": {"z": "{}", "x": "a"}, "mixed": [1], "big": 9223372036854775808, "bool": true}
{"huge": 123456789012345678901, "big": 1, "text": "a:{},12345678901234567890,", "bool": false}
{"big": 2, "only unnamable": 1, "inner": {"a b": 1}, "moment": "2026-01-01 00:00:00"}
not JSON
{"bad": 1} {"bad": 2}
{"twice": 1, "twice": 2}
[{"array": 1}]
{"huge": 1}
{"o": {"y": 1, "y": "s"}}
"""


def test_what_is_inferred(spark: SparkSession, tmp_path: Path) -> None:
    found = _files(tmp_path, {"x.json": OBJECTS.encode()})
    texts = JsonLines().infer(Input(spark, found, {}), typed=False)
    assert {field.name: field.dataType.simpleString() for field in texts} == {
        **dict.fromkeys(["a", "Key", "none", "empty", "a.b", "`q'\"", "\U0001f600"], "string"),
        **dict.fromkeys(["mixed", "big", "bool", "huge", "text", "inner", "moment"], "string"),
        "empties": "array<string>",
        "nothing": "array<string>",
        "o": "struct<X:string,e:string,y:string,z:string>",
        "list": "array<struct<p:string,q:array<string>>>",
    }
    typed = JsonLines().infer(Input(spark, found, {}), typed=True)
    kinds = {field.name: field.dataType.simpleString() for field in typed}
    wanted = {"a": "double", "Key": "bigint", "bool": "boolean", "text": "string"}
    wanted |= {
        "big": "decimal(38,0)",
        "huge": "decimal(38,0)",
        "moment": "string",
        "a.b": "bigint",
        "mixed": "string",
    }
    wanted |= {"list": "array<struct<p:bigint,q:array<double>>>"}
    assert {name: kinds[name] for name in wanted} == wanted
    # Those without any value are not there yet.
    assert {*texts.names} - {*typed.names} == {"none", "empty", "empties", "nothing"}
    # What files bring is new until the inferred columns are there, and then no more.
    for columns, has_new in ((StructType(), True), (texts, False), (typed, False)):
        given = Input(spark, found, {}, typed=columns == typed)
        records = JsonLines().records(given, columns)
        (row,) = records.frame.where(records.good).selectExpr("count(1)").collect()
        new = records.frame.where(records.good).where(records.has_new)
        assert (bool(new.take(1)), row[0]) == (has_new, 8)


def test_columns_of_documents_and_of_deep_values(spark: SparkSession, tmp_path: Path) -> None:
    deep = '{"d": ' + '{"d": ' * 200 + "1" + "}" * 200 + "}"
    found = _files(
        tmp_path, {"a.json": b'[{"a": 1},\n{"b": {"c": true}}]', "b.json": deep.encode()}
    )
    documents = JsonDocuments().infer(Input(spark, found[:1], {}), typed=True)
    assert documents.simpleString() == "struct<a:bigint,b:struct<c:boolean>>"
    deepest = JsonLines().infer(Input(spark, found[1:], {}), typed=False)
    assert deepest.simpleString() == "struct<d:string>"
    wide = [{"a": {"b": ["[" * 99, "\\", '"{']}}] * 99
    found = _files(tmp_path, {"wide.json": json.dumps({"wide": wide}).encode()})
    columns = JsonLines().infer(Input(spark, found, {}), typed=False)
    assert columns.simpleString() == "struct<wide:array<struct<a:struct<b:array<string>>>>>"
    nothing = JsonLines().infer(Input(spark, _files(tmp_path, {"c.json": b""}), {}), typed=False)
    assert nothing == StructType()


def _files(folder: Path, files: dict[str, bytes]) -> list[FileEntry]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [FileEntry(0, to_uri(str(folder / name)), len(data)) for name, data in files.items()]


def _read(
    spark: SparkSession, reader: FormatReader, found: list[FileEntry], columns: str, **options: str
) -> list[dict[str, Any]]:
    records = reader.records(Input(spark, found, options), StructType.fromDDL(columns))
    frame = records.frame.select(
        records.frame["_input_file"].alias("file"),
        records.good.alias("good"),
        records.reason.alias("reason"),
        records.raw.alias("raw"),
        records.raw_bytes.alias("bytes"),
        *records.columns,
    )
    return [row.asDict(recursive=True) for row in frame.collect()]


def test_a_column_without_a_value_is_not_there_yet(tmp_path: Path, spark: SparkSession) -> None:
    """It was frozen as text, and all later values were rescued."""
    source = "format: json, infer_column_types: true"
    lake = OwnLake.of(tmp_path, f"pipeline: later\nbronze:\n  t: {{source: {{{source}}}}}\n")
    given = [
        {"id": 1, "n": None, "s": {}, "list": [], "in": {"x": None}, "rows": [{}]},
        {"id": 2, "n": None, "s": {"a": None}, "list": [None], "in": {"x": None}, "rows": []},
        {"id": 3, "n": 7, "s": {"a": 1.5}, "list": [1], "in": {"x": True}, "rows": [{"y": 1}]},
    ]
    for row in given[:2]:
        lake.land("t", f"{row['id']}.json", row)
        lake.run("bronze")
    first, second = lake.rows("bronze.t")
    assert set(first) == {"id", "_rescued_data", "_input_file", "_load_time"}
    kept = json.loads(next(r for r in (first, second) if r["id"] == 1)["_rescued_data"])
    # A null says no more than that there is no value; an empty object does.
    assert {k: v for k, v in kept.items() if k != "_file_path"} == {
        "s": "{}", "list": "[]", "in": '{"x": null}', "rows": "[{}]",
    }  # fmt: skip
    lake.land("t", "3.json", given[2])
    lake.run("bronze")
    third = next(row for row in lake.rows("bronze.t") if row["id"] == 3)
    assert {name: third[name] for name in given[2]} == given[2]
    assert third["_rescued_data"] is None
