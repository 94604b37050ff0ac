"""A running query, and the switch that asks queries to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from py4j.protocol import Py4JNetworkError
from pyspark.errors import StreamingQueryException

from medallion_jobs.checkpoint import Lock, QueryFolder, StartPoint, manifest, refused_for
from medallion_jobs.checkpoint.offsets import Amount, DeltaOffsets, Fault
from medallion_jobs.config.units import format_time
from medallion_jobs.engine.failures import explain
from medallion_jobs.engine.restarts import Restarts
from medallion_jobs.engine.stream import Batch, Start, Stream, Written
from medallion_jobs.errors import (
    DataError,
    MedallionError,
    Refused,
    TransientError,
    rebuild_command,
)
from medallion_jobs.lake.tables.schema_change import SchemaChange
from medallion_jobs.observe.batch_table import BatchTable
from medallion_jobs.observe.events import BatchDone

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

    from medallion_jobs.config import TableRef, Trigger

_POLL_SECONDS = 0.1
# Restarts for the same schema change without a finished batch between them.
_MAX_RESTARTS = 3
# Before a batch, Spark compares the types of the state with those of the query.
_OTHER_STATE = ("STATE_STORE_KEY_SCHEMA_NOT_COMPATIBLE", "STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE")


# The source no longer has what the query has yet to read, or has changed what it has read: Kafka's
# messages, Delta's rows, files and log entries.
_LOST_SOURCE = (
    *("KAFKA_DATA_LOSS", "OffsetOutOfRangeException"),
    *("DELTA_SOURCE_TABLE_IGNORE_CHANGES", "DELTA_SOURCE_IGNORE_DELETE"),
    *("FILE_NOT_EXIST", "FileNotFoundException", "DELTA_VERSIONS_NOT_CONTIGUOUS"),
    *("DELTA_VERSION_NOT_FOUND", "DELTA_LOG_FILE_NOT_FOUND", "failOnDataLoss"),
)


class StopSwitch:
    """Asks running queries to stop after their batch; safe to flip from a signal handler."""

    def __init__(self) -> None:
        self._flipped = threading.Event()
        self.why = ""

    def flip(self, why: str) -> None:
        self.why = self.why or why
        self._flipped.set()

    @property
    def is_flipped(self) -> bool:
        return self._flipped.is_set()

    def wait(self, seconds: float) -> None:
        self._flipped.wait(seconds)


class StoppedBetweenBatchesError(Exception):
    """Stops a query at a safe point: its last batch is committed, its next has not started."""


@dataclass
class Running:
    """A query that is ready to start, runs, or has ended.

    Attributes:
        raised: the exception of its batch function; Spark itself returns only its text.
        interrupted: whether it was stopped in the middle of a batch, which the next start
            runs again.
        restarts: its failures in a continuous run.
        starts_at: when it is to start, by the monotonic clock; None once it has.
        waits_after: the error after which it waits to be started again.
        is_leaving: whether it is to end after its batch, while others go on.
        is_over: whether it takes no more part in the run.
        timed_out: whether its batch was cancelled because it took too long.
        hangs: whether that batch does not end, although it was cancelled.
    """

    stream: Stream
    query_folder: QueryFolder
    start_point: StartPoint
    lock: Lock
    log: BatchTable
    restarts: Restarts
    query: StreamingQuery | None = None
    raised: BaseException | None = None
    interrupted: bool = False
    is_done: bool = False
    starts_at: float | None = 0.0
    waits_after: MedallionError | None = None
    is_leaving: bool = False
    is_over: bool = False
    timed_out: bool = False
    hangs: bool = False
    _batch: int | None = None
    _busy_since: float | None = None
    _last_change: SchemaChange | None = None
    _restarts: int = 0

    @property
    def start(self) -> Start:
        generation = self.start_point.manifest.current
        return Start(generation.number, generation.number > 1 and generation.binding is None)

    @property
    def awaits_rebuild(self) -> bool:
        """Whether the query was reset, and has not rebuilt its table yet."""
        return self.start.generation > 1 and self.start_point.last_written < 0

    # A claim takes a fraction of a millisecond to make, and these are asked for ten times a second.
    @cached_property
    def ref(self) -> TableRef:
        return self.stream.claim.ref

    @cached_property
    def trigger(self) -> Trigger:
        return self.stream.claim.paths.config.trigger

    @property
    def is_active(self) -> bool:
        try:
            return self.query is not None and self.query.isActive
        except (Py4JNetworkError, OSError):  # its JVM is gone
            return False

    @property
    def was_stopped(self) -> bool:
        """Whether it ended on request, or for a restart, before it read everything."""
        return (
            self.interrupted
            or isinstance(self.raised, StoppedBetweenBatchesError)
            or self.schema_change is not None
        )

    @property
    def schema_change(self) -> SchemaChange | None:
        """The schema change of its source that ended it, if a restart may pick it up."""
        if self.query is None or self.is_active or self.raised:
            return None
        change = SchemaChange.from_failure(str(self._spark_failure or ""))
        gives_up = change == self._last_change and self._restarts >= _MAX_RESTARTS
        return None if gives_up else change

    @property
    def _spark_failure(self) -> BaseException | None:
        try:
            return self.query.exception() if self.query else None
        except (Py4JNetworkError, OSError) as failure:
            return failure

    @property
    def failure(self) -> BaseException | None:
        """The exception that ended it; None if it still runs, succeeded, or was stopped."""
        if self.is_active or self.was_stopped:
            return None
        stopped = TimeoutError("stopped") if self.timed_out else None
        return self.raised or self._spark_failure or stopped

    def prepare_restart(self, change: SchemaChange) -> None:
        """Drops the Spark query that `change` ended, so that a new one can be started."""
        self._restarts = self._restarts + 1 if change == self._last_change else 1
        self._last_change = change
        self._drop_ended()

    def retry_after(self, error: MedallionError) -> float:
        """Drops the Spark query that failed; returns the seconds until it is to start again.

        Raises:
            MedallionError: it is not to start again; as `Restarts.delay`.
        """
        takes: Sequence[str] = ()
        if self._batch is not None:
            with suppress(OSError, ValueError):  # of the checkpoint, which may be the cause
                offsets = self.stream.claim.offsets
                takes = offsets.takes(self.start_point.checkpoint, self._batch)
        seconds = self.restarts.delay(str(self.ref), error, self._batch, takes)
        self._drop_ended()
        self.raised, self.interrupted, self.timed_out, self._batch = None, False, False, None
        self.starts_at, self.waits_after = time.monotonic() + seconds, error
        return seconds

    def _drop_ended(self) -> None:
        if self.query:
            # It is not active any more, but Spark may still hold its name for a moment. This
            # raises the exception that it ended with.
            with suppress(StreamingQueryException):
                self.query.awaitTermination()
            self.query = None

    def release_query(self) -> None:
        """Drops the Spark query after its end, with all that Spark keeps for it.

        The query references the function that Spark calls for a batch, and that function
        references this object: a cycle through Python and Java that no garbage collector sees.
        """
        self.query = None

    def has_written(self) -> None:
        """Records a finished batch: restarts count from 0 again."""
        self._last_change = None
        self.restarts.has_written()

    @contextmanager
    def in_batch(self, number: int) -> Iterator[None]:
        """The batch that runs inside the `with` block; if it fails, it stays the newest."""
        self._batch, self._busy_since, self.timed_out = number, time.monotonic(), False
        try:
            yield
            self._batch = None
        finally:
            self._busy_since = None

    def busy_seconds(self) -> float:
        """For how long its batch, or the search for its next batch, has been running."""
        if not self.is_active or self.query is None:
            return 0.0
        if not self.query.status["isTriggerActive"]:
            self._busy_since = None
            return 0.0
        self._busy_since = self._busy_since or time.monotonic()
        return time.monotonic() - self._busy_since

    def skipped(self, number: int) -> list[str]:
        """Notes about the commits of its source that a batch skips.

        Raises:
            Refused: one may have added rows, which would be missing.
        """
        claim = self.stream.claim
        if not isinstance(claim.offsets, DeltaOffsets):
            return []
        commits = claim.offsets.skipped(self.start_point.checkpoint, number)
        for fault in claim.offsets.refuse_skipped(commits):
            raise refused_for(claim, fault, did="cannot continue")
        return [
            f"its rows stay as they are, though rows of {claim.source} were changed or removed: "
            f"{commit}"
            for commit in commits
        ]

    def batch_done(self, batch: Batch, written: Written, seconds: float) -> BatchDone:
        """The event for a finished batch, with what is left in its source.

        Args:
            seconds: the duration of the batch.
        """
        taken, left = self.stream.claim.offsets.progress(self.start_point.checkpoint, batch.number)
        rows_in = _rows(taken) if written.rows_in is None else written.rows_in
        counts = {field.name: getattr(written, field.name) for field in fields(written)}
        return BatchDone(
            **{**counts, "rows_in": rows_in},
            table=str(self.ref),
            batch=batch.number,
            seconds=seconds,
            backlog=_rows(left),
        )

    def end(self, deadline: float) -> None:
        """Stops it between two batches, or in the middle of one after `deadline`.

        Args:
            deadline: by the monotonic clock.
        """
        self.is_leaving = True
        while self.is_active and self.query is not None and not self.hangs:
            idle = not self.query.status["isTriggerActive"]
            if idle or time.monotonic() > deadline:
                self.interrupted = not idle
                self.query.stop()
            else:
                time.sleep(_POLL_SECONDS)

    def interrupt(self) -> None:
        """Stops it in the middle of its batch.

        Raises:
            TransientError: it does not stop.
        """
        assert self.query is not None  # the caller has checked
        try:
            self.query.stop()
        except Exception as failure:
            self.hangs = True
            raise TransientError(
                f"{self.ref}: batch {self._batch} was cancelled and does not end; what it waits "
                "for is no job of Spark",
                code="batch_hangs",
                untouched="nothing of the batch is visible, unless it still ends",
                next_step="look for a disk or a server that does not answer; end this process, "
                "then run again",
            ) from failure

    def explain(self, failure: BaseException) -> MedallionError:
        """The error to show for its failure."""
        claim = self.stream.claim
        if self.timed_out:
            return _timed_out(self.ref, self.trigger, self._batch)
        rebuild = f"rebuild it: `{rebuild_command(self.ref)} --yes`"
        if change := SchemaChange.from_failure(str(failure)):
            return DataError(
                f"{self.ref}: {claim.source} changed its schema ({', '.join(change.fields)}), and "
                f"the query still fails after {_MAX_RESTARTS} restarts",
                code="source_schema_changed",
                untouched="its table is as the last batch left it",
                next_step=rebuild,
            )
        is_lost = any(sign in str(failure) for sign in _LOST_SOURCE)
        if is_lost and (fault := self._fault_of_source()):
            return refused_for(claim, fault, did="cannot continue")
        if any(code in str(failure) for code in _OTHER_STATE):
            return Refused(
                f"{self.ref} cannot continue: a column of {claim.source} that it uses now has a "
                "different type than in its state",
                code="state_type_changed",
                untouched="its table is as the last batch left it, and so is its checkpoint",
                next_step=rebuild,
            )
        return explain(str(self.ref), failure, claim.target_path)

    def _fault_of_source(self) -> Fault | None:
        """What the source lacks now, if the query cannot go on with it."""
        recorded = manifest.read(self.query_folder)
        bound = recorded.current.binding if recorded else None
        if bound is None:
            return None
        offsets, checkpoint = self.stream.claim.offsets, self.start_point.checkpoint
        faults = offsets.faults(checkpoint, bound)
        if isinstance(offsets, DeltaOffsets):
            faults = chain(faults, offsets.gone(checkpoint))
        with suppress(MedallionError):  # the source does not answer: its own failure is shown
            return next(faults, None)
        return None


def _timed_out(ref: TableRef, trigger: Trigger, batch: int | None) -> TransientError:
    limit = format_time(trigger.batch_timeout) if trigger.batch_timeout else "its limit"
    which = "the search for its next batch" if batch is None else f"batch {batch}"
    return TransientError(
        f"{ref}: {which} took longer than {limit} and was cancelled",
        code="batch_timeout",
        untouched="nothing of the batch is visible; the next start runs it again",
        next_step="run again; if it is only slow, give it more time: `trigger.batch_timeout`",
    )


def _rows(amount: Amount | None) -> int | None:
    return amount.rows if amount else None
