"""A query under way, and the switch that asks it to end."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medallion_jobs.checkpoint import Home, Lock, Passage
from medallion_jobs.streams import Start, Stream

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

    from medallion_jobs.config import TableRef


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
    home: Home
    passage: Passage
    lock: Lock
    query: StreamingQuery | None = None
    raised: BaseException | None = None
    interrupted: bool = False
    is_done: bool = False

    @property
    def start(self) -> Start:
        generation = self.passage.manifest.current
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
        return self.interrupted or isinstance(self.raised, StoppedBetweenBatchesError)

    @property
    def failure(self) -> BaseException | None:
        """What it died of, if it did; being stopped is no failure."""
        if self.is_active or self.was_stopped:
            return None
        return self.raised or (self.query.exception() if self.query else None)
