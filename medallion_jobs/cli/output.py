"""Where output goes, and how rows look: a table or blocks for reading, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timezone
from decimal import Decimal
from functools import update_wrapper
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

_NO_TERMINAL = 10_000
_GAP = "  "

LocalTimeOption = Annotated[
    bool, typer.Option("--local-time", help="Show times in the time zone of this machine.")
]


class _Zone:
    """The time zone that times are shown in: UTC, or that of this machine."""

    is_local = False


def shows_times(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command --local-time."""

    def with_option(*, local_time: LocalTimeOption = False, **others: object) -> None:
        _Zone.is_local = local_time
        command(**others)

    option = next(iter(signature(with_option, eval_str=True).parameters.values()))
    own = signature(command, eval_str=True)
    update_wrapper(with_option, command)
    keyword = option.replace(kind=Parameter.KEYWORD_ONLY)
    with_option.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*own.parameters.values(), keyword]
    )
    return with_option


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


def terminal_width() -> int:
    """The columns of the terminal; without one, such as in a pipe, lines may be of any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _NO_TERMINAL


def print_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    as_json: bool = False,
    empty: str = "",
) -> None:
    """Prints rows under their column names; each as a block if the terminal is too narrow.

    Args:
        empty: what to say if there are no rows.
    """
    if as_json:
        records = [dict(zip(columns, row, strict=True)) for row in rows]
        typer.echo(json.dumps(records, default=_plain, indent=2, ensure_ascii=False))
        return
    listed = list(rows)
    if empty and not listed:
        typer.echo(empty, err=True)
        return
    for line in drawn(columns, listed, terminal_width()):
        typer.echo(line)


def drawn(columns: Sequence[str], rows: Sequence[Sequence[object]], width: int) -> Iterator[str]:
    """The lines of a table, or of a block for each row if a table would be wider than `width`.

    A table that is too wide goes without the columns that no row has; its last column is wrapped
    if the others leave it half of the width.
    """
    table = _Drawing(columns, rows)
    if table.width > width:
        table = table.without_empty_columns()
    if table.width <= width or table.before_last <= width // 2 or not rows:
        yield from table.lines(width)
    else:
        yield from table.blocks(width)


class _Drawing:
    """Columns and rows as text, and how wide they are.

    Attributes:
        width: the columns of the terminal that a table of them takes.
        before_last: those before the last column of the table.
    """

    def __init__(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        self._columns, self._rows = columns, rows
        self._cells = [[shown(cell) for cell in row] for row in rows]
        texts = [[name, *(row[n] for row in self._cells)] for n, name in enumerate(columns)]
        self._widths = [max(map(_width, column)) for column in texts]
        self._is_numeric = [
            any(isinstance(row[n], int | float | Decimal) for row in rows)
            for n in range(len(columns))
        ]
        self.width = sum(self._widths) + len(_GAP) * max(len(columns) - 1, 0)
        self.before_last = self.width - (self._widths[-1] if columns else 0)

    def without_empty_columns(self) -> _Drawing:
        kept = [
            n
            for n in range(len(self._columns))
            if n == 0 or any(row[n] is not None for row in self._rows)
        ]
        columns = [self._columns[n] for n in kept]
        return _Drawing(columns, [[row[n] for n in kept] for row in self._rows])

    def lines(self, width: int) -> Iterator[str]:
        """The lines of a table."""
        total = min(self.width, width)
        yield from self._row(self._columns, total)
        yield "─" * total
        for cells in self._cells:
            yield from self._row(cells, total)

    def _row(self, cells: Sequence[str], total: int) -> Iterator[str]:
        padded = []
        for text, width, is_numeric in zip(cells, self._widths, self._is_numeric, strict=True):
            space = " " * (width - _width(text))
            padded.append(space + text if is_numeric else text + space)
        line = _GAP.join(padded).rstrip()
        if _width(line) <= total:
            yield line
            return
        before = _GAP.join([*padded[:-1], ""])
        yield from wrapped(cells[-1], total, first=before, others=" " * _width(before))

    def blocks(self, width: int) -> Iterator[str]:
        """A block for each row: a line for each column that the row has."""
        label = max(map(_width, self._columns)) + len(_GAP)
        for place, (row, cells) in enumerate(zip(self._rows, self._cells, strict=True)):
            if place:
                yield ""
            for n, (name, text) in enumerate(zip(self._columns, cells, strict=True)):
                # The first column says which row it is.
                if n == 0 or row[n] is not None:
                    first = name + " " * (label - _width(name))
                    yield from wrapped(text, width, first=first, others=" " * label)


def print_text(text: str, *, first: str = "", others: str = "  ") -> None:
    """Prints a text, broken between words for the terminal.

    Args:
        first, others: what its first line, and the others, start with.
    """
    for line in wrapped(text, terminal_width(), first=first, others=others):
        typer.echo(line)


def wrapped(text: str, width: int, *, first: str = "", others: str = "") -> list[str]:
    """The lines of a text; only broken at spaces, since a name in two parts cannot be copied."""
    lines = textwrap.wrap(
        text,
        max(width, len(others) + 1),
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.rstrip() for line in lines] or [first.rstrip()]


def shown(cell: object) -> str:
    """A value as text on one line."""
    if cell is None:
        return "-"
    if isinstance(cell, datetime):
        return time_text(cell)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, list | tuple):
        return ", ".join(map(shown, cell)) or "-"
    # A control character in the data must not reach the terminal.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(cell))


def time_text(moment: datetime | str) -> str:
    """A moment to the second with its time zone: UTC, or with --local-time that of this machine.

    A text is an ISO timestamp. A moment without a time zone is shown as it is.
    """
    at = moment
    if isinstance(at, str):
        at = datetime.fromisoformat(at.replace("Z", "+00:00"))  # Python 3.10 does not parse the Z
    if at.tzinfo is None:
        return at.isoformat(sep=" ", timespec="seconds")
    at = at.astimezone(None if _Zone.is_local else timezone.utc)
    return f"{at:%Y-%m-%d %H:%M:%S} {at.tzname() or 'UTC'}"


def _width(text: str) -> int:
    """The columns that a text takes in a terminal."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) != 0 for c in text)


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        # DuckDB's sum of integers is a decimal of scale 0; programs expect a number.
        return int(value) if value.as_tuple().exponent == 0 else str(value)
    return str(value)
