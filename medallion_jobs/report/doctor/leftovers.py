"""What interrupted runs left behind: temporary files, stop requests, open records, slots."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from medallion_jobs.checkpoint import QueryFolder, lock
from medallion_jobs.config import LAYERS, Pipeline
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.observe.events import counted
from medallion_jobs.report.doctor.finding import NOTE, WARNING, Finding
from medallion_jobs.runs import store

# A younger file may belong to a write that goes on.
_OLD_SECONDS = 3600.0


def findings(config: Pipeline) -> Iterator[Finding]:
    """Leftovers; most are removed by the next run anyway."""
    yield from _temporary(config)
    for ref in paths.sources(config):
        folder = QueryFolder.of(TablePaths(config, ref))
        if folder.stop.is_file() and not lock.is_running(folder.lock):
            what = "a request to stop was left, and nothing runs that could heed it"
            repair = partial(folder.stop.unlink, missing_ok=True)
            yield Finding("stop_left", NOTE, str(ref), what, "medallion doctor --fix", repair)
    if dead := store.dead(config.state_path):
        what = f"{counted(len(dead), 'run')} died without closing its record: {dead[-1].run_id}"
        repair = partial(store.close_dead, config.state_path)
        yield Finding("run_not_closed", NOTE, "runs", what, "medallion doctor --fix", repair)
    for slot in paths.slots(config)[1:]:
        what = "tables that are built beside the live ones, and have not taken their place"
        at = str(config.state_path / "slots" / slot)
        yield Finding("slot_unfinished", WARNING, at, what)


def _temporary(config: Pipeline) -> Iterator[Finding]:
    """Temporary files of writes that were interrupted. A store has none."""
    root, state = paths.lake(config), config.state_path
    if not isinstance(root, Path) or not isinstance(state, Path):
        return
    running = [
        folder.path
        for folder in (QueryFolder.of(TablePaths(config, ref)) for ref in paths.sources(config))
        if lock.is_running(folder.lock)
    ]
    logs = [log for layer in LAYERS for log in (root / layer).glob("*/_delta_log")]
    old = time.time() - _OLD_SECONDS
    files = [
        file
        for folder in (state, *logs)
        for file in folder.rglob("*.tmp*")
        if file.name[0] in "._" and not running and file.is_file() and file.stat().st_mtime < old
    ]
    if files:
        what = f"{counted(len(files), 'temporary file')} of interrupted writes, such as {files[0]}"
        repair = partial(_remove, files)
        yield Finding("temporary_files", NOTE, str(root), what, "medallion doctor --fix", repair)


def _remove(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
