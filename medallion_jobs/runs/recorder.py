"""Keeps the record and the log of a run while it goes on.

A record never fails a run: if it cannot be written, a line on stderr says so once.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import re
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from medallion_jobs import __version__
from medallion_jobs.checkpoint import processes
from medallion_jobs.config import Loaded, outline
from medallion_jobs.config.secrecy import is_secret_key
from medallion_jobs.errors import MedallionError
from medallion_jobs.masking import MASK, masked
from medallion_jobs.observe.events import (
    BatchDone,
    Emit,
    Event,
    Note,
    RunSummary,
    TableFailed,
    as_json,
    error_as_json,
)
from medallion_jobs.runs import store
from medallion_jobs.runs.log_file import LogFile
from medallion_jobs.runs.record import (
    COUNTS,
    FAILED,
    HEARTBEAT_SECONDS,
    NOT_RUN,
    OK,
    RUNNING,
    STOPPED,
    Record,
    TableRun,
    now,
)
from medallion_jobs.runtime.jars import DELTA
from medallion_jobs.storage import Location, ObjectPath, StoreError

# The record is written after a batch, but not more often than this.
_WRITE_SECONDS = 5.0
_LONGEST_LINE = 1000
_LONGEST_TEXT = 4000
_SETTING = re.compile(r"([\w.\-]+)\s*=.*", re.DOTALL)


class Recorder:
    """The record of this run, from the moment its lake is known.

    Attributes:
        id: the id of the run, also of its rows in `metrics.batches`.
    """

    def __init__(
        self,
        command: str,
        file: Path,
        env: str | None,
        overrides: Sequence[str],
        *,
        changes: bool = True,
    ) -> None:
        self._asked = (file, env, overrides)
        self._changes = changes
        self._record = Record(
            run_id=store.new_id(),
            command=command,
            line=_command_line(sys.argv),
            config=str(file),
            env=env or "",
            version=__version__,
            python=platform.python_version(),
            spark=_version("pyspark"),
            delta=DELTA[0].version,
            user=getpass.getuser(),
            host=socket.gethostname(),
            pid=os.getpid(),
            born=processes.own_birth(),
            started=now(),
        )
        self._state: Location | None = None
        self._log: LogFile | None = None
        self._stopped = False
        self._written = 0.0  # by the monotonic clock
        self._has_complained = False
        self._guard = threading.RLock()
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._keep_beating, daemon=True, name="run-record")

    @property
    def id(self) -> str:
        return self._record.run_id

    @property
    def jvm_log(self) -> Path | None:
        """The file for the JVM's errors; None if the run has no record, or no folder for it."""
        log = self._log
        return log.of_jvm if log and self._try(lambda: log.of_jvm) else None

    def config(self, load: Callable[[], Loaded]) -> Loaded:
        """The config, and with it the lake where the record is begun.

        Raises:
            MedallionError: it has mistakes, or does not have what the command is to work on. The
                record is begun where the config says all the same.
        """
        try:
            loaded = load()
        except MedallionError:
            self._begin_by_outline()
            raise
        self._record = replace(
            self._record, pipeline=loaded.pipeline.pipeline, config_digest=digest(loaded)
        )
        self._begin(loaded.pipeline.state_path)
        return loaded

    def covers(self, tables: Iterable[object]) -> None:
        """Notes the tables that the run is about."""
        with self._guard:
            self._record = replace(self._record, tables=[TableRun(str(one)) for one in tables])
            if not self._is_store_silent:
                self._write()

    def listening(self, emit: Emit) -> Emit:
        """An emit function that notes each event before it passes it on."""

        def heard(event: Event) -> None:
            self._hear(event)
            emit(event)

        return heard

    def end(self, error: BaseException | None) -> None:
        """Closes the record, with the error that ended the run."""
        self._over.set()
        if self._state is None:
            return
        state = self._state
        self._heart.join()
        with self._guard:
            if self._log:
                self._try(self._log.take_over)
            # What ended the run is the last line of the log.
            self._log_error(error)
            self._record = self._ended(error)
            is_silent = self._is_store_silent and isinstance(error, StoreError)
            is_written = not is_silent and self._write()
            if self._log:
                self._try(self._log.close if is_written else self._log.discard)
        if is_written:
            self._try(lambda: store.prune(state))
            self._try(lambda: store.keep_spare(state))

    def _begin_by_outline(self) -> None:
        try:
            known = outline(*self._asked)
        except Exception:
            return  # the mistakes themselves are being raised
        if known.root:
            self._record = replace(self._record, pipeline=known.pipeline)
            self._begin(known.root / "_medallion")

    def _begin(self, state: Location) -> None:
        if not self._changes or not (self._record.is_of_tables or state.exists()):
            return  # nothing is there, or the command changes nothing
        self._state = state
        self._record = replace(self._record, log=str(store.log_of(state, self.id)))
        self._log = LogFile(store.log_of(state, self.id))
        self._write()
        self._add({"event": "started", **json.loads(self._record.as_json())})
        self._heart.start()

    def _hear(self, event: Event) -> None:
        with self._guard:
            self._add(as_json(event))
            if isinstance(event, BatchDone):
                counts = {name: getattr(event, name, 0) or 0 for name in COUNTS}
                self._note(event.table, **{**counts, "batches": 1})
                is_due = time.monotonic() - self._written > _WRITE_SECONDS
                if is_due and not self._is_store_silent:
                    self._write()
            elif isinstance(event, TableFailed):
                self._settle(event.table, FAILED, event.code, event.what)
            elif isinstance(event, RunSummary):
                self._hear_summary(event)
            elif isinstance(event, Note) and (event.table, event.what) == ("run", "stopped"):
                self._stopped = True
            elif isinstance(event, Note) and event.what == "done":
                self._settle(event.table, OK)

    def _hear_summary(self, summary: RunSummary) -> None:
        for table in summary.done:
            self._settle(table, OK)
        for table, cause in summary.not_run.items():
            self._settle(table, NOT_RUN, summary.failed.get(cause, ""), f"{cause} failed")

    def _note(self, table: str, **counts: int) -> None:
        tables = [one.plus(counts) if one.table == table else one for one in self._record.tables]
        self._record = replace(self._record, tables=tables)

    def _settle(self, table: str, outcome: str, code: str = "", what: str = "") -> None:
        """Gives a table its outcome."""
        what = masked(what)[:_LONGEST_TEXT]
        tables = [
            replace(one, outcome=outcome, error_code=code, error=what)
            if one.table == table
            else one
            for one in self._record.tables
        ]
        self._record = replace(self._record, tables=tables)

    def _ended(self, error: BaseException | None) -> Record:
        """The record at the end of the run."""
        code, exit_code, what, next_step = _parts(error)
        stopped = self._stopped or code in ("stopped_early", "interrupted")
        outcome = STOPPED if stopped else OK if error is None else FAILED
        if error is not None and not stopped:
            self._settle_failed(code, what)
        rest = STOPPED if stopped else OK if error is None else NOT_RUN
        for one in self._record.tables:
            if one.outcome == RUNNING:
                is_cut = rest == NOT_RUN and one.batches > 0
                self._settle(one.table, STOPPED if is_cut else rest, code, what)
        return replace(
            self._record,
            ended=now(),
            outcome=outcome,
            exit_code=exit_code,
            error_code=code,
            error=what,
            next_step=next_step,
        )

    def _settle_failed(self, code: str, what: str) -> None:
        """Gives the tables their outcome that an error is about: the one it names, or all."""
        tables = [one.table for one in self._record.tables if one.outcome == RUNNING]
        has_failed = any(one.outcome == FAILED for one in self._record.tables)
        named = [one for one in tables if re.match(rf"{re.escape(one)}\b", what)]
        for table in named or ([] if has_failed else tables):
            self._settle(table, FAILED, code, what)

    def _log_error(self, error: BaseException | None) -> None:
        if isinstance(error, MedallionError):
            self._add(error_as_json(error))
        elif error is not None:
            text = masked("".join(traceback.format_exception(error)))
            self._add({"event": "error", "code": _parts(error)[0], "text": text})

    def _keep_beating(self) -> None:
        if self._state is not None and not self._is_store_silent:
            state = self._state
            self._try(lambda: store.close_dead(state))
        while not self._over.wait(HEARTBEAT_SECONDS):
            with self._guard:
                if not self._is_store_silent:
                    self._write()
                    if self._log:
                        self._try(self._log.gather)

    def _write(self) -> bool:
        """Writes the record, and returns whether it worked."""
        if self._state is None:
            return False
        state = self._state
        self._record = replace(self._record, beat=now())
        self._written = time.monotonic()
        return self._try(lambda: store.write(state, self._record))

    @property
    def _is_store_silent(self) -> bool:
        """Whether the store did not answer; each further try would keep the run for a minute."""
        return self._has_complained and isinstance(self._state, ObjectPath)

    def _add(self, line: str | dict[str, object]) -> None:
        if self._log:
            text = line if isinstance(line, str) else json.dumps({"at": now(), **line})
            log = self._log
            self._try(lambda: log.add(text))

    def _try(self, work: Callable[[], object]) -> bool:
        """Does it, and returns whether it worked; the first failure is put on stderr."""
        try:
            work()
            return True
        except Exception as error:
            if not self._has_complained and self._state is not None:
                self._has_complained = True
                at = getattr(error, "filename", None) or store.file_of(self._state, self.id)
                why = getattr(error, "strerror", None) or masked(f"{type(error).__name__}: {error}")
                sys.stderr.write(f"note: the record of this run is not complete: {why}: {at}\n")
            return False


@contextmanager
def recorded(
    command: str,
    file: Path,
    env: str | None = None,
    overrides: Sequence[str] = (),
    *,
    changes: bool = True,
) -> Iterator[Recorder]:
    """Records the run of a command, which the block is.

    Args:
        file, env, overrides: the config that was asked for.
        changes: whether the command changes anything; if not, it leaves no record.
    """
    recorder = Recorder(command, file, env, overrides, changes=changes)
    try:
        yield recorder
    except BaseException as error:
        recorder.end(error)
        raise
    recorder.end(None)


def digest(loaded: Loaded) -> str:
    """A digest of a config's values, as written: secrets and their values are no part of it."""
    values = [(one.path, one.value) for one in loaded.settings]
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()[:12]


def _parts(error: BaseException | None) -> tuple[str, int, str, str]:
    """Code, exit code, text and next step of an error."""
    if error is None:
        return "", 0, "", ""
    if isinstance(error, MedallionError):
        return error.code, error.exit_code, error.what[:_LONGEST_TEXT].strip(), error.next_step
    if isinstance(error, StoreError):
        return "store_failed", 75 if error.passes else 2, masked(str(error)), ""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 130, "it was interrupted by Ctrl-C", "run again to continue"
    exit_code = getattr(error, "exit_code", None)  # of `typer.Exit`
    if isinstance(exit_code, int):
        return ("", 0, "", "") if exit_code == 0 else ("exit", exit_code, "", "")
    return "bug", 3, masked(f"{type(error).__name__}: {error}")[:_LONGEST_TEXT], ""


def _command_line(argv: Sequence[str]) -> str:
    """The command line, without the values that `--set` gives to secrets."""
    program = Path(argv[0]).name.replace("__main__.py", "medallion")
    words = [program, *(_without_secret(word) for word in argv[1:])]
    return masked(" ".join(words))[:_LONGEST_LINE]


def _without_secret(word: str) -> str:
    setting = _SETTING.fullmatch(word.removeprefix("--set="))
    if setting and is_secret_key(tuple(setting[1].split("."))):
        return f"{word.partition(setting[1])[0]}{setting[1]}={MASK}"
    return word


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
