"""File systems with landing folders: local ones, and those that Hadoop can open.

Folders and paths are written as Spark's readers take them (`/landing/a b`, `s3a://bucket/a b`),
a file's URI as in Spark's `_metadata.file_path` (`file:/landing/a%20b`).
"""

from __future__ import annotations

import os
import re
import stat as modes
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from medallion_jobs.autoloader.discovery import mounts, statuses
from medallion_jobs.autoloader.file_entry import FileEntry, is_local, to_path, to_uri
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# A folder's device, inode, ctime and mtime, the times in nanoseconds. Nobody can set ctime;
# `rsync -a` and `tar -x` set mtime back.
Stamp = tuple[int, int, int, int]
Names = Callable[[str], bool]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PLAIN = re.compile(r"[A-Za-z0-9_.=+-]*")
_ARROW_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_OTHER_CODECS = (".lz4", ".snappy")


@dataclass(frozen=True)
class Listing:
    """The content of a folder, with hidden names, without symbolic links.

    Attributes:
        files: the files with wanted names.
        folders: the names of all its folders.
    """

    files: list[FileEntry]
    folders: list[str]


class Store(Protocol):
    """A file system."""

    def has_reliable_stamps(self, folder: str) -> bool:
        """Whether the stamps of a folder, and of those below on its mount, can be trusted."""

    def stamp(self, folder: str) -> Stamp | None:
        """A value that changes whenever a folder's entries do; None if it is gone."""

    def list(self, folder: str, is_wanted: Names) -> Listing | None:
        """The current content of a folder; None if it is gone.

        Raises:
            UsageError: it may not be read.
        """

    def stat(self, uri: str) -> FileEntry | None:
        """A file as it is now; None if there is no file of that name."""

    def is_folder(self, path: str) -> bool:
        """Whether there is such a folder."""

    def head(self, uri: str, n: int) -> bytes:
        """The first `n` bytes of a file's content, decompressed by its extension.

        Raises:
            OSError: it cannot be read or decompressed.
        """

    def read(self, uri: str, start: int, n: int) -> bytes:
        """At most `n` bytes of a file from position `start` on, not decompressed.

        Raises:
            OSError: it cannot be read.
        """


def is_local_path(uri_or_path: str) -> bool:
    """Whether a path or URI is local."""
    return is_local(uri_or_path) or not _SCHEME.match(uri_or_path)


def store_for(uri_or_path: str, spark_of: Callable[[], SparkSession]) -> Store:
    """The store of a path or URI. `spark_of` is called only if a session is needed."""
    return LocalStore() if is_local_path(uri_or_path) else HadoopStore(spark_of)


def forbidden(folder: str, why: str) -> UsageError:
    return UsageError(
        f"the landing folder {folder} cannot be listed: {why}",
        code="landing_folder_not_listable",
        untouched="all files; none was taken, from this folder or another",
        next_step="give the user who runs the job the r and x rights on it, or remove it from "
        "the source's path",
    )


class LocalStore:
    """The local file systems. Symbolic links are not followed, but a root may be one."""

    def has_reliable_stamps(self, folder: str) -> bool:
        return mounts.keeps_times(folder)

    def stamp(self, folder: str) -> Stamp | None:
        try:
            st = os.stat(folder)  # noqa: PTH116 (one of these for each known folder, each trigger)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise forbidden(folder, str(error.strerror)) from None
        return (st.st_dev, st.st_ino, st.st_ctime_ns, st.st_mtime_ns)

    def list(self, folder: str, is_wanted: Names) -> Listing | None:
        listing = Listing([], [])
        prefix = to_uri(folder.rstrip("/") + "/")
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    _take(entry, prefix, is_wanted, listing)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise forbidden(folder, str(error.strerror)) from None
        return listing

    def stat(self, uri: str) -> FileEntry | None:
        try:
            st = os.lstat(to_path(uri))
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not modes.S_ISREG(st.st_mode):
            return None
        return FileEntry(st.st_mtime_ns // 1000, uri, st.st_size)

    def is_folder(self, path: str) -> bool:
        return Path(path).is_dir()

    def head(self, uri: str, n: int) -> bytes:
        path = to_path(uri)
        ending = Path(path).suffix.lower()
        if ending in _OTHER_CODECS:
            raise OSError(f"{path}: {ending} cannot be read here: it needs Hadoop's own codec")
        try:
            if ending == ".deflate":
                return _inflated(path, n)
            # Opened here, because Arrow opens only names that are UTF-8.
            with (
                Path(path).open("rb") as file,
                pa.input_stream(file, compression=_ARROW_CODECS.get(ending)) as stream,
            ):
                return bytes(stream.read(n))
        except (OSError, zlib.error) as error:
            raise OSError(f"{path}: {error}") from error

    def read(self, uri: str, start: int, n: int) -> bytes:
        with Path(to_path(uri)).open("rb") as file:
            file.seek(start)
            return file.read(n)


def _take(entry: os.DirEntry[str], prefix: str, is_wanted: Names, listing: Listing) -> None:
    name = entry.name
    if entry.is_dir(follow_symlinks=False):
        listing.folders.append(name)
    elif entry.is_file(follow_symlinks=False) and is_wanted(name):
        try:
            st = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        uri = prefix + (name if _PLAIN.fullmatch(name) else to_uri(name).removeprefix("file:"))
        listing.files.append(FileEntry(st.st_mtime_ns // 1000, uri, st.st_size))


def _inflated(path: str, n: int) -> bytes:
    inflate, content = zlib.decompressobj(), b""
    with Path(path).open("rb") as file:
        while len(content) < n and (block := file.read(1 << 16)):
            content += inflate.decompress(block, n - len(content))
    return content


class HadoopStore:
    """Any file system that Hadoop knows, through the session's JVM."""

    def __init__(self, spark_of: Callable[[], SparkSession]) -> None:
        self._spark_of = spark_of

    def has_reliable_stamps(self, folder: str) -> bool:  # noqa: ARG002 (folders of objects have no times)
        return False

    def stamp(self, folder: str) -> Stamp | None:  # noqa: ARG002
        return None

    def list(self, folder: str, is_wanted: Names) -> Listing | None:
        fs, path = self._at(folder)
        with statuses.errors(folder, forbidden):
            prefix, listed = statuses.listed(self._jvm, fs, path)
            return Listing(
                [
                    entry.found(prefix)
                    for entry in listed
                    if entry.is_file and is_wanted(entry.name)
                ],
                [entry.name for entry in listed if entry.is_folder],
            )
        return None

    def stat(self, uri: str) -> FileEntry | None:
        fs, path = self._at(to_path(uri))
        with statuses.errors(uri, forbidden):
            status = fs.getFileStatus(path)
            if status.isFile():
                return FileEntry(status.getModificationTime() * 1000, uri, status.getLen())
        return None

    def is_folder(self, path: str) -> bool:
        fs, at = self._at(path)
        with statuses.errors(path, forbidden):
            return bool(fs.getFileStatus(at).isDirectory())
        return False

    def head(self, uri: str, n: int) -> bytes:
        fs, path = self._at(to_path(uri))
        hadoop = self._jvm.org.apache.hadoop
        codecs = hadoop.io.compress.CompressionCodecFactory(fs.getConf())
        codec = codecs.getCodec(hadoop.fs.Path(str(path.getName()).lower()))
        with statuses.reading(uri):
            stream = fs.open(path)
            if codec is not None:
                stream = codec.createInputStream(stream)
            return _first(stream, n)

    def read(self, uri: str, start: int, n: int) -> bytes:
        fs, path = self._at(to_path(uri))
        with statuses.reading(uri):
            stream = fs.open(path)
            stream.seek(start)
            return _first(stream, n)

    @property
    def _jvm(self) -> Any:
        return self._spark_of()._jvm

    def _at(self, path: str) -> tuple[Any, Any]:
        at = self._jvm.org.apache.hadoop.fs.Path(path)
        conf = self._spark_of()._jsparkSession.sessionState().newHadoopConf()
        return at.getFileSystem(conf), at


def _first(stream: Any, n: int) -> bytes:
    try:
        return bytes(stream.readNBytes(n))
    finally:
        stream.close()
