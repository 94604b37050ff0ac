"""Any bytes, any dialect: each field is exact or its record is in quarantine, with its bytes."""

from __future__ import annotations

import csv
import io
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType
from support.records import found

from medallion_jobs.autoloader.readers.csv_files import CsvFiles
from medallion_jobs.autoloader.readers.records import Input

CSV = CsvFiles()
# What a file may hold that its reader does not show: separators, quotes, line ends, blanks.
UNSEEN = b",;|\t\"'\\\r\n "
TEXTS = ["", "a", "b c", "é€", "\ufffd", "x,y", 'q"q', '"', "'", "l\nm", "\r", "\r\n", "\\", "0",
         ";", " ", "a ", "|", "\t", '""', '\\"', "#x"]  # fmt: skip


class Dialect(NamedTuple):
    sep: str = ","
    quote: str = '"'
    escape: str = '"'
    newline: str = "\n"
    encoding: str = "utf-8"
    header: bool = True
    multi_line: bool = True

    @property
    def options(self) -> dict[str, str]:
        named = self._asdict()
        del named["newline"], named["multi_line"]
        named |= {"multiLine": self.multi_line, "header": self.header}
        return {name: str(value) for name, value in named.items()}


DIALECTS = (
    Dialect(),
    Dialect(sep=";", quote="'", escape="'", newline="\r\n", encoding="windows-1252"),
    Dialect(sep="|", escape="\\", header=False),
    Dialect(sep="\t", newline="\r", header=False, encoding="iso-8859-1"),
    Dialect(newline="\r\n", multi_line=False),
)


class Document(NamedTuple):
    """A file: its bytes, and each record by its bytes and its fields, if these are known."""

    content: bytes
    width: int
    records: list[tuple[bytes, list[str]]] | None


def of_csv(rng: random.Random, dialect: Dialect) -> Document:
    """A file by Python's csv module; some records then get a byte that is not of the encoding."""
    count = 1 if rng.random() < 0.1 else rng.randint(2, 4)
    # The csv module escapes outside quotes too, where Spark takes an escape for itself.
    every = dialect.escape != dialect.quote or rng.random() < 0.5
    quoting = csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL
    records = []
    for _ in range(rng.randint(1, 6)):
        row = [text_of(rng, dialect) for _ in range(count)]
        encoded = written(row, dialect, quoting)
        if rng.random() < 0.2 and dialect.encoding == "utf-8" and encoded[:1] not in b'"#\r\n':
            encoded, row = b"\xff" + encoded, []
        records.append((encoded, row))
    head = written([f"c{n}" for n in range(count)], dialect, quoting)
    lines = [head] * dialect.header + [encoded for encoded, _ in records]
    content = b"".join(line + dialect.newline.encode() for line in lines)
    return Document(content, count, records)


def text_of(rng: random.Random, dialect: Dialect) -> str:
    text = "".join(rng.choices(TEXTS, k=rng.randint(0, 3)))
    if not dialect.multi_line or dialect.newline == "\r":
        text = text.replace("\n", "").replace("\r", "")
    return text.encode(dialect.encoding, "ignore").decode(dialect.encoding)


def written(row: list[str], dialect: Dialect, quoting: int) -> bytes:
    out = io.StringIO()
    doubled = dialect.escape == dialect.quote
    writer = csv.writer(
        out,
        delimiter=dialect.sep,
        quotechar=dialect.quote,
        doublequote=doubled,
        escapechar=None if doubled else dialect.escape,
        quoting=quoting,  # type: ignore[arg-type]
        lineterminator="\r\n",
    )
    # Blank lines are no records, and blanks alone are a blank line.
    plain = [one if len(row) > 1 or one.strip() else "v" for one in row]
    row[:] = plain if any(one.strip() for one in plain) else ["v", *plain[1:]]
    writer.writerow(row)
    return out.getvalue().removesuffix("\r\n").encode(dialect.encoding)


def by_hand(rng: random.Random, dialect: Dialect) -> Document:
    """A file of any bytes, below a header of two columns."""
    parts = [dialect.sep, dialect.quote, dialect.escape, dialect.newline, "\n", "\r", " ", "a", "1"]
    some = [part.encode() for part in parts] + [b"\xff", b"\xc3\xbc", b"\xe2\x82", b"bc"]
    body = b"".join(rng.choices(some, k=rng.randint(1, 30)))
    head = f"c0{dialect.sep}c1{dialect.newline}".encode()
    return Document(head * dialect.header + b"k" + body, 2, None)


def read_back(
    spark: SparkSession, documents: list[Document], dialect: Dialect, folder: Path
) -> Iterator[tuple[Document, list[Any]]]:
    """Each document with its records in order, all read at once."""
    files = []
    for number, document in enumerate(documents):
        (folder / f"{number}.csv").write_bytes(document.content)
        files.append(found(folder / f"{number}.csv"))
    columns = StructType([StructField(f"c{n}", StringType()) for n in range(4)])
    got: dict[str, list[Any]] = {file.path: [] for file in files}
    for width in range(1, 5):
        some = [f for f, d in zip(files, documents, strict=True) if d.width == width]
        records = CSV.records(
            Input(spark, some, dialect.options), StructType(columns.fields[:width])
        )
        rows = records.frame.select(
            records.good.alias("good"),
            records.raw.alias("raw_text"),
            records.raw_bytes.alias("binary"),
            F.struct(*records.columns).alias("row"),
            "_input_file",
        )
        for row in rows.collect():
            got[row["_input_file"]].append(row)
    for file, document in zip(files, documents, strict=True):
        yield document, got[file.path]


NO_TEXT = "\ufffd"


def check(document: Document, rows: list[Any], dialect: Dialect) -> None:
    if document.records is not None:
        assert len(rows) == len(document.records), document
        for row, (encoded, fields) in zip(rows, document.records, strict=True):
            if row["good"]:
                assert fields, (document, row)
                kept = [row["row"][n] or "" for n in range(len(fields))]
                assert kept == fields, document
            else:
                assert row["binary"] in (encoded, bytearray(encoded)), (document, row)
        return
    # Of any bytes, each is in a row or in quarantine, in the order of the file.
    body = document.content
    if dialect.header:
        body = body.partition(dialect.newline.encode())[2]
    kept = b"".join(pattern(row, dialect.encoding) for row in rows)
    assert re.fullmatch(kept, body.translate(None, UNSEEN), re.DOTALL), (document, rows)


def pattern(row: Any, encoding: str) -> bytes:
    """A pattern of what is kept of a record, which is all of it but for a few that say so."""
    if row["good"]:
        return seen(b"".join(one.encode(encoding) for one in row["row"] if one))
    if row["binary"] is not None:
        return seen(bytes(row["binary"]))
    # Spark does not show all of a record with an empty field too many at its end: it is kept in
    # part, and says so by having no bytes. Only its bytes that are no text are not known.
    return b".+".join(seen(part.encode(encoding)) for part in row["raw_text"].split(NO_TEXT))


def seen(kept: bytes) -> bytes:
    return re.escape(kept.translate(None, UNSEEN))


def check_all(spark: SparkSession, folder: Path, count: int, seed: int) -> None:
    for number, dialect in enumerate(DIALECTS):
        rng = random.Random(f"{seed} {number}")
        made = [of_csv(rng, dialect) for _ in range(count)]
        made += [by_hand(rng, dialect) for _ in range(count)]
        where = folder / f"{seed}_{number}"
        where.mkdir()
        kept = {id(document): rows for document, rows in read_back(spark, made, dialect, where)}
        for document in made:
            check(document, kept[id(document)], dialect)


def test_any_bytes_in_any_dialect(spark: SparkSession, tmp_path: Path) -> None:
    check_all(spark, tmp_path, 60, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_bytes_in_any_dialect(spark: SparkSession, tmp_path: Path, seed: int) -> None:
    check_all(spark, tmp_path, 1500, seed)
