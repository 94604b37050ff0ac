"""Writers for CSV, JSON, Parquet and Arrow, batch by batch."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Mapping
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
    with pq.ParquetWriter(_CountingFile(out), schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def arrow(schema: pa.Schema, batches: Iterable[pa.RecordBatch], out: BinaryIO) -> None:
    """Arrow's IPC stream."""
    with pa.ipc.new_stream(_CountingFile(out), schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


WRITERS: Mapping[str, Writer] = {
    "csv": csv,
    "json": json_array,
    "parquet": parquet,
    "arrow": arrow,
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


class _CountingFile:
    """A file that counts its bytes: Arrow asks for the position, which a pipe does not have."""

    closed = False

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._written = 0

    def write(self, data: bytes) -> int:
        count = self._out.write(data)
        self._written += count
        return count

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        self._out.flush()

    def close(self) -> None:
        self.flush()

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
