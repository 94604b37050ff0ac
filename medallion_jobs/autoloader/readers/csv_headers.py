"""Reads the headers of csv files on the driver; files with the same header form a group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import SparkSession

from medallion_jobs.autoloader.discovery.stores import store_for
from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.readers import file_schemas
from medallion_jobs.autoloader.readers.csv_dialect import Dialect
from medallion_jobs.autoloader.readers.encodings import NO_CHARACTER
from medallion_jobs.autoloader.readers.file_schemas import BrokenHeadError
from medallion_jobs.lake.columns import is_free

_HEAD = 64 * 1024  # bytes; if the header is longer, more is read
_LONGEST_HEADER = 16 * 1024 * 1024


@dataclass(frozen=True)
class Header:
    """The header of files that are read together.

    Attributes:
        names: the names of the columns in order; `_c0`, `_c1` … for columns without one.
        nameless: those of the names that are generated.
        newline: a line feed, or a carriage return if a file has no other line ends.
    """

    names: tuple[str, ...]
    nameless: frozenset[str]
    newline: str

    @property
    def namable(self) -> list[str]:
        """The names that a table's columns can have."""
        return [name for name in self.names if name not in self.nameless and is_free(name)]


def by_header(
    spark: SparkSession,
    files: Sequence[FileEntry],
    dialect: Dialect,
    fixed: tuple[str, ...] | None,
    *,
    known: set[str],
) -> dict[Header, list[FileEntry]]:
    """Files by header; those without a record are left out.

    Args:
        fixed: column names for files without a header; None for `_c0`, `_c1` …
        known: the wanted columns; unless empty, each header must have at least one of them.

    Raises:
        UnreadableError: some headers cannot be read.
    """

    def header(file: FileEntry) -> Header | None:
        return _header(spark, file, dialect, fixed, known)

    groups: dict[Header, list[FileEntry]] = {}
    for file, found in file_schemas.of_each(files, header).items():
        if found is not None:
            groups.setdefault(found, []).append(file)
    return groups


def _header(
    spark: SparkSession,
    file: FileEntry,
    dialect: Dialect,
    fixed: tuple[str, ...] | None,
    known: set[str],
) -> Header | None:
    if fault := file_schemas.framing_fault(file):
        raise BrokenHeadError(fault)
    store, size = store_for(file.path, lambda: spark), _HEAD
    while True:
        head = store.head(file.path, size)
        text = dialect.decoded(head, whole=len(head) < size)
        newline = "\n" if "\n" in text or "\r" not in text else "\r"
        fields = dialect.first_record(text, newline, whole=len(head) < size)
        if fields is not None:
            break
        if size >= _LONGEST_HEADER:
            raise BrokenHeadError(f"no end of its first record within {size:,} bytes")
        size *= 16
    if not fields:
        return None
    if not dialect.header:
        names = fixed or tuple(f"_c{n}" for n in range(len(fields)))
        return Header(names, frozenset(), newline)
    names = tuple(name or f"_c{n}" for n, name in enumerate(fields))
    _check(names, known)
    nameless = frozenset(names[n] for n, name in enumerate(fields) if not name)
    return Header(names, nameless, newline)


def _check(names: tuple[str, ...], known: set[str]) -> None:
    if any(NO_CHARACTER in name for name in names):
        raise BrokenHeadError("its header has bytes that are not of the encoding")
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise BrokenHeadError(f"its header repeats {', '.join(duplicates)}")
    if known and not known & set(names):
        shown = ", ".join(names)[:200]
        raise BrokenHeadError(f"its header has no column of the table, if it is one: {shown}")
