"""The ledger: every file that was ever seen, and its outcome.

Each bronze table has two append-only Delta tables, in `<storage.root>/_medallion/ledger/<name>/`.
`discovered` has one commit with one data file for each chunk of files that a micro-batch is to
take. The bronze query streams it, so that its checkpoint stays small however many files there
are. `events` has what happened to a file afterwards. The current state of a file is its newest
event.

A file is identified by its path and version: a path whose content was replaced may be read
again, if the source's policy allows it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from medallion_jobs.autoloader.file_entry import FileEntry, FileKey
from medallion_jobs.autoloader.ledger import tables as ledger_tables
from medallion_jobs.autoloader.ledger.memory import Memory, fingerprint
from medallion_jobs.autoloader.ledger.tables import Loaded, Outcome, State
from medallion_jobs.lake.tables import EngineTable, Txn, snapshot
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import create_delta, open_delta

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# The most files in one commit of `retry`.
_CHUNK = 1000
# States of events with the counts of a file that was read.
_LOADED = [State.COMMITTED.value, State.ARCHIVED.value]


@dataclass(frozen=True)
class Compared:
    """A listing, compared with the ledger.

    Attributes:
        new: files that were never seen, or were gone when they were to be read.
        again: files without rows in bronze that have changed since.
        changed: other files that have changed, with their next version.
    """

    new: list[FileEntry] = field(default_factory=list)
    again: list[FileEntry] = field(default_factory=list)
    changed: list[FileEntry] = field(default_factory=list)


@dataclass(frozen=True)
class Chunk:
    """The files of one micro-batch, oldest first, each once.

    Attributes:
        again: those of them that were admitted before.
    """

    files: list[FileEntry]
    again: list[FileEntry]

    @classmethod
    def of(cls, df: DataFrame) -> Chunk:
        """The chunk in a batch of the ledger's stream."""
        modified = "unix_micros(modified) AS modified"
        rows = df.selectExpr(modified, "path", "size", "version", "attempt").collect()
        files = [(FileEntry(r["modified"], r["path"], r["size"], r["version"]), r) for r in rows]
        return cls(
            sorted({file for file, _ in files}),
            sorted({file for file, row in files if row["attempt"] > 1}),
        )


class Ledger:
    """The ledger of one bronze table."""

    def __init__(self, folder: Location) -> None:
        self.folder = folder
        self.discovered = folder / "discovered"
        self.events = folder / "events"
        self._started_file = folder / "begun"
        self._discovered, self._events = EngineTable(self.discovered), EngineTable(self.events)
        self._memory: Memory | None = None

    def ensure(self) -> None:
        """Creates the two tables if they do not exist."""
        append_only = {"delta.appendOnly": "true"}
        # A stream that is far behind needs all entries of the log; `medallion maintain`
        # knows which it still needs.
        keeps_log = {**append_only, "delta.enableExpiredLogCleanup": "false"}
        for path, schema, properties in (
            (self.discovered, ledger_tables.DISCOVERED, keeps_log),
            (self.events, ledger_tables.EVENTS, append_only),
        ):
            create_delta(path, schema, properties)

    @property
    def has_started(self) -> bool:
        """Whether discovery has listed the source before."""
        return self._started_file.exists()

    def mark_started(self) -> None:
        """Records that discovery has listed the source."""
        self._started_file.touch()

    def waiting(self) -> Collection[FileEntry]:
        """Files that are admitted and not read yet."""
        # A copy: batches use it in one of Spark's threads, while discovery adds to it.
        return list(self._known.waiting.values())

    def compare(self, found: Iterable[FileEntry]) -> Compared:
        """Compares a listing with the ledger, by path, size and modification time; not by age."""
        known = self._known
        compared = Compared()
        for file in found:
            seen = known.fingerprints.get(file.path)
            if seen is None:
                compared.new.append(replace(file, version=known.newest_version(file.path)))
            elif seen == fingerprint(file.size, file.modified_us):
                continue
            elif file.path in known.without_rows:
                compared.again.append(replace(file, version=known.newest_version(file.path)))
            else:
                newer = replace(file, version=known.newest_version(file.path) + 1)
                compared.changed.append(newer)
        return compared

    def is_superseded(self, file: FileEntry) -> bool:
        """Whether a newer version of the file waits to be read."""
        return self._known.newest_version(file.path) > file.version

    def admit(self, chunk: Sequence[FileEntry], *, attempt: int = 1) -> None:
        """Records files as one chunk, for one micro-batch.

        Args:
            attempt: 2 if one of the files may have been admitted before.
        """
        now = datetime.now(timezone.utc)
        rows = {
            **ledger_tables.columns_of(chunk),
            "attempt": [attempt] * len(chunk),
            "discovered_at": [now] * len(chunk),
        }
        self._discovered.append(pa.table(rows, schema=ledger_tables.DISCOVERED))
        if self._memory:
            self._memory.take(chunk)

    def retry(self, files: Sequence[FileEntry]) -> int:
        """Makes the next batches read files again; returns the number of batches.

        For files without rows in bronze. They are read whatever their state is.
        """
        ordered = sorted(files)
        chunks = [ordered[at : at + _CHUNK] for at in range(0, len(ordered), _CHUNK)]
        for chunk in chunks:
            self.admit(chunk, attempt=2)
        return len(chunks)

    def record(self, outcomes: Sequence[Outcome], txn: Txn, generation: int) -> None:
        """Records the outcomes of a batch's files, once, however often the batch is run."""
        events = snapshot(self.events)
        if events and events.txn(txn.app_id) >= txn.batch:
            return
        self._append(
            outcomes,
            batch=txn.batch,
            generation=generation,
            txn=(txn.app_id, txn.batch),
        )

    def note(self, files: Sequence[FileEntry], state: State, error: str | None = None) -> None:
        """Records the state of files outside of any batch, in one commit."""
        self._append([Outcome(file, state, error=error) for file in files])

    def in_state(self, state: State) -> list[FileEntry]:
        """Files that are in a state now, and do not wait to be read."""
        return [file for file, now, _ in self._settled() if now is state]

    def committed_until(self, moment: datetime) -> list[FileEntry]:
        """Files whose rows were in bronze at `moment`, oldest first."""
        return sorted(
            file for file, now, at in self._settled() if now is State.COMMITTED and at <= moment
        )

    def put_aside(self) -> list[tuple[str, str]]:
        """Path and error of the files that could not be read, the newest last.

        Without files that wait to be read again. Reads only what the ledger has of files that
        ever could not be read, however many others there are.
        """
        events, found = open_delta(self.events), open_delta(self.discovered)
        is_refused = [("state", "=", State.QUARANTINED.value)]
        refused = events.to_pyarrow_table(columns=["path"], filters=is_refused).column("path")
        if not len(refused):
            return []
        of_these = [("path", "in", refused.unique().to_pylist())]
        columns = ["path", "version", "updated_at", "state", "error"]
        reported = events.to_pyarrow_table(columns=columns, filters=of_these)
        in_order = reported.sort_by([("version", "ascending"), ("updated_at", "ascending")])
        last = {row["path"]: row for row in in_order.to_pylist()}
        columns = ["path", "version", "discovered_at"]
        waiting = {
            row["path"]
            for row in found.to_pyarrow_table(columns=columns, filters=of_these).to_pylist()
            if (row["version"], row["discovered_at"])
            > (last[row["path"]]["version"], last[row["path"]]["updated_at"])
        }
        return [
            (row["path"], row["error"] or "")
            for row in sorted(last.values(), key=lambda row: row["updated_at"])
            if row["state"] == State.QUARANTINED.value and row["path"] not in waiting
        ]

    def committed(self) -> dict[FileKey, Loaded]:
        """The files whose rows are in bronze, each with its newest counts from a batch."""
        columns = ["path", "version", "rows", "rescued", "bad"]
        events = open_delta(self.events).to_pyarrow_table(
            columns=[*columns, "state", "batch", "updated_at"]
        )
        # The events of moving or deleting a file have no counts.
        loaded = pc.is_in(events.column("state"), pa.array(_LOADED))
        found = events.filter(pc.and_(loaded, pc.is_valid(events.column("batch"))))
        rows = found.sort_by("updated_at").select(columns).to_pydict().values()
        return {
            (path, version): Loaded(*counts) for path, version, *counts in zip(*rows, strict=True)
        }

    def loaded_in(self, generation: int, files: Sequence[FileEntry]) -> set[FileKey]:
        """The files among `files` with rows that a batch of this generation has loaded."""
        if not files:
            return set()
        events = open_delta(self.events).to_pyarrow_table(
            columns=["path", "version", "state", "generation"],
            filters=[
                ("path", "in", [file.path for file in files]),
                ("state", "=", State.COMMITTED.value),
                ("generation", "=", generation),
                # A file that gave only bad records may be read again.
                ("rows", ">", 0),
            ],
        )
        return set(zip(*(events.column(c).to_pylist() for c in ("path", "version")), strict=True))

    def _append(
        self,
        outcomes: Sequence[Outcome],
        *,
        batch: int | None = None,
        generation: int | None = None,
        txn: tuple[str, int] | None = None,
    ) -> None:
        table = ledger_tables.events(outcomes, batch, generation, datetime.now(timezone.utc))
        self._events.append(table, txn)
        if self._memory:
            for outcome in outcomes:
                self._memory.learn(outcome.file, outcome.state)

    @property
    def _known(self) -> Memory:
        if self._memory is None:
            discovered = open_delta(self.discovered).to_pyarrow_table(
                columns=["path", "size", "modified", "version", "discovered_at"]
            )
            self._memory = Memory.of(discovered, self._events_in_order())
        return self._memory

    def _settled(self) -> Iterator[tuple[FileEntry, State, datetime]]:
        """The newest event of each path that does not wait to be read."""
        newest = {event[0].path: event for event in self._events_in_order()}
        return (event for path, event in newest.items() if path not in self._known.waiting)

    def _events_in_order(self) -> Iterator[tuple[FileEntry, State, datetime]]:
        return ledger_tables.in_order(
            open_delta(self.events).to_pyarrow_table(
                columns=["path", "size", "modified", "version", "state", "updated_at"]
            )
        )
