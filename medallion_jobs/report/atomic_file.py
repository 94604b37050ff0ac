"""Atomic writes of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from medallion_jobs.errors import UsageError


@contextmanager
def open_atomically(file: Path) -> Iterator[BinaryIO]:
    """Opens a file for an atomic write: it gets the block's whole output, or does not change.

    Raises:
        UsageError: the folder does not exist, or the path is not a regular file.
    """
    target = file.resolve()
    if not target.parent.is_dir():
        raise UsageError(
            f"folder {target.parent} does not exist",
            code="folder_missing",
            untouched="nothing was written",
        )
    if target.exists() and not target.is_file():
        raise UsageError(
            f"{file} is not a regular file",
            code="not_a_regular_file",
            untouched="nothing was written",
        )
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
