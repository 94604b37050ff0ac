"""Moves and deletes objects. A move is a copy within the store, then a delete."""

from __future__ import annotations

from medallion_jobs.autoloader.archive.file_location import FileLocation, LeftError, numbered
from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.storage import ObjectPath

# The most that a store copies in one request. A copy in parts cannot be conditional.
_MOST_BYTES = 5 * 1024**3
# A copy's metadata with the original's time; its own time is that of the copying.
_MODIFIED = "medallion-modified"


class ObjectActions:
    """`FileActions` for the objects of a store."""

    def __init__(self, move_to: ObjectPath | None) -> None:
        self._move_to = move_to

    def exists(self, place: FileLocation, file: FileEntry) -> bool:
        return self._tag(place, file) is not None

    def delete(self, place: FileLocation, file: FileEntry) -> bool:
        if self._tag(place, file) is None:
            return False
        _object(place).unlink()
        return True

    def move(self, place: FileLocation, file: FileEntry) -> int | None:
        tag = self._tag(place, file)
        if tag is None:
            return None
        if file.size > _MOST_BYTES:
            raise LeftError("larger than the 5 GiB that a store copies in one request")
        for number, name in enumerate(numbered(place.name)):
            target = self._folder(place) / name
            if not target.is_file():
                _object(place).copy_to(target, of=tag, metadata={_MODIFIED: str(file.modified_us)})
            if _is_copy(target, file):  # from now or from an earlier run
                _object(place).unlink()
                return number
        raise AssertionError("numbers do not end")

    def moved_before(self, place: FileLocation, file: FileEntry) -> int | None:
        for number, name in enumerate(numbered(place.name)):
            target = self._folder(place) / name
            if not target.is_file():
                return None
            if _is_copy(target, file):
                return number
        raise AssertionError("numbers do not end")

    def _folder(self, place: FileLocation) -> ObjectPath:
        assert self._move_to is not None  # only called with a target
        return self._move_to / "/".join(place.folders) if place.folders else self._move_to

    def _tag(self, place: FileLocation, file: FileEntry) -> str | None:
        """The entity tag of the object that was read; None if there is no object."""
        try:
            head = _object(place).head()
        except FileNotFoundError:
            return None
        # To the second: the store's own headers have no fractions.
        if (head.size, head.modified_s) != (file.size, file.modified_us // 1_000_000):
            raise LeftError("changed since they were read")
        return head.tag


def _object(place: FileLocation) -> ObjectPath:
    assert isinstance(place.root, ObjectPath)  # the others have `LocalFileActions`
    return place.root / "/".join((*place.folders, place.name))


def _is_copy(target: ObjectPath, file: FileEntry) -> bool:
    head = target.head()
    return head.size == file.size and head.metadata.get(_MODIFIED) == str(file.modified_us)
