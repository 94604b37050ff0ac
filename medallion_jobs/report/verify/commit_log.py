"""Rows added and removed according to a silver table's Delta log."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from medallion_jobs.config import TableRef
from medallion_jobs.lake.tables import Commit, Snapshot
from medallion_jobs.report.verify.versions import history

# Suffixes of the query's application id in commits that add parked rows.
_SUFFIXES = ("released", "replayed")


@dataclass(frozen=True)
class CommitLog:
    """The commits of a table up to a version.

    Attributes:
        snapshot: the table at that version.
        app_id: the application id of the generation.
    """

    snapshot: Snapshot
    ref: TableRef
    app_id: str

    @cached_property
    def added_later(self) -> int | None:
        """Parked rows that were added later; None if the log lacks one of their commits."""
        wanted = {
            (app_id, number)
            for app_id in (f"{self.app_id}/{suffix}" for suffix in _SUFFIXES)
            for number in range(self.snapshot.txn(app_id) + 1)
        }
        added = 0
        for commit in history(self.snapshot.path, self.snapshot.version) if wanted else ():
            if wanted & commit.txns.items():
                added += _inserted(commit)
                wanted -= commit.txns.items()
            if not wanted:
                break
        return None if wanted else added

    @property
    def removed(self) -> int | None:
        """Rows that its queries have deleted; None if the log starts later."""
        commits = self._since_first
        if commits is None:
            return None
        return sum(
            _metric(commit, "numTargetRowsDeleted") for commit in commits if self._is_ours(commit)
        )

    @property
    def foreign(self) -> list[Commit]:
        """Commits by others than its queries that may have changed rows, newest first."""
        found = self._since_first or history(self.snapshot.path, self.snapshot.version)
        return [c for c in found if not self._is_ours(c) and c.may_change_rows]

    @cached_property
    def _since_first(self) -> list[Commit] | None:
        """The commits since the generation's first batch; None if the log starts later."""
        found: list[Commit] = []
        for commit in history(self.snapshot.path, self.snapshot.version):
            found.append(commit)
            if commit.txns.get(self.app_id) == 0:
                return found
        return None

    def _is_ours(self, commit: Commit) -> bool:
        return any(txn.startswith(f"{self.ref}/v") for txn in commit.txns)


def _inserted(commit: Commit) -> int:
    if commit.info.get("operation") == "MERGE":
        return _metric(commit, "numTargetRowsInserted")
    return commit.rows


def _metric(commit: Commit, name: str) -> int:
    return int(commit.info.get("operationMetrics", {}).get(name, 0))
