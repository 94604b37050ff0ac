"""Older versions of a table that queries have yet to read. Runs without a JVM."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from medallion_jobs.checkpoint import Checkpoint, QueryFolder, manifest
from medallion_jobs.checkpoint.offsets import Offset
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import commit_of, commits, snapshot
from medallion_jobs.storage import Location


def reason_to_keep(config: Pipeline, ref: TableRef, older_than: timedelta) -> str:
    """Why files that the newest version does not need must be kept; empty if they need not.

    VACUUM removes a file that left the table longer ago than `older_than`. It must be kept while
    a query of this pipeline has yet to read an older version.
    """
    path = TablePaths(config, ref).data
    newest = snapshot(path)
    cutoff = datetime.now(timezone.utc) - older_than
    for reader, version in _needs(config, ref):
        if newest is None or version >= newest.version:
            continue
        following = next(commits(path, version + 1), None)
        if following is None:
            return f"{reader} has yet to read version {version}, which is no longer in the log"
        if datetime.fromtimestamp(following.at_ms / 1000, timezone.utc) < cutoff:
            return f"{reader} has yet to read the changes after version {version}"
    return ""


def _needs(config: Pipeline, ref: TableRef) -> Iterator[tuple[TableRef, int]]:
    """Queries, each with a version from which on it has yet to read files."""
    path = TablePaths(config, ref).data
    for reader, source in paths.sources(config).items():
        checkpoint = _checkpoint(config, reader)
        if checkpoint is None or checkpoint.latest_offsets < 0:
            # A query that never ran starts with the version at that time.
            continue
        if source == path:
            # The last version that it has read in full, or the snapshot that it is still reading.
            reached = Offset.next_of(checkpoint)
            assert reached is not None  # there is an offset
            yield reader, reached.version if reached.in_snapshot else reached.version - 1
        if checkpoint.latest_commits < checkpoint.latest_offsets:
            yield from _unfinished(config, reader, checkpoint, ref)


def _checkpoint(config: Pipeline, reader: TableRef) -> Checkpoint | None:
    query_folder = QueryFolder.of(TablePaths(config, reader))
    recorded = manifest.read(query_folder)
    return query_folder.checkpoint(recorded.current.number) if recorded else None


def _unfinished(
    config: Pipeline, reader: TableRef, checkpoint: Checkpoint, ref: TableRef
) -> Iterator[tuple[TableRef, int]]:
    """Versions that a batch needs again that is written to its table, but not finished."""
    path: Location = TablePaths(config, reader).data
    commit = commit_of(path, checkpoint.app_id, checkpoint.latest_offsets)
    if commit is None:
        return
    dimensions = commit.user_metadata.get("lookups", {})
    if str(ref) in dimensions:
        yield reader, int(dimensions[str(ref)])
    if reader == ref:
        yield reader, commit.version - 1
