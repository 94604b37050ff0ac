"""Tables that are dropped: moved away first, removed for good only later. Runs without a JVM."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from medallion_jobs import storage
from medallion_jobs.checkpoint import Lock, QueryFolder, manifest
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import LockHeld
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.storage import Location, children

_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(\d{8}T\d{6}Z)-.+")


def contents(config: Pipeline, ref: TableRef) -> list[Location]:
    """The folders of a table that exist, in every slot."""
    slots = paths.slots(config)
    found = [place for slot in slots for place in TablePaths(config, ref, slot).everything]
    # The manifest of the live query names its pipeline, so it goes last.
    last = TablePaths(config, ref).checkpoints
    return [place for place in (*(p for p in found if p != last), last) if place.exists()]


def drop(config: Pipeline, ref: TableRef) -> Location:
    """Moves a table and all that is kept for it into the trash. The caller holds its lock.

    An interrupted drop is repeated: what was moved stays where it is.

    Returns:
        The folder in the trash, with the same folders below it as below `storage.root`.
    """
    stamp = datetime.now(timezone.utc).strftime(_STAMP)
    to = paths.trash(config) / f"{stamp}-{ref}"
    for place in contents(config, ref):
        storage.move(place, to / str(storage.below(place, paths.lake(config))))
    return to


def remove_old(config: Pipeline, older_than: timedelta, *, dry_run: bool) -> Iterator[str]:
    """Removes dropped tables, and checkpoints of earlier generations, that are older.

    Returns:
        What was removed, or would be.
    """
    cutoff = datetime.now(timezone.utc) - older_than
    did = "would be removed" if dry_run else "removed"
    for folder in children(paths.trash(config)):
        stamp = _NAME.fullmatch(folder.name)
        if stamp and _moment(stamp[1]) < cutoff:
            if not dry_run:
                storage.remove_all(folder)
            yield f"{did}: the dropped table {folder.name.partition('-')[2]} ({folder})"
    for ref in paths.sources(config):
        for old in _old_checkpoints(config, ref, cutoff, dry_run=dry_run):
            yield f"{did}: an earlier checkpoint of {ref} ({old})"


def _old_checkpoints(
    config: Pipeline, ref: TableRef, cutoff: datetime, *, dry_run: bool
) -> Iterator[Location]:
    """Checkpoints of generations that ended before `cutoff`."""
    folder = QueryFolder.of(TablePaths(config, ref))
    recorded = manifest.read(folder)
    if recorded is None:
        return
    ended: dict[int, datetime] = {}
    for earlier, later in zip(recorded.generations, recorded.generations[1:], strict=False):
        ended[earlier.number] = later.opened_at
    old = [
        number
        for number in folder.generations
        if number != recorded.current.number and number in ended and ended[number] < cutoff
    ]
    if not old:
        return
    try:
        with Lock(folder.lock, str(ref)):
            for number in old:
                path = folder.checkpoint(number).path
                if not dry_run:
                    storage.remove_all(path)
                yield path
    except LockHeld:
        return


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, _STAMP).replace(tzinfo=timezone.utc)
