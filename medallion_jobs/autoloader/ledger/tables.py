"""The ledger's two tables: their columns, and the meaning of a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import pyarrow as pa

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.masking import masked

_UTC_MICROS = pa.timestamp("us", tz="UTC")
_FILE = [
    pa.field("path", pa.string(), nullable=False),
    pa.field("size", pa.int64(), nullable=False),
    pa.field("modified", _UTC_MICROS, nullable=False),
    pa.field("version", pa.int32(), nullable=False),
]
DISCOVERED = pa.schema(
    [
        *_FILE,
        pa.field("attempt", pa.int32(), nullable=False),
        pa.field("discovered_at", _UTC_MICROS, nullable=False),
    ]
)
# Size and time in an event are those of the content that was read, which may be newer than
# the listing. Batch and generation are null in events that are not from a batch.
EVENTS = pa.schema(
    [
        *_FILE,
        pa.field("state", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("rescued", pa.int64(), nullable=False),
        pa.field("bad", pa.int64(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("generation", pa.int32()),
        pa.field("batch", pa.int64()),
        pa.field("updated_at", _UTC_MICROS, nullable=False),
    ]
)


class State(str, Enum):
    """The outcome of a file. Until its first event, a file is DISCOVERED."""

    COMMITTED = "COMMITTED"  # its rows are in bronze
    QUARANTINED = "QUARANTINED"  # it cannot be read; the error says why
    MISSING = "MISSING"  # it was gone when it was to be read
    SKIPPED = "SKIPPED"  # it was empty, or not wanted
    ARCHIVING = "ARCHIVING"  # its rows are in bronze; it is about to be moved or deleted
    ARCHIVED = "ARCHIVED"  # its rows are in bronze; it was moved or deleted


# States of files without rows in bronze, which may be read again.
NO_ROWS = frozenset({State.QUARANTINED, State.SKIPPED})


@dataclass(frozen=True)
class Outcome:
    """The outcome of one file in one batch.

    Attributes:
        rows: number of its records in bronze.
        rescued: number of those with rescued data.
        bad: number of its records in quarantine.
        error: why it has this state, or how it has changed; None if it was loaded normally.
        is_new: whether this batch loaded it, not an earlier generation.
    """

    file: FileEntry
    state: State
    rows: int = 0
    rescued: int = 0
    bad: int = 0
    error: str | None = None
    is_new: bool = True


@dataclass(frozen=True)
class Loaded:
    """The counts of a file whose records are in bronze and its quarantine, by the ledger."""

    rows: int
    rescued: int
    bad: int


def columns_of(files: Sequence[FileEntry]) -> dict[str, list[object]]:
    """The columns that identify the file of a row."""
    return {
        "path": [f.path for f in files],
        "size": [f.size for f in files],
        "modified": [f.modified_us for f in files],
        "version": [f.version for f in files],
    }


def events(
    outcomes: Sequence[Outcome], batch: int | None, generation: int | None, at: datetime
) -> pa.Table:
    """Rows of `events`."""
    rows = {
        **columns_of([o.file for o in outcomes]),
        "state": [o.state.value for o in outcomes],
        "rows": [o.rows for o in outcomes],
        "rescued": [o.rescued for o in outcomes],
        "bad": [o.bad for o in outcomes],
        "error": [o.error and masked(o.error) for o in outcomes],
        "generation": [generation] * len(outcomes),
        "batch": [batch] * len(outcomes),
        "updated_at": [at] * len(outcomes),
    }
    return pa.table(rows, schema=EVENTS)


def in_order(table: pa.Table) -> Iterator[tuple[FileEntry, State, datetime]]:
    """Events in order of version, then of time."""
    table = table.sort_by([("version", "ascending"), ("updated_at", "ascending")])
    columns = [
        table.column("modified").cast(pa.int64()),
        *(table.column(name) for name in ("path", "size", "version", "state", "updated_at")),
    ]
    for modified, path, size, version, state, at in zip(
        *(column.to_pylist() for column in columns), strict=True
    ):
        yield FileEntry(modified, path, size, version), State(state), at
