"""Starts queries after their start checks, runs their batches, and stops them.

This is what all jobs have in common: the lock, the start checks, the manifest, batch numbers for
exactly-once writes, the stop after a batch, and failures with the table's name and the cause.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from medallion_jobs import checkpoint
from medallion_jobs.checkpoint import Binding, Claim, Lock, QueryFolder, manifest
from medallion_jobs.engine.query import Running, StoppedBetweenBatchesError, StopSwitch
from medallion_jobs.engine.stream import Batch, Stream
from medallion_jobs.errors import Refused, TransientError
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Txn, snapshot
from medallion_jobs.masking import without_secrets
from medallion_jobs.observe.batch_table import BatchTable
from medallion_jobs.observe.events import Emit, Note, TableFailed
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.readwriter import DataStreamWriter

    from medallion_jobs.config import TableRef

# Sets the trigger of a query that is about to start.
Trigger = Callable[["DataStreamWriter", Running], "DataStreamWriter"]

# How long a stop waits for the current batch before it interrupts it. An interrupted batch is
# run again; the default grace period of a container is 30 s.
STOP_PATIENCE_SECONDS = 25.0
_POLL_SECONDS = 0.1
# How often a continuous query looks for a commit that it follows.
_LOOKS_EACH_SECONDS = 0.2
# The same for a source that is asked for what is new, such as a Kafka cluster.
_ASKS_EACH_SECONDS = 1.0
# The pause between two checks for a stop request, as a multiple of the duration of a check.
_PAUSE_PER_CHECK = 50


class Supervisor:
    """Runs streams on one Spark session.

    Args:
        run_id: the id of the run, which its commits and its rows of metrics have.
    """

    def __init__(self, emit: Emit, stop: StopSwitch, run_id: str | None = None) -> None:
        self._emit = emit
        self._stop = stop
        self._run_id = run_id or uuid.uuid4().hex[:12]
        self._next_check = 0.0  # by the monotonic clock

    @contextmanager
    def admitted(self, streams: Sequence[Stream]) -> Iterator[list[Running]]:
        """Takes every lock and runs all start checks, before a JVM is started.

        Raises:
            MedallionError: something that a query needs is missing.
            LockHeld: one of the queries is already running.
            Refused: starting one of them would write wrong tables.
        """
        made = {stream.claim.target_path for stream in streams}
        for stream in streams:
            stream.preflight(made)
            self._refuse_unbuilt_source(stream.claim, made)
        with ExitStack() as held:
            running = [self._admit(stream, held) for stream in streams]
            try:
                yield running
            finally:
                for query in running:
                    query.release_query()

    def _refuse_unbuilt_source(self, claim: Claim, made: Collection[Location]) -> None:
        """Refuses to read a table that was reset and that no run has started to rebuild."""
        if claim.reads is None or claim.source_path in made:
            return
        source = TablePaths(claim.paths.config, claim.reads)
        upstream = manifest.read(QueryFolder.of(source))
        if upstream and upstream.current.number > 1 and upstream.current.binding is None:
            raise Refused(
                f"{claim.ref} was not started: its source {claim.reads} was reset and has not "
                "run since",
                code="source_was_reset",
                untouched="no table, no checkpoint",
                next_step=f"run {claim.reads} first, or all layers: `medallion run`",
            )

    def _admit(self, stream: Stream, held: ExitStack) -> Running:
        claim = stream.claim
        query_folder = claim.query_folder
        lock = held.enter_context(Lock(query_folder.lock, str(claim.paths)))
        query_folder.stop.unlink(missing_ok=True)
        if lock.took_over:
            self._note(claim.ref, "took over from a run that died", lock.took_over["since"])
        start_point = checkpoint.check(claim)
        for leftover in start_point.repaired:
            self._note(claim.ref, "removed leftovers of an interrupted first batch", leftover)
        if start_point.changed:
            self._note(claim.ref, "new logic from this run on", ", ".join(start_point.changed))
        log = BatchTable(claim.paths.metrics)
        return Running(stream, query_folder, start_point, lock, log)

    def run_once(self, running: Sequence[Running], spark: SparkSession) -> None:
        """Runs all available data through the queries, one after the other.

        Raises:
            MedallionError: a query failed; the queries after it were not started.
        """
        self._note_jvm(running, spark)
        with self._stopping_at_the_end(running):
            for query in running:
                if self._stop.is_flipped:
                    break
                started = time.monotonic()
                self._start(query, spark, _available_now)
                while self._keeps_running(query, spark, _available_now):
                    self._watch(running)
                self._finish(query)
                if not query.was_stopped:
                    self._emit(
                        Note(str(query.ref), "done", {"seconds": time.monotonic() - started})
                    )
                    query.is_done = True

    def run_continuously(
        self, running: Sequence[Running], spark: SparkSession, interval: float
    ) -> None:
        """Runs all queries in parallel until a stop, or until one fails.

        Raises:
            MedallionError: a query failed; the others have finished their batch.
        """
        self._note_jvm(running, spark)

        trigger = _following(running, interval)
        with self._stopping_at_the_end(running):
            for query in running:
                self._start(query, spark, trigger)
            due = time.monotonic() + interval
            while not self._stop.is_flipped and all(
                self._keeps_running(query, spark, trigger) for query in running
            ):
                self._watch(running)
                if time.monotonic() >= due and not self._stop.is_flipped:
                    due = time.monotonic() + interval
                    for query in running:
                        self._poll(query)
        for query in running:
            self._finish(query)

    @contextmanager
    def _stopping_at_the_end(self, running: Sequence[Running]) -> Iterator[None]:
        """Stops all queries when the block ends, however it ends: none outlives its lock."""
        try:
            yield
        except BaseException:
            self._stop.flip("the run failed")
            raise
        finally:
            for query in running:
                if query.failure and not self._stop.is_flipped:
                    error = query.explain(query.failure)
                    self._emit(TableFailed.of(str(query.ref), error))
                    self._stop.flip(f"{query.ref} failed")
            self._stop_all(running)

    def _note_jvm(self, running: Sequence[Running], spark: SparkSession) -> None:
        jvm = spark.sparkContext._jvm  # pyspark has no public way to the pid
        assert jvm is not None  # only Connect has none, and that is refused before
        pid = int(jvm.java.lang.ProcessHandle.current().pid())
        for query in running:
            query.lock.note_jvm(pid)

    def _keeps_running(self, query: Running, spark: SparkSession, trigger: Trigger) -> bool:
        """Whether the query runs; restarts it if the columns of its source have changed.

        Raises:
            MedallionError: it could not be restarted, or the start checks refuse it.
        """
        change = None if query.is_active or self._stop.is_flipped else query.schema_change
        if change is None:
            return query.is_active
        query.prepare_restart(change)
        # The result of the first check is outdated: the generation is bound now, and it has
        # written batches.
        query.start_point = checkpoint.check(query.stream.claim)
        self._start(query, spark, trigger)
        facts = {"source": query.stream.claim.source, "columns": ", ".join(change.fields)}
        self._emit(Note(str(query.ref), "restarted with new columns", facts))
        return True

    def _start(self, query: Running, spark: SparkSession, trigger: Trigger) -> None:
        try:
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

    def _poll(self, query: Running) -> None:
        try:
            self._discover(query)
        except Exception as failure:
            raise query.explain(failure) from failure

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
            source=claim.source, source_id=source, target_id=target.id, logic=claim.logic
        )
        if (
            query.start_point.manifest.current.binding != binding
            or not query.query_folder.manifest.exists()
        ):
            manifest.write(query.query_folder, query.start_point.manifest.binding(binding))

    def _write(self, query: Running, df: DataFrame, number: int) -> None:
        """The function that Spark calls for each micro-batch."""
        try:
            if self._stop.is_flipped:
                raise StoppedBetweenBatchesError
            query.lock.confirm()
            started = time.monotonic()
            start_point = query.start_point
            batch = Batch(
                txn=Txn(start_point.checkpoint.app_id, number, self._run_id),
                generation=start_point.generation,
                already_written=number <= start_point.last_written,
            )
            written = query.stream.write(df, batch)
            loaded = _load_sinks(query.stream, df.sparkSession)
            written = replace(written, remarks=(*written.remarks, *loaded))
            if not batch.already_written:
                query.has_written()
            done = query.batch_done(batch, written, time.monotonic() - started)
            # Before Spark commits the batch, so that its row is written exactly once.
            query.log.append(done, batch.generation, self._run_id)
        except BaseException as failure:
            query.raised = failure
            # Spark writes the text of the exception and of its causes to logs that are kept.
            shown = without_secrets(failure)
            if shown is failure:
                raise
            raise shown from None
        self._emit(done)

    def _watch(self, running: Sequence[Running]) -> None:
        """Checks for a stop request, stops the queries if there is one, and waits a moment."""
        if time.monotonic() >= self._next_check and not self._stop.is_flipped:
            started = time.monotonic()
            asked = next((query for query in running if query.query_folder.stop.is_file()), None)
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
        if query.failure:
            raise query.explain(query.failure) from query.failure

    def _note(self, ref: TableRef, what: str, about: object) -> None:
        self._emit(Note(str(ref), what, {"about": str(about)}))


def _available_now(writer: DataStreamWriter, query: Running) -> DataStreamWriter:  # noqa: ARG001
    return writer.trigger(availableNow=True)


def _following(running: Sequence[Running], interval: float) -> Trigger:
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
