"""Bad input through the whole bronze job: the good rows are there, the query lives on, and of
every record it is known where it is: a row, `_rescued_data`, quarantine, or a file put aside.

Where each kind of bad input is tested; without a module it is here:

a file of 0 bytes               "zero" here; test_bad_files: an_empty_file_is_skipped
blank lines, a byte-order mark,
CRLF, no newline at the end     "blank", "marked", "crlf", "cut row" in csv;
                                test_bad_files: lines_may_end_and_begin_as_they_do_elsewhere
a line of 20 MB, 200 levels     "20 mb", "20 mb in a text", "200 levels"
a key twice                     test_json_strictness: R3
keys that differ in case only   test_json_strictness: R4; test_bad_input_schemas: KEYS;
                                "case" in csv and parquet
odd keys                        test_bad_input_schemas: KEYS; "odd names" in csv
NaN, Infinity                   test_json_strictness: R6; "types" in csv
past 64 bits, 40 digits         "past 64 bits", "40 digits"; "types" in csv
booleans as "yes"               "yes"
arrays where objects were       "swapped"
null bytes                      "null bytes" in json and csv
latin-1                         "latin-1" in csv; test_bad_files: bytes_that_are_no_utf_8
UTF-16                          "utf-16" in json and csv
truncated gzip                  test_bad_files: a_file_that_cannot_be_read_is_put_aside
gzip as .json, json as .gz      "gzip"; test_bad_input_schemas: "no gzip"; both in csv, too
csv                             "quoted", "short and long", "no header", "30,000 fields", "unclosed"
parquet, avro                   test_bad_input_schemas
names of files                  test_bad_files: NAMES (two of one name in two folders among them)
hidden, temporary, _SUCCESS     UNSEEN; test_bad_files: neither_hidden_files_nor_links_nor_pipes
a folder x.json, a link to
itself                          "x.json/inside", UNSEEN
removed before it is read       test_bad_files: a_file_that_goes_before_its_batch_is_missing
replaced, appended to           test_files_that_change_between_their_listing_and_their_end
times                           "future", "before 1970"
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from decimal import Decimal

import pytest
from support.fates import Fate, aside, assert_account, assert_fate, empty_lake, land, run_twice
from support.lake import Lake, run_streams

from medallion_jobs.autoloader.loading import write

LONG = 10_400_000
NINES = "9" * 40
DEEP = '{"d":' * 200 + "1" + "}" * 200
LINES = b'{"id": "a", "n": 1}\n{"id": "b", "n": 2}\n'
TWO = [{"id": "a", "n": 1}, {"id": "b", "n": 2}]
BINARY = "null bytes: binary, or another encoding"


JSON_COLUMNS = """id string, n int, big bigint, price decimal(38,2), yes boolean,
    s struct<a: int>, list array<int>"""
ZIPPED = gzip.compress(LINES, mtime=0)
JSON = {
    "good.json": Fate(LINES, TWO),
    "zero.json": Fate(b"", state="SKIPPED", error="empty file"),
    "20 mb.json": Fate(
        f'{{"id": "{"x" * LONG}", "note": "{"y" * LONG}"}}\n{{"n": 2}}\n'.encode(),
        [{"id": "x" * LONG, "rescued": {"note": "y" * LONG}}, {"n": 2}],
    ),
    "20 mb in a text.json": Fate(
        f'{{"n": 1}}\n{{"id": "{"x" * 2 * LONG}"}}\n{{"n": 2}}\n'.encode(),
        [{"n": 1}, {"id": "x" * 2 * LONG}, {"n": 2}],
    ),
    "200 levels.json": Fate(f'{{"z": {DEEP}}}'.encode(), [{"rescued": {"z": DEEP}}]),
    "past 64 bits.json": Fate(
        b'{"n": 18446744073709551616, "big": 9223372036854775808, "id": 18446744073709551616}\n'
        b'{"big": -9223372036854775808}',
        [
            {
                "id": "18446744073709551616",
                "rescued": {"n": "18446744073709551616", "big": "9223372036854775808"},
            },
            {"big": -9223372036854775808},
        ],
    ),
    "40 digits.json": Fate(
        f'{{"price": {NINES}}}\n{{"price": {NINES}.5, "new": {NINES}.{NINES}}}\n'
        f'{{"price": 1.{"1" * 40}}}\n{{"price": "1.{"0" * 40}1"}}\n{{"price": "1E-50"}}\n'
        f'{{"price": "1.5{"0" * 40}"}}\n{{"price": {"9" * 36}.25}}\n{{"price": 1.255E1}}'.encode(),
        [
            {"rescued": {"price": NINES}},
            {"rescued": {"price": f"{NINES}.5", "new": f"{NINES}.{NINES}"}},
            {"rescued": {"price": f"1.{'1' * 40}"}},
            {"rescued": {"price": f"1.{'0' * 40}1"}},
            {"rescued": {"price": "1E-50"}},
            {"price": Decimal("1.50")},
            {"price": Decimal("9" * 36 + ".25")},
            {"price": Decimal("12.55")},
        ],
    ),
    "yes.json": Fate(
        b'{"yes": "yes"}\n{"yes": "NO"}\n{"yes": 1}\n{"yes": "True"}\n',
        [*({"rescued": {"yes": text}} for text in ("yes", "NO", "1")), {"yes": True}],
    ),
    "swapped.json": Fate(
        b'{"s": [{"a": 1}], "list": {"a": 1}, "n": [1], "id": [1]}\n',
        [{"id": "[1]", "rescued": {"s": '[{"a": 1}]', "list": '{"a": 1}', "n": "[1]"}}],
    ),
    "null bytes.json": Fate(
        b'{"id": "a\0b"}\n\0\n{"id": "a\\u0000b"}\n',
        [{"id": "a\0b"}],
        [(BINARY, '{"id": "a\0b"}'), (BINARY, "\0")],
    ),
    "utf-16.json": Fate(
        LINES.decode().encode("utf-16-le"),
        bad=[
            (BINARY, line.decode()) for line in LINES.decode().encode("utf-16-le").split(b"\n")
        ],
    ),
    "gzip.json": Fate(
        ZIPPED, bad=[("compressed data (gzip)", ZIPPED.decode("utf-8", "replace"))]
    ),
    "line ends of unicode.json": Fate(
        '{"id": "a\u2028b\u0085c"}\n{"id": "\v"}\n'.encode(),
        [{"id": "a\u2028b\u0085c"}],
        [("not valid JSON", '{"id": "\v"}')],
    ),
    "x.json/inside.json": Fate(LINES, TWO),
    "before 1970.json": Fate(LINES, TWO),
    "future.json": Fate(LINES, TWO),
}  # fmt: skip
UNSEEN = ("_SUCCESS", ".good.json.crc", ".temporary/part.json", "_temporary/0/part.json",
          "copied.json._COPYING_")  # fmt: skip

HEADER = b"id,name,price\n"
PRICED = [{"id": 1, "name": "a", "price": Decimal(1)}, {"id": 2, "name": "b", "price": Decimal(2)}]
TAKEN = "a quote is opened and never closed"
CSV = {
    "good.csv": Fate(HEADER + b"1,a,1\n2,b,2\n", PRICED),
    "quoted.csv": Fate(
        HEADER + b'1,"l1\nl2, ""x""",\n2,"\r\n",\n',
        [{"id": 1, "name": 'l1\nl2, "x"'}, {"id": 2, "name": "\r\n"}],
    ),
    "short and long.csv": Fate(
        HEADER + b"1,a\n2,b,2,more\n2,b,2\n",
        PRICED[1:],
        [("2 fields, the header has 3", "1,a"), ("4 fields, the header has 3", "2,b,2,more")],
    ),
    "no header.csv": aside(b"1,a,1.5\n2,b,2.5\n", "no column of the table"),
    "marked.csv": Fate(b"\xef\xbb\xbf" + HEADER + b"1,a,1\n", PRICED[:1]),
    "crlf.csv": Fate(b"id,name,price\r\n1,a,1\r\n2,b,2", PRICED),
    "blank.csv": Fate(b"\n\n" + HEADER + b"\n1,a,1\n   \n2,b,2\n\n", PRICED),
    "zero.csv": Fate(b"", state="SKIPPED", error="empty file"),
    "only a header.csv": Fate(HEADER),
    "cut row.csv": Fate(HEADER + b"1,a,1\n2", PRICED[:1], [("1 field, the header has 3", "2")]),
    "latin-1.csv": Fate(
        HEADER + b"1,caf\xe9,1\n2,b,2\n",
        PRICED[1:],
        [("bytes that are no UTF-8; see `encoding`", "1,caf\ufffd,1")],
    ),
    "utf-16.csv": aside("id,name\n1,a\n".encode("utf-16"), "binary zeros"),
    "null bytes.csv": aside(HEADER + b"1,a\0,1\n", "binary zeros"),
    "gzip.csv": aside(gzip.compress(HEADER), "binary zeros"),
    "no gzip.csv.gz": aside(HEADER + b"1,a,1\n", "incorrect header check"),
    "unclosed.csv": Fate(
        HEADER + b'1,a,1\n2,"b,2\n3,c,3\n', PRICED[:1], [(TAKEN, '2,"b,2\n3,c,3')]
    ),
    "types.csv": Fate(
        HEADER + f"NaN,a,Infinity\n99999999999,b,1.005\n1.0,yes,{NINES}\n".encode(),
        [
            {"name": "a", "rescued": {"id": "NaN", "price": "Infinity"}},
            {"name": "b", "rescued": {"id": "99999999999", "price": "1.005"}},
            {"id": 1, "name": "yes", "rescued": {"price": NINES}},
        ],
    ),
    "case.csv": Fate(b"id,ID,Name\n1,2,c\n", [{"id": 1, "rescued": {"ID": "2", "Name": "c"}}]),
    "odd names.csv": Fate(
        'id,a.b,a b,`\',"x""y",\U0001f600,,__0,__raw\n1,2,3,4,5,6,7,8,9\n'.encode(),
        [{"id": 1, "rescued": {"a.b": "2", "a b": "3", "`'": "4", 'x"y': "5", "\U0001f600": "6",
                               "_c6": "7", "__0": "8", "__raw": "9"}}],
    ),
    "30,000 fields.csv": aside(HEADER + b"1,a,1\n" + b"v," * 29_999 + b"v\n2,b,2\n", "Exception"),
}  # fmt: skip


@pytest.fixture(scope="module")
def of_json(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = empty_lake(tmp_path_factory, f"schema='{JSON_COLUMNS}'")
    land(lake, JSON)
    for name in UNSEEN:
        lake.drop_bytes(name, LINES)
    (lake.folder / "itself.json").symlink_to("itself.json")
    (lake.folder / "circle").symlink_to(lake.folder)
    os.utime(lake.folder / "before 1970.json", ns=(-1_500_000_001,) * 2)
    os.utime(lake.folder / "future.json", (10_000_000_000,) * 2)
    return run_twice(lake, "later.json", b'{"n": 99}\n')


@pytest.fixture(scope="module")
def of_csv(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    schema = "schema='id int, name string, price decimal(6,2)'"
    lake = empty_lake(tmp_path_factory, "format=csv", schema)
    land(lake, CSV)
    return run_twice(lake, "later.csv", HEADER + b"99,l,1\n")


@pytest.mark.parametrize("name", JSON)
def test_json(of_json: Lake, name: str) -> None:
    assert_fate(of_json, name, JSON[name])


@pytest.mark.parametrize("name", CSV)
def test_csv(of_csv: Lake, name: str) -> None:
    assert_fate(of_csv, name, CSV[name])


def test_all_is_accounted_for_and_the_next_file_is_read(of_json: Lake, of_csv: Lake) -> None:
    assert_account(of_json, [*JSON, "later.json"])
    assert_account(of_csv, [*CSV, "later.csv"])
    assert_fate(of_json, "later.json", Fate(b"", [{"n": 99}]))
    later = {"id": 99, "name": "l", "price": Decimal(1)}
    assert_fate(of_csv, "later.csv", Fate(b"", [later]))


def test_files_that_change_between_their_listing_and_their_end(
    lake: Lake, spark: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each content that is read is read whole, and once; the ledger tells what was seen."""
    from medallion_jobs import bronze

    appended, replaced, emptied, grows, kept = (
        lake.drop(f"{name}.json", '{"order_id": "first"}')
        for name in ("appended", "replaced", "emptied", "grows", "kept")
    )
    config = lake.config
    (stream,) = bronze.streams(config)
    discover, good = type(stream).discover, write.good

    class Changing(type(stream)):  # type: ignore[misc]
        def discover(self) -> Sequence[str]:
            told = discover(self)
            with appended.open("a") as file:
                file.write('{"order_id": "second"}\nnot JSON\n')
            replaced.write_text('{"order_id": "other"}\n{"order_id": "another"}\n')
            emptied.write_bytes(b"")
            return told

    def good_of_a_growing_file(*args: object, **named: object) -> object:
        with grows.open("a") as file:
            file.write('{"order_id": "too late"}\n')
        return good(*args, **named)

    monkeypatch.setattr(write, "good", good_of_a_growing_file)
    run_streams(config, [Changing.to_table(config, "sales")])
    monkeypatch.undo()
    last = lake.drop("last.json", '{"order_id": "last"}')
    lake.run("bronze")

    first, changed = {"order_id": "first"}, "changed while it was read: 22 bytes before, 47 after"
    fates = {
        appended: Fate(b"", [first, {"order_id": "second"}], [("not valid JSON", "not JSON")]),
        replaced: Fate(b"", [{"order_id": "other"}, {"order_id": "another"}]),
        emptied: Fate(b"", state="SKIPPED", error="empty file"),
        grows: Fate(b"", [first, {"order_id": "too late"}], error=changed),
        kept: Fate(b"", [first]),
        last: Fate(b"", [{"order_id": "last"}]),
    }
    for path, fate in fates.items():
        assert_fate(lake, path.name, fate)
    assert_account(lake, [path.name for path in fates])
