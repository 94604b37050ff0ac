"""Finds the files that must stay, because quarantine does not have all bytes of their records."""

from __future__ import annotations

from medallion_jobs.autoloader.file_entry import FileKey
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import open_delta
from medallion_jobs.storage.duck import connect

# Lines from before quarantine had `is_whole` were cut at this many characters, and had U+FFFD
# in place of bytes that are not UTF-8.
_OLDER = "length(line) < 65536 AND NOT contains(line, chr(65533))"


def kept_in_part(quarantine: Location) -> frozenset[FileKey]:
    """The files of which a quarantine has a record only in part.

    Args:
        quarantine: the quarantine of a bronze table.

    Raises:
        DeltaError, OSError, duckdb.Error: it cannot be read.
    """
    if snapshot(quarantine) is None:
        return frozenset()
    files = open_delta(quarantine).file_uris()
    if not files:
        return frozenset()
    with connect(quarantine) as duck:
        records = duck.read_parquet(files, union_by_name=True)
        is_whole = f"coalesce(is_whole, {_OLDER})" if "is_whole" in records.columns else _OLDER
        found = records.filter(f"NOT ({is_whole})").select("file, file_version").distinct()
        return frozenset(found.fetchall())
