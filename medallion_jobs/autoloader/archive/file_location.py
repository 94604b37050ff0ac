"""The location of a file: a root, the folders below it, and a name."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medallion_jobs.autoloader.file_entry import FileEntry, to_path
from medallion_jobs.storage import S3, Location, ObjectPath, location

_PATTERN = re.compile(r"[*?\[{\\]")
# The default S3 store; a config may set another one.
AWS = S3()


def fixed_part(root: str, store: S3 = AWS) -> Location:
    """The part of a root before the first name that is a pattern.

    >>> fixed_part("/data/2026-*/sales")
    PosixPath('/data')
    """
    names = root.split("/")
    plain = next((n for n, name in enumerate(names) if _PATTERN.search(name)), len(names))
    fixed = "/".join(names[:plain])
    return location(fixed, store) or Path(fixed or "/")


def is_cleanable(root: str) -> bool:
    """Whether the files of a root can be moved and deleted: local files and s3a:// objects."""
    return "://" not in root or root.startswith("s3a://")


class LeftError(Exception):
    """A file must stay where it is; the text says why."""


@dataclass(frozen=True)
class FileLocation:
    """The location of a file: its root, the folders below it, and its name."""

    root: Location
    folders: tuple[str, ...]
    name: str

    @property
    def folder(self) -> Location:
        """The folder of the file, with symbolic links in the root resolved."""
        if isinstance(self.root, ObjectPath):
            return self.root / "/".join(self.folders) if self.folders else self.root
        return Path(os.path.realpath(self.root), *self.folders)


def location_of(file: FileEntry, roots: Sequence[Location]) -> FileLocation:
    """The location of a file below the first root that contains it.

    Args:
        roots: without patterns.

    Raises:
        LeftError: no root contains it.
    """
    path = to_path(file.path)
    for root in roots:
        real = [os.path.realpath(root)] if isinstance(root, Path) else []
        for spelled in (str(root), *real):
            above = spelled.rstrip("/") + "/"
            names = path.removeprefix(above).split("/")
            if path.startswith(above) and not {"", ".", ".."} & set(names):
                return FileLocation(root, tuple(names[:-1]), names[-1])
    raise LeftError("outside the landing folders")


def numbered(name: str) -> Iterator[str]:
    """The names to try for a file: its own, then with `.1`, `.2` … added."""
    return itertools.chain([name], (f"{name}.{number}" for number in itertools.count(1)))
