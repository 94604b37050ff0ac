"""How far a query has read its source: `SourceOffsets`, the port, and `DeltaOffsets` behind it.

The engine asks a source only what the port has, so another kind of source needs a class here
and no change of the engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from medallion_jobs.checkpoint.folder import Checkpoint
from medallion_jobs.checkpoint.manifest import Binding
from medallion_jobs.lake.tables import Commit, commits, has_log_since, snapshot
from medallion_jobs.storage import Location


@dataclass(frozen=True)
class Offset:
    """An offset of Spark's Delta source.

    Attributes:
        version: the version of the source that the query reads now or next.
        index: the last data file of that version that was read; -1 if none was.
        in_snapshot: whether the query still reads its initial snapshot; `version` then means
            the whole table at that version, not that commit.
    """

    version: int
    index: int
    in_snapshot: bool

    @property
    def whole(self) -> int | None:
        """The last version that was read completely; None in the middle of one."""
        return None if self.in_snapshot or self.index >= 0 else self.version - 1

    @classmethod
    def after(cls, checkpoint: Checkpoint, batch: int) -> Offset | None:
        """The end offset of `batch`; None before the first batch."""
        if batch < 0:
            return None
        offset = json.loads(checkpoint.offset(batch))
        return cls(offset["reservoirVersion"], offset["index"], offset["isStartingVersion"])


@dataclass(frozen=True)
class Amount:
    """A number of data files, and of their rows as far as the log has statistics."""

    files: int
    rows: int

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.files - other.files, self.rows - other.rows)


@dataclass(frozen=True)
class Fault:
    """Why a query cannot go on with its source.

    Attributes:
        code: that of the error.
        reason: the second half of a sentence whose first half names the query.
        next_step: what to do; empty for the usual: restore what is missing, or reset.
    """

    code: str
    reason: str
    next_step: str = ""


class SourceOffsets(Protocol):
    """What the engine asks about a query's source. Runs without a JVM."""

    def identity(self) -> str | None:
        """An id that another source of the same name does not have; None if there is no source."""

    def faults(self, checkpoint: Checkpoint, bound: Binding) -> Iterator[Fault]:
        """Why a query cannot go on: its source is gone, another one, or lacks what was read.

        Args:
            bound: what the query was bound to when it last started.
        """

    def progress(self, checkpoint: Checkpoint, batch: int) -> tuple[Amount | None, Amount | None]:
        """What `batch` read, and what was left after it; both None if that is unknown."""

    def is_empty(self, checkpoint: Checkpoint, batch: int) -> bool:
        """Whether a planned batch reads no row, as after an OPTIMIZE; false if that is unknown."""

    def takes(self, checkpoint: Checkpoint, batch: int) -> Sequence[str]:
        """What a planned batch reads, for messages: paths of files, versions, offsets."""


@dataclass(frozen=True)
class DeltaOffsets:
    """The offsets of a query that streams a Delta table.

    Attributes:
        path: the table.
        name: its name in messages.
    """

    path: Location
    name: str = ""

    def identity(self) -> str | None:
        """The Delta table id."""
        source = snapshot(self.path)
        return source.id if source else None

    def faults(self, checkpoint: Checkpoint, bound: Binding) -> Iterator[Fault]:
        if self.name != bound.source:
            yield Fault(
                "source_changed", f"it reads {self.name} now, and read {bound.source} before"
            )
        identity = self.identity()
        if identity is None:
            yield Fault("source_removed", f"its source is gone: {self.name} at {self.path}")
            return
        if missing := self.missing(checkpoint):
            yield Fault(
                "source_restored",
                f"it has read {self.name} up to {missing}: that table lost the end of its log or "
                "was restored, so new rows in it would be read in part, or twice",
            )
        if identity != bound.source_id:
            yield Fault(
                "source_replaced",
                f"{self.name} is not the recorded table: id {identity} at {self.path}, "
                f"id {bound.source_id} in the manifest",
            )

    def missing(self, checkpoint: Checkpoint) -> str | None:
        """The version that was read, if the table lost the end of its log or was restored."""
        source = snapshot(self.path)
        reached = Offset.after(checkpoint, checkpoint.latest_offsets)
        if source is None or reached is None:
            return None
        read = reached.version - (reached.index < 0)
        if read <= source.version:
            return None
        return f"version {read}, but its newest is version {source.version}"

    def backlog(self, checkpoint: Checkpoint) -> Amount | None:
        """What is left to read after the newest planned batch; None as in `progress`."""
        return self.progress(checkpoint, checkpoint.latest_offsets)[1]

    def progress(self, checkpoint: Checkpoint, batch: int) -> tuple[Amount | None, Amount | None]:
        """What `batch` read of the table, and what was left after it.

        Both are None if the table's log no longer reaches back to the start of the batch.
        """
        before, after = Offset.after(checkpoint, batch - 1), Offset.after(checkpoint, batch)
        oldest = before or after
        if oldest and not has_log_since(self.path, oldest.version):
            return None, None
        newer = list(commits(self.path, oldest.version)) if oldest else []
        left_before, left = (_left(self.path, offset, newer) for offset in (before, after))
        return left_before - left, left

    def is_empty(self, checkpoint: Checkpoint, batch: int) -> bool:
        before, after = Offset.after(checkpoint, batch - 1), Offset.after(checkpoint, batch)
        if before is None or before.in_snapshot or after is None or after.index >= 0:
            return False
        version = before.version
        for commit in commits(self.path, version):
            if version >= after.version:
                break
            already = before.index + 1 if version == before.version else 0
            if commit.added[already:]:
                return False
            version += 1
        # The log may lack a commit that the batch reads.
        return version >= after.version

    def takes(self, checkpoint: Checkpoint, batch: int) -> Sequence[str]:
        before, after = Offset.after(checkpoint, batch - 1), Offset.after(checkpoint, batch)
        if after is None:
            return ()
        last = after.version if after.whole is None else after.whole
        if before is None or before.in_snapshot:
            return (f"{self.name} as of version {last}",)
        between = f"s {before.version} to" if before.version < last else ""
        return (f"{self.name}, version{between} {last}",)


def _left(source: Location, offset: Offset | None, newer: Iterable[Commit]) -> Amount:
    if offset is None or offset.in_snapshot:
        table = snapshot(source, offset.version if offset else None)
        whole = Amount(table.files, table.rows) if table else Amount(0, 0)
        if offset is None:
            return whole
        first = [rows or 0 for rows in (table.file_rows if table else [])][: offset.index + 1]
        rest = whole - Amount(len(first), sum(first))
        later = _unread(Offset(offset.version + 1, -1, False), newer)
        return Amount(rest.files + later.files, rest.rows + later.rows)
    return _unread(offset, newer)


def _unread(offset: Offset, newer: Iterable[Commit]) -> Amount:
    unread = [
        added
        for commit in newer
        if commit.version >= offset.version
        for added in (
            commit.added[offset.index + 1 :] if commit.version == offset.version else commit.added
        )
    ]
    return Amount(len(unread), sum(added.rows or 0 for added in unread))
