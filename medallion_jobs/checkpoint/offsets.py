"""How far a query has read its source, from its checkpoint and the source's log alone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from medallion_jobs.checkpoint.folder import Checkpoint
from medallion_jobs.lake.tables import Commit, commits, has_log_since, snapshot
from medallion_jobs.storage import Location


@dataclass(frozen=True)
class Offset:
    """An offset of Spark's Delta source.

    Attributes:
        version: the source's version that is read, or to be read next.
        index: the last data file of that version that is read; -1 when none is.
        in_snapshot: whether the query still reads the snapshot that it began with, which
            is then `version` as a whole and not its commit.
    """

    version: int
    index: int
    in_snapshot: bool

    @property
    def whole(self) -> int | None:
        """The last version of which all is read; None in the midst of one."""
        return None if self.in_snapshot or self.index >= 0 else self.version - 1

    @classmethod
    def after(cls, checkpoint: Checkpoint, batch: int) -> Offset | None:
        """The position that `batch` was planned to reach; None before the first one."""
        if batch < 0:
            return None
        offset = json.loads(checkpoint.offset(batch))
        return cls(offset["reservoirVersion"], offset["index"], offset["isStartingVersion"])


@dataclass(frozen=True)
class Amount:
    """Data files of a source, and their rows as far as the log's statistics tell."""

    files: int
    rows: int

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.files - other.files, self.rows - other.rows)


def backlog(checkpoint: Checkpoint, source: Location) -> Amount | None:
    """What is left to read in `source` after the newest planned batch; None as in `progress`."""
    return progress(checkpoint, source, checkpoint.latest_offsets)[1]


def progress(
    checkpoint: Checkpoint, source: Location, batch: int
) -> tuple[Amount | None, Amount | None]:
    """What `batch` has read of `source`, and what was left after it.

    None and None where the source's log no longer reaches back to the batch's beginning.
    """
    before, after = Offset.after(checkpoint, batch - 1), Offset.after(checkpoint, batch)
    oldest = before or after
    if oldest and not has_log_since(source, oldest.version):
        return None, None
    news = list(commits(source, oldest.version)) if oldest else []
    left_before, left = (_left(source, offset, news) for offset in (before, after))
    return left_before - left, left


def _left(source: Location, offset: Offset | None, news: Iterable[Commit]) -> Amount:
    if offset is None or offset.in_snapshot:
        there = snapshot(source, offset.version if offset else None)
        whole = Amount(there.files, there.rows) if there else Amount(0, 0)
        if offset is None:
            return whole
        first = [rows or 0 for rows in (there.file_rows if there else [])][: offset.index + 1]
        rest = whole - Amount(len(first), sum(first))
        later = _behind(Offset(offset.version + 1, -1, False), news)
        return Amount(rest.files + later.files, rest.rows + later.rows)
    return _behind(offset, news)


def _behind(offset: Offset, news: Iterable[Commit]) -> Amount:
    unread = [
        added
        for commit in news
        if commit.version >= offset.version
        for added in (
            commit.added[offset.index + 1 :] if commit.version == offset.version else commit.added
        )
    ]
    return Amount(len(unread), sum(added.rows or 0 for added in unread))
