"""The record of one run, and what it says about each table."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timezone
from typing import Any

from medallion_jobs.checkpoint import processes

# The counts of a batch that are added up.
COUNTS = (
    *("batches", "files", "files_aside", "rows_in", "rows_out", "rescued"),
    *("quarantined", "held", "dropped", "filtered", "repeated"),
)
# The outcomes of a run, and of a table in it.
OK, FAILED, STOPPED, DIED, RUNNING, NOT_RUN = (
    "ok",
    "failed",
    "stopped",
    "died",
    "running",
    "not run",
)
DIED_CODE = "run_died"
HEARTBEAT_SECONDS = 15.0
# A run on another machine counts as dead after this long without a heartbeat.
DEAD_AFTER_SECONDS = 90.0


@dataclass(frozen=True)
class TableRun:
    """What a run did to one table.

    Attributes:
        outcome: `ok` (all available data was read), `failed`, `stopped`, `died`, `running`, or
            `not run` (the run ended before the table's turn).
        error_code, error: what ended it, or kept it from running; else empty.
        batches, files, files_aside, rows_in, …: sums over its batches, as in `Written`.
    """

    table: str
    outcome: str = RUNNING
    error_code: str = ""
    error: str = ""
    batches: int = 0
    files: int = 0
    files_aside: int = 0
    rows_in: int = 0
    rows_out: int = 0
    rescued: int = 0
    quarantined: int = 0
    held: int = 0
    dropped: int = 0
    filtered: int = 0
    repeated: int = 0

    @property
    def is_fine(self) -> bool:
        """Whether nobody needs to look at it."""
        return self.outcome in (OK, RUNNING) or (self.outcome == STOPPED and not self.error_code)

    def plus(self, counts: Mapping[str, int]) -> TableRun:
        """With the counts of another batch."""
        sums = {name: getattr(self, name) + count for name, count in counts.items()}
        return replace(self, **sums)


@dataclass(frozen=True)
class Record:
    """A run of a command.

    Attributes:
        run_id: begins with the time of the start, in UTC, so ids sort by time.
        command: `run`, `maintain`, …, or the job file under spark-submit.
        line: the command line, secrets masked.
        config, env, config_digest: the config's file and overlay, and a digest of all its values,
            as written; the digest is empty if the config has mistakes.
        version, python, spark, delta: the versions that ran.
        user, host, pid, born: who, where and which process, with the process's start time.
        started, beat, ended: ISO timestamps in UTC: the start, the last sign of life, the end.
        outcome: `running`, `ok`, `failed`, `stopped` or `died`.
        exit_code, error_code, error, next_step: of the error that ended it.
        log: the log file.
    """

    run_id: str
    command: str
    line: str = ""
    pipeline: str = ""
    config: str = ""
    env: str = ""
    config_digest: str = ""
    version: str = ""
    python: str = ""
    spark: str = ""
    delta: str = ""
    user: str = ""
    host: str = ""
    pid: int = 0
    born: str = ""
    started: str = ""
    beat: str = ""
    ended: str = ""
    outcome: str = RUNNING
    exit_code: int | None = None
    error_code: str = ""
    error: str = ""
    next_step: str = ""
    log: str = ""
    tables: Sequence[TableRun] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """The record with its sums over all tables, for a program."""
        total = {name: getattr(self.total, name) for name in COUNTS}
        return {**asdict(self), "seconds": round(self.seconds, 3), **total}

    def as_json(self) -> str:
        """The record as a JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Record:
        """The record from `as_json`, also of another version of this package.

        Raises:
            ValueError: the text is no record.
        """
        found = json.loads(text)
        if not isinstance(found, dict) or not {"run_id", "command"} <= found.keys():
            raise ValueError("not the record of a run")
        tables = tuple(TableRun(**_known(TableRun, one)) for one in found.get("tables", ()))
        return cls(**{**_known(cls, found), "tables": tables})

    def table(self, name: str) -> TableRun | None:
        """What it did to a table; None if it had nothing to do with it."""
        return next((one for one in self.tables if one.table == name), None)

    @property
    def is_of_tables(self) -> bool:
        """Whether it was to load tables: `medallion run`, or a job file."""
        return self.command == "run" or self.command.endswith(".py")

    @property
    def is_fine(self) -> bool:
        """Whether nobody needs to look at it."""
        return self.outcome in (OK, RUNNING) or (self.outcome == STOPPED and not self.error_code)

    @property
    def total(self) -> TableRun:
        """The counts of all tables together."""
        total = TableRun("")
        for one in self.tables:
            total = total.plus({name: getattr(one, name) for name in COUNTS})
        return total

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        end = self.ended or (now() if self.outcome == RUNNING else self.beat)
        return (moment(end) - moment(self.started)).total_seconds()

    @property
    def is_alive(self) -> bool:
        """Whether its process still runs: by the process here, elsewhere by its sign of life."""
        if self.outcome != RUNNING:
            return False
        if self.host == socket.gethostname():
            return processes.is_alive(self.pid, self.born)
        silence = datetime.now(timezone.utc) - moment(self.beat)
        return silence.total_seconds() < DEAD_AFTER_SECONDS

    @property
    def as_it_is(self) -> Record:
        """The record, with the outcome `died` if its process is gone without closing it."""
        if self.outcome != RUNNING or self.is_alive:
            return self
        what = (
            f"the process (pid {self.pid} on {self.host}) ended without closing its record: it was "
            "killed, ran out of memory, or its machine went down"
        )
        return replace(
            self,
            outcome=DIED,
            ended=self.beat,
            error_code=DIED_CODE,
            error=what,
            next_step="run again to continue; nothing is lost or doubled",
            tables=[
                replace(one, outcome=DIED, error_code=DIED_CODE, error=what)
                if one.outcome == RUNNING
                else one
                for one in self.tables
            ],
        )


def now() -> str:
    """The time now, as records have it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def moment(text: str) -> datetime:
    """The time that a record has."""
    return datetime.fromisoformat(text)


def _known(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in values.items() if name in names}
