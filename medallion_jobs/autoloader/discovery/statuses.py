"""File statuses of Hadoop, fetched from the JVM for a whole folder at a time.

Asking the JVM for one attribute of one file takes about 0.1 ms; a folder of 100,000 would
take a minute. Hadoop writes an array of statuses as bytes in one call, in the format that its
own RPC uses (`FileStatusProto` in FSProtos.proto).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from medallion_jobs.autoloader.file_entry import FileEntry, to_uri
from medallion_jobs.errors import MedallionError

_FILE_TYPE, _PATH, _LENGTH, _MODIFIED = 1, 2, 3, 7
_FOLDER, _FILE = 1, 2
_VARINT, _EIGHT, _TEXT, _FOUR = 0, 1, 2, 5
_GONE = ("java.io.FileNotFoundException", "java.nio.file.NoSuchFileException")
_FORBIDDEN = (
    "org.apache.hadoop.security.AccessControlException",
    "java.nio.file.AccessDeniedException",
)


@dataclass(frozen=True)
class Status:
    """One entry of a folder.

    Attributes:
        modified_ms: last change, in milliseconds since 1970.
    """

    name: str
    kind: int
    size: int
    modified_ms: int

    @property
    def is_file(self) -> bool:
        return self.kind == _FILE

    @property
    def is_folder(self) -> bool:
        return self.kind == _FOLDER

    def found(self, folder_uri: str) -> FileEntry:
        """The entry as a file of a folder whose URI is given, with its last `/`."""
        uri = folder_uri + to_uri(self.name).removeprefix("file:")
        return FileEntry(self.modified_ms * 1000, uri, self.size)


def listed(jvm: Any, fs: Any, path: Any) -> tuple[str, list[Status]]:
    """The URI of a folder with its last `/`, as its files have it, and the folder's entries."""
    statuses = fs.listStatus(path)
    if not len(statuses):
        return "", []
    # From an entry: of a folder itself, a file system may report another host, or none.
    folder = str(statuses[0].getPath().getParent().toUri().toString())
    buffer = jvm.java.io.ByteArrayOutputStream()
    out = jvm.java.io.DataOutputStream(buffer)
    jvm.org.apache.hadoop.io.ObjectWritable.writeObject(
        out, statuses, statuses.getClass(), fs.getConf()
    )
    return folder.rstrip("/") + "/", list(parsed(bytes(buffer.toByteArray())))


def parsed(data: bytes) -> Iterator[Status]:
    """Parses the statuses in the bytes of an `ObjectWritable`.

    These are the array's class and length; then for each entry its declared class, its actual
    class, the length of the message, and the message.
    """
    place = _after_text(data, 0)
    (count,) = struct.unpack_from(">i", data, place)
    place += 4
    for _ in range(count):
        place = _after_text(data, _after_text(data, place))
        (length,) = struct.unpack_from(">i", data, place)
        fields = _fields(data[place + 4 : place + 4 + length])
        path = bytes(fields[_PATH]).decode("utf-8", "surrogateescape")
        yield Status(
            path.rpartition("/")[2],
            int(fields[_FILE_TYPE]),
            int(fields.get(_LENGTH, 0)),
            _signed(int(fields.get(_MODIFIED, 0))),
        )
        place += 4 + length


def _after_text(data: bytes, place: int) -> int:
    (length,) = struct.unpack_from(">H", data, place)
    return int(place + 2 + length)


@contextmanager
def errors(path: str, forbidden: Callable[[str, str], MedallionError]) -> Iterator[None]:
    """Ignores missing files; if access is denied, raises the error that `forbidden` makes."""
    from py4j.protocol import Py4JJavaError  # noqa: PLC0415 (only where there is a JVM)

    try:
        yield
    except Py4JJavaError as error:
        kinds = _kinds(error.java_exception)
        if kinds.intersection(_FORBIDDEN):
            raise forbidden(path, str(error.java_exception.getMessage())) from None
        if not kinds.intersection(_GONE):
            raise


@contextmanager
def reading(uri: str) -> Iterator[None]:
    """Turns an error of the JVM while it reads a file into an OSError."""
    from py4j.protocol import Py4JJavaError  # noqa: PLC0415

    try:
        yield
    except Py4JJavaError as error:
        raise OSError(f"{uri}: {error.java_exception.toString()}") from error


def _kinds(exception: Any) -> set[str]:
    """The names of an exception's class and of all its superclasses."""
    names, kind = set(), exception.getClass()
    while kind is not None:
        names.add(str(kind.getName()))
        kind = kind.getSuperclass()
    return names


def _fields(message: bytes) -> dict[int, int | bytes]:
    fields: dict[int, int | bytes] = {}
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        value: int | bytes
        if tag & 7 == _VARINT:
            value, place = _varint(message, place)
        else:
            if tag & 7 == _TEXT:
                length, place = _varint(message, place)
            else:
                length = {_EIGHT: 8, _FOUR: 4}[tag & 7]
            value = message[place : place + length]
            place += length
        fields[tag >> 3] = value
    return fields


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while message[place] & 0x80:
        value |= (message[place] & 0x7F) << shift
        place, shift = place + 1, shift + 7
    return value | message[place] << shift, place + 1


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
