"""Writers for CSV, JSON, Parquet and Arrow, batch by batch.

Two formats are ours, with pyarrow's kernels where they serve. pyarrow writes no JSON, and its
CSV writer quotes every text, writes no nested values, and gives a column one type: a quarantine's
rows may have a number and a text under one name, and keep the digits of their numbers.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medallion_jobs.report.arrow import python_values

Writer = Callable[[pa.Schema, Iterable[pa.RecordBatch], BinaryIO], None]

_NULL = "null"
# Texts that a CSV reader would split, trim or read as null without quotes.
_SPECIAL = r'[",\r\n]|^\s|\s$|^$'
# A spreadsheet reads a text that begins with one of these, also after blanks, as a formula
# (OWASP, "CSV Injection"). It treats the full-width forms the same.
_FORMULA = re.compile("\\s*[=+@\uff1d\uff0b\uff0d\uff20-]|[\t\r\n]")


def csv(schema: pa.Schema, batches: Iterable[pa.RecordBatch], out: BinaryIO) -> None:
    """A header, then one line per row (RFC 4180, but lines end with a newline alone).

    Null is an empty field, an empty text `""`. Timestamps are in UTC, with a `Z`.
    Structs, lists and maps are JSON, bytes base64.
    """
    out.write(_lines([pa.array([name]) for name in schema.names]))
    for batch in batches:
        out.write(_lines([_texts(column) for column in batch.columns]))


def json_array(schema: pa.Schema, batches: Iterable[pa.RecordBatch], out: BinaryIO) -> None:
    """One array with an object per row.

    Decimals with a scale are texts, to keep every digit. So are NaN and the infinities, which
    JSON lacks. Bytes are base64.
    """
    keys = [f"    {_indented(name)}: " for name in schema.names]
    before = "["
    for batch in batches:
        columns = [
            [key + value for value in _json_texts(column)]
            for key, column in zip(keys, batch.columns, strict=True)
        ]
        for cells in zip(*columns, strict=True):
            inner = ",\n".join(cells)
            out.write(f"{before}\n  {{\n{inner}\n  }}".encode())
            before = ","
    out.write(b"[]\n" if before == "[" else b"\n]\n")


def parquet(schema: pa.Schema, batches: Iterable[pa.RecordBatch], out: BinaryIO) -> None:
    """One Parquet file, compressed with zstd."""
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def arrow(schema: pa.Schema, batches: Iterable[pa.RecordBatch], out: BinaryIO) -> None:
    """Arrow's IPC stream."""
    with pa.ipc.new_stream(out, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def original_rows(_: pa.Schema, batches: Iterable[pa.RecordBatch], out: BinaryIO) -> None:
    """The texts of the column `row`, one per line: a quarantine's rows as they were."""
    for text in _original(batches):
        out.write(f"{text}\n".encode())


def original_rows_as_csv(_: pa.Schema, batches: Iterable[pa.RecordBatch], out: BinaryIO) -> None:
    """The union of the rows' own columns; what is not a JSON object goes to a column `line`.

    Texts are quoted, so that an empty text differs from null, and none is a formula.
    """
    rows = [_cells_of(text) for text in _original(batches)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines: list[dict[str, object]] = [dict(zip(columns, columns, strict=True)), *rows]
    for line in lines:
        out.write((",".join(_safe_cell(line.get(name)) for name in columns) + "\n").encode())


WRITERS: Mapping[str, Writer] = {
    "csv": csv,
    "json": json_array,
    "parquet": parquet,
    "arrow": arrow,
}
# For an export of a quarantine: its column `row` is a JSON object, or for bronze any text.
WRITERS_OF_QUARANTINE: Mapping[str, Writer] = {
    "json": original_rows,
    "csv": original_rows_as_csv,
    "parquet": parquet,
}


def as_json(value: Any) -> Any:
    """A value of types that `json.dumps` accepts."""
    if isinstance(value, dict):
        return {str(as_json(key)): as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Decimal):
        return int(value) if value.as_tuple().exponent == 0 else f"{value:f}"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _json_texts(column: pa.Array) -> list[str]:
    """A column's values as JSON."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        iso = pc.replace_substring(pc.replace_substring(_texts(column), " ", "T"), "Z", "+00:00")
        return [_NULL if text is None else f'"{text}"' for text in iso.to_pylist()]
    if pa.types.is_decimal(kind) or pa.types.is_integer(kind):
        # DuckDB's sum of integers is a decimal of scale 0; programs expect a number.
        quote = '"' if pa.types.is_decimal(kind) and kind.scale else ""
        return [_NULL if v is None else f"{quote}{v}{quote}" for v in _texts(column).to_pylist()]
    return [_indented(as_json(value)) for value in python_values(column)]


def _indented(value: Any) -> str:
    """A value as JSON, indented for an object in the array."""
    indent = 2 if isinstance(value, dict | list) else None
    return json.dumps(value, ensure_ascii=False, indent=indent).replace("\n", "\n    ")


def _lines(columns: list[pa.Array]) -> bytes:
    lines = pc.binary_join_element_wise(*map(_in_quotes, columns), ",")
    return "".join(f"{line}\n" for line in lines.to_pylist()).encode()


def _in_quotes(texts: pa.Array) -> pa.Array:
    doubled = pc.replace_substring(texts, '"', '""')
    quoted = pc.binary_join_element_wise('"', doubled, '"', "")
    special = pc.match_substring_regex(texts, _SPECIAL)
    return pc.if_else(special, quoted, texts).fill_null("")


def _texts(column: pa.Array) -> pa.Array:
    """A column as texts, not quoted yet."""
    kind = column.type
    if pa.types.is_decimal(kind):
        texts = column.cast(pa.string())
        exponents = pc.any(pc.match_substring(texts, "E")).as_py()
        if not exponents:
            return texts
        return pa.array([None if v is None else f"{v:f}" for v in column.to_pylist()], pa.string())
    if pa.types.is_timestamp(kind):
        # Arrow stores timestamps in UTC, whatever their time zone.
        texts = column.view(pa.timestamp(kind.unit)).cast(pa.string())
        whole_seconds = pc.replace_substring_regex(texts, r"\.0+$", "")
        return pc.binary_join_element_wise(whole_seconds, "Z" if kind.tz else "", "")
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_floating(kind):
        return pa.array([_cell(value) for value in python_values(column)], pa.string())
    return column.cast(pa.string())


def _cell(value: Any) -> str | None:
    plain = as_json(value)
    if plain is None or isinstance(plain, str):
        return plain
    return json.dumps(plain, ensure_ascii=False)


def _original(batches: Iterable[pa.RecordBatch]) -> Iterator[str]:
    return (text for batch in batches for text in batch.column("row").to_pylist())


class _Number(str):
    """A number that keeps all digits as they were written."""

    __slots__ = ()


def _cells_of(row: str) -> dict[str, object]:
    try:
        cells = json.loads(row, parse_float=_Number, parse_int=_Number)
    except ValueError:
        cells = None
    return cells if isinstance(cells, dict) else {"line": row}


def _safe_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, _Number | bool):
        return _digits_kept(value)
    text = value if isinstance(value, str) else _digits_kept(value)
    safe = f"'{text}" if _FORMULA.match(text) else text
    return '"' + safe.replace('"', '""') + '"'


def _digits_kept(value: object) -> str:
    """A value as JSON, with its numbers as they were written."""
    if isinstance(value, _Number):
        return value
    if isinstance(value, dict):
        return (
            "{" + ",".join(f"{_digits_kept(k)}:{_digits_kept(v)}" for k, v in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(map(_digits_kept, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
