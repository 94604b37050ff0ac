"""How each query of a pipeline stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from medallion_jobs.checkpoint import Checkpoint, QueryFolder, lock, manifest
from medallion_jobs.checkpoint.offsets import backlog
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.lake import paths
from medallion_jobs.lake.tables import Snapshot, commit_of, snapshot
from medallion_jobs.observe import batch_table as metrics
from medallion_jobs.observe import rule_table
from medallion_jobs.report.lake_views import connect, rows_in
from medallion_jobs.report.waiting_files import Waiting, waiting
from medallion_jobs.storage import Location


@dataclass(frozen=True)
class Status:
    """One query and its table.

    Attributes:
        rows: rows in the table; None when there is no table.
        batch: the newest batch in the table of the current generation; None before it.
        batch_at: when that batch was written.
        behind: what is left in the source, as far as Spark has planned: files for bronze,
            rows for the others; None where the source's log no longer tells.
        batch_seconds: how long that batch took; None where its metrics do not tell.
        files_waiting, bytes_waiting: files that are found and not yet in a finished batch;
            None for a table that is not read from files, and where the log no longer tells.
        oldest_waiting_seconds: since the last change of the oldest of them.
        broken: rows of that batch that broke a rule of the table; None where it has no rules,
            or what they said of the batch is not noted.
        warning: why most rows of that batch are not in the table, where this is so.
        holder: who runs the query; `alive` in it tells whether that run still lives.
    """

    table: str
    rows: int | None
    generation: int | None
    batch: int | None
    batch_at: datetime | None
    behind: int | None
    holder: dict[str, object] | None
    batch_seconds: float | None = None
    files_waiting: int | None = None
    bytes_waiting: int | None = None
    oldest_waiting_seconds: float | None = None
    broken: int | None = None
    warning: str | None = None

    @property
    def state(self) -> str:
        """`running`, `idle`, `died` (a run was killed) or `never ran`."""
        if self.holder:
            return "running" if self.holder["alive"] else "died"
        return "idle" if self.generation else "never ran"


def status(config: Pipeline) -> list[Status]:
    """The status of each query, layer by layer."""
    return [_status_of(config, ref, source) for ref, source in paths.sources(config).items()]


def _status_of(config: Pipeline, ref: TableRef, source: Location) -> Status:
    home = QueryFolder.of(config.state_path, ref)
    path = config.table_path(ref)
    table, recorded = snapshot(path), manifest.read(home)
    checkpoint = home.checkpoint(recorded.current.number) if recorded else None
    batch = at = seconds = behind = broken = warning = None
    if checkpoint and recorded:
        left = backlog(checkpoint, source)
        behind = left.rows if left else None
        written = table.txn(checkpoint.app_id) if table else -1
        if written >= 0:
            batch = written
            commit = commit_of(path, checkpoint.app_id, written)
            at = datetime.fromtimestamp(commit.at_ms / 1000, timezone.utc) if commit else None
            noted = _noted_of(config, ref, recorded.current.number, written)
            seconds = float(noted[metrics.SECONDS]) if metrics.SECONDS in noted else None
            warning = noted.get(metrics.WARNING)
            broken = _broken_of(config, ref, recorded.current.number, written)
    waits = _waiting(source, checkpoint) if ref.layer == "bronze" else None
    return Status(
        table=str(ref),
        rows=_rows(table) if table else None,
        generation=recorded.current.number if recorded else None,
        batch=batch,
        batch_at=at,
        behind=behind,
        holder=lock.read(home.lock),
        batch_seconds=seconds,
        files_waiting=waits.files if waits else None,
        bytes_waiting=waits.bytes if waits else None,
        oldest_waiting_seconds=waits.oldest_seconds if waits else None,
        broken=broken,
        warning=warning,
    )


def _rows(table: Snapshot) -> int:
    # DuckDB is started for no other table: most need only their log.
    if not table.has_deletion_vectors:
        return table.rows
    with connect(table.path) as duck:
        return rows_in(table, duck)


def _waiting(discovered: Location, checkpoint: Checkpoint | None) -> Waiting | None:
    if not discovered.exists():
        return None
    return waiting(discovered, checkpoint, checkpoint.latest_commits if checkpoint else -1)


def _noted_of(config: Pipeline, ref: TableRef, generation: int, batch: int) -> Mapping[str, str]:
    """What the metrics of a batch say without a data file being opened."""
    owner = metrics.app_id(str(ref), generation)
    commit = commit_of(paths.metrics(config.state_path, ref), owner, batch)
    return commit.info if commit else {}


def _broken_of(config: Pipeline, ref: TableRef, generation: int, batch: int) -> int | None:
    if ref.layer != "silver" or not config.silver[ref.name].expect:
        return None
    owner = rule_table.app_id(str(ref), generation)
    commit = commit_of(paths.quality_metrics(config.state_path, ref), owner, batch)
    return int(commit.info[rule_table.BROKEN_ROWS]) if commit else None
