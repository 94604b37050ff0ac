"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from medallion_jobs.errors import UsageError


@contextmanager
def whole(file: Path) -> Iterator[BinaryIO]:
    """A file that is there with all that the block writes, or stays as it was.

    Raises:
        UsageError: there is no such folder, or something that is no file.
    """
    target = file.resolve()
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", untouched="nothing was written")
    if target.exists() and not target.is_file():
        raise UsageError(f"{file} is no file", untouched="nothing was written")
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
