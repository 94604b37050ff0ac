"""The ledger's two tables: their columns, and what a row of them means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import pyarrow as pa

from medallion_jobs.autoloader.file_entry import FileEntry

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
# Size and time in an event are those of what was read, which may be newer than what was
# listed. Batch and generation are null where something else than a batch tells.
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
    """What became of a file; until its first event a file is DISCOVERED."""

    COMMITTED = "COMMITTED"  # its rows are in bronze
    QUARANTINED = "QUARANTINED"  # it cannot be read; the error says why
    MISSING = "MISSING"  # it was gone when its turn came
    SKIPPED = "SKIPPED"  # there was nothing to read in it, or nothing that was wanted
    ARCHIVING = "ARCHIVING"  # its rows are in bronze; it is about to be moved or deleted
    ARCHIVED = "ARCHIVED"  # its rows are in bronze; it was moved or deleted


# States of files of which bronze has no row, so that they may be read again.
NO_ROWS = frozenset({State.QUARANTINED, State.SKIPPED})


@dataclass(frozen=True)
class Outcome:
    """What became of one file in one batch.

    Attributes:
        rows: records of it that are in bronze.
        rescued: those of them that carry rescued data.
        bad: records of it that are in quarantine.
        is_new: this batch loaded it; a generation before did not.
    """

    file: FileEntry
    state: State
    rows: int = 0
    rescued: int = 0
    bad: int = 0
    error: str | None = None
    is_new: bool = True


def columns_of(files: Sequence[FileEntry]) -> dict[str, list[object]]:
    """The columns that tell which file a row is about."""
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
        "error": [o.error for o in outcomes],
        "generation": [generation] * len(outcomes),
        "batch": [batch] * len(outcomes),
        "updated_at": [at] * len(outcomes),
    }
    return pa.table(rows, schema=EVENTS)


def in_order(told: pa.Table) -> Iterator[tuple[FileEntry, State, datetime]]:
    """Events, those of older versions first, then as they were told."""
    told = told.sort_by([("version", "ascending"), ("updated_at", "ascending")])
    columns = [
        told.column("modified").cast(pa.int64()),
        *(told.column(name) for name in ("path", "size", "version", "state", "updated_at")),
    ]
    for modified, path, size, version, state, at in zip(
        *(column.to_pylist() for column in columns), strict=True
    ):
        yield FileEntry(modified, path, size, version), State(state), at
