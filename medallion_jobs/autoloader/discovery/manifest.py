"""Arrivals read from a manifest: a folder of JSON-lines files that are only ever appended to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from medallion_jobs.autoloader.discovery import notifications
from medallion_jobs.autoloader.discovery.notifications import Named
from medallion_jobs.autoloader.discovery.patterns import is_hidden
from medallion_jobs.autoloader.discovery.state import Positions
from medallion_jobs.autoloader.discovery.stores import Store
from medallion_jobs.autoloader.file_entry import FileEntry, to_path
from medallion_jobs.errors import UsageError

_BLOCK = 8 << 20


@dataclass
class News:
    """What the lines of a manifest that were not read before say.

    Attributes:
        named: the files, each with where it was named.
        complaints: lines that say nothing, as file:line: why.
        positions: how far each file is read now.
    """

    named: list[tuple[str, Named]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    positions: dict[str, tuple[int, int]] = field(default_factory=dict)


def check(folder: str, store: Store) -> None:
    """Raises UsageError when there is no such manifest."""
    if not store.is_folder(folder):
        raise UsageError(
            f"there is no manifest folder {folder}",
            untouched="nothing was started",
            next_step="make it, and have whoever brings files append lines to *.jsonl files in it",
        )


def news(folder: str, store: Store, known: Positions) -> News:
    """Reads on from where each file was read to.

    A last line without its newline is still being written, and is left for the next time. A
    file that is shorter than what was read of it is another one, and is read from its start.

    Raises:
        UsageError: there is no such folder, or it must not be read.
        OSError: a file cannot be read.
    """
    listing = store.list(folder, lambda name: name.endswith(".jsonl") and not is_hidden(name))
    if listing is None:
        check(folder, store)
        return News()
    found = News()
    for file in sorted(listing.files):
        name = to_path(file.path).rpartition("/")[2]
        start, lines = known.read.get(name, (0, 0))
        if file.size < start:
            start, lines = 0, 0
        if file.size > start:
            for line in _lines(file, store, start):
                start, lines = start + len(line), lines + 1
                _add(line, f"{to_path(file.path)}:{lines}", found)
        found.positions[name] = (start, lines)
    return found


def found_by(named: Named, store: Store, *, verified: bool) -> FileEntry:
    """A named file as a listing would show it.

    Args:
        verified: take size and time from the store where it has the file, whatever was said:
            a notification's time is not the file's, which would look changed at the next
            listing.

    Raises:
        ValueError: its size is told by nobody.
    """
    size, modified_us = named.size, named.modified_us
    if verified or size is None or modified_us is None:
        there = store.stat(named.path)
        if there and verified:
            return there
        if there:
            modified_us = there.modified_us if modified_us is None else modified_us
            size = there.size if size is None else size
    if size is None:
        raise ValueError(f"{to_path(named.path)} is not there, and no `size` is told")
    return FileEntry(modified_us or 0, named.path, size)


def _lines(file: FileEntry, store: Store, start: int) -> Iterator[bytes]:
    """Whole lines with their newlines, up to the size that the listing told."""
    rest = b""
    while start < file.size:
        block = store.read(file.path, start, min(_BLOCK, file.size - start))
        if not block:
            return
        start += len(block)
        *whole, rest = (rest + block).split(b"\n")
        yield from (line + b"\n" for line in whole)


def _add(line: bytes, where: str, found: News) -> None:
    if not line.strip():
        return
    try:
        found.named += [(where, named) for named in notifications.parsed(line)]
    except ValueError as error:
        found.complaints.append(f"{where}: {error}")
