"""How far a query has read its source: `SourceOffsets`, the port, and `DeltaOffsets` behind it.

The engine asks a source only what the port has, so another kind of source needs a class here
and no change of the engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Protocol

from medallion_jobs.checkpoint import source_changes
from medallion_jobs.checkpoint.folder import Checkpoint, rebuilds
from medallion_jobs.checkpoint.manifest import Binding
from medallion_jobs.checkpoint.source_changes import OnChange
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
    def next_commit(self) -> int:
        """The first commit that is yet to be read, at least in part."""
        return self.version + 1 if self.in_snapshot else self.version

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

    @classmethod
    def next_of(cls, checkpoint: Checkpoint) -> Offset | None:
        """Where the next batch begins; None before the first batch.

        A batch that was planned and not finished is read again.
        """
        newest = checkpoint.latest_offsets
        finished = newest if checkpoint.latest_commits >= newest else newest - 1
        return cls.after(checkpoint, finished) or cls.after(checkpoint, newest)


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
        next_step: what to do besides a rebuild; empty for the usual: restore what is missing, or
            reset.
        needs_rebuild: whether a rebuild is what brings the table up to its source.
    """

    code: str
    reason: str
    next_step: str = ""
    needs_rebuild: bool = False


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
        on_change: what the query does about changed and deleted rows.
    """

    path: Location
    name: str = ""
    on_change: OnChange = "fail"

    def rebuilds(self) -> int:
        """The number of the table's newest rebuild; -1 before the first."""
        source = snapshot(self.path)
        return source.txn(rebuilds(self.name)) if source else -1

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
        elif self.on_change != "follow" and self.rebuilds() != bound.source_rebuilds:
            yield Fault(
                "source_rebuilt",
                f"{self.name} was rebuilt since it last ran, and its own rows are of the old one",
                needs_rebuild=True,
            )
        else:
            yield from self._unreadable(checkpoint)

    def _unreadable(self, checkpoint: Checkpoint) -> Iterator[Fault]:
        """What the query cannot read of the commits that come next."""
        reached = Offset.next_of(checkpoint)
        if reached is None:
            return
        since = reached.next_commit
        if begins := source_changes.log_begins_after(self.path, since):
            yield Fault(
                "source_log_gone",
                f"it has yet to read {self.name} from version {since} on, and cannot: {begins}",
                needs_rebuild=True,
            )
        elif commit := source_changes.unreadable(self.path, since, self.on_change):
            yield self._changed(commit)

    def _changed(self, commit: Commit) -> Fault:
        may_keep = self.on_change == "fail" and not commit.may_add_rows
        return Fault(
            "source_rows_changed",
            f"rows of {self.name} were changed or removed: {commit}"
            + ("" if may_keep else "; it may have added rows, too, and is not skipped"),
            "to leave its rows as they are: `on_source_change: keep` in its config"
            if may_keep
            else "",
            needs_rebuild=True,
        )

    def gone(self, checkpoint: Checkpoint) -> Iterator[Fault]:
        """The fault of a data file that the query has yet to read, and that is gone."""
        reached = Offset.next_of(checkpoint)
        if reached is None:
            return
        whole = reached.version if reached.in_snapshot else None
        if file := source_changes.file_gone(self.path, reached.next_commit, self.on_change, whole):
            yield Fault(
                "source_files_gone",
                f"it has yet to read a part of {self.name}, and cannot: {file}",
                needs_rebuild=True,
            )

    def skipped(self, checkpoint: Checkpoint, batch: int) -> list[Commit]:
        """The commits that a planned batch skips, since they changed or removed rows."""
        before, after = Offset.after(checkpoint, batch - 1), Offset.after(checkpoint, batch)
        if self.on_change != "keep" or before is None or after is None:
            return []
        last = after.version if after.index >= 0 else after.version - 1
        newer = takewhile(lambda c: c.version <= last, commits(self.path, before.next_commit))
        return [commit for commit in newer if commit.removed]

    def refuse_skipped(self, skipped: Iterable[Commit]) -> Iterator[Fault]:
        """The fault of a commit that may not be skipped; it came while the query ran."""
        yield from (self._changed(commit) for commit in skipped if commit.may_add_rows)

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

    def read_up_to(self, checkpoint: Checkpoint) -> int | None:
        """The version of the table that the newest planned batch ends with; None amid a version."""
        reached = Offset.after(checkpoint, checkpoint.latest_offsets)
        if reached is None or reached.whole is not None:
            return reached.whole if reached else None
        # An offset may name the last file of a version in place of the next version.
        if reached.in_snapshot:
            table = snapshot(self.path, reached.version)
            files = table.files if table else -1
        else:
            commit = next(commits(self.path, reached.version), None)
            files = len(commit.added) if commit else -1
        return reached.version if reached.index + 1 == files else None

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
        newer = list(self._read(oldest.version)) if oldest else []
        left_before, left = (_left(self.path, offset, newer) for offset in (before, after))
        return left_before - left, left

    def is_empty(self, checkpoint: Checkpoint, batch: int) -> bool:
        before, after = Offset.after(checkpoint, batch - 1), Offset.after(checkpoint, batch)
        if before is None or before.in_snapshot or after is None or after.index >= 0:
            return False
        version = before.version
        for commit in self._read(version):
            if version >= after.version:
                break
            already = before.index + 1 if version == before.version else 0
            if commit.added[already:]:
                return False
            version += 1
        # The log may lack a commit that the batch reads.
        return version >= after.version

    def _read(self, since: int) -> Iterator[Commit]:
        """The commits from a version on, without the files of those that the query skips."""
        for commit in commits(self.path, since):
            is_skipped = self.on_change == "keep" and commit.removed
            yield replace(commit, added=()) if is_skipped else commit

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
