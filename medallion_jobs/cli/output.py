"""Where output goes, and how rows look: a table for reading, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

import typer


@contextmanager
def opened(out: Path | None) -> Iterator[BinaryIO]:
    """A file that is written whole or not at all, or else stdout."""
    if out is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    from medallion_jobs.report.atomic_file import open_atomically

    with open_atomically(out) as sink:
        yield sink


def print_rows(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, as_json: bool = False
) -> None:
    """Prints rows under their column names."""
    if as_json:
        records = [dict(zip(columns, row, strict=True)) for row in rows]
        typer.echo(json.dumps(records, default=_plain, indent=2, ensure_ascii=False))
    else:
        _print_table(columns, rows)


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    all_rows = list(rows)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for position, column in enumerate(columns):
        numeric = any(isinstance(row[position], int | float | Decimal) for row in all_rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in all_rows:
        table.add_row(*(Text(_shown(cell)) for cell in row))
    # A pipe has no width, so lines may be as long as needed.
    console = Console(width=None if sys.stdout.isatty() else 10_000)
    console.print(table)


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
    # A control character in the data must not reach the terminal.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(cell))


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        # DuckDB's sum of integers is a decimal of scale 0; programs expect a number.
        return int(value) if value.as_tuple().exponent == 0 else str(value)
    return str(value)
