"""What cleaning does to a file, wherever it lies."""

from __future__ import annotations

from typing import Protocol

from medallion_jobs.autoloader.archive.spots import Spot
from medallion_jobs.autoloader.found import Found


class Ground(Protocol):
    """Files that can be moved and deleted, as long as they are what was read.

    Each call raises LeftError where a file has changed since, or must stay for another reason,
    and OSError where the place does not let it go.
    """

    def is_there(self, spot: Spot, file: Found) -> bool:
        """Whether it is there, and may be cleaned."""

    def delete(self, spot: Spot, file: Found) -> bool:
        """Deletes it; False where it is gone already."""

    def move(self, spot: Spot, file: Found) -> int | None:
        """Moves it, never over another one; None where it is gone already.

        Returns:
            The number that was added to its name because others had taken that, or 0.
        """

    def moved_before(self, spot: Spot, file: Found) -> int | None:
        """As `move` gave it when a run that was cut off moved the file; None where none did."""
