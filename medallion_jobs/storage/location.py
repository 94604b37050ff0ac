"""Locations of both kinds, and what has to be done differently for each to be safe."""

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
    """The objects that a `s3a://` URI names; None where it is a URI of another kind, or a path.

    Raises:
        ValueError: no bucket, or a name that differs by how it is written.
    """
    if not text.startswith("s3a://"):
        return None
    found = _OBJECTS.fullmatch(text.rstrip("/"))
    if not found:
        raise ValueError("a URI without a bucket, such as s3a://BUCKET/FOLDER has")
    key = found["key"] or ""
    if any(part in ("", ".", "..") for part in key.split("/")) and key:
        raise ValueError("a folder of objects with an empty name, . or .. in it")
    return ObjectPath(found["bucket"], key, store)


def put(at: Location, data: bytes, *, synced: bool = True) -> None:
    """Writes a small file so that a reader, or a crash, sees the old one or the new one.

    A rename replaces a file at once; an object is replaced at once anyway.

    Args:
        synced: a power cut cannot take it away again.
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
    """Makes a small file, whole, of which there can be only one.

    A hard link takes a name or fails, and so does a conditional write (`If-None-Match: *`).

    Raises:
        FileExistsError: somebody else has made it; it stays as it is.
    """
    if isinstance(at, ObjectPath):
        try:
            at.put(data, new=True)
        except FileExistsError:
            # A request whose answer was lost is sent again, and then meets its own object.
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


def uri(at: Location) -> str:
    """A location as delta-rs, DuckDB and Arrow take it; as text it is what Spark takes."""
    return at.uri if isinstance(at, ObjectPath) else str(at)


def is_below(at: Location, root: Location) -> bool:
    """Whether a location is another one, or lies in it."""
    return _pure(at).is_relative_to(_pure(root))


def below(at: Location, root: Location) -> PurePath:
    """The way from a location to one in it.

    Raises:
        ValueError: it is not in it.
    """
    return _pure(at).relative_to(_pure(root))


def children(folder: Location, pattern: str = "*") -> list[Location]:
    """What lies in a folder under a name that fits, by name; nothing where there is no folder."""
    found: Iterable[Location] = folder.glob(pattern)
    return sorted(found, key=lambda one: one.name)


def _pure(at: Location) -> PurePath:
    return at.pure if isinstance(at, ObjectPath) else at


def _draft(at: Path, data: bytes, *, synced: bool = True) -> Path:
    # Hidden, and no name that Delta or Spark takes for one of theirs.
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
