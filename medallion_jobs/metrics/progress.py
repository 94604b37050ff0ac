"""What a run says while it works: one event for each thing that a person or a log may want."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class BatchDone:
    """A micro-batch is in its table.

    Attributes:
        table: `layer.name` of the table that was written.
        files: landing files that the batch read; 0 where it read a table.
        seconds: from the batch's call to its last commit.
        rows_in: rows or lines read; None where the source's log does not tell.
        backlog: what is left in the source: files for bronze, rows for the others; None where
            the source's log does not reach back far enough to tell.
        remarks: what a person should know of it.
    """

    table: str
    batch: int
    rows_in: int | None
    rows_out: int
    files: int
    quarantined: int
    seconds: float
    backlog: int | None
    remarks: tuple[str, ...] = ()
    at: str = field(default_factory=_now)


@dataclass(frozen=True)
class Note:
    """Anything else worth a line: a lock taken over, a layer done, a stop asked for."""

    table: str
    what: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    at: str = field(default_factory=_now)


Event = BatchDone | Note
Emit = Callable[[Event], None]


def as_json(event: Event) -> str:
    """One line of JSON; `event` tells the kind."""
    kind = "batch" if isinstance(event, BatchDone) else "note"
    return json.dumps({"event": kind, **asdict(event)}, default=str)


def as_line(event: Event) -> str:
    """One line for a person."""
    if isinstance(event, Note):
        told = ", ".join(
            f"{value:.1f} s" if key == "seconds" else str(value)
            for key, value in event.facts.items()
        )
        return f"{event.table:<28} {event.what}" + (f" ({told})" if told else "")
    parts = [f"batch {event.batch}", f"{_count(event.rows_in)} in", f"{event.rows_out:,} out"]
    if event.files:
        parts.append(f"{event.files:,} files")
    if event.quarantined:
        parts.append(f"{event.quarantined:,} quarantined")
    parts += [f"{event.seconds:.1f} s", f"backlog {_count(event.backlog)}", *event.remarks]
    return f"{event.table:<28} " + " · ".join(parts)


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
