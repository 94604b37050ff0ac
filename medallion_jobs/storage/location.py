"""Local and S3 locations, and the operations that must work differently on each to be safe."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import TypeAlias

from medallion_jobs.storage.objects import ObjectPath
from medallion_jobs.storage.s3 import S3

Location: TypeAlias = Path | ObjectPath

_OBJECTS = re.compile(r"s3a://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<key>.*))?")


def location(text: str, store: S3) -> ObjectPath | None:
    """The location of an `s3a://` URI; None for a path or another URI.

    Raises:
        ValueError: no bucket, or a key that is not normalized.
    """
    if not text.startswith("s3a://"):
        return None
    found = _OBJECTS.fullmatch(text.rstrip("/"))
    if not found:
        raise ValueError("a URI without a bucket; write it as s3a://BUCKET/FOLDER")
    key = found["key"] or ""
    if any(part in ("", ".", "..") for part in key.split("/")) and key:
        raise ValueError("an S3 folder with an empty name, . or .. in it")
    return ObjectPath(found["bucket"], key, store)


def put(at: Location, data: bytes, *, synced: bool = True) -> None:
    """Writes a small file atomically: after a crash, it has the old content or the new.

    A local file is replaced by a rename; the write of an object is atomic anyway.

    Args:
        synced: whether the file must survive a power cut.
    """
    if isinstance(at, ObjectPath):
        at.put(data)
        return
    at.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(at, data, synced=synced)
    try:
        draft.replace(at)
    except OSError:
        draft.unlink()
        raise


def create(at: Location, data: bytes) -> None:
    """Creates a small file atomically, only if it does not exist.

    Uses a hard link for a local file, and a conditional write (`If-None-Match: *`) for an object.

    Raises:
        FileExistsError: the file exists; it stays as it is.
    """
    if isinstance(at, ObjectPath):
        try:
            at.put(data, new=True)
        except FileExistsError:
            # If the response of a successful request is lost, the retry meets its own object.
            if at.read_bytes() != data:
                raise
        return
    at.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(at, data)
    try:
        os.link(draft, at)
    finally:
        draft.unlink()
    _sync(at.parent)


def remove_all(at: Location) -> None:
    """Removes a file, or a folder with all that is in it."""
    if isinstance(at, ObjectPath):
        at.remove_all()
    elif at.is_dir():
        shutil.rmtree(at)
    else:
        at.unlink()


def duplicate(at: Location, to: Location) -> None:
    """Gives a file that never changes a second place: a hard link, or a copy within the store.

    Does nothing if the other place has a file already.
    """
    if isinstance(at, ObjectPath):
        assert isinstance(to, ObjectPath)  # both are below one root
        at.copy_to(to, of=at.head().tag, metadata={})
    elif not to.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        os.link(at, to)  # type: ignore[arg-type]


def move(at: Location, to: Location) -> None:
    """Moves a file or a folder with all that is in it, which both are below one root.

    Does nothing if there is nothing to move, so that an interrupted move can be repeated. A store
    copies each object, then removes the old ones.
    """
    if not at.exists():
        return
    if isinstance(at, ObjectPath):
        for one in [at] if at.is_file() else [p for p in at.rglob("*") if p.is_file()]:
            duplicate(one, to if one == at else to / str(below(one, at)))
        at.remove_all()
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    at.rename(to)  # type: ignore[arg-type]


def uri(at: Location) -> str:
    """A location for delta-rs, DuckDB and Arrow; for Spark, use `str`."""
    return at.uri if isinstance(at, ObjectPath) else str(at)


def is_below(at: Location, root: Location) -> bool:
    """Whether a location is `root`, or is inside it."""
    return _pure(at).is_relative_to(_pure(root))


def below(at: Location, root: Location) -> PurePath:
    """The path of a location relative to `root`.

    Raises:
        ValueError: it is not inside `root`.
    """
    return _pure(at).relative_to(_pure(root))


def children(folder: Location, pattern: str = "*") -> list[Location]:
    """The files and folders in a folder that match a pattern, sorted by name.

    Empty if the folder does not exist.
    """
    found: Iterable[Location] = folder.glob(pattern)
    return sorted(found, key=lambda child: child.name)


def _pure(at: Location) -> PurePath:
    return at.pure if isinstance(at, ObjectPath) else at


def _draft(at: Path, data: bytes, *, synced: bool = True) -> Path:
    # A hidden name, which neither Delta nor Spark uses for its own files.
    draft = at.with_name(f".{at.name}.{uuid.uuid4().hex}.tmp")
    try:
        draft.write_bytes(data)
        if synced:
            _sync(draft)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _sync(at: Path) -> None:
    handle = os.open(at, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
