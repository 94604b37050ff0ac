"""The actions of cleaning on one file, the same for every kind of storage."""

from __future__ import annotations

from typing import Protocol

from medallion_jobs.autoloader.archive.file_location import FileLocation
from medallion_jobs.autoloader.file_entry import FileEntry


class FileActions(Protocol):
    """Moves and deletes files, as long as they are unchanged since they were read.

    Each method raises LeftError if the file has changed or must stay for another reason, and
    OSError if the file system fails.
    """

    def exists(self, place: FileLocation, file: FileEntry) -> bool:
        """Whether the file exists and may be cleaned."""

    def delete(self, place: FileLocation, file: FileEntry) -> bool:
        """Deletes the file; False if it is already gone."""

    def move(self, place: FileLocation, file: FileEntry) -> int | None:
        """Moves the file, never over another one.

        Returns:
            The number added to its name because that was taken, or 0; None if the file is
            already gone.
        """

    def moved_before(self, place: FileLocation, file: FileEntry) -> int | None:
        """What `move` returned in an interrupted run that moved the file; None if none did."""
