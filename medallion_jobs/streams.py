"""Starts a query behind the fence, runs its batches, waits, and stops it.

A job hands over a `Stream`: what it reads, what it writes, and one function that writes a
micro-batch. Everything that is the same for all jobs is here: the lock, the fence, the
manifest, exactly-once numbering, the stop after a batch, and the failure that is told by
the table's name and its cause.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from medallion_jobs import checkpoint
from medallion_jobs.checkpoint import Binding, Claim, Home, Lock, Passage, manifest, position
from medallion_jobs.errors import MedallionError
from medallion_jobs.failures import explain
from medallion_jobs.metrics.progress import BatchDone, Emit, Note
from medallion_jobs.tables import Txn, snapshot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery
    from pyspark.sql.streaming.readwriter import DataStreamWriter

    from medallion_jobs.config import TableRef

# How long a stop waits for the batch under way before it interrupts it. An interrupted
# batch is only redone; a container's grace period is 30 s unless told otherwise.
STOP_PATIENCE_SECONDS = 25.0
_GLANCE_SECONDS = 0.1


@dataclass(frozen=True)
class Batch:
    """One micro-batch, as the job that writes it sees it.

    Attributes:
        generation: the checkpoint generation; part of `txn`'s application id.
        replayed: the table holds this batch already; the run before was cut off between
            the table's commit and Spark's own note of it.
    """

    txn: Txn
    generation: int
    replayed: bool

    @property
    def number(self) -> int:
        return self.txn.batch

    @property
    def replaces(self) -> bool:
        """Whether this is the first batch after a reset, whose rows take the place of all."""
        return self.number == 0 and self.generation > 1


@dataclass(frozen=True)
class Written:
    """What a micro-batch came to.

    Attributes:
        rows_in: rows or lines that were read; None where the source's own log tells.
        remarks: what a person should know of it, such as rows without a match.
    """

    rows_out: int
    rows_in: int | None = None
    files: int = 0
    quarantined: int = 0
    remarks: tuple[str, ...] = ()

    @classmethod
    def before(cls, rows: int) -> Written:
        """A batch that the run before wrote, and was then cut off."""
        return cls(rows, remarks=("written by the run before, which was cut off",))


class Stream(Protocol):
    """A job's query: what `run` needs of it."""

    @property
    def claim(self) -> Claim: ...

    @property
    def output_mode(self) -> str: ...

    def preflight(self) -> None:
        """Raises if something that the query needs is missing. Runs without a JVM."""

    def prepare(self, spark: SparkSession) -> None:
        """Makes the tables that the query writes."""

    def poll(self) -> None:
        """Looks for new input; called before a run and at each interval of a continuous one."""

    def read(self, spark: SparkSession) -> DataFrame:
        """The streaming frame whose micro-batches `write` gets."""

    def write(self, df: DataFrame, batch: Batch) -> Written:
        """Writes one micro-batch, in a commit that carries `batch.txn`."""


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


class _StoppedBetweenBatchesError(Exception):
    """Ends a query where it is safe: its last batch is noted, its next one has not begun."""


@dataclass
class _Running:
    stream: Stream
    home: Home
    passage: Passage
    lock: Lock
    query: StreamingQuery | None = None
    failure: BaseException | None = None

    @property
    def ref(self) -> TableRef:
        return self.stream.claim.ref

    @property
    def is_active(self) -> bool:
        return self.query is not None and self.query.isActive


class Supervisor:
    """Runs streams on one Spark session."""

    def __init__(self, state: Path, emit: Emit, stop: StopSwitch) -> None:
        self._state = state
        self._emit = emit
        self._stop = stop
        self._run_id = uuid.uuid4().hex[:12]

    @contextmanager
    def admitted(self, streams: Sequence[Stream]) -> Iterator[list[_Running]]:
        """Takes every lock and passes every fence, before a JVM is started.

        Raises:
            LockHeld: one of the queries runs already.
            Refused: starting one of them would write wrong tables.
            MedallionError: something that a query needs is missing.
        """
        with ExitStack() as held:
            running = []
            for stream in streams:
                claim = stream.claim
                home = Home.of(self._state, claim.ref)
                lock = held.enter_context(Lock(home.lock, str(claim.ref)))
                home.stop.unlink(missing_ok=True)
                if lock.took_over:
                    self._note(claim.ref, "took over from a run that died", lock.took_over)
                passage = checkpoint.check(home, claim)
                for leftover in passage.repaired:
                    self._note(claim.ref, "removed what a cut-off first batch left", leftover)
                if passage.changed:
                    self._note(claim.ref, "new logic from this run on", sorted(passage.changed))
                running.append(_Running(stream, home, passage, lock))
            for stream in streams:
                stream.preflight()
            yield running

    def run_once(self, running: Sequence[_Running], spark: SparkSession) -> None:
        """Everything that is there, one query after the other.

        Raises:
            MedallionError: a query failed; those after it were not started.
        """
        self._enter(running, spark)
        for one in running:
            if self._stop.is_flipped:
                break
            started = time.monotonic()
            one.stream.prepare(spark)
            one.stream.poll()
            self._start(one, spark, lambda writer: writer.trigger(availableNow=True))
            while one.is_active:
                self._watch([one])
            self._finish(one)
            self._emit(Note(str(one.ref), "done", {"seconds": time.monotonic() - started}))

    def run_continuously(
        self, running: Sequence[_Running], spark: SparkSession, interval: float
    ) -> None:
        """All queries side by side until a stop, or until one fails.

        Raises:
            MedallionError: a query failed; the others have finished their batch.
        """
        self._enter(running, spark)
        for one in running:
            one.stream.prepare(spark)
            one.stream.poll()
            self._start(one, spark, lambda w: w.trigger(processingTime=f"{interval} seconds"))
        due = time.monotonic() + interval
        while all(one.is_active for one in running):
            self._watch(running)
            if time.monotonic() >= due and not self._stop.is_flipped:
                due = time.monotonic() + interval
                for one in running:
                    one.stream.poll()
        failed = [one for one in running if one.failure or not self._stop.is_flipped]
        self._stop.flip(f"{', '.join(str(one.ref) for one in failed)} ended")
        while any(one.is_active for one in running):
            self._watch(running)
        for one in running:
            self._finish(one)

    def _enter(self, running: Sequence[_Running], spark: SparkSession) -> None:
        jvm = spark.sparkContext._jvm  # pyspark has no public way to the pid
        assert jvm is not None  # noqa: S101 (only Connect has none, and that is refused before)
        pid = int(jvm.java.lang.ProcessHandle.current().pid())
        for one in running:
            one.lock.note_jvm(pid)

    def _start(
        self,
        one: _Running,
        spark: SparkSession,
        trigger: Callable[[DataStreamWriter], DataStreamWriter],
    ) -> None:
        self._bind(one)
        # The thread that starts a query hands its scheduler pool down to it.
        spark.sparkContext.setLocalProperty("spark.scheduler.pool", str(one.ref))
        writer = (
            one.stream.read(spark)
            .writeStream.queryName(str(one.ref))
            .outputMode(one.stream.output_mode)
            .option("checkpointLocation", str(one.passage.checkpoint.path))
            .foreachBatch(lambda df, number: self._write(one, df, number))
        )
        one.query = trigger(writer).start()

    def _bind(self, one: _Running) -> None:
        """Records what this generation reads and writes, now that both exist."""
        claim = one.stream.claim
        source, target = snapshot(claim.source_path), snapshot(claim.target_path)
        if source is None or target is None:
            raise AssertionError(f"{claim.ref}: its tables must exist before it starts")
        binding = Binding(
            source=claim.source, source_id=source.id, target_id=target.id, logic=claim.logic
        )
        if one.passage.manifest.current.binding != binding or not one.home.manifest.exists():
            manifest.write(one.home, one.passage.manifest.binding(binding))

    def _write(self, one: _Running, df: DataFrame, number: int) -> None:
        """The function that Spark calls for each micro-batch."""
        try:
            if self._stop.is_flipped:
                raise _StoppedBetweenBatchesError
            started = time.monotonic()
            passage = one.passage
            batch = Batch(
                txn=Txn(passage.checkpoint.app_id, number, self._run_id),
                generation=passage.generation,
                replayed=number <= passage.last_written,
            )
            written = one.stream.write(df, batch)
            taken, left = position.progress(
                passage.checkpoint, one.stream.claim.source_path, number
            )
        except BaseException as failure:
            # Spark hands back a text only; the supervisor wants the failure itself.
            one.failure = failure
            raise
        self._emit(
            BatchDone(
                table=str(one.ref),
                batch=number,
                rows_in=taken.rows if written.rows_in is None else written.rows_in,
                rows_out=written.rows_out,
                files=written.files,
                quarantined=written.quarantined,
                seconds=time.monotonic() - started,
                backlog=left.rows,
                remarks=written.remarks,
            )
        )

    def _watch(self, running: Sequence[_Running]) -> None:
        """One glance: has somebody asked for a stop, and is its time over?"""
        asked = next((one for one in running if one.home.stop.exists()), None)
        if asked and not self._stop.is_flipped:
            self._stop.flip(asked.home.stop.read_text(encoding="utf-8").strip())
        if self._stop.is_flipped:
            self._wind_down(running)
        else:
            self._stop.wait(_GLANCE_SECONDS)

    def _wind_down(self, running: Sequence[_Running]) -> None:
        """Lets each query finish its batch; one that takes too long is interrupted."""
        deadline = time.monotonic() + STOP_PATIENCE_SECONDS
        for one in running:
            while one.is_active and one.query is not None:
                idle = not one.query.status["isTriggerActive"]
                if idle or time.monotonic() > deadline:
                    one.query.stop()
                else:
                    time.sleep(_GLANCE_SECONDS)

    def _finish(self, one: _Running) -> None:
        if one.failure is None:
            raised = one.query.exception() if one.query else None
            one.failure = raised
        if one.failure is None or isinstance(one.failure, _StoppedBetweenBatchesError):
            return
        if self._stop.is_flipped and _is_interruption(one.failure):
            return
        raise explain(str(one.ref), one.failure) from one.failure

    def _note(self, ref: TableRef, what: str, about: object) -> None:
        self._emit(Note(str(ref), what, {"about": str(about)}))


def _is_interruption(failure: BaseException) -> bool:
    """Whether a query failed only because it was stopped in the midst of a batch."""
    if isinstance(failure, MedallionError):
        return False
    return "InterruptedException" in str(failure) or "cancelled" in str(failure)
