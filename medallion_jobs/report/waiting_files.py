"""Files of a bronze table that were found and are not yet in a finished batch, without a JVM.

The ledger's table `discovered` has one data file per chunk of files. Chunks after the offset of
the newest finished batch are waiting; only those data files are opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medallion_jobs.checkpoint import Checkpoint
from medallion_jobs.checkpoint.offsets import Offset
from medallion_jobs.lake.tables import commits, has_log_since, snapshot
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import open_delta


@dataclass(frozen=True)
class Waiting:
    """Files that wait for a batch.

    Attributes:
        oldest: the earliest modification time among them; None if no file waits.
    """

    files: int
    bytes: int
    oldest: datetime | None

    @property
    def oldest_seconds(self) -> float | None:
        """The age of `oldest`."""
        if self.oldest is None:
            return None
        return max((datetime.now(timezone.utc) - self.oldest).total_seconds(), 0.0)


def waiting(discovered: Location, checkpoint: Checkpoint | None, batch: int = -1) -> Waiting | None:
    """The files that wait after `batch` is finished.

    Args:
        discovered: the part of the ledger that the bronze query streams.
        checkpoint: of the query's current generation; None before its first start.
        batch: the newest finished batch; -1 if there is none.

    Returns:
        None if the ledger's log no longer reaches back to that batch.
    """
    offset = Offset.after(checkpoint, batch) if checkpoint else None
    chunks = _chunks(discovered, offset)
    return None if chunks is None else _sum(chunks)


def _chunks(discovered: Location, offset: Offset | None) -> list[Location] | None:
    """The data files after an offset; those of a snapshot in the order in which Spark reads."""
    if offset is None:
        newest = snapshot(discovered)
        return _files_of(discovered, newest.version) if newest else []
    if not has_log_since(discovered, offset.version):
        return None
    chunks: list[Location] = []
    since, skip = offset.version, offset.index + 1
    if offset.in_snapshot:
        chunks = _files_of(discovered, offset.version)[skip:]
        since, skip = offset.version + 1, 0
    for commit in commits(discovered, since):
        added = [file.path for file in commit.added]
        chunks += added[skip:] if commit.version == since else added
    return chunks


def _files_of(discovered: Location, version: int) -> list[Location]:
    files = pa.table(open_delta(discovered, version=version).get_add_actions())
    files = files.sort_by([("modification_time", "ascending"), ("path", "ascending")])
    return [discovered / unquote(name) for name in files.column("path").to_pylist()]


def _sum(chunks: Sequence[Location]) -> Waiting:
    if not chunks:
        return Waiting(0, 0, None)
    columns = ["size", "modified"]
    table = pa.concat_tables(
        pq.read_table(pa.BufferReader(chunk.read_bytes()), columns=columns) for chunk in chunks
    )
    oldest: datetime | None = pc.min(table.column("modified")).as_py()
    return Waiting(table.num_rows, pc.sum(table.column("size")).as_py() or 0, oldest)
