"""What of a table's older versions somebody has yet to read. Runs without a JVM."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from medallion_jobs.checkpoint import Checkpoint, QueryFolder, manifest
from medallion_jobs.checkpoint.offsets import Offset
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.lake import paths
from medallion_jobs.lake.tables import commit_of, commits, snapshot
from medallion_jobs.storage import Location


def held_back(config: Pipeline, ref: TableRef, older_than: timedelta) -> str:
    """Why files that the newest version does not need must stay; empty where they need not.

    A file goes when it was taken out of the table longer ago than `older_than`. It must stay
    while one of this pipeline's queries is to read a version from before that.
    """
    path = config.table_path(ref)
    there = snapshot(path)
    cutoff = datetime.now(timezone.utc) - older_than
    for reader, version in _needs(config, ref):
        if there is None or version >= there.version:
            continue
        following = next(commits(path, version + 1), None)
        if following is None:
            return f"{reader} has yet to read version {version}, which the log has no more"
        if datetime.fromtimestamp(following.at_ms / 1000, timezone.utc) < cutoff:
            return f"{reader} has yet to read what follows version {version}"
    return ""


def _needs(config: Pipeline, ref: TableRef) -> Iterator[tuple[TableRef, int]]:
    """Queries, each with a version whose files, and those added later, it is to read."""
    path = config.table_path(ref)
    for reader, source in paths.sources(config).items():
        checkpoint = _checkpoint(config, reader)
        if checkpoint is None or checkpoint.latest_offsets < 0:
            # Whoever never ran begins with what is there then.
            continue
        if source == path:
            yield reader, _read_up_to(checkpoint)
        if checkpoint.latest_commits < checkpoint.latest_offsets:
            yield from _unfinished(config, reader, checkpoint, ref)


def _checkpoint(config: Pipeline, reader: TableRef) -> Checkpoint | None:
    home = QueryFolder.of(config.state_path, reader)
    recorded = manifest.read(home)
    return home.checkpoint(recorded.current.number) if recorded else None


def _read_up_to(checkpoint: Checkpoint) -> int:
    """The last version that a query has wholly read; the snapshot in whose midst it is."""
    newest = checkpoint.latest_offsets
    # A batch that is not done is read again, from the end of the one before it.
    done = newest if checkpoint.latest_commits >= newest else newest - 1
    offset = Offset.after(checkpoint, done) or Offset.after(checkpoint, newest)
    assert offset is not None  # there is an offset
    return offset.version if offset.in_snapshot else offset.version - 1


def _unfinished(
    config: Pipeline, reader: TableRef, checkpoint: Checkpoint, ref: TableRef
) -> Iterator[tuple[TableRef, int]]:
    """A batch that is written and not done is judged again, beside the same versions."""
    path: Location = config.table_path(reader)
    commit = commit_of(path, checkpoint.app_id, checkpoint.latest_offsets)
    if commit is None:
        return
    looked_into = commit.user_metadata.get("lookups", {})
    if str(ref) in looked_into:
        yield reader, int(looked_into[str(ref)])
    if reader == ref:
        yield reader, commit.version - 1
