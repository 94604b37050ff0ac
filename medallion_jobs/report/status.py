"""The status of each query of a pipeline."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from medallion_jobs.autoloader import Ledger
from medallion_jobs.checkpoint import Checkpoint, QueryFolder, lock, manifest
from medallion_jobs.checkpoint.offsets import DeltaOffsets
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import MedallionError
from medallion_jobs.kafkaloader import KafkaOffsets
from medallion_jobs.kafkaloader.broker import UnknownError
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Snapshot, commit_of, snapshot
from medallion_jobs.observe import batch_table as metrics
from medallion_jobs.observe import rule_table
from medallion_jobs.observe.set_aside import aside_text
from medallion_jobs.report import parked_rows, runs
from medallion_jobs.report.lake_views import connect, rows_in
from medallion_jobs.report.waiting_files import Waiting, waiting
from medallion_jobs.storage import Location

# Somebody waits for the answer: a cluster that is down must not keep it.
_PATIENCE_SECONDS = 4.0


@dataclass(frozen=True)
class Status:
    """One query and its table.

    Attributes:
        rows: rows in the table; None if it does not exist.
        generation: the current generation; None if the query never ran.
        batch: the newest batch of the current generation in the table; None before the first.
        batch_at: when that batch was written.
        behind: the backlog in the source that Spark has not planned yet: files or messages for
            bronze, rows for the other layers; None if the source's log no longer covers it, or
            the Kafka cluster cannot be asked.
        behind_unknown: why the Kafka cluster cannot be asked, and what to do; else None.
        messages: messages that were loaded, as rows or into quarantine; None for a table that
            reads no Kafka topics.
        batch_seconds: how long that batch took; None if its metrics lack it.
        files_waiting, bytes_waiting: files that were found and are not yet in a finished batch;
            None for a table that does not read files, or if the log no longer covers them.
        oldest_waiting_seconds: time since the last change of the oldest of them.
        files_aside: files that could not be read, and do not wait to be read again; None for a
            table that does not read files.
        aside_example: the newest of them, and why.
        broken: rows of that batch that broke a rule of the table; None if it has no rules, or
            the batch has no recorded results.
        warning: why most rows of that batch are missing from the table; None if they are not.
        age_seconds: time since that batch was written; None before the first.
        quarantined_rows: rows, lines or messages in its quarantine that nobody has replayed or
            dismissed; None for gold.
        held_rows: rows that wait for a dimension's key; None for a table that holds none.
        last_outcome: `ok`, `failed`, `stopped`, `died`, `running` or `not run`: how its newest
            run ended for it; None if there is no record of one.
        last_run, last_at, last_code, last_error: the id of that run, when it ended, and its error.
        holder: the process that runs the query; its key `alive` is false after a crash.
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
    files_aside: int | None = None
    aside_example: str | None = None
    broken: int | None = None
    warning: str | None = None
    messages: int | None = None
    behind_unknown: str | None = None
    age_seconds: float | None = None
    quarantined_rows: int | None = None
    held_rows: int | None = None
    last_outcome: str | None = None
    last_run: str | None = None
    last_at: datetime | None = None
    last_code: str | None = None
    last_error: str | None = None

    @property
    def state(self) -> str:
        """`running`, `idle`, `died` (a run was killed) or `never ran`."""
        if self.holder:
            return "running" if self.holder["alive"] else "died"
        return "idle" if self.generation else "never ran"


def status(config: Pipeline, tables: Collection[TableRef] | None = None) -> list[Status]:
    """The status of each query, layer by layer.

    Args:
        tables: those to look at; None for all.
    """
    sources = paths.sources(config).items()
    found = [
        _status_of(config, r, source) for r, source in sources if tables is None or r in tables
    ]
    last = runs.last_of(config, [one.table for one in found])
    parked = parked_rows.waiting(config)
    return [_with_runs(one, last.get(one.table), parked) for one in found]


def _with_runs(found: Status, last: runs.LastRun | None, parked: parked_rows.Waiting) -> Status:
    found = replace(
        found,
        quarantined_rows=parked.quarantined.get(found.table),
        held_rows=parked.held.get(found.table),
    )
    if found.batch_at:
        age = datetime.now(timezone.utc) - found.batch_at
        found = replace(found, age_seconds=age.total_seconds())
    if last is None:
        return found
    return replace(
        found,
        last_outcome=last.did.outcome,
        last_run=last.run.run_id,
        last_at=last.at,
        last_code=last.did.error_code or None,
        last_error=last.did.error or None,
    )


def _status_of(config: Pipeline, ref: TableRef, source: Location | None) -> Status:
    places = TablePaths(config, ref)
    query_folder, path = QueryFolder.of(places), places.data
    table, recorded = snapshot(path), manifest.read(query_folder)
    checkpoint = query_folder.checkpoint(recorded.current.number) if recorded else None
    batch = at = seconds = behind = broken = warning = why = None
    if checkpoint and recorded:
        behind, why = _behind(config, ref, source, checkpoint)
        written = table.txn(checkpoint.app_id) if table else -1
        if written >= 0:
            batch = written
            commit = commit_of(path, checkpoint.app_id, written)
            at = datetime.fromtimestamp(commit.at_ms / 1000, timezone.utc) if commit else None
            info = _batch_info(places, recorded.current.number, written)
            seconds = float(info[metrics.SECONDS]) if metrics.SECONDS in info else None
            warning = info.get(metrics.WARNING)
            broken = _broken_rows(places, recorded.current.number, written)
    reads_files = ref.layer == "bronze" and source is not None
    waiting_files = _waiting(source, checkpoint) if source and reads_files else None
    aside = _put_aside(places) if reads_files else None
    quarantine = snapshot(places.quarantine) if ref.layer == "bronze" and source is None else None
    return Status(
        table=str(ref),
        rows=_rows(table) if table else None,
        generation=recorded.current.number if recorded else None,
        batch=batch,
        batch_at=at,
        behind=behind,
        behind_unknown=why,
        messages=None
        if source is not None or table is None
        else table.rows + (quarantine.rows if quarantine else 0),
        holder=lock.read(query_folder.lock),
        batch_seconds=seconds,
        files_waiting=waiting_files.files if waiting_files else None,
        bytes_waiting=waiting_files.bytes if waiting_files else None,
        oldest_waiting_seconds=waiting_files.oldest_seconds if waiting_files else None,
        files_aside=None if aside is None else len(aside),
        aside_example=aside_text(*aside[-1]) if aside else None,
        broken=broken,
        warning=warning,
    )


def _behind(
    config: Pipeline, ref: TableRef, source: Location | None, checkpoint: Checkpoint
) -> tuple[int | None, str | None]:
    """The backlog of a query; or why it is unknown."""
    if source is not None:
        remaining = DeltaOffsets(source).backlog(checkpoint)
        return (remaining.rows if remaining else None), None
    try:
        source_of = config.kafka_sources[ref.name]
        asked = KafkaOffsets.of(source_of, str(ref), _PATIENCE_SECONDS)
        return asked.backlog(checkpoint), None
    except UnknownError as unknown:
        return None, str(unknown)
    except MedallionError as error:
        return None, error.what


def _rows(table: Snapshot) -> int:
    # Most tables need only their log, without DuckDB.
    if not table.has_deletion_vectors:
        return table.rows
    with connect(table.path) as duck:
        return rows_in(table, duck)


def _waiting(discovered: Location, checkpoint: Checkpoint | None) -> Waiting | None:
    if not discovered.exists():
        return None
    return waiting(discovered, checkpoint, checkpoint.latest_commits if checkpoint else -1)


def _put_aside(places: TablePaths) -> list[tuple[str, str]] | None:
    if snapshot(places.events) is None or snapshot(places.discovered) is None:
        return None
    return Ledger(places.ledger).put_aside()


def _batch_info(places: TablePaths, generation: int, batch: int) -> Mapping[str, str]:
    """The metrics of a batch that are in its commit; no data file is opened."""
    owner = metrics.app_id(str(places.ref), generation)
    commit = commit_of(places.metrics, owner, batch)
    return commit.info if commit else {}


def _broken_rows(places: TablePaths, generation: int, batch: int) -> int | None:
    if places.ref.layer != "silver" or not places.config.silver[places.ref.name].expect:
        return None
    owner = rule_table.app_id(str(places.ref), generation)
    commit = commit_of(places.rule_metrics, owner, batch)
    return int(commit.info[rule_table.BROKEN_ROWS]) if commit else None
