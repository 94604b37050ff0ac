"""A sample of files, read without a JVM: what each of them is, and some of its rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from medallion_jobs.project import arrow_kinds, csv_dialect
from medallion_jobs.project.csv_dialect import Dialect
from medallion_jobs.project.kinds import Kind, Plain, merged_fields, of_json, of_text

_BYTES = 4 * 1024 * 1024  # of a file's beginning, decompressed
_ROWS = 20_000
_COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_BINARY = {
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".pdf",
    ".tif",
    ".tiff",
    ".webp",
    ".mp3",
    ".wav",
    ".mp4",
}
_TEXTS = {".txt", ".log"}


@dataclass(frozen=True)
class Sample:
    """What a file is.

    Attributes:
        format: as `source.format` takes it.
        options: options of the format's reader.
        fields: its columns, with what they hold; empty if they are not known.
        rows: some of its rows, by column; texts where the file has texts.
        dialect: of csv.
        is_whole: whether the rows are all that it has.
    """

    file: Path
    format: str
    options: Mapping[str, object] = field(default_factory=dict)
    fields: Mapping[str, Kind | None] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()
    dialect: Dialect | None = None
    is_whole: bool = False


def suffixes(file: Path) -> tuple[str, str]:
    """The suffix of a file's format and that of its compression, each with its dot or empty.

    >>> suffixes(Path("a.csv.gz"))
    ('.csv', '.gz')
    """
    outer = file.suffix.lower()
    if outer in _COMPRESSED:
        return Path(file.stem).suffix.lower(), outer
    return outer, ""


def sample(file: Path) -> Sample | None:
    """What a file is; None if no format of the autoloader has such files.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        magic = stream.read(4)
    if magic == b"PAR1":
        return _parquet(file)
    if magic == b"Obj\x01":
        return Sample(file, "avro")
    kind, compression = suffixes(file)
    if kind in _BINARY:
        return Sample(file, "binary")
    codec = _COMPRESSED.get(compression)
    with file.open("rb") as raw, pa.input_stream(raw, compression=codec) as stream:
        content = stream.read(_BYTES + 1)
    is_whole = len(content) <= _BYTES
    decoded = _decoded(content[:_BYTES])
    if decoded is None:
        return None
    text, encoding = decoded
    options = {"encoding": encoding} if encoding else {}
    found = _json(file, text, is_whole) or _csv(file, text, is_whole)
    if found is None:
        return Sample(file, "text", options) if kind in _TEXTS else None
    return Sample(
        file,
        found.format,
        {**found.options, **options},
        found.fields,
        found.rows,
        found.dialect,
        is_whole,
    )


def _decoded(content: bytes) -> tuple[str, str] | None:
    """The text of a file's beginning, and its encoding unless it is UTF-8; None for no text."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content[: len(content) // 2 * 2].decode("utf-16", "replace"), "UTF-16"
    if b"\0" in content:
        return None
    for cut in range(4):  # a character may be cut off at the end
        try:
            return content[: len(content) - cut].decode("utf-8-sig"), ""
        except UnicodeDecodeError:
            continue
    try:
        return content.decode("cp1252"), "windows-1252"
    except UnicodeDecodeError:
        return content.decode("latin-1"), "ISO-8859-1"


def _json(file: Path, text: str, is_whole: bool) -> Sample | None:
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        return None
    lines = [line for line in text.splitlines() if line.strip()]
    if not is_whole and len(lines) > 1:
        lines.pop()
    options: dict[str, object] = {}
    values = _objects(lines)
    if values is None and start == "{" and is_whole and (values := _in_sequence(text)):
        options = {"concatenated": True}
    if values is None or start == "[" or (len(values) == 1 and len(lines) > 1):
        document = _document(text)
        if document is not None:
            values, options = document, {"multiLine": True}
    if values is None or not all(isinstance(value, dict) for value in values):
        return None
    rows = values[:_ROWS]
    fields = merged_fields({k: of_json(v) for k, v in row.items()} for row in rows)
    return Sample(file, "json", options, fields, rows)


def _objects(lines: Sequence[str]) -> list[Any] | None:
    """The values of JSON lines; None if most lines are none. A broken line goes to quarantine."""
    found, broken = [], 0
    for line in lines[:_ROWS]:
        try:
            found.append(json.loads(line, parse_float=Decimal))
        except ValueError:
            broken += 1
    return found if found and broken <= len(found) // 10 else None


def _in_sequence(text: str) -> list[Any] | None:
    """Objects that follow each other on a line; None if a line has anything else."""
    decoder = json.JSONDecoder(parse_float=Decimal)
    found: list[Any] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        at = 0
        try:
            while at < len(line):
                value, at = decoder.raw_decode(line, at)
                found.append(value)
                at += len(line[at:]) - len(line[at:].lstrip())
        except ValueError:
            return None
    return found


def _document(text: str) -> list[Any] | None:
    try:
        value = json.loads(text, parse_float=Decimal)
    except ValueError:
        return None
    return value if isinstance(value, list) else [value]


def _csv(file: Path, text: str, is_whole: bool) -> Sample | None:
    found = csv_dialect.read(text, is_whole=is_whole)
    if found is None:
        return None
    dialect = found.dialect
    width = len(found.rows[0]) if found.rows else len(found.names)
    names = found.names or tuple(f"column_{number}" for number in range(1, width + 1))
    rows = [
        {name: value or None for name, value in zip(names, row, strict=True)}
        for row in islice(found.rows, _ROWS)
    ]
    options: dict[str, object] = {"sep": dialect.sep} if dialect.sep != "," else {}
    options |= {} if dialect.header else {"header": False}
    options |= {"skip_rows": dialect.skip_rows} if dialect.skip_rows else {}
    return Sample(
        file, "csv", options, csv_fields(names, rows, dialect.decimal_comma), rows, dialect
    )


def csv_fields(
    names: Sequence[str], rows: Sequence[Mapping[str, Any]], decimal_comma: bool | None
) -> dict[str, Kind | None]:
    """What the columns of csv hold."""
    kinds = (
        {name: of_text(row.get(name), decimal_comma=bool(decimal_comma)) for name in names}
        for row in rows
    )
    return merged_fields(chain([dict.fromkeys(names)], kinds))


def _parquet(file: Path) -> Sample:
    try:
        with parquet.ParquetFile(file) as opened:
            fields: dict[str, Kind | None] = {
                name: Plain(ddl) if ddl else None for name, ddl in arrow_kinds.columns(opened)
            }
            wanted = [name for name, kind in fields.items() if kind]
            batch = next(opened.iter_batches(_ROWS), None)
            rows = _rows(batch, wanted) if batch is not None else []
            return Sample(
                file, "parquet", {}, fields, rows, None, len(rows) == opened.metadata.num_rows
            )
    except pa.ArrowException:
        return Sample(file, "parquet")  # a run will put it aside, with its reason


def _rows(batch: pa.RecordBatch, names: Sequence[str]) -> list[dict[str, Any]]:
    flat = [name for name in names if not pa.types.is_nested(batch.schema.field(name).type)]
    columns = {name: _values(batch.column(name)) for name in flat}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _values(column: pa.Array) -> Iterator[Any]:
    if pa.types.is_timestamp(column.type) or pa.types.is_duration(column.type):
        column = column.cast(pa.int64())  # only whether values repeat is of interest
    return iter(column.to_pylist())
