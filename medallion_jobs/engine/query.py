"""A query under way, and the switch that asks it to end."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from pyspark.errors import StreamingQueryException

from medallion_jobs.checkpoint import Lock, QueryFolder, StartPoint, offsets
from medallion_jobs.engine.failures import explain
from medallion_jobs.engine.stream import Batch, Start, Stream, Written
from medallion_jobs.errors import DataError, MedallionError, Refused
from medallion_jobs.lake.tables.schema_change import SchemaChange
from medallion_jobs.observe.batch_table import BatchTable
from medallion_jobs.observe.events import BatchDone

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

    from medallion_jobs.config import TableRef

_GLANCE_SECONDS = 0.1
# Starts over one and the same schema change, with no batch done between them.
_MOST_STARTS_IN_VAIN = 3
# Spark holds the types of the state against those of the query before it computes a batch.
_OTHER_STATE = ("STATE_STORE_KEY_SCHEMA_NOT_COMPATIBLE", "STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE")


class StopSwitch:
    """Asks running queries to end after their batch; safe to flip from a signal handler."""

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
    """Ends a query where it is safe: its last batch is noted, its next one has not begun."""


@dataclass
class Running:
    """A query that may start, runs, or has run.

    Attributes:
        raised: what its batch function raised; Spark itself hands back only a text.
        interrupted: it was stopped in the midst of a batch, which is then redone.
    """

    stream: Stream
    home: QueryFolder
    start_point: StartPoint
    lock: Lock
    log: BatchTable
    query: StreamingQuery | None = None
    raised: BaseException | None = None
    interrupted: bool = False
    is_done: bool = False
    _followed: SchemaChange | None = None
    _in_vain: int = 0

    @property
    def start(self) -> Start:
        generation = self.start_point.manifest.current
        return Start(generation.number, generation.number > 1 and generation.binding is None)

    @property
    def ref(self) -> TableRef:
        return self.stream.claim.ref

    @property
    def is_active(self) -> bool:
        return self.query is not None and self.query.isActive

    @property
    def was_stopped(self) -> bool:
        """Whether it was asked to end, and did before all was read."""
        return (
            self.interrupted
            or isinstance(self.raised, StoppedBetweenBatchesError)
            or self.outgrown is not None
        )

    @property
    def outgrown(self) -> SchemaChange | None:
        """The change of its source's schema that ended it, if another start can follow it."""
        if self.query is None or self.is_active or self.raised:
            return None
        change = SchemaChange.told_by(str(self.query.exception() or ""))
        in_vain = change == self._followed and self._in_vain >= _MOST_STARTS_IN_VAIN
        return None if in_vain else change

    @property
    def failure(self) -> BaseException | None:
        """What it died of, if it did; being stopped is no failure."""
        if self.is_active or self.was_stopped:
            return None
        return self.raised or (self.query.exception() if self.query else None)

    def follow(self, change: SchemaChange) -> None:
        """Lets go of the query that `change` ended, so that another one can be started."""
        self._in_vain = self._in_vain + 1 if change == self._followed else 1
        self._followed = change
        if self.query:
            # It is not active any more, yet Spark may still hold its name for a moment. What
            # this raises is what `change` was read from.
            with suppress(StreamingQueryException):
                self.query.awaitTermination()
            self.query = None

    def let_go(self) -> None:
        """Lets go of a query that has ended, with all that Spark keeps for it.

        The query holds the function that Spark calls for a batch, and that function holds this:
        a circle through both worlds, which neither's collector can see.
        """
        self.query = None

    def has_written(self) -> None:
        """Notes that a batch was done: whatever was followed was not followed in vain."""
        self._followed = None

    def told(self, batch: Batch, written: Written, seconds: float) -> BatchDone:
        """What a batch came to, with what is left in its source."""
        source = self.stream.claim.source_path
        taken, left = offsets.progress(self.start_point.checkpoint, source, batch.number)
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
        """Stops it between two batches, or in the midst of one that lasts beyond `deadline`."""
        while self.is_active and self.query is not None:
            idle = not self.query.status["isTriggerActive"]
            if idle or time.monotonic() > deadline:
                self.interrupted = not idle
                self.query.stop()
            else:
                time.sleep(_GLANCE_SECONDS)

    def explain(self, failure: BaseException) -> MedallionError:
        """The error to show for what it died of."""
        claim = self.stream.claim
        anew = f'make it anew: `medallion checkpoint reset {self.ref} --reason "…" --yes`'
        if change := SchemaChange.told_by(str(failure)):
            return DataError(
                f"{self.ref}: {claim.source} changed its schema ({', '.join(change.fields)}), and "
                f"{_MOST_STARTS_IN_VAIN} starts did not get beyond it",
                untouched="its table is as the last batch left it",
                next_step=anew,
            )
        if any(sign in str(failure) for sign in _OTHER_STATE):
            return Refused(
                f"{self.ref} cannot go on: a column of {claim.source} that it computes from has "
                "another type now than its state has",
                untouched="its table, which is as the last batch left it, and its checkpoint",
                next_step=anew,
            )
        return explain(str(self.ref), failure, claim.target_path)


def _rows(amount: offsets.Amount | None) -> int | None:
    return amount.rows if amount else None
