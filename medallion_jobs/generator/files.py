"""Writes a file into the landing folder atomically."""

from __future__ import annotations

from medallion_jobs.errors import UsageError
from medallion_jobs.storage import Location, put


def publish(folder: Location, name: str, content: bytes) -> bool:
    """Writes the file so that no reader sees a part of it.

    An existing file with the same bytes is not written again: a rename would give it a new
    modification time, and it would look like a new file.

    Returns:
        Whether it was written; False if it already exists.

    Raises:
        UsageError: a file of this name has other bytes; it stays as it is.
        OSError: it could not be written; nothing is left behind.
    """
    final = folder / name
    if final.exists():
        if final.read_bytes() == content:
            return False
        raise UsageError(
            f"{final} already exists, with other content than this seed produces",
            code="generated_file_differs",
            untouched="that file; the files written before it are complete",
            next_step="medallion generate with another --seed or --now, or move the file away",
        )
    put(final, content, synced=False)
    return True
