"""Shows a run: live in a terminal, as lines, or as JSON."""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from medallion_jobs.observe.events import (
    NAME_WIDTH,
    SEPARATOR,
    BatchDone,
    Emit,
    Event,
    as_json,
    as_line,
    waiting,
)


@contextmanager
def shown(how: str) -> Iterator[Emit]:
    """An emit function for `how`: live, lines (both on stderr) or json (on stdout)."""
    if how == "live":
        with _LiveView() as view:
            yield view.emit
    elif how == "lines":
        yield lambda event: typer.echo(as_line(event), err=True)
    else:
        yield lambda event: typer.echo(as_json(event))


class _LiveView:
    """A line for each batch, and below them a table with the progress of each query."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._newest: dict[str, BatchDone] = {}
        self._totals: dict[str, int] = {}
        self._since = time.monotonic()
        self._guard = threading.Lock()
        self._live = Live(
            get_renderable=self._table, console=self._console, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> _LiveView:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(None, None, None)

    def emit(self, event: Event) -> None:
        """Prints an event; also called from Spark's threads."""
        with self._guard:
            if isinstance(event, BatchDone):
                self._newest[event.table] = event
                self._totals[event.table] = self._totals.get(event.table, 0) + event.rows_out
        width = self._console.width
        self._console.print(folded(as_line(event), width), markup=False, highlight=False)

    def _table(self) -> Table | str:
        if not self._newest:
            return ""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        table.add_column(
            f"running for {time.monotonic() - self._since:.0f} s", min_width=NAME_WIDTH
        )
        for column in ("batch", "rows written", "last batch"):
            table.add_column(column, justify="right")
        table.add_column("outstanding")
        with self._guard:
            for name, batch in self._newest.items():
                table.add_row(
                    name,
                    str(batch.batch),
                    f"{self._totals[name]:,}",
                    f"{batch.seconds:.1f} s",
                    waiting(batch).removeprefix("waiting ") or "-",
                )
        return table


def folded(line: str, width: int) -> str:
    """Wraps a line for a terminal of this width, between its parts.

    Continuation lines are indented to the start of the parts. A part that is too wide is wrapped
    between words; a word that is too wide, such as a path, is left to the terminal.
    """
    first, *parts = line.split(SEPARATOR)
    indent = " " * (NAME_WIDTH + 1)
    lines = [first]
    for part in parts:
        longer = lines[-1] + SEPARATOR + part
        if len(longer) <= width:
            lines[-1] = longer
        else:
            room = max(width - len(indent), 1)
            words = textwrap.wrap(part, room, break_long_words=False, break_on_hyphens=False)
            lines += [indent + word for word in words]
    return "\n".join(lines)
