"""Reads the headers of csv files on the driver; files with the same header form a group."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pyspark.sql import SparkSession

from medallion_jobs.autoloader.discovery.stores import store_for
from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import csv_head, file_schemas
from medallion_jobs.autoloader.readers.csv_dialect import Dialect
from medallion_jobs.autoloader.readers.csv_head import Head
from medallion_jobs.autoloader.readers.csv_names import Naming
from medallion_jobs.autoloader.readers.file_schemas import BrokenHeadError
from medallion_jobs.lake.columns import is_free

_HEAD = 64 * 1024  # bytes; if the header is longer, more is read
_LONGEST_HEADER = 16 * 1024 * 1024
_MARK = b"\xef\xbb\xbf"  # the byte-order mark of UTF-8


@dataclass(frozen=True)
class Header:
    """The header of files that are read together.

    Attributes:
        names: the names of the columns in order; `_c0`, `_c1` … for columns without one.
        nameless: those of the names that are generated.
        newline: a line feed, or a carriage return if a file has no other line ends.
        dialect: how to read the files, with the separator that they name.
        before: the number of records before the first row, as Spark reads the file; None if
            there is only the header, which Spark leaves out itself.
        marked: whether the first row begins with a byte-order mark.
    """

    names: tuple[str, ...]
    nameless: frozenset[str]
    newline: str
    dialect: Dialect
    before: int | None = None
    marked: bool = False

    @property
    def namable(self) -> list[str]:
        """The names that a table's columns can have."""
        return [name for name in self.names if name not in self.nameless and is_free(name)]


@dataclass(frozen=True)
class Headers:
    """Reads headers.

    Attributes:
        fixed: column names for files without a header; None for `_c0`, `_c1` …
        known: the wanted columns; unless empty, each header must have at least one of them.
    """

    spark: SparkSession
    dialect: Dialect
    naming: Naming
    fixed: tuple[str, ...] | None
    known: Collection[str]

    def of(self, files: Sequence[FileEntry]) -> dict[Header, list[FileEntry]]:
        """Files by header; those without a record are left out.

        Raises:
            UnreadableError: some headers cannot be read.
        """
        groups: dict[Header, list[FileEntry]] = {}
        for file, found in file_schemas.of_each(files, self._header).items():
            if found is not None:
                groups.setdefault(found, []).append(file)
        return groups

    def _header(self, file: FileEntry) -> Header | None:
        if fault := file_schemas.framing_fault(file):
            raise BrokenHeadError(fault)
        start, newline, head = self._head(file)
        dialect, fields = head.dialect, head.fields
        if fields is None:
            return None
        if not dialect.header:
            marked = dialect.encoding.is_utf_8 and start.startswith(_MARK) and not head.before
            if marked and dialect.multi_line and head.is_quoted:
                raise BrokenHeadError(
                    "a byte-order mark is before its first quote, which Spark then does not see; "
                    "save the file without the mark"
                )
            names = self.fixed or tuple(f"_c{n}" for n in range(len(fields)))
            marked = marked and dialect.multi_line
            return Header(names, frozenset(), newline, dialect, head.before or None, marked)
        self._check(start, head)
        own = self.naming.names(head, newline, self.known)
        names = tuple(name or f"_c{n}" for n, name in enumerate(own))
        nameless = frozenset(names[n] for n, name in enumerate(own) if not name)
        before = head.before + 1 if head.before else None
        return Header(names, nameless, newline, dialect, before)

    def _head(self, file: FileEntry) -> tuple[bytes, str, Head]:
        """The first bytes of a file, its line ends, and its parsed head."""
        store, size = store_for(file.path, lambda: self.spark), _HEAD
        while True:
            start = store.head(file.path, size)
            whole = len(start) < size
            text = self.dialect.decoded(start, whole=whole)
            newline = "\n" if "\n" in text or "\r" not in text else "\r"
            head = csv_head.parse(text, newline, self.dialect, whole=whole)
            if head is not None:
                return start, newline, head
            if size >= _LONGEST_HEADER:
                raise BrokenHeadError(f"no end of its first record within {size:,} bytes")
            size *= 16

    def _check(self, start: bytes, head: Head) -> None:
        """Raises BrokenHeadError for a header that cannot be read as it is."""
        encoding = head.dialect.encoding
        if any(map(encoding.is_undecoded, head.fields or ())):
            raise BrokenHeadError(
                f"its header has bytes that are no {encoding.name.upper()}; see `encoding`"
            )
        if head.in_one_line:
            return
        if not head.dialect.multi_line:
            raise BrokenHeadError(
                "a name in its header has a line end; leave out `multiLine: false`"
            )
        if start.startswith(_MARK) and head.is_quoted and not head.dialect.encoding.is_wide:
            raise BrokenHeadError(
                "a byte-order mark is before its quoted header of several lines, which Spark "
                "then cannot read; save the file without the mark"
            )
