"""Where the records of runs lie: a small JSON file each, in the state folder of the lake.

<state>/runs/ID.json          the record, from the run's start on
<state>/runs/logs/ID.log      its log file
<state>/runs/spare            room for the record of a run that finds the disk full
<state>/metrics/runs          the table of older records

A file needs no JVM, no table and nearly no time, so a run has its record before anything else can
fail. Each is padded with spaces, so that its end can be written on a disk that has become full.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path

from medallion_jobs.errors import LockHeld, UsageError
from medallion_jobs.runs.log_file import private_folder
from medallion_jobs.runs.record import RUNNING, Record
from medallion_jobs.storage import Location, children, put

# Of more records, all but the newest move into a table; a table costs more to write and to read.
MOST_RECORDS = 400
KEPT_AS_FILES = 200
# Logs of more runs are removed, the oldest first; and logs that are older.
MOST_LOGS = 200
LOGS_FOR = timedelta(days=30)
# A run that was killed is closed by one of the next: it is looked for among so many.
_CLOSED_AMONG = 20
_ROOM = 8192
_READ_AT_ONCE = 16
_ID_TIME = "%Y%m%d-%H%M%S"


def new_id() -> str:
    """The id of a run that starts now, such as `20261130-224512-047-3f9a1c`."""
    at = datetime.now(timezone.utc)
    return f"{at.strftime(_ID_TIME)}-{at.microsecond // 1000:03}-{secrets.token_hex(3)}"


def file_of(state: Location, run_id: str) -> Location:
    """The record of a run."""
    return _folder(state) / f"{run_id}.json"


def log_of(state: Location, run_id: str) -> Location:
    """The log file of a run."""
    return _folder(state) / "logs" / f"{run_id}.log"


def write(state: Location, record: Record) -> None:
    """Writes a record; on a full disk in the place of its last version, or of the spare file.

    Raises:
        OSError: it cannot be written.
    """
    at, text = file_of(state, record.run_id), record.as_json().encode()
    try:
        put(at, text.ljust(2 * len(text) + _ROOM), synced=False)
    except OSError:
        if not isinstance(at, Path):
            raise
        spare = _folder(state) / "spare"
        if isinstance(spare, Path) and spare.exists() and not at.exists():
            spare.replace(at)
        _in_place(at, text)


def keep_spare(state: Location) -> None:
    """Makes the spare file, if it is missing. A store never gets full, and needs none."""
    spare = _folder(state) / "spare"
    if isinstance(spare, Path) and not spare.exists():
        put(spare, b" " * 2 * _ROOM, synced=False)


def newest(state: Location, since: datetime | None = None) -> Iterator[Record]:
    """The records, the newest first; read as they are asked for.

    Args:
        since: only runs that started at this time or later.
    """
    first = since.astimezone(timezone.utc).strftime(_ID_TIME) if since else ""
    names = reversed([file for file in _records(state) if file.stem >= first])
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        while files := list(islice(names, _READ_AT_ONCE)):
            yield from (found.as_it_is for found in pool.map(_read, files) if found)


def find(state: Location, wanted: str) -> Record:
    """The run with this id, or with an id that begins or ends so; `last` is the newest.

    Raises:
        UsageError: no run has it, or more than one.
    """
    ids = [file.stem for file in _records(state)]
    found = ids[-1:] if wanted == "last" else [one for one in ids if one == wanted]
    found = found or [one for one in ids if one.startswith(wanted) or one.endswith(wanted)]
    record = _read(file_of(state, found[0])) if len(found) == 1 else None
    if record is None:
        many = ", ".join(found[-3:])
        raise UsageError(
            f"{wanted} names more than one run: {many}" if many else f"there is no run {wanted}",
            code="unknown_run",
            next_step="medallion runs lists them; those of long ago are in metrics.runs",
        )
    return record.as_it_is


def read_log(state: Location, record: Record) -> str:
    """The text of a run's log file.

    Raises:
        UsageError: there is none any more.
    """
    at = log_of(state, record.run_id)
    try:
        return at.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(
            f"the log of run {record.run_id} is gone: {at}",
            code="no_log",
            untouched="its record",
            next_step=f"logs of the last {MOST_LOGS} runs are kept, for {LOGS_FOR.days} days",
        ) from None


def dead(state: Location) -> list[Record]:
    """Runs that were killed and whose record nobody has closed yet, as they are to be closed."""
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        found = list(pool.map(_read, _records(state)[-_CLOSED_AMONG:]))
    return [one.as_it_is for one in found if one and one.as_it_is != one]


def close_dead(state: Location) -> None:
    """Closes the records of runs that were killed."""
    for record in dead(state):
        write(state, record)
        if record.host == socket.gethostname():
            # It is not masked, and only that run knew its secrets.
            shutil.rmtree(private_folder(record.run_id), ignore_errors=True)


def files_of(state: Location, pipeline: str) -> list[Location]:
    """All that is kept of the runs of a pipeline; of all runs, if no other has any here."""
    from medallion_jobs.runs import history  # noqa: PLC0415 (as in `_move`)

    folder = _folder(state)
    if not folder.exists():
        return []
    names = {file.stem: found for file in _records(state) if (found := _read(file))}
    own = [run for run, record in names.items() if record.pipeline in ("", pipeline)]
    if len(own) == len(names) and history.pipelines(state) <= {"", pipeline}:
        return [folder, history.folder(state)]
    files = [at for run in own for at in (file_of(state, run), log_of(state, run))]
    return [at for at in files if at.exists()]


def prune(state: Location) -> None:
    """Moves old records into their table, and removes old logs."""
    records = _records(state)
    if len(records) > MOST_RECORDS:
        _move(state, records[:-KEPT_AS_FILES])
    logs = children(_folder(state) / "logs", "*.log")
    oldest = (datetime.now(timezone.utc) - LOGS_FOR).strftime(_ID_TIME)
    for place, file in enumerate(logs):
        if place < len(logs) - MOST_LOGS or file.stem < oldest:
            file.unlink(missing_ok=True)


def _move(state: Location, files: list[Location]) -> None:
    # It takes longer to import than a record to write, and few runs need it.
    from medallion_jobs.runs import history  # noqa: PLC0415

    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        found = [one.as_it_is for one in pool.map(_read, files) if one]
    ended = [one for one in found if one.outcome != RUNNING]
    with suppress(LockHeld):  # another run is just doing it
        history.add(state, ended)
        for record in ended:
            file_of(state, record.run_id).unlink(missing_ok=True)


def _folder(state: Location) -> Location:
    return state / "runs"


def _records(state: Location) -> list[Location]:
    """The files of the records, the oldest first."""
    return children(_folder(state), "*.json")


def _read(file: Location) -> Record | None:
    """The record in a file; None if it was removed meanwhile, or is no record."""
    with suppress(FileNotFoundError, ValueError, TypeError):
        return Record.from_json(file.read_bytes())
    return None


def _in_place(at: Path, text: bytes) -> None:
    """Writes over a file without making it longer, which needs no space.

    Raises:
        OSError: the file is missing or too short, or cannot be written.
    """
    with at.open("r+b") as file:
        room = os.fstat(file.fileno()).st_size
        if len(text) > room:
            raise OSError(28, "No space left on device", str(at))
        file.write(text.ljust(room))
