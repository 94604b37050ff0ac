"""csv files: by name from each file's header, strictly."""

from __future__ import annotations

import bz2
import gzip
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType
from support.records import Read, found, read

from medallion_jobs.autoloader.readers.csv_files import CsvFiles
from medallion_jobs.autoloader.readers.records import Input, UnreadableError
from medallion_jobs.errors import UsageError

CSV = CsvFiles()
WANTED = "id int, name string, price decimal(6,2)"


def drop(folder: Path, files: dict[str, str | bytes]) -> list[Path]:
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return [folder / name for name in files]


def zstd(content: bytes, to: Path) -> bytes:
    with pa.output_stream(str(to), compression="zstd") as stream:
        stream.write(content)
    return to.read_bytes()


@pytest.fixture(scope="module")
def a_day(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Files of many manners, read together."""
    folder = tmp_path_factory.mktemp("csv")
    plain = b"id,name,price\n1,a,1.50\n2,b,2\n"
    files: dict[str, str | bytes] = {
        "plain.csv": plain,
        "reordered.csv": "price,id,name\n1.50,1,a\n",
        "missing.csv": "name,id\na,1\n",
        "more.csv": "id,name,price,colour,,\n1,a,1,red,,x\n2,b,2,,,\n",
        "case.csv": "ID,name\n7,a\n",
        "quoted.csv": 'id,name,price\n1,"l1\nl2, ""x""",1\n2,"",\n3,C:\\,"4"\n',
        "fields.csv": "id,name,price\n1,a\n2,b,2,more\n3,c,3\n4,,\n5\n",
        "strict.csv": "id,name,price\nx1,a,1.005\n2,b,\n 3 , c ,abc\n",
        "unclosed.csv": 'id,price,name\n1,1,a\n2,2,"b\n3,3,c\n4,4,d\n',
        "unclosed_early.csv": 'id,name,price\n1,a,1\n"2,b,2\n3,c,3\n',
        "reopened.csv": 'id,price,name\n1,1,"a\n2,2,"b"\n3,3,c\n',
        "ends_with_lines.csv": 'id,name\n1,"x\n\n"\n2,"x\n"\n3,"y\nx\n"\n',
        "crlf.csv": 'id,name\r\n1,a\r\n\r\n2,"b"\r\n3,\r\n4,"p\r\nq"\r\n5\r\n',
        "mixed_ends.csv": "id,name\r\n1,a\n2,b\r\n",
        "cr.csv": "id,name\r1,a\r2,b",
        "bom.csv": "\ufeffid,name\n1,a\n",
        "no_last_end.csv": "id,name\n1,a\n2,b",
        "blank_lines.csv": "\n\nid,name\n\n1,a\n   \n2,b\n\n",
        "header_only.csv": "id,name\n",
        "header_only_bare.csv": "id,name",
        "empty.csv": b"",
        "line_ends_only.csv": "\n\n",
        "quoted_header.csv": '"id","na""me","two\nlines"\n1,a,b\n',
        "zeros.csv.gz": gzip.compress(plain),
        "UPPER.CSV.GZ": gzip.compress(plain),
        "b.csv.bz2": bz2.compress(plain),
        "z.csv.zst": zstd(plain, folder / "zst"),
        "odd [1]{2}*?,é%20.csv": plain,
        "not_utf8.csv": b"id,name\n1,caf\xe9\n2,b\n",
        "long_header.csv": "id," + ",".join(f"{n:0>50}" for n in range(1500)) + "\n1"
        + ",v" * 1500 + "\n",
    }  # fmt: skip
    return read(spark, CSV, drop(folder, files), WANTED)


def test_columns_are_taken_by_name_from_each_file(a_day: Read) -> None:
    plain = [(1, "a", Decimal("1.50")), (2, "b", Decimal("2.00"))]
    for name in (
        "plain.csv", "zeros.csv.gz", "UPPER.CSV.GZ", "b.csv.bz2", "z.csv.zst",
        "odd [1]{2}*?,é%20.csv",
    ):  # fmt: skip
        assert a_day.rows[name] == plain, name
    assert a_day.rows["reordered.csv"] == plain[:1]
    assert a_day.rows["missing.csv"] == [(1, "a", None)]


def test_what_no_column_bears_is_rescued(a_day: Read) -> None:
    assert [row[0] for row in a_day.rows["more.csv"]] == [1, 2]
    assert a_day.rescued["more.csv"] == [{"colour": "red", "_c5": "x"}]
    assert a_day.rows["case.csv"] == [(None, "a", None)]
    assert a_day.rescued["case.csv"] == [{"ID": "7"}]
    assert a_day.rescued["quoted_header.csv"] == [{'na"me': "a", "two\nlines": "b"}]
    assert len(a_day.rescued["long_header.csv"][0]) == 1500
    assert a_day.has_new


def test_values_are_strict_and_misfits_rescued(a_day: Read) -> None:
    assert [row[:2] for row in a_day.rows["strict.csv"]] == [(None, "a"), (2, "b"), (3, " c ")]
    assert [row[2] for row in a_day.rows["strict.csv"]] == [None, None, None]
    assert a_day.rescued["strict.csv"] == [{"id": "x1", "price": "1.005"}, {"price": "abc"}]


def test_quotes_hold_lines_separators_and_quotes(a_day: Read) -> None:
    told = [(row[0], row[1]) for row in a_day.rows["quoted.csv"]]
    assert told == [(1, 'l1\nl2, "x"'), (2, None), (3, "C:\\")]
    assert [row[1] for row in a_day.rows["ends_with_lines.csv"]] == ["x\n\n", "x\n", "y\nx\n"]


def test_a_row_of_too_few_or_many_fields_is_bad(a_day: Read) -> None:
    assert [row[0] for row in a_day.rows["fields.csv"]] == [3, 4]
    assert a_day.bad["fields.csv"] == [
        ("2 fields, the header has 3", "1,a"),
        ("4 fields, the header has 3", "2,b,2,more"),
        ("1 field, the header has 3", "5"),
    ]


def test_a_quote_that_is_never_closed_is_told_with_all_that_it_took(a_day: Read) -> None:
    assert [row[0] for row in a_day.rows["unclosed.csv"]] == [1]
    never = "a quote is opened and never closed"
    assert a_day.bad["unclosed.csv"] == [(never, '2,2,"b\n3,3,c\n4,4,d')]
    assert [row[0] for row in a_day.rows["unclosed_early.csv"]] == [1]
    assert a_day.bad["unclosed_early.csv"] == [(never, '"2,b,2\n3,c,3')]
    assert [row[0] for row in a_day.rows["reopened.csv"]] == [3]
    assert a_day.bad["reopened.csv"] == [(never, '1,1,"a\n2,2,"b"')]


def test_any_line_end_will_do(a_day: Read) -> None:
    told = [(row[0], row[1]) for row in a_day.rows["crlf.csv"]]
    assert told == [(1, "a"), (2, "b"), (3, None), (4, "p\r\nq")]
    assert a_day.bad["crlf.csv"] == [("1 field, the header has 2", "5")]
    for name in ("mixed_ends.csv", "cr.csv", "no_last_end.csv", "blank_lines.csv"):
        assert [(row[0], row[1]) for row in a_day.rows[name]] == [(1, "a"), (2, "b")], name
        assert name not in a_day.bad
    assert a_day.rows["bom.csv"] == [(1, "a", None)]


def test_files_without_records_are_all_right(a_day: Read) -> None:
    none = {"header_only.csv", "header_only_bare.csv", "empty.csv", "line_ends_only.csv"}
    assert not none & {*a_day.rows, *a_day.bad}


def test_bytes_of_another_encoding_are_told(a_day: Read) -> None:
    assert a_day.rows["not_utf8.csv"] == [(2, "b", None)]
    assert a_day.bad["not_utf8.csv"] == [("bytes that are no UTF-8; see `encoding`", "1,caf\ufffd")]


def test_files_that_are_no_csv_of_the_table_are_unreadable(
    spark: SparkSession, tmp_path: Path
) -> None:
    spark.range(3).coalesce(1).write.parquet(str(tmp_path / "parquet"))
    parquet = next((tmp_path / "parquet").glob("*.parquet")).read_bytes()
    files = drop(
        tmp_path,
        {
            "good.csv": "id,name\n1,a\n",
            "repeated.csv": "id,name,id\n1,a,2\n",
            "no_header.csv": "1,a,2.5\n2,b,3.5\n",
            "parquet.csv": parquet,
            "cut.csv.gz": gzip.compress(b"id,name\n" + b"1,a\n" * 9)[:20],
            "not_gzip.csv.gz": b"id,name\n1,a\n",
            "unclosed_header.csv": 'id,"name\n1,a\n',
            "x.csv.snappy": b"id,name\n1,a\n",
        },
    )
    with pytest.raises(UnreadableError) as told:
        read(spark, CSV, files, WANTED)
    why = {Path(file.path).name: reason for file, reason in told.value.files.items()}
    assert set(why) == {file.name for file in files} - {"good.csv"}
    assert why["repeated.csv"].startswith("its header repeats id; `rename_columns: snake_case`")
    assert "1, a, 2.5; if the files have no header, set `header: false`" in why["no_header.csv"]
    assert why["parquet.csv"] == "not a csv file: it holds binary zeros"
    assert why["unclosed_header.csv"] == "its header opens a quote and never closes it"


def test_options(spark: SparkSession, tmp_path: Path) -> None:
    def rows(content: str | bytes, ddl: str = "id int, name string", **options: str) -> Read:
        return read(spark, CSV, drop(tmp_path, {"x.csv": content}), ddl, options)

    told = rows('id||name\n1||"a||b"\n2||a|b\n', sep="||")
    assert told.rows["x.csv"] == [(1, "a||b"), (2, "a|b")]
    told = rows("id;name\n1;'a;''b'\n", delimiter=";", quote="'", escape="'")
    assert told.rows["x.csv"] == [(1, "a;'b")]
    told = rows(
        '"id","a \\"name\\""\n1,"a \\"b\\""\n', ddl='id int, `a "name"` string', escape="\\"
    )
    assert told.rows["x.csv"] == [(1, 'a "b"')]
    told = rows('id,name\n1,"a\n2,b"\n', quote="")
    assert told.rows["x.csv"] == [(1, '"a'), (2, 'b"')]
    told = rows("# about\nid,name\n#1,a\n2,#b\n", comment="#")
    assert told.rows["x.csv"] == [(2, "#b")]
    told = rows("1,a\n2,b\n3,c,d\n4\n", header="false")
    assert told.rows["x.csv"] == [(1, "a"), (2, "b")]
    assert [why for why, _ in told.bad["x.csv"]] == [
        "3 fields, the schema has 2", "1 field, the schema has 2",
    ]  # fmt: skip
    assert not told.has_new
    told = rows('id,name\n1,NULL\n2,\n3,""\n4,b\n', nullValue="NULL", emptyValue="nothing")
    assert told.rows["x.csv"] == [(1, None), (2, None), (3, "nothing"), (4, "b")]
    told = rows(" id , name \n 1 , a \n", ignoreLeadingWhiteSpace="true",
                ignoreTrailingWhiteSpace="true")  # fmt: skip
    assert told.rows["x.csv"] == [(1, "a")]
    told = rows('id,name\n1,"a\n2,b\n3,"c"\n\n', multiLine="false")
    assert told.rows["x.csv"] == [(2, "b"), (3, "c")]
    for encoding in ("UTF-16", "UTF-16LE", "UTF-16BE", "ISO-8859-1", "windows-1252"):
        text = "id,name\n1,é\n2\n"
        told = rows(text.encode(encoding), encoding=encoding)
        assert told.rows["x.csv"] == [(1, "é")], encoding
        assert told.bad["x.csv"] == [("1 field, the header has 2", "2")]
    told = rows("id,name\n1,€ “a”\n".encode("cp1252"), encoding="windows-1252")
    assert told.rows["x.csv"] == [(1, "€ “a”")]
    told = rows(
        "d,t\n31.12.2024,31.12.2024 10:15\n", "d date, t timestamp_ntz",
        dateFormat="dd.MM.yyyy", timestampFormat="dd.MM.yyyy HH:mm",
    )  # fmt: skip
    assert str(told.rows["x.csv"][0][0]) == "2024-12-31"
    assert str(told.rows["x.csv"][0][1]) == "2024-12-31 10:15:00"
    with pytest.raises(UsageError, match="EBCDIC"):
        rows("id\n1\n", encoding="EBCDIC")
    with pytest.raises(UsageError, match="line by line"):
        rows("id\n1\n", encoding="UTF-16", multiLine="false")


def test_one_column_has_its_own_blank_lines(spark: SparkSession, tmp_path: Path) -> None:
    files = drop(tmp_path, {"x.csv": 'name\r\na\r\n\r\n""\r\nb\r\n', "y.csv": "name\na\n\nb,c\n"})
    told = read(spark, CSV, files, "name string")
    assert [row[0] for row in told.rows["x.csv"]] == ["a", None, "b"]
    assert told.rows["y.csv"] == [("a",)]
    assert told.bad["y.csv"] == [("2 fields, the header has 1", "b,c")]


def test_columns_and_types_are_inferred_over_all_headers(
    spark: SparkSession, tmp_path: Path
) -> None:
    files = drop(
        tmp_path,
        {
            "a.csv": "id,name,when,has space,,A\n1,a,2024-01-01,x,,1\n",
            "b.csv": "n,id,a\n1,2.5,2\n",
            "c.csv": 'name,n\n3,9999999999\n"x\ny",1\n',
            "empty.csv": "",
        },
    )
    some = [found(file) for file in files]
    texts = StructType.fromDDL("id string, name string, when string, A string, n string")
    assert CSV.infer(Input(spark, some, {}), typed=False) == texts
    typed = StructType.fromDDL("id double, name string, when date, A int, n bigint")
    assert CSV.infer(Input(spark, some, {}), typed=True) == typed
    no_header = {"header": "false"}
    assert CSV.infer(Input(spark, some[2:3], no_header), typed=False).names == ["_c0", "_c1"]
    assert read(spark, CSV, files[3:], "id int").rows == {}
