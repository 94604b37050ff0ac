"""How long a change takes from its commit in the database to those of bronze and of a silver table.

Measured afterwards, from what is stored: each message in bronze has the time of its transaction's
commit, and the logs of the tables have the time of each of theirs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from medallion_jobs.checkpoint import QueryFolder, manifest
from medallion_jobs.checkpoint.offsets import Offset
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import commit_of, commits

_BATCHES = 90


@dataclass(frozen=True)
class Latency:
    """Seconds from the commit in the database to that of a table, of its changes."""

    table: TableRef
    changes: int
    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, table: TableRef, seconds: list[float]) -> Latency:
        seconds = sorted(seconds)
        last = len(seconds) - 1
        middle, high = len(seconds) // 2, min(len(seconds) * 99 // 100, last)
        return cls(table, len(seconds), seconds[middle], seconds[high], seconds[last])

    def __str__(self) -> str:
        return (
            f"{self.table}: {self.changes:,} changes, from commit to commit: "
            f"p50 {self.p50:.1f} s, p99 {self.p99:.1f} s, at most {self.most:.1f} s"
        )


def measured(config: Pipeline, name: str) -> tuple[Latency, Latency]:
    """The latency of all changes that the table's current generation has read, in bronze and in it.

    Raises:
        UsageError: the table has read none, or bronze no longer has the log of when.
    """
    ref = TableRef("silver", name)
    paths = TablePaths(config, ref)
    recorded = manifest.read(QueryFolder.of(paths))
    in_bronze: list[float] = []
    in_silver: list[float] = []
    if recorded:
        checkpoint = QueryFolder.of(paths).checkpoint(recorded.current.number)
        source = TablePaths(config, config.silver[name].from_).data
        last = checkpoint.latest_commits
        # Spark keeps the offsets of a hundred batches.
        first = max(0, last - _BATCHES)
        before = Offset.after(checkpoint, first - 1) if first else None
        read = before.whole if before else -1
        for batch in range(first, last + 1):
            offset, commit = (
                Offset.after(checkpoint, batch),
                commit_of(paths.data, checkpoint.app_id, batch),
            )
            if offset is None or offset.whole is None or commit is None or read is None:
                continue
            for made in commits(source, read + 1):
                if made.version > offset.whole:
                    break
                for file in made.added if made.may_change_rows else ():
                    times = _times(file.path)
                    in_bronze += [made.at_ms / 1000 - at for at in times]
                    in_silver += [commit.at_ms / 1000 - at for at in times]
            read = max(read, offset.whole)
    if not in_silver:
        raise UsageError(
            f"there are no changes of {ref} whose latency is known",
            code="no_latency",
            untouched="nothing was written",
            next_step="medallion run --config conf/orders_cdc.yaml --continuous, and load changes",
        )
    return Latency.of(config.silver[name].from_, in_bronze), Latency.of(ref, in_silver)


def _times(file: object) -> list[float]:
    """When the streamed changes in a file of bronze were committed, in seconds since 1970."""
    values = pq.read_table(Path(str(file)), columns=["value"]).column("value").to_pylist()
    found = []
    for value in values:
        message = json.loads(value) if value else None
        payload = message.get("payload", message) if message else None
        if payload and payload.get("op") in ("c", "u", "d"):
            found.append(payload["source"]["ts_us"] / 1_000_000)
    return found
