"""csv files as people have them: bytes, quotes over lines, titles, headers, numbers."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType
from support.records import Read, found, read

from medallion_jobs.autoloader.readers.csv_files import CsvFiles
from medallion_jobs.autoloader.readers.records import Input, UnreadableError
from medallion_jobs.config import FileSource

CSV = CsvFiles()
TEXTS = "id string, name string"
NOT_IN_LINE = "a quote is not closed, or not opened, in its line"


@pytest.fixture
def rows(spark: SparkSession, tmp_path: Path):
    def of(files: dict[str, bytes], ddl: str = TEXTS, **options: object) -> Read:
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        given = FileSource.model_validate({"format": "csv", "options": options}).options
        return read(spark, CSV, [tmp_path / name for name in files], ddl, given)

    return of


def test_bytes_are_kept(rows) -> None:
    got = rows(
        {
            "latin.csv": b'id,name\n1,M\xfcnchen\n2,"a\xff\n"\r\n\xe2\x82,x\n3,\xc3\xbc\n4,b\r\n',
            "short.csv": b'id,name\n"\xff"\n1,"x\xfe,",\n1,2,3,4\n1,2,3,\n5,\xef\xbf\xbd\n',
            "ends.csv": b'id,name\r\n1,"x\r"\r\n2,"\r"\r\n3,\r\n4,"a" \r\n',
        }
    )
    assert got.rows["latin.csv"] == [("3", "ü"), ("4", "b")]
    assert got.raw_bytes["latin.csv"] == [b"1,M\xfcnchen", b'2,"a\xff\n"', b"\xe2\x82,x"]
    assert got.bad["latin.csv"][0] == ("bytes that are no UTF-8; see `encoding`", "1,M\ufffdnchen")
    assert rows({"one.csv": b'name\r\n"""\r"\r\n"\r"\r\na\r\n'}, "name string").rows == {
        "one.csv": [('"\r',), ("\r",), ("a",)]
    }
    more = b'id,name\n1,a,,x\n1,a,,,x\n1,,,\n,\n,a\n"1,","a,"\n"1,",\n1,5" x\n,,\n1,a,\n'
    wrong = rows({"more.csv": more})
    right = [(None, None), (None, "a"), ("1,", "a,"), ("1,", None), ("1", '5" x')]
    assert wrong.rows["more.csv"] == right
    counts = [int(why.split()[0]) for why, _ in wrong.bad["more.csv"]]
    assert counts == [4, 5, 4, 3, 3]
    odd = b'id,name\n1"b,a,,x"y\n2,"a, b" \n3,"a ""b"", c"\n'
    wrong = rows({"odd.csv": odd})
    assert wrong.rows["odd.csv"] == [("2", "a, b"), ("3", 'a "b", c')]
    assert wrong.raw_bytes["odd.csv"] == [b'1"b,a,,x"y']
    # A replacement character that is in the file is a character like any other.
    assert got.rows["short.csv"] == [("5", "\ufffd")]
    assert got.raw_bytes["short.csv"] == [b'"\xff"', b'1,"x\xfe,",', b"1,2,3,4", None]
    assert [raw for _, raw in got.bad["short.csv"]][2:] == ["1,2,3,4", "1,2,3,"]
    assert got.rows["ends.csv"][:3] == [("1", "x\r"), ("2", "\r"), ("3", None)]
    assert "ends.csv" not in got.bad
    got = rows({"doubled.csv": b'id,name\n1,"""a\nb"""\n2,"a""\n3,x\n4,"b\n5,c\n'})
    assert got.rows["doubled.csv"] == [("1", '"a\nb"'), ("5", "c")]
    assert got.raw_bytes["doubled.csv"] == [b'2,"a""\n3,x\n4,"b']


@pytest.mark.parametrize("line_by_line", [False, True])
def test_encodings(rows, *, line_by_line: bool) -> None:
    mode = {} if not line_by_line else {"multiLine": False}
    windows = {"w.csv": b"id\xa7name\n1\xa7\x80\x93\n2\xa7\x81\n"}
    got = rows(windows, encoding="windows-1252", sep="§", **mode)
    assert got.rows["w.csv"] == [("1", "€“")]
    assert got.raw_bytes["w.csv"] == [b"2\xa7\x81"]
    texts = {"u.csv": "id§name\n1§ä\n§\n", "s.csv": "id§name\n1\n"}
    got = rows({name: text.encode() for name, text in texts.items()}, sep="§", **mode)
    assert got.rows == {"u.csv": [("1", "ä"), (None, None)]}
    assert got.raw_bytes == {"s.csv": [b"1"]}
    quoted = {"q.csv": "id,name\n1,«a,b«\n2,ø\n".encode()}
    got = rows(quoted, quote="«", escape="«", nullValue="ø", **mode)
    assert got.rows["q.csv"] == [("1", "a,b"), ("2", None)]
    got = rows({"a.csv": b"id,name\n1,\xe4\n2,b\n"}, encoding="us-ascii", **mode)
    assert (got.rows["a.csv"], got.raw_bytes["a.csv"]) == ([("2", "b")], [b"1,\xe4"])
    marked = {"m.csv": b"\xef\xbb\xbf1,a\n2,b\n", "n.csv": b"\xef\xbb\xbf,b\n"}
    got = rows(marked, header=False, **mode)
    assert got.rows == {"m.csv": [("1", "a"), ("2", "b")], "n.csv": [(None, "b")]}


def test_values_over_lines_need_multi_line(rows) -> None:
    content = b'id,name\n1,"a\nb"\n2,c\n'
    files = {
        "last.csv": content,
        "first.csv": b'id,name\n"a\nb",1\n2,c\n',
        "cr.csv": b'id,name\n1,"a\rb"\n2,c\n',
        "gz.csv.gz": gzip.compress(content),
        "open.csv": b'id,name\n2,c\n3,"x',
        "fits.csv": b'id,name\n1,"x\n1,z",5\n2,c\n"1\n3",4\n',
        "inch.csv": b'id,name\n2,c\n9,5" pipe\n',
    }
    got = rows(files, multiLine=False)
    assert got.rows.pop("inch.csv") == [("2", "c"), ("9", '5" pipe')]
    assert got.rows == {name: [("2", "c")] for name in files if name != "inch.csv"}
    for bad in got.bad.values():
        assert all(why.startswith(NOT_IN_LINE) and "multiLine" in why for why, _ in bad), bad
    assert got.raw_bytes["last.csv"] == got.raw_bytes["gz.csv.gz"] == [b'1,"a', b'b"']
    assert got.raw_bytes["fits.csv"] == [b'1,"x', b'1,z",5', b'"1', b'3",4']
    whole = rows({name: files[name] for name in ("last.csv", "gz.csv.gz", "open.csv")})
    assert whole.rows["last.csv"] == whole.rows["gz.csv.gz"] == [("1", "a\nb"), ("2", "c")]
    assert whole.bad == {"open.csv": [("a quote is opened and never closed", '3,"x')]}
    got = rows({"one.csv": b'name\n"a\nb"\nc\n'}, "name string", multiLine=False)
    assert (got.rows, len(got.bad["one.csv"])) == ({"one.csv": [("c",)]}, 2)
    got = rows({"none.csv": b'1,"a\nb"\n2,c\n'}, multiLine=False, header=False)
    assert (got.rows, len(got.bad["none.csv"])) == ({"none.csv": [("2", "c")]}, 2)


def test_titles_and_separators_of_files(rows) -> None:
    got = rows(
        {
            "excel.csv": b"sep=;\r\nid;name\r\n1;a,b\r\nid;name\r\n",
            "plain.csv": b"id,name\n1,a\n",
            "late.csv": b"\r\n  \r\nid,name\r\n1,a\r\n",
            "tab.csv": b"sep=\t\nid\tname\n\t\n1\ta\n",
        }
    )
    assert got.rows == {
        "excel.csv": [("1", "a,b"), ("id", "name")],
        "plain.csv": [("1", "a")],
        "late.csv": [("1", "a")],
        "tab.csv": [(None, None), ("1", "a")],
    }
    titled = b'Report, 2024\n\n"x"\nid,name\n1,a\nReport, 2024\n'
    for mode in ({}, {"multiLine": False}):
        got = rows({"t.csv": titled, "gz.csv.gz": gzip.compress(titled)}, skip_rows=3, **mode)
        for name in ("t.csv", "gz.csv.gz"):
            assert got.rows[name] == [("1", "a"), ("Report", " 2024")]
        got = rows({"h.csv": b"sep=;\nT\n1;a\n"}, skip_rows=2, header=False, **mode)
        assert got.rows == {"h.csv": [("1", "a")]}


def test_headers_that_do_not_fit_name_the_option_and_fit_with_it(rows) -> None:
    cases: list[tuple[bytes, str, dict[str, object]]] = [
        (b"ID,NAME\n1,a\n", "header_case: ignore", {"header_case": "ignore"}),
        (b"Id,N.\n1,a\n", "header_case: ignore", {"rename_columns": {"Id": "id", "N.": "name"}}),
        (b"T\nid,name\n1,a\n", "skip_rows: 1", {"skip_rows": 1}),
        (b"id,name,name\n1,a,x\n", "rename_columns", {"rename_columns": "snake_case"}),
        (b"id|name\n1|a\n", 'sep: "|"', {"sep": "|"}),
        (b"1,a\n", "header: false", {"header": False}),
    ]  # fmt: skip
    for content, option, given in cases:
        with pytest.raises(UnreadableError, match=option.replace("|", "\\|")):
            rows({"x.csv": content})
        assert rows({"x.csv": content}, **given).rows == {"x.csv": [("1", "a")]}, given


def test_a_decimal_comma(rows) -> None:
    numbers = ["1.234,56", "12,5", "-7", "1234.56", "1.23,4", "007,5", "1,2,3", "1e3", " 3,5 "]
    content = "n;t\n" + "".join(f"{one};{one}\n" for one in numbers)
    got = rows(
        {"x.csv": content.encode()}, "n decimal(10,2), t string", sep=";", decimal_comma=True
    )
    values = [Decimal("1234.56"), Decimal("12.5"), Decimal(-7), *[None] * 5, Decimal("3.5")]
    assert got.rows["x.csv"] == list(zip(values, numbers, strict=True))
    assert [one["n"] for one in got.rescued["x.csv"]] == numbers[3:8]
    got = rows({"x.csv": content.encode()}, "n double, t string", sep=";", decimal_comma=True)
    assert [row[0] for row in got.rows["x.csv"]][:3] == [1234.56, 12.5, -7.0]


def test_inference_throws_no_digit_away(spark: SparkSession, tmp_path: Path) -> None:
    columns = {
        "zeros string": ["01234", "7"],
        "plus string": ["+5", "5"],
        "big decimal(19,2)": ["12345678901234567.89", "1"],
        "long_ bigint": ["3000000000", "-1"],
        "whole decimal(20,0)": ["12345678901234567890", "1"],
        "huge string": ["9" * 39, "1"],
        "int_ int": ["-2147483648", ""],
        "double_ double": ["0.1", "1e300"],
        "mixed decimal(22,2)": ["12345678901234567890", "0.25"],
        "nan string": ["NaN", "1.5"],
        "minus string": ["-0", "1"],
        "day date": ["2024-01-01", "2024-02-01"],
        "time timestamp": ["2024-01-01 10:00:00", "2024-02-01"],
        "flag boolean": ["true", "FALSE"],
        "empty string": ["", ""],
        "exact string": ["1234567890123456.5e3", "1"],
        "blank string": [" 3", "4"],
    }
    names = [column.partition(" ")[0] for column in columns]
    files = []
    for number in range(2):  # Each file alone might have a type that does not hold the other's.
        file = tmp_path / f"{number}.csv"
        turned = names[::-1] if number else names
        values = dict(zip(names, (texts[number] for texts in columns.values()), strict=True))
        bad = b"\xff,1\n" + b",".join(b"x" if n != "zeros" else b"\xff" for n in turned) + b"\n"
        texts = ",".join(values[n] for n in turned)
        file.write_bytes(f"{','.join(turned)}\n{texts}\n".encode() + bad)
        files.append(found(file))
    got = CSV.infer(Input(spark, files, {}), typed=True)
    assert got == StructType.fromDDL(", ".join(columns))
    comma = tmp_path / "comma.csv"
    comma.write_bytes(b"sep=;\nn;t;w\n1.234,5;1.5;1.234\n")
    got = CSV.infer(Input(spark, [found(comma)], {"decimal_comma": "true"}), typed=True)
    assert got == StructType.fromDDL("n double, t string, w int")
