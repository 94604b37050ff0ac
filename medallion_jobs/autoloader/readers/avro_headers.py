"""Reads the headers of avro files, by the Avro specification."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers.file_schemas import BrokenHeadError

if TYPE_CHECKING:
    from medallion_jobs.autoloader.discovery.stores import Store

_MAGIC = b"Obj\x01"
_HEAD = 64 * 1024  # bytes; if the header is longer, more is read
_CODECS = ("null", "deflate", "snappy", "zstandard", "bzip2", "xz")


def schema(store: Store, file: FileEntry) -> str:
    """The schema in a file's header, as text.

    Raises:
        BrokenHeadError: not an avro file, or one with a codec that Spark does not know.
    """
    size = _HEAD
    while True:
        head = store.read(file.path, 0, size)
        try:
            entries = header(head)
            break
        except EOFError:
            if len(head) < size:
                raise BrokenHeadError("not an avro file, or cut off within its header") from None
            size *= 16
    codec = entries.get("avro.codec", b"null").decode("utf-8", "replace")
    if codec not in _CODECS:
        raise BrokenHeadError(
            f"compressed by {codec}, which Spark's avro reader does not know; write it with "
            "zstandard, snappy or deflate"
        )
    try:
        return entries["avro.schema"].decode()
    except (KeyError, UnicodeDecodeError):
        raise BrokenHeadError("its avro header has no schema") from None


def header(head: bytes) -> dict[str, bytes]:
    """The entries of an avro file's header, by the Avro specification.

    Raises:
        BrokenHeadError: not an avro file.
        EOFError: the header is longer than `head`.
    """
    if not head.startswith(_MAGIC):
        if _MAGIC.startswith(head):
            raise EOFError
        raise BrokenHeadError("not an avro file: it does not begin as one")
    stream, entries = BytesIO(head[len(_MAGIC) :]), dict[str, bytes]()
    while count := _long(stream):
        if count < 0:  # followed by the block's length, for readers that skip it
            _long(stream)
        for _ in range(abs(count)):
            key = _bytes(stream).decode("utf-8", "replace")
            entries[key] = _bytes(stream)
    return entries


def _long(stream: BytesIO) -> int:
    """Reads a zigzag-encoded number, seven bits per byte."""
    number = shift = 0
    while True:
        byte = stream.read(1)
        if not byte:
            raise EOFError
        number |= (byte[0] & 0x7F) << shift
        shift += 7
        if not byte[0] & 0x80:
            return (number >> 1) ^ -(number & 1)


def _bytes(stream: BytesIO) -> bytes:
    length = _long(stream)
    if length < 0:
        raise BrokenHeadError("not an avro file: a negative length in its header")
    content = stream.read(length)
    if len(content) < length:
        raise EOFError
    return content
