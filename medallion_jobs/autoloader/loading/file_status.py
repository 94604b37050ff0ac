"""The status of a batch's files: gone, empty, replaced, or changed while they were read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from medallion_jobs.autoloader.file_entry import FileEntry, to_path
from medallion_jobs.autoloader.ledger.tables import Outcome, State
from medallion_jobs.errors import DataError


@dataclass
class FileStatus:
    """The files of one batch as they are now.

    Attributes:
        look: returns a file as it is now; None if it is gone.
        is_superseded: whether a newer version of a file waits to be read.
        missing_fails: whether a missing file fails the batch, by the source's policy.
    """

    look: Callable[[FileEntry], FileEntry | None]
    is_superseded: Callable[[FileEntry], bool]
    missing_fails: bool = False
    _seen: dict[FileEntry, FileEntry | None] = field(default_factory=dict)

    def first(self, file: FileEntry, *, may_fail: bool = True) -> Outcome | None:
        """The outcome of a file with nothing to read; None if there is something to read.

        Raises:
            DataError: the file is gone, and the source's policy is to fail then.
        """
        if self.is_superseded(file):
            return Outcome(file, State.SKIPPED, error="replaced before it was read")
        if file not in self._seen:
            self._seen[file] = self.look(file)
        return self._outcome(file, may_fail=may_fail)

    def again(self, file: FileEntry) -> Outcome | None:
        """As `first`, but checks the file once more."""
        self._seen[file] = self.look(file)
        return self._outcome(file, may_fail=True)

    def as_read(self, file: FileEntry) -> FileEntry:
        """The file with its size and time from the start of the batch."""
        now = self._seen.get(file)
        return replace(file, size=now.size, modified_us=now.modified_us) if now else file

    def change(self, file: FileEntry) -> str | None:
        """Describes how a file has changed while it was read; None if it has not."""
        before = self._seen.get(file)
        after = self.look(file) if before else None
        if before is None or after is None:
            return None
        if (after.size, after.modified_us) == (before.size, before.modified_us):
            return None
        return f"changed while it was read: {before.size:,} bytes before, {after.size:,} after"

    def _outcome(self, file: FileEntry, *, may_fail: bool) -> Outcome | None:
        now = self._seen[file]
        if now is None and may_fail and self.missing_fails:
            raise DataError(
                f"a file that was to be read is gone: {to_path(file.path)}",
                code="file_missing",
                untouched="nothing of the batch is visible; it is done again at the next start",
                next_step="restore it and run again, or continue without it: "
                "run with on_missing_file: mark",
            )
        if now is None:
            gone = "gone between its listing and its batch; taken up if it comes back"
            return Outcome(file, State.MISSING, error=gone)
        if now.size == 0:
            return Outcome(self.as_read(file), State.SKIPPED, error="empty file")
        return None
