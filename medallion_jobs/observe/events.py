"""The events of a run, and how they are formatted for users and logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from medallion_jobs.errors import MedallionError
from medallion_jobs.masking import masked, masked_json
from medallion_jobs.observe.batch import NOT_WRITTEN, Written
from medallion_jobs.observe.set_aside import SetAside

# A line starts with the table's name, padded to this many characters.
NAME_WIDTH = 28
SEPARATOR = " · "
# From this many files a second on, the rate is shown without decimals.
_FAST = 10
# A size that would round to 1,000.0 is shown as 1.0 of the next unit.
_NEXT_UNIT = 999.95


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


@dataclass(frozen=True, kw_only=True)
class BatchDone(Written):
    """A micro-batch is in its table.

    Attributes:
        table: `layer.name` of the table that was written.
        seconds: from the start of the batch to its last commit.
        backlog: what is left in the source: files for bronze, rows for the others; None if
            the source's log does not reach back far enough.
    """

    table: str
    batch: int
    seconds: float
    backlog: int | None
    at: str = field(default_factory=_now)

    @property
    def files_per_second(self) -> float:
        """Files read per second of the batch."""
        return self.files / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Note:
    """Any other event: a lock was taken over, a layer is done, a stop was requested."""

    table: str
    what: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    at: str = field(default_factory=_now)


@dataclass(frozen=True)
class TableFailed:
    """A table was refused or failed, and is not tried again in this run.

    The attributes are those of the error.
    """

    table: str
    code: str
    what: str
    untouched: str
    next_step: str
    at: str = field(default_factory=_now)

    @classmethod
    def of(cls, table: str, error: MedallionError) -> TableFailed:
        """The event for an error, with its text as the user is shown it."""
        return cls(table, error.code, error.what, error.untouched, error.next_step)


@dataclass(frozen=True)
class RunSummary:
    """A run has ended, and a table of it has failed.

    Attributes:
        done: the tables that ran to their end.
        failed: the code of each table's error, by table.
        not_run: the tables that did not run, each with the failed one that it reads.
    """

    done: tuple[str, ...]
    failed: Mapping[str, str]
    not_run: Mapping[str, str]
    at: str = field(default_factory=_now)

    @property
    def text(self) -> str:
        """The summary in one line."""
        failed = [f"{table} ({code})" for table, code in self.failed.items()]
        not_run = [f"{table} (because of {cause})" for table, cause in self.not_run.items()]
        named = (("failed", failed), ("not run", not_run), ("done", self.done))
        return SEPARATOR.join(
            f"{len(tables)} {what}: {', '.join(tables)}" for what, tables in named if tables
        )


@dataclass(frozen=True)
class Warned:
    """A run has ended, and most rows of a batch are not in the table.

    Attributes:
        table: `layer.name`.
        batch: the newest such batch.
        batches: the number of such batches in the run.
    """

    table: str
    batch: int
    batches: int
    set_aside: SetAside
    at: str = field(default_factory=_now)

    @property
    def text(self) -> str:
        """The warning in one line, with the command to type next."""
        more = f", and {counted(self.batches - 1, 'batch')} before it" if self.batches > 1 else ""
        return f"batch {self.batch}{more}: {self.set_aside.text}; see: {self.next_step}"

    @property
    def next_step(self) -> str:
        if self.set_aside.how == "quarantined":
            return f"medallion quarantine show {self.table}"
        return "medallion files" if self.set_aside.unit == "files" else "medallion status"


Event = BatchDone | Note | TableFailed | RunSummary | Warned
Emit = Callable[[Event], None]


class Warnings:
    """Passes events on, and warns at the end of tables that lack most rows of a batch, or files.

    Nobody reads a warning in the middle of a run; a line for each table at its end is read.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._newest: dict[str, BatchDone] = {}
        self._batches: Counter[str] = Counter()
        self._files_aside: Counter[str] = Counter()
        self._aside: dict[str, str | None] = {}

    def emit(self, event: Event) -> None:
        """Passes an event on, and remembers it if most rows of its batch are missing."""
        if isinstance(event, BatchDone) and event.set_aside:
            self._newest[event.table] = event
            self._batches[event.table] += 1
        if isinstance(event, BatchDone) and event.files_aside:
            self._files_aside[event.table] += event.files_aside
            self._aside[event.table] = event.aside_example
        self._emit(event)

    @contextmanager
    def at_the_end(self) -> Iterator[None]:
        """Warns when the block ends, however it ends."""
        try:
            yield
        finally:
            for table, event in self._newest.items():
                if event.set_aside:
                    times = self._batches[table]
                    self._emit(Warned(table, event.batch, times, event.set_aside))
            for table, example in self._aside.items():
                told = self._newest.get(table)
                if told and told.set_aside and told.set_aside.unit == "files":
                    continue
                files = {"files": self._files_aside[table], "such as": example}
                next_step = "medallion files --state quarantined"
                self._emit(Note(table, "files put aside", {**files, "see": next_step}))


def as_json(event: Event) -> str:
    """One line of JSON, secrets masked; the key `event` is the kind of event."""
    if isinstance(event, Warned):
        fields = {"event": "warning", **asdict(event)}
        fields |= {**fields.pop("set_aside"), "share": round(event.set_aside.share, 4)}
        fields |= {"text": event.text, "next_step": event.next_step}
    elif isinstance(event, BatchDone):
        fields = {"event": "batch", **asdict(event)}
        fields["files_per_second"] = round(event.files_per_second, 3)
    elif isinstance(event, TableFailed):
        fields = {"event": "table_failed", **asdict(event)}
    elif isinstance(event, RunSummary):
        fields = {"event": "summary", **asdict(event)}
    else:
        fields = {"event": "note", **asdict(event)}
    return masked_json(fields)


def error_as_json(error: MedallionError) -> str:
    """The error with which a run ends, as one line of JSON without a secret."""
    return masked_json({"event": "error", **error.as_dict()})


def as_line(event: Event) -> str:
    """One line for a user, secrets masked."""
    return masked(_line(event))


def _line(event: Event) -> str:
    if isinstance(event, Warned):
        return f"{event.table:<{NAME_WIDTH}} warning: {event.text}"
    if isinstance(event, TableFailed):
        return f"{event.table:<{NAME_WIDTH}} failed: {event.what}"
    if isinstance(event, RunSummary):
        return f"{'run':<{NAME_WIDTH}} {event.text}"
    if isinstance(event, Note):
        details = ", ".join(
            f"{value:.1f} s" if key == "seconds" else str(value)
            for key, value in event.facts.items()
        )
        return f"{event.table:<{NAME_WIDTH}} {event.what}" + (f" ({details})" if details else "")
    parts = [f"batch {event.batch}", f"{_count(event.rows_in)} in", f"{event.rows_out:,} out"]
    if event.files:
        parts.append(counted(event.files, "file"))
    if event.bytes:
        parts.append(format_bytes(event.bytes))
    if event.files:
        rate = event.files_per_second
        parts.append(f"{rate:,.{0 if rate >= _FAST else 1}f} files/s")
    if event.rescued:
        parts.append(f"{event.rescued:,} rescued")
    for what in NOT_WRITTEN:
        if count := getattr(event, what):
            parts.append(f"{count:,} {what}")
    parts.append(f"{event.seconds:.1f} s")
    parts += [waiting(event), *event.remarks]
    return f"{event.table:<{NAME_WIDTH}} " + SEPARATOR.join(part for part in parts if part)


def waiting(event: BatchDone) -> str:
    """What is left to read, for the user; empty if a query of files has read them all."""
    if event.files_left is None:
        return f"backlog {_count(event.backlog)}"
    if not event.files_left:
        return ""
    parts = [counted(event.files_left, "file")]
    if event.bytes_left is not None:
        parts.append(format_bytes(event.bytes_left))
    if event.oldest_waiting_seconds is not None:
        parts.append(f"oldest {format_age(event.oldest_waiting_seconds)}")
    return f"waiting {', '.join(parts)}"


def format_bytes(count: int) -> str:
    """A size for a user: `999 B`, `12.3 MB`; units are powers of 1,000."""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if size < _NEXT_UNIT:
            break
        size, unit = size / 1000, larger
    return f"{count:,} B" if unit == "B" else f"{size:.1f} {unit}"


def format_age(seconds: float) -> str:
    """A duration for a user, in one unit: `4 s`, `12 min`, `3 h`, `8 d`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def counted(count: int, thing: str) -> str:
    """A number of things for a user: `1 file`, `2 batches`."""
    plural = "es" if thing.endswith("ch") else "s"
    return f"{count:,} {thing}" + ("" if count == 1 else plural)


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
