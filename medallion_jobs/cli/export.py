"""Exports quarantined rows to a file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import pyarrow as pa


class Form(str, Enum):
    """The file format."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


# A spreadsheet reads a text that begins with one of these, also after blanks, as a formula
# (OWASP, "CSV Injection"). It treats the full-width forms the same.
_FORMULA = re.compile("\\s*[=+@\uff1d\uff0b\uff0d\uff20-]|[\t\r\n]")


def write(rows: pa.RecordBatchReader, file: Path, form: Form) -> int:
    """Writes rows to a file atomically; returns the number of rows.

    Args:
        rows: as `medallion_jobs.report.quarantine` reads them; their column `row` is a JSON
            object for silver, and any text for bronze.
    """
    writers = {Form.JSON: _json, Form.CSV: _csv, Form.PARQUET: _parquet}
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        count = writers[form](rows, draft)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return count


def _json(rows: pa.RecordBatchReader, file: Path) -> int:
    """The original rows, one per line."""
    count = 0
    with _opened(file) as out:
        for row in _texts(rows):
            out.write(f"{row}\n")
            count += 1
    return count


def _csv(rows: pa.RecordBatchReader, file: Path) -> int:
    """The union of all rows' columns; what is not a JSON object goes to a column `line`.

    Texts are quoted, so that an empty text differs from null.
    """
    texts = list(_texts(rows))
    columns = list(dict.fromkeys(name for text in texts for name in _cells(text)))
    with _opened(file) as out:
        out.write(",".join(map(_cell, columns)) + "\n")
        for text in texts:
            cells = _cells(text)
            out.write(",".join(_cell(cells.get(name)) for name in columns) + "\n")
    return len(texts)


def _parquet(rows: pa.RecordBatchReader, file: Path) -> int:
    """The quarantine's own columns; the row is text."""
    import pyarrow.parquet as pq

    count = 0
    with pq.ParquetWriter(file, rows.schema) as out:
        for batch in rows:
            out.write_batch(batch)
            count += batch.num_rows
    return count


def _texts(rows: pa.RecordBatchReader) -> Iterator[str]:
    return (text for batch in rows for text in batch.column("row").to_pylist())


class _Number(str):
    """A number that keeps all digits as they were written."""

    __slots__ = ()


def _cells(row: str) -> dict[str, object]:
    try:
        cells = json.loads(row, parse_float=_Number, parse_int=_Number)
    except ValueError:
        cells = None
    return cells if isinstance(cells, dict) else {"line": row}


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, _Number | bool):
        return _as_json(value)
    text = value if isinstance(value, str) else _as_json(value)
    safe = f"'{text}" if _FORMULA.match(text) else text
    return '"' + safe.replace('"', '""') + '"'


def _as_json(value: object) -> str:
    if isinstance(value, _Number):
        return value
    if isinstance(value, dict):
        return "{" + ",".join(f"{_as_json(k)}:{_as_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_as_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _opened(file: Path) -> TextIO:
    return file.open("w", encoding="utf-8", newline="")
