"""What cleaning does to a file, wherever it lies."""

from __future__ import annotations

from typing import Protocol

from medallion_jobs.autoloader.archive.file_location import FileLocation
from medallion_jobs.autoloader.file_entry import FileEntry


class FileActions(Protocol):
    """LocalFileActions that can be moved and deleted, as long as they are what was read.

    Each call raises LeftError where a file has changed since, or must stay for another reason,
    and OSError where the place does not let it go.
    """

    def is_there(self, spot: FileLocation, file: FileEntry) -> bool:
        """Whether it is there, and may be cleaned."""

    def delete(self, spot: FileLocation, file: FileEntry) -> bool:
        """Deletes it; False where it is gone already."""

    def move(self, spot: FileLocation, file: FileEntry) -> int | None:
        """Moves it, never over another one; None where it is gone already.

        Returns:
            The number that was added to its name because others had taken that, or 0.
        """

    def moved_before(self, spot: FileLocation, file: FileEntry) -> int | None:
        """As `move` gave it when a run that was cut off moved the file; None where none did."""
