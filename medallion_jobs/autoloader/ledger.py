"""The ledger: one record for every file that was ever seen, and what became of it.

Two append-only Delta tables a bronze table, under `<storage.root>/_medallion/ledger/<name>/`:
`discovered` has one data file, in a commit of its own, for each chunk of files that a
micro-batch is to take; the bronze query streams it, so its checkpoint stays small however
many files there are. `events` tells what happened to a file afterwards. The current state
of a file is its newest event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from medallion_jobs.autoloader.discovery import Found
from medallion_jobs.tables import Txn, snapshot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_UTC_MICROS = pa.timestamp("us", tz="UTC")

DISCOVERED = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("modified", _UTC_MICROS, nullable=False),
        pa.field("discovered_at", _UTC_MICROS, nullable=False),
    ]
)
EVENTS = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("modified", _UTC_MICROS, nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("rescued", pa.int64(), nullable=False),
        pa.field("bad", pa.int64(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("batch", pa.int64(), nullable=False),
        pa.field("updated_at", _UTC_MICROS, nullable=False),
    ]
)


class State(str, Enum):
    """What became of a file; until its first event a file is DISCOVERED."""

    COMMITTED = "COMMITTED"  # its rows are in bronze
    QUARANTINED = "QUARANTINED"  # it cannot be read; the error says why
    MISSING = "MISSING"  # it was gone when its turn came
    SKIPPED = "SKIPPED"  # there was nothing to read in it


@dataclass(frozen=True)
class Outcome:
    """What became of one file in one batch.

    Attributes:
        rows: lines of it that are in bronze.
        rescued: those of them that carry rescued data.
        bad: lines of it that are in quarantine.
        is_new: this batch loaded it; a generation before did not.
    """

    file: Found
    state: State
    rows: int = 0
    rescued: int = 0
    bad: int = 0
    error: str | None = None
    is_new: bool = True


def files_of(chunk: DataFrame) -> list[Found]:
    """The files of a chunk that the ledger's stream brought, oldest first, each once."""
    rows = chunk.selectExpr("unix_micros(modified) AS modified", "path", "size").collect()
    return sorted({Found(row["modified"], row["path"], row["size"]) for row in rows})


class Ledger:
    """The ledger of one bronze table."""

    def __init__(self, folder: Path) -> None:
        self.discovered = folder / "discovered"
        self.events = folder / "events"
        self._known: set[str] | None = None

    def ensure(self) -> None:
        """Makes the two tables where there are none."""
        for path, schema in ((self.discovered, DISCOVERED), (self.events, EVENTS)):
            DeltaTable.create(
                path,
                schema,
                mode="ignore",
                configuration={"delta.appendOnly": "true"},
            )

    def unknown(self, found: Iterable[Found]) -> list[Found]:
        """Those of `found` that the ledger does not have, by their path and never by age."""
        if self._known is None:
            self._known = set(self._paths()) - self._missing()
        return [file for file in found if file.path not in self._known]

    def admit(self, chunk: Sequence[Found]) -> None:
        """Records new files, as one chunk for one micro-batch to take."""
        now = datetime.now(timezone.utc)
        rows = {
            "path": [f.path for f in chunk],
            "size": [f.size for f in chunk],
            "modified": [f.modified_us for f in chunk],
            "discovered_at": [now] * len(chunk),
        }
        write_deltalake(self.discovered, pa.table(rows, schema=DISCOVERED), mode="append")
        if self._known is not None:
            self._known.update(f.path for f in chunk)

    def record(self, outcomes: Sequence[Outcome], txn: Txn, generation: int) -> None:
        """Records what a batch made of its files, once however often the batch is run."""
        there = snapshot(self.events)
        if there and there.txn(txn.app_id) >= txn.batch:
            return
        if self._known is not None:
            self._known -= {o.file.path for o in outcomes if o.state is State.MISSING}
        now = datetime.now(timezone.utc)
        rows = {
            "path": [o.file.path for o in outcomes],
            "size": [o.file.size for o in outcomes],
            "modified": [o.file.modified_us for o in outcomes],
            "state": [o.state.value for o in outcomes],
            "rows": [o.rows for o in outcomes],
            "rescued": [o.rescued for o in outcomes],
            "bad": [o.bad for o in outcomes],
            "error": [o.error for o in outcomes],
            "generation": [generation] * len(outcomes),
            "batch": [txn.batch] * len(outcomes),
            "updated_at": [now] * len(outcomes),
        }
        write_deltalake(
            self.events,
            pa.table(rows, schema=EVENTS),
            mode="append",
            commit_properties=CommitProperties(
                app_transactions=[Transaction(txn.app_id, txn.batch)]
            ),
        )

    def _missing(self) -> set[str]:
        """Files that were gone when their turn came: if they come back, they are new."""
        states = self._states()
        found = {path for path, state in states if state != State.MISSING.value}
        return {path for path, _ in states} - found

    def committed(self) -> frozenset[str]:
        """Files whose rows are in bronze, by the ledger's account."""
        return frozenset(p for p, state in self._states() if state == State.COMMITTED.value)

    def _states(self) -> list[tuple[str, str]]:
        told = DeltaTable(self.events).to_pyarrow_table(columns=["path", "state"])
        return list(zip(*(column.to_pylist() for column in told.columns), strict=True))

    def _paths(self) -> list[str]:
        table = DeltaTable(self.discovered).to_pyarrow_table(columns=["path"])
        paths: list[str] = table.column("path").to_pylist()
        return paths
