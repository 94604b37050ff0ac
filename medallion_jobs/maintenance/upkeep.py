"""Maintenance of one Delta table: compaction, a shorter log, and no unused files.

Every step leaves a valid table, so an interrupted run only has to be repeated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pyarrow as pa

from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import open_delta

# Unless this is false, delta-rs shortens the log at any commit, only by the age of its entries:
# it does not know the offset of a query that reads the table.
_LOG_CLEANUP = "delta.enableExpiredLogCleanup"
_LOG_ENTRY = re.compile(r"(\d{20})\.(json|checkpoint(\.\d{10}\.\d{10})?\.parquet)")


@dataclass(frozen=True)
class Upkeep:
    """What was done to one table, or would be.

    Attributes:
        files, bytes: data files of the newest version, and their size, before.
        files_after, bytes_after: the same afterwards; None if nothing was done.
        log_entries: the number of removed log files.
        removed: the number of removed data files; no version in the log refers to them.
        skipped: why the table was skipped; empty if it was not.
        kept: why no data file was removed, although the rest was done.
    """

    table: str
    files: int
    files_after: int | None
    bytes: int
    bytes_after: int | None
    log_entries: int = 0
    removed: int = 0
    skipped: str = ""
    kept: str = ""


@dataclass(frozen=True)
class Limits:
    """The limits of maintenance.

    Attributes:
        older_than: data files and log entries newer than this stay.
        rows_per_file: the maximum number of rows of a compacted data file; None for no limit.
        log_from: the log stays complete from this version on, which stays readable; None if
            only the newest version is needed.
    """

    older_than: timedelta
    rows_per_file: int | None = None
    log_from: int | None = None


def carry_out(name: str, path: Location, limits: Limits) -> Upkeep:
    """Compacts, removes what no version refers to, and shortens the log."""
    before, log = _Size.of(path), _log_of(path)
    if limits.log_from is not None:
        _keep_whole_log(path)
    _compact(path, before, limits.rows_per_file)
    removed = _unreferenced(path, limits.older_than)
    if removed:
        _vacuum(path, limits.older_than, dry_run=False)
    open_delta(path).create_checkpoint()
    for entry in _expired_entries(path, limits):
        entry.unlink()
    after = _Size.of(path)
    return Upkeep(
        table=name,
        files=before.files,
        files_after=after.files,
        bytes=before.bytes,
        bytes_after=after.bytes,
        log_entries=len(set(log) - set(_log_of(path))),
        removed=len(removed),
    )


def preview(name: str, path: Location, limits: Limits) -> Upkeep:
    """What could be removed now; changes nothing."""
    size = _Size.of(path)
    return Upkeep(
        table=name,
        files=size.files,
        files_after=None,
        bytes=size.bytes,
        bytes_after=None,
        log_entries=len(_expired_entries(path, limits)),
        removed=len(_unreferenced(path, limits.older_than)),
    )


def skip(name: str, path: Location, reason: str) -> Upkeep:
    """The result for a table that is skipped; its size is reported."""
    size = _Size.of(path)
    return Upkeep(name, size.files, None, size.bytes, None, skipped=reason)


@dataclass(frozen=True)
class _Size:
    """The data files of a table's newest version; `row_bytes` is the minimum size of a row."""

    files: int
    bytes: int
    row_bytes: float

    @classmethod
    def of(cls, path: Location) -> _Size:
        actions = pa.table(open_delta(path).get_add_actions())
        sizes: list[int] = actions.column("size_bytes").to_pylist()
        rows: list[int | None] = actions.column("num_records").to_pylist()
        densities = [size / count for size, count in zip(sizes, rows, strict=True) if count]
        return cls(len(sizes), sum(sizes), min(densities, default=0.0))


def _keep_whole_log(path: Location) -> None:
    table = open_delta(path)
    if table.metadata().configuration.get(_LOG_CLEANUP) != "false":
        table.alter.set_table_properties({_LOG_CLEANUP: "false"})


def _compact(path: Location, size: _Size, rows_per_file: int | None) -> None:
    if rows_per_file is None:
        open_delta(path).optimize.compact()
    elif size.row_bytes:
        # Files are compacted up to a size in bytes. In the densest file a row takes `row_bytes`,
        # so a file of this size never has more than `rows_per_file` rows.
        max_bytes = int(rows_per_file * size.row_bytes)
        open_delta(path).optimize.compact(target_size=max_bytes)


def _unreferenced(path: Location, older_than: timedelta) -> list[str]:
    """Data files to remove. Delta-rs also lists files that an earlier vacuum has removed."""
    return [name for name in _vacuum(path, older_than, dry_run=True) if (path / name).exists()]


def _vacuum(path: Location, older_than: timedelta, *, dry_run: bool) -> list[str]:
    # Full: a removed file is no longer in the log once a checkpoint drops its tombstone.
    return open_delta(path).vacuum(
        retention_hours=int(older_than / timedelta(hours=1)),
        dry_run=dry_run,
        enforce_retention_duration=False,
        full=True,
    )


def _expired_entries(path: Location, limits: Limits) -> list[Location]:
    """Log files before the newest checkpoint that is enough to read all versions to keep.

    Oldest first: an interrupted removal leaves the end of the log complete.
    """
    cutoff = datetime.now(timezone.utc) - limits.older_than
    entries = _log_of(path)
    young = [v for v, file in entries if file.suffix == ".json" and _written(file) >= cutoff]
    newest = max((version for version, _ in entries), default=0)
    first_kept = min([newest, *young, *([] if limits.log_from is None else [limits.log_from])])
    bases = [v for v, file in entries if file.suffix == ".parquet" and v <= first_kept]
    base = max(bases, default=0)
    return [file for version, file in entries if version < base]


def _log_of(path: Location) -> list[tuple[int, Location]]:
    """The files of a table's log, with their versions."""
    return sorted(
        (int(match[1]), file)
        for file in (path / "_delta_log").iterdir()
        if (match := _LOG_ENTRY.fullmatch(file.name))
    )


def _written(file: Location) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, timezone.utc)
