"""Reads arrivals from a manifest: a folder of append-only JSON-lines files."""

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
    """The content of the manifest lines that were not read before.

    Attributes:
        named: the named files, each after the `file:line` that names it.
        complaints: invalid lines, as `file:line: reason`.
        positions: by manifest file, the bytes and lines that are read now.
    """

    named: list[tuple[str, Named]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    positions: dict[str, tuple[int, int]] = field(default_factory=dict)


def check(folder: str, store: Store) -> None:
    """Raises UsageError if there is no such manifest."""
    if not store.is_folder(folder):
        raise UsageError(
            f"there is no manifest folder {folder}",
            code="no_manifest_folder",
            untouched="nothing was started",
            next_step="create it; whatever delivers files appends lines to *.jsonl files in it",
        )


def news(folder: str, store: Store, known: Positions) -> News:
    """Reads each manifest file from its last position on.

    A last line without its newline is still being written, and is left for the next time. A
    file that is shorter than its last position was replaced, and is read from its start.

    Raises:
        UsageError: there is no such folder, or it may not be read.
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
        verified: take size and time from the store if it has the file, not from the line. The
            time of a notification is not the file's own; with it, the file would look changed
            at the next listing.

    Raises:
        ValueError: neither the line nor the store has its size.
    """
    size, modified_us = named.size, named.modified_us
    if verified or size is None or modified_us is None:
        stored = store.stat(named.path)
        if stored and verified:
            return stored
        if stored:
            modified_us = stored.modified_us if modified_us is None else modified_us
            size = stored.size if size is None else size
    if size is None:
        raise ValueError(f"{to_path(named.path)} does not exist, and the line has no `size`")
    return FileEntry(modified_us or 0, named.path, size)


def _lines(file: FileEntry, store: Store, start: int) -> Iterator[bytes]:
    """Whole lines with their newlines, up to the size in the listing."""
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
