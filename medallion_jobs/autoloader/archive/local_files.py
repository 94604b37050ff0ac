"""Moves and deletes local files by folder descriptors, so that no link can redirect them."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from medallion_jobs.autoloader.archive.file_location import FileLocation, LeftError, numbered
from medallion_jobs.autoloader.file_entry import FileEntry

_BLOCK = 1 << 20
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}


class LocalFileActions:
    """`FileActions` for local files."""

    def __init__(self, move_to: Path | None) -> None:
        self._move_to = move_to

    def exists(self, place: FileLocation, file: FileEntry) -> bool:
        with opened(_root(place), place.folders) as folder:
            if folder is None or not _exists(folder, place.name, file):
                return False
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder):
                raise LeftError("their folder is not writable")
            return True

    def delete(self, place: FileLocation, file: FileEntry) -> bool:
        with opened(_root(place), place.folders) as folder:
            if folder is None or not _exists(folder, place.name, file):
                return False
            os.unlink(place.name, dir_fd=folder)
            return True

    def move(self, place: FileLocation, file: FileEntry) -> int | None:
        with opened(_root(place), place.folders) as folder:
            if folder is None or not _exists(folder, place.name, file):
                return None
            with opened(self._target, place.folders, make=True) as target:
                if target is None:
                    raise LeftError(f"{self._target} has disappeared")
                return _move(folder, place.name, file, target)

    def moved_before(self, place: FileLocation, file: FileEntry) -> int | None:
        with opened(self._target, place.folders) as target:
            for number, name in enumerate(numbered(place.name)):
                found = None if target is None else _stat(target, name)
                if found is None or _fits(found, file):
                    return number if found else None
        raise AssertionError("numbers do not end")

    @property
    def _target(self) -> Path:
        assert self._move_to is not None  # only called with a target
        return self._move_to


def _root(place: FileLocation) -> Path:
    assert isinstance(place.root, Path)  # the others have `ObjectActions`
    return place.root


@contextmanager
def opened(root: Path, folders: Sequence[str], *, make: bool = False) -> Iterator[int | None]:
    """Opens a folder step by step from its root.

    Yields:
        Its descriptor; None if there is no such folder.

    Raises:
        LeftError: one of the folders is a symbolic link, or not a folder.
    """
    if make:
        root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder: int | None = None
        try:
            for name in (str(root), *folders):
                if make and folder is not None:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=folder)
                flags = os.O_DIRECTORY | (0 if folder is None else os.O_NOFOLLOW)
                folder = os.open(name, flags, dir_fd=folder)
                stack.callback(os.close, folder)
        except FileNotFoundError:
            folder = None
        except NotADirectoryError:
            raise LeftError("below a symbolic link, or something that is not a folder") from None
        yield folder


def _exists(folder: int, name: str, file: FileEntry) -> bool:
    found = _stat(folder, name)
    if found and not _fits(found, file):
        raise LeftError("changed since they were read")
    return found is not None


def _move(folder: int, name: str, file: FileEntry, target: int) -> int:
    """Moves a file, never over another one; returns the number added to its name, or 0."""
    for number, new in enumerate(numbered(name)):
        with suppress(FileExistsError):
            _copy(folder, name, target, new)
        is_same = _is_same(folder, name, file, target, new)  # from now or from an earlier run
        if _exists(folder, name, file) and is_same:
            os.unlink(name, dir_fd=folder)
            return number
    raise AssertionError("numbers do not end")


def _copy(folder: int, name: str, target: int, new: str) -> None:
    """Creates the target: a hard link or, in another file system, a complete copy."""
    try:
        os.link(name, new, src_dir_fd=folder, dst_dir_fd=target, follow_symlinks=False)
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    if _stat(target, new):
        raise FileExistsError
    draft = f".medallion-{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}"
    with _open(folder, name) as old, _open(target, draft, os.O_WRONLY | os.O_CREAT) as out:
        out.truncate()
        shutil.copyfileobj(old, out, _BLOCK)
        out.flush()
        seen = os.fstat(old.fileno())
        os.fchmod(out.fileno(), stat.S_IMODE(seen.st_mode))
        os.utime(out.fileno(), ns=(seen.st_atime_ns, seen.st_mtime_ns))
        os.fsync(out.fileno())
    os.rename(draft, new, src_dir_fd=target, dst_dir_fd=target)
    os.fsync(target)


def _is_same(folder: int, name: str, file: FileEntry, target: int, new: str) -> bool:
    """Whether the target is the file itself, or has the same bytes."""
    source, moved = _stat(folder, name), _stat(target, new)
    if source is None or moved is None or not _fits(moved, file):
        return False
    if os.path.samestat(source, moved):
        return True
    with _open(folder, name) as old, _open(target, new) as copy:
        return all(block == copy.read(_BLOCK) for block in iter(lambda: old.read(_BLOCK), b""))


def _open(folder: int, name: str, flags: int = os.O_RDONLY) -> IO[bytes]:
    opened = os.open(name, flags | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    return os.fdopen(opened, "wb" if flags else "rb")


def _stat(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _fits(found: os.stat_result, file: FileEntry) -> bool:
    seen = (found.st_size, found.st_mtime_ns // 1000)
    return stat.S_ISREG(found.st_mode) and seen == (file.size, file.modified_us)
