"""This machine: Java, jars, disk space, and whether the clocks agree."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from medallion_jobs.config import Pipeline
from medallion_jobs.errors import MedallionError
from medallion_jobs.lake import paths
from medallion_jobs.observe.events import format_age, format_bytes
from medallion_jobs.report.doctor.finding import ERROR, NOTE, WARNING, Finding
from medallion_jobs.runs import store
from medallion_jobs.runs.record import DIED, moment
from medallion_jobs.runtime.jars import are_cached, needed
from medallion_jobs.runtime.java import find_java

_NO_SPACE = 100_000_000
_LITTLE_SPACE, _LITTLE_SHARE = 2_000_000_000, 0.03
_MOST_SKEW_SECONDS = 300.0


def findings(config: Pipeline) -> Iterator[Finding]:
    """What this machine lacks."""
    try:
        find_java()
    except MedallionError as error:
        yield Finding(error.code, ERROR, "this machine", error.what, error.next_step)
    if not are_cached(needed(objects=config.has_objects, kafka=bool(config.kafka_sources))):
        what = "jars that Spark needs are not in the cache; the next run fetches them"
        yield Finding("jars_not_cached", NOTE, "this machine", what, "medallion setup")
    yield from _of_disk(paths.lake(config))
    yield from _of_clock(config)


def _of_disk(root: object) -> Iterator[Finding]:
    if not isinstance(root, Path):
        return
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    disk = shutil.disk_usage(existing)
    what = f"{format_bytes(disk.free)} of {format_bytes(disk.total)} are free"
    fix = "free some disk space; `medallion maintain` shortens the engine's own tables"
    if disk.free < _NO_SPACE:
        yield Finding("disk_full", ERROR, str(root), what, fix)
    elif disk.free < min(_LITTLE_SPACE, _LITTLE_SHARE * disk.total):
        yield Finding("disk_nearly_full", WARNING, str(root), what, fix)


def _of_clock(config: Pipeline) -> Iterator[Finding]:
    """Compares the time in the newest record with the time of its file, by the disk or store."""
    record = next(store.newest(config.state_path), None)
    if record is None:
        return
    file = store.file_of(config.state_path, record.run_id)
    try:
        apart = abs(file.stat().st_mtime - moment(record.ended or record.beat).timestamp())
    except FileNotFoundError:
        return
    if apart > _MOST_SKEW_SECONDS and record.outcome != DIED:
        what = f"the clock of {record.host} and that of the storage are {format_age(apart)} apart"
        yield Finding("clocks_differ", WARNING, record.host, what, "set the clock, such as by NTP")
