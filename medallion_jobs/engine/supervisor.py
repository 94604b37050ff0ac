"""Starts queries after their start checks, runs their batches, and stops them.

This is what all jobs have in common: the lock, the start checks, the manifest, batch numbers for
exactly-once writes, the stop after a batch, and failures with the table's name and the cause.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from medallion_jobs import checkpoint
from medallion_jobs.checkpoint import Binding, manifest
from medallion_jobs.config.units import format_time
from medallion_jobs.engine import admission, session
from medallion_jobs.engine.branches import Branches
from medallion_jobs.engine.failures import explain
from medallion_jobs.engine.query import Running, StoppedBetweenBatchesError, StopSwitch
from medallion_jobs.engine.stream import Batch, Stream
from medallion_jobs.errors import MedallionError, TransientError
from medallion_jobs.lake.tables import Txn, snapshot
from medallion_jobs.masking import without_secrets
from medallion_jobs.observe.events import BatchDone, Emit, Note
from medallion_jobs.storage import StoreError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.readwriter import DataStreamWriter

    from medallion_jobs.config import TableRef

# Sets the trigger of a query that is about to start.
SetTrigger = Callable[["DataStreamWriter", Running], "DataStreamWriter"]

# How long a stop waits for the current batch before it interrupts it. An interrupted batch is
# run again; the default grace period of a container is 30 s.
STOP_PATIENCE_SECONDS = 25.0
# How long a batch that was cancelled may take to end.
CANCEL_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.1
# How often a continuous query looks for a commit that it follows.
_LOOKS_EACH_SECONDS = 0.2
# The same for a source that is asked for what is new, such as a Kafka cluster.
_ASKS_EACH_SECONDS = 1.0
# The pause between two checks for a stop request, as a multiple of the duration of a check.
_PAUSE_PER_CHECK = 50


class Supervisor:
    """Runs streams on one Spark session.

    A table that is refused or fails stops those that read it, and no others.

    Args:
        run_id: the id of the run, which its commits and its rows of metrics have.
    """

    def __init__(self, emit: Emit, stop: StopSwitch, run_id: str | None = None) -> None:
        self._emit = emit
        self._stop = stop
        self._branches = Branches({}, emit)
        self._run_id = run_id or uuid.uuid4().hex[:12]
        self._next_check = 0.0  # by the monotonic clock

    @contextmanager
    def admitted(
        self, streams: Sequence[Stream], *, all_or_none: bool = False
    ) -> Iterator[list[Running]]:
        """Takes the locks and runs the start checks, before a JVM is started.

        Tables that are refused, and those that read them, are left out; `run_once` and
        `run_continuously` raise their errors at their end.

        Args:
            all_or_none: one that is refused stops the others, too.

        Raises:
            MedallionError: no table is left; with one that was refused, its error: something that
                it needs is missing, it is already running (LockHeld), or starting it would write
                wrong tables (Refused).
        """
        made = {stream.claim.target_path for stream in streams}
        self._branches = Branches(admission.reads_of(streams), self._emit)
        with ExitStack() as held:
            running = []
            for stream in streams:
                if self._branches.cuts_off(stream.claim.ref):
                    continue
                try:
                    running.append(admission.admit(stream, made, held, self._emit))
                except StoreError:
                    raise  # the store of all tables does not answer
                except (MedallionError, OSError) as error:
                    ref, path = stream.claim.ref, stream.claim.target_path
                    self._branches.fail(ref, explain(str(ref), error, path))
            if all_or_none or not running:
                self._branches.end()
            try:
                yield running
            finally:
                for query in running:
                    query.release_query()

    def run_once(self, running: Sequence[Running], spark: SparkSession) -> None:
        """Runs all available data through the queries, one after the other.

        Raises:
            MedallionError: a table was refused or failed; those that read it were not started, and
                all others are done.
        """
        self._note_jvm(running, spark)
        with self._stopping_at_the_end(running):
            for query in running:
                if self._stop.is_flipped:
                    break
                if self._branches.cuts_off(query.ref):
                    self._end(query)
                    continue
                started = time.monotonic()
                try:
                    self._start(query, spark, _available_now)
                    while self._keeps_running(query, spark, _available_now):
                        self._guard(query, spark)
                        self._watch(running)
                    self._finish(query)
                except MedallionError as error:
                    self._fail(query, error, spark)
                    continue
                if not query.was_stopped:
                    seconds = time.monotonic() - started
                    self._emit(Note(str(query.ref), "done", {"seconds": seconds}))
                    query.is_done = True
                    self._branches.done.append(query.ref)
        self._branches.end()

    def run_continuously(
        self, running: Sequence[Running], spark: SparkSession, interval: float
    ) -> None:
        """Runs all queries in parallel until a stop, or until all have failed.

        A query that fails for a cause that may pass is started again.

        Raises:
            MedallionError: a table was refused or failed for good; the others have finished their
                batch.
        """
        self._note_jvm(running, spark)

        trigger = _following(running, interval)
        with self._stopping_at_the_end(running):
            due = time.monotonic() + interval
            while live := self._live(running):
                for query in live:
                    self._tend(query, spark, trigger)
                self._watch(live)
                if time.monotonic() >= due:
                    due = time.monotonic() + interval
                    for query in self._live(running):
                        self._poll(query, spark)
        for query in running:
            if query.is_over or self._branches.cuts_off(query.ref):
                continue
            try:
                self._finish(query)
                self._branches.done.append(query.ref)
            except MedallionError as error:
                self._fail(query, error, spark)
        self._branches.end()

    def _live(self, running: Sequence[Running]) -> list[Running]:
        """The queries that still take part in the run; none once it is stopped."""
        return [] if self._stop.is_flipped else [query for query in running if not query.is_over]

    def _tend(self, query: Running, spark: SparkSession, trigger: SetTrigger) -> None:
        """Starts a query that is due, and starts it again or gives it up if it has failed."""
        if self._stop.is_flipped:
            return
        if self._branches.cuts_off(query.ref):
            self._end(query)
            return
        try:
            if query.starts_at is not None:
                self._start_if_due(query, spark, trigger)
            elif self._keeps_running(query, spark, trigger):
                self._guard(query, spark)
            else:
                self._finish(query)
                self._stop.flip(f"{query.ref} was stopped")
        except MedallionError as error:
            self._retry(query, error, spark)

    def _start_if_due(self, query: Running, spark: SparkSession, trigger: SetTrigger) -> None:
        assert query.starts_at is not None  # the caller has checked
        if time.monotonic() < query.starts_at or not self._branches.may_start(query.ref):
            return
        failures = query.restarts.failures
        if failures:
            # What the failed query had in memory may differ from what it had written.
            query.stream = replace(query.stream)  # type: ignore[type-var]  # each is a dataclass
        self._start(query, spark, trigger, again=failures > 0)
        if failures:
            self._emit(Note(str(query.ref), "started again", {"attempt": failures}))
        query.starts_at = query.waits_after = None
        self._branches.started.add(query.ref)

    def _retry(self, query: Running, error: MedallionError, spark: SparkSession) -> None:
        """Has a failed query start again later; or gives it up, and those that read it.

        Raises:
            MedallionError: the error, if the whole session is lost.
        """
        query.end(time.monotonic() + STOP_PATIENCE_SECONDS)
        try:
            if session.is_lost(spark):
                raise error
            seconds = query.retry_after(error)
        except MedallionError as final:
            if query.restarts.failures > 1:
                about = {"code": final.code, "starts": query.restarts.failures}
                self._emit(Note(str(query.ref), "given up", about))
            self._fail(query, final, spark)
            if query.trigger.restart.on_give_up == "stop":
                self._stop.flip(f"{query.ref} failed")
        else:
            then = f"starts again in {seconds:.1f} s"
            about = {"code": error.code, "cause": error.what, "then": then}
            self._emit(Note(str(query.ref), "failed for a cause that may pass", about))

    def _fail(self, query: Running, error: MedallionError, spark: SparkSession) -> None:
        """Notes the failure of a query, and frees its table for another run.

        Raises:
            MedallionError: the error, if the whole session is lost.
        """
        self._branches.fail(query.ref, error)
        if session.is_lost(spark):
            raise error
        self._end(query)

    def _end(self, query: Running) -> None:
        """Ends the part that a query takes in the run."""
        query.is_over = True
        query.end(time.monotonic() + STOP_PATIENCE_SECONDS)
        query.release_query()
        # As long as a batch hangs, this JVM may still write, and the next holder waits for its end.
        query.lock.release(in_good_order=not query.hangs)

    @contextmanager
    def _stopping_at_the_end(self, running: Sequence[Running]) -> Iterator[None]:
        """Stops all queries when the block ends, however it ends: none outlives its lock."""
        try:
            yield
        except BaseException:
            self._stop.flip("the run failed")
            raise
        finally:
            self._stop_all(running)

    def _note_jvm(self, running: Sequence[Running], spark: SparkSession) -> None:
        jvm = spark.sparkContext._jvm  # pyspark has no public way to the pid
        assert jvm is not None  # only Connect has none, and that is refused before
        pid = int(jvm.java.lang.ProcessHandle.current().pid())
        for query in running:
            query.lock.note_jvm(pid)

    def _keeps_running(self, query: Running, spark: SparkSession, trigger: SetTrigger) -> bool:
        """Whether the query runs; restarts it if the columns of its source have changed.

        Raises:
            MedallionError: it could not be restarted, or the start checks refuse it.
        """
        change = None if query.is_active or self._stop.is_flipped else query.schema_change
        if change is None:
            return query.is_active
        query.prepare_restart(change)
        self._start(query, spark, trigger, again=True)
        facts = {"source": query.stream.claim.source, "columns": ", ".join(change.fields)}
        self._emit(Note(str(query.ref), "restarted with new columns", facts))
        return True

    def _start(
        self, query: Running, spark: SparkSession, trigger: SetTrigger, *, again: bool = False
    ) -> None:
        """Starts a query.

        Args:
            again: it ran before. The result of its first start checks is outdated then: the
                generation is bound, and it has written batches.

        Raises:
            MedallionError: it could not be started, or the start checks refuse it.
        """
        try:
            if again:
                query.start_point = checkpoint.check(query.stream.claim)
            query.is_leaving = False
            query.stream.prepare(spark, query.start)
            for note in _load_sinks(query.stream, spark, query):
                self._note(query.ref, "note", note)
            self._discover(query)
            self._bind(query)
            query.query = trigger(self._writer(query, spark), query).start()
        except Exception as failure:
            raise query.explain(failure) from failure

    def _writer(self, query: Running, spark: SparkSession) -> DataStreamWriter:
        # The table in another slot has a query of another name: Spark runs no two of one name.
        name = str(query.stream.claim.paths)
        # A query inherits the scheduler pool of the thread that starts it.
        spark.sparkContext.setLocalProperty("spark.scheduler.pool", name)
        return (
            query.stream.read(spark)
            .writeStream.queryName(name)
            .outputMode(query.stream.output_mode)
            .option("checkpointLocation", str(query.start_point.checkpoint.path))
            .foreachBatch(lambda df, number: self._write(query, df, number))
        )

    def _poll(self, query: Running, spark: SparkSession) -> None:
        if not query.is_active:
            return
        try:
            self._discover(query)
        except Exception as failure:
            error = query.explain(failure)
            if error is not failure:
                error.__cause__ = failure
            self._retry(query, error, spark)

    def _discover(self, query: Running) -> None:
        for remark in query.stream.discover():
            self._note(query.ref, "note", remark)

    def _bind(self, query: Running) -> None:
        """Records what this generation reads and writes, now that both exist."""
        claim = query.stream.claim
        source, target = claim.offsets.identity(), snapshot(claim.target_path)
        if source is None or target is None:
            raise AssertionError(f"{claim.ref}: its tables must exist before it starts")
        binding = Binding(
            source=claim.source,
            source_id=source,
            target_id=target.id,
            logic=claim.logic,
            source_rebuilds=claim.source_rebuilds,
        )
        if (
            query.start_point.manifest.current.binding != binding
            or not query.query_folder.manifest.exists()
        ):
            bound = query.start_point.manifest.binding(binding, query.start_point.next_batch)
            manifest.write(query.query_folder, bound)

    def _write(self, query: Running, df: DataFrame, number: int) -> None:
        """The function that Spark calls for each micro-batch."""
        try:
            if self._stop.is_flipped or query.is_leaving:
                raise StoppedBetweenBatchesError
            query.lock.confirm()
            with query.in_batch(number):
                done = self._write_batch(query, df, number)
        except BaseException as failure:
            query.raised = failure
            # Spark writes the text of the exception and of its causes to logs that are kept.
            shown = without_secrets(failure)
            if shown is failure:
                raise
            raise shown from None
        self._emit(done)

    def _write_batch(self, query: Running, df: DataFrame, number: int) -> BatchDone:
        started = time.monotonic()
        start_point = query.start_point
        batch = Batch(
            txn=Txn(start_point.checkpoint.app_id, number, self._run_id),
            generation=start_point.generation,
            already_written=number <= start_point.last_written,
            is_empty=query.stream.claim.offsets.is_empty(start_point.checkpoint, number),
        )
        skipped = query.skipped(number)
        written = query.stream.write(df, batch)
        loaded = _load_sinks(query.stream, df.sparkSession)
        written = replace(written, remarks=(*written.remarks, *loaded, *skipped))
        if not batch.already_written:
            query.has_written()
        done = query.batch_done(batch, written, time.monotonic() - started)
        # Before Spark commits the batch, so that its row is written exactly once.
        query.log.append(done, batch.generation, self._run_id)
        return done

    def _guard(self, query: Running, spark: SparkSession) -> None:
        """Cancels a batch that takes longer than the config allows.

        Raises:
            TransientError: it does not end although it was cancelled.
        """
        limit = query.trigger.batch_timeout
        over = query.busy_seconds() - limit.total_seconds() if limit else 0
        if limit is None or query.query is None or over <= 0:
            return
        if not query.timed_out:
            query.timed_out = True
            # Spark runs the jobs of a query as a group with the id of its run.
            spark.sparkContext.cancelJobGroup(str(query.query.runId))
            about = f"its batch takes longer than {format_time(limit)}"
            self._note(query.ref, "cancels its batch", about)
        elif over > CANCEL_PATIENCE_SECONDS:
            query.interrupt()

    def _watch(self, running: Sequence[Running]) -> None:
        """Checks for a stop request, stops the queries if there is one, and waits a moment."""
        if time.monotonic() >= self._next_check and not self._stop.is_flipped:
            started = time.monotonic()
            # The table of a query that is over may belong to another run by now.
            live = [query for query in running if not query.is_over]
            asked = next((query for query in live if query.query_folder.stop.is_file()), None)
            if asked:
                self._stop.flip(asked.query_folder.stop.read_text(encoding="utf-8").strip())
            # A disk answers at once, an object store does not.
            self._next_check = time.monotonic() + _PAUSE_PER_CHECK * (time.monotonic() - started)
        if self._stop.is_flipped:
            self._stop_all(running)
        self._stop.wait(_POLL_SECONDS)

    def _stop_all(self, running: Sequence[Running]) -> None:
        """Lets each query finish its batch; interrupts a batch that takes too long."""
        deadline = time.monotonic() + STOP_PATIENCE_SECONDS
        with ExitStack() as stops:
            for query in reversed(running):
                # If one query cannot be stopped, the others still are.
                stops.callback(query.end, deadline)

    def _finish(self, query: Running) -> None:
        """Raises the failure of a query, if it failed."""
        if query.waits_after:
            raise query.waits_after
        if query.failure:
            raise query.explain(query.failure) from query.failure

    def _note(self, ref: TableRef, what: str, about: object) -> None:
        self._emit(Note(str(ref), what, {"about": str(about)}))


def _available_now(writer: DataStreamWriter, query: Running) -> DataStreamWriter:  # noqa: ARG001
    return writer.trigger(availableNow=True)


def _following(running: Sequence[Running], interval: float) -> SetTrigger:
    """Each query at its interval; but at once after a commit of this run that it reads.

    A look at the log of a table on a disk costs some milliseconds, and each one in an object store
    is paid for: there, all queries keep to the interval.
    """
    made = {query.stream.claim.target_path for query in running}

    def trigger(writer: DataStreamWriter, query: Running) -> DataStreamWriter:
        claim = query.stream.claim
        # Files are found at each interval: the ledger of a bronze table gets no chunk between.
        follows = claim.reads is None or claim.source_path in made
        if claim.source_path is None:
            return writer.trigger(processingTime=f"{min(interval, _ASKS_EACH_SECONDS)} seconds")
        is_cheap = isinstance(claim.source_path, Path)
        seconds = min(interval, _LOOKS_EACH_SECONDS) if follows and is_cheap else interval
        return writer.trigger(processingTime=f"{seconds} seconds")

    return trigger


def _load_sinks(stream: Stream, spark: SparkSession, starts: Running | None = None) -> list[str]:
    """Loads the stream's table into its sinks, and gives the notes for the user.

    A sink that is down does not stop the table.

    Args:
        starts: the query, if it is about to start. A table that it will rebuild is loaded after
            that: the old one may be what a sink does not take.
    """
    notes = []
    for sink in stream.sinks:
        try:
            if starts:
                sink.check(spark, rebuilt=starts.awaits_rebuild)
            note = None if starts and starts.awaits_rebuild else sink.catch_up(spark)
        except TransientError as error:
            note = f"{error.what}; the load is retried after the next batch and at the next start"
        if note:
            notes.append(note)
    return notes
