"""What the log of a silver table tells of its rows, beside its batches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from medallion_jobs.config import TableRef
from medallion_jobs.lake.tables import Commit, Snapshot
from medallion_jobs.report.verify.versions import history

# What follows the query's own id where rows that were put aside go on.
_LATER = ("released", "replayed")


@dataclass(frozen=True)
class Log:
    """The commits of a table up to a version.

    Attributes:
        app_id: of the generation that is asked about.
    """

    there: Snapshot
    ref: TableRef
    app_id: str

    @cached_property
    def added_later(self) -> int | None:
        """Rows that were put aside and added later; None where one commit is not told."""
        wanted = {
            (app_id, number)
            for app_id in (f"{self.app_id}/{how}" for how in _LATER)
            for number in range(self.there.txn(app_id) + 1)
        }
        added = 0
        for commit in history(self.there.path, self.there.version) if wanted else ():
            if wanted & commit.txns.items():
                added += _inserted(commit)
                wanted -= commit.txns.items()
            if not wanted:
                break
        return None if wanted else added

    @property
    def removed(self) -> int | None:
        """Rows that its queries have deleted; None where the log begins later."""
        commits = self._since_first
        if commits is None:
            return None
        return sum(
            _metric(commit, "numTargetRowsDeleted") for commit in commits if self._is_ours(commit)
        )

    @property
    def strange(self) -> list[Commit]:
        """Commits by none of its queries that may have changed rows, newest first."""
        told = self._since_first or history(self.there.path, self.there.version)
        return [one for one in told if not self._is_ours(one) and one.may_change_rows]

    @cached_property
    def _since_first(self) -> list[Commit] | None:
        """The commits since the generation's first batch; None where the log begins later."""
        found: list[Commit] = []
        for commit in history(self.there.path, self.there.version):
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
