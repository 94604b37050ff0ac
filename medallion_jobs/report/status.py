"""How each query of a pipeline stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from medallion_jobs import places
from medallion_jobs.checkpoint import Home, lock, manifest
from medallion_jobs.checkpoint.position import backlog
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.tables import commit_of, snapshot


@dataclass(frozen=True)
class Status:
    """One query and its table.

    Attributes:
        rows: rows in the table; None when there is no table.
        batch: the newest batch in the table of the current generation; None before it.
        batch_at: when that batch was written.
        behind: what is left in the source, as far as Spark has planned: files for bronze,
            rows for the others; None where the source's log no longer tells.
        holder: who runs the query; `alive` in it tells whether that run still lives.
    """

    table: str
    rows: int | None
    generation: int | None
    batch: int | None
    batch_at: datetime | None
    behind: int | None
    holder: dict[str, object] | None

    @property
    def state(self) -> str:
        """`running`, `idle`, `died` (a run was killed) or `never ran`."""
        if self.holder:
            return "running" if self.holder["alive"] else "died"
        return "idle" if self.generation else "never ran"


def status(config: Pipeline) -> list[Status]:
    """The status of each query, layer by layer."""
    return [_status_of(config, ref, source) for ref, source in places.sources(config).items()]


def _status_of(config: Pipeline, ref: TableRef, source: Path) -> Status:
    home = Home.of(config.state_path, ref)
    path = config.table_path(ref)
    table, recorded = snapshot(path), manifest.read(home)
    batch = at = behind = None
    if recorded:
        checkpoint = home.checkpoint(recorded.current.number)
        left = backlog(checkpoint, source)
        behind = left.rows if left else None
        written = table.txn(checkpoint.app_id) if table else -1
        if written >= 0:
            batch = written
            commit = commit_of(path, checkpoint.app_id, written)
            at = datetime.fromtimestamp(commit.at_ms / 1000, timezone.utc) if commit else None
    return Status(
        table=str(ref),
        rows=table.rows if table else None,
        generation=recorded.current.number if recorded else None,
        batch=batch,
        batch_at=at,
        behind=behind,
        holder=lock.read(home.lock),
    )
