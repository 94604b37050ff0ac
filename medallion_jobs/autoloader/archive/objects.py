"""Moving and deleting objects: a copy within the store, then the end of the first one."""

from __future__ import annotations

from medallion_jobs.autoloader.archive.file_location import FileLocation, LeftError, numbered
from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.storage import ObjectPath

# What the store copies in one go. More takes a copy in parts, which cannot be made on condition.
_MOST_BYTES = 5 * 1024**3
# Noted with a copy, whose own time is that of the copying.
_MODIFIED = "medallion-modified"


class ObjectActions:
    """The objects of a store (`ground.FileActions`)."""

    def __init__(self, move_to: ObjectPath | None) -> None:
        self._move_to = move_to

    def is_there(self, spot: FileLocation, file: FileEntry) -> bool:
        return self._tag(spot, file) is not None

    def delete(self, spot: FileLocation, file: FileEntry) -> bool:
        if self._tag(spot, file) is None:
            return False
        _place(spot).unlink()
        return True

    def move(self, spot: FileLocation, file: FileEntry) -> int | None:
        tag = self._tag(spot, file)
        if tag is None:
            return None
        if file.size > _MOST_BYTES:
            raise LeftError("larger than the 5 GiB that a store copies in one go")
        for number, name in enumerate(numbered(spot.name)):
            target = self._folder(spot) / name
            if not target.is_file():
                _place(spot).copy_to(target, of=tag, metadata={_MODIFIED: str(file.modified_us)})
            if _is_copy(target, file):  # of now, or of a run before
                _place(spot).unlink()
                return number
        raise AssertionError("numbers do not end")

    def moved_before(self, spot: FileLocation, file: FileEntry) -> int | None:
        for number, name in enumerate(numbered(spot.name)):
            target = self._folder(spot) / name
            if not target.is_file():
                return None
            if _is_copy(target, file):
                return number
        raise AssertionError("numbers do not end")

    def _folder(self, spot: FileLocation) -> ObjectPath:
        assert self._move_to is not None  # noqa: S101 (nothing is moved where no place is named)
        return self._move_to / "/".join(spot.folders) if spot.folders else self._move_to

    def _tag(self, spot: FileLocation, file: FileEntry) -> str | None:
        """What tells the content that was read from another; None where there is no object."""
        try:
            head = _place(spot).head()
        except FileNotFoundError:
            return None
        # To the second, which is what the store's own headers tell.
        if (head.size, head.modified_s) != (file.size, file.modified_us // 1_000_000):
            raise LeftError("changed since they were read")
        return head.tag


def _place(spot: FileLocation) -> ObjectPath:
    assert isinstance(spot.root, ObjectPath)  # noqa: S101 (the others have `LocalFileActions`)
    return spot.root / "/".join((*spot.folders, spot.name))


def _is_copy(target: ObjectPath, file: FileEntry) -> bool:
    head = target.head()
    return head.size == file.size and head.metadata.get(_MODIFIED) == str(file.modified_us)
