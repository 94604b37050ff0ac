"""The autoloader: the query that loads a source's files into a table, by its policies.

discovery -> ledger -> chunks -> records -> rows, rescued values, quarantined records
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import TYPE_CHECKING

from pyspark.sql.types import StructType

from medallion_jobs.autoloader.admission import Admission, chunks
from medallion_jobs.autoloader.archive import neighbours
from medallion_jobs.autoloader.archive.cleanup import Cleaner
from medallion_jobs.autoloader.archive.cleanup import check as check_cleaning
from medallion_jobs.autoloader.archive.registrations import Reader, register
from medallion_jobs.autoloader.discovery.discovery import Discovery, Scan
from medallion_jobs.autoloader.discovery.stores import is_local_path, store_for
from medallion_jobs.autoloader.file_entry import FileEntry, is_local, to_path
from medallion_jobs.autoloader.ledger.ledger import Chunk, Ledger
from medallion_jobs.autoloader.ledger.tables import State
from medallion_jobs.autoloader.loading.account import NOTHING_OLDER, Older
from medallion_jobs.autoloader.loading.bad_records import BadRecords
from medallion_jobs.autoloader.loading.file_status import FileStatus
from medallion_jobs.autoloader.loading.load import BatchLoad
from medallion_jobs.autoloader.loading.set_aside import LoadedBatch
from medallion_jobs.autoloader.loading.sinks import DeltaSink, EachBatch, FunctionSink, Sink
from medallion_jobs.autoloader.loading.summary import written_of
from medallion_jobs.autoloader.schemas.columns import BronzeColumns
from medallion_jobs.autoloader.schemas.registry import Registry
from medallion_jobs.checkpoint import Checkpoint, Claim, Logic
from medallion_jobs.checkpoint.logic import as_texts
from medallion_jobs.checkpoint.offsets import DeltaOffsets
from medallion_jobs.config import FileSource, Layout, Pipeline, TableRef
from medallion_jobs.engine import session, stream
from medallion_jobs.engine.stream import Batch, Start, Written
from medallion_jobs.errors import DataError
from medallion_jobs.lake import tables
from medallion_jobs.lake.paths import LIVE, TablePaths
from medallion_jobs.observe.set_aside import SetAside
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# The keys that a row of bronze depends on, and `path`, which is the name of the source.
_READ_BY = {
    *("path", "format", "schema_", "schema_hints", "schema_evolution", "options"),
    *("partition_columns", "add_columns"),
}
# Finding files to clean reads the whole ledger, so it does not run at each trigger.
_CLEANS_EACH_SECONDS = 600.0


@dataclass(frozen=True)
class LedgerOffsets(DeltaOffsets):
    """The offsets of a query that streams a ledger.

    Attributes:
        files: returns the paths of the files of its newest batch.
    """

    files: Callable[[], Sequence[str]] = tuple

    def takes(self, checkpoint: Checkpoint, batch: int) -> Sequence[str]:  # noqa: ARG002
        return self.files()


@dataclass
class AutoLoader:
    """A stream (`engine.stream.Stream`) from files to a bronze table, or to a function.

    Attributes:
        written_to: the Delta table in which the start checks look up what was written.
        layout: the layout of that table; None if this query does not maintain it.
        slot: the slot of all that it writes. The files are those of the live table.
    """

    config: Pipeline
    name: str
    sink: Sink
    written_to: Location
    output_mode = "append"
    layout: Layout | None = None
    slot: str = LIVE
    _spark: SparkSession | None = None
    _columns: BronzeColumns | None = None
    _older: Older = NOTHING_OLDER
    _listing_seconds: float | None = None
    _is_first_look: bool = True
    _knows_schema_fits: bool = False
    _cleans_at: float = 0.0  # by the monotonic clock
    _complaints: frozenset[str] = frozenset()
    # Paths of the files of the newest batch.
    _reading: tuple[str, ...] = ()

    @classmethod
    def to_table(cls, config: Pipeline, name: str, slot: str = LIVE) -> AutoLoader:
        """The query that fills a bronze table."""
        ref, source = TableRef("bronze", name), config.file_sources[name]
        layout = config.layout_of(ref)
        table = TablePaths(config, ref, slot)
        sink = DeltaSink(
            name=str(ref),
            path=table.data,
            ref=ref,
            comment=f"Files of {', '.join(config.landing_paths(name))} as they came",
            keeps_versions=source.keeps_versions,
            replaces=source.on_changed_file == "reprocess",
            widens=source.widens,
            layout=layout,
            in_catalog=table.is_live,
        )
        return cls(config, name, sink, table.data, layout=layout, slot=slot)

    @classmethod
    def to_function(
        cls, config: Pipeline, name: str, call: EachBatch, slot: str = LIVE
    ) -> AutoLoader:
        """The query that hands each batch's rows to a function."""
        sink = FunctionSink(f"bronze.{name}", call, config.file_sources[name].keeps_versions)
        # The ledger records a batch only after the function has taken it.
        table = TablePaths(config, TableRef("bronze", name), slot)
        return cls(config, name, sink, table.events, slot=slot)

    @property
    def ref(self) -> TableRef:
        return TableRef("bronze", self.name)

    @cached_property
    def paths(self) -> TablePaths:
        return TablePaths(self.config, self.ref, self.slot)

    @cached_property
    def source(self) -> FileSource:
        return self.config.file_sources[self.name]

    @cached_property
    def roots(self) -> tuple[str, ...]:
        return self.config.landing_paths(self.name)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.paths.ledger)

    @cached_property
    def discovery(self) -> Discovery:
        return Discovery(self.roots, self.source, self.ledger.folder, self._session)

    @cached_property
    def cleaner(self) -> Cleaner:
        return Cleaner(self.config, self.name, self.ledger)

    @cached_property
    def _admission(self) -> Admission:
        return Admission(self._admit)

    @property
    def claim(self) -> Claim:
        source, name = self.source, f"files of {', '.join(self.roots)}"
        return Claim(
            pipeline=self.config.pipeline,
            paths=self.paths,
            target_path=self.written_to,
            source=name,
            source_path=self.ledger.discovered,
            other_offsets=LedgerOffsets(self.ledger.discovered, name, files=lambda: self._reading),
            logic=Logic(
                names_all=True,
                free={
                    "format": source.format,
                    "schema": source.schema_ or "inferred",
                    "schema_hints": source.schema_hints or "",
                    "schema_evolution": source.evolution,
                    "options": repr(dict(source.options)),
                    "partition_columns": ", ".join(source.partition_columns or ()),
                    "add_columns": ", ".join(source.add_columns),
                },
                settings=as_texts(
                    {
                        **source.model_dump(mode="json", exclude_defaults=True, exclude=_READ_BY),
                        "layout": self.config.layout_of(self.ref),
                    }
                ),
            ),
        )

    def preflight(self, made: Collection[Location]) -> None:  # noqa: ARG002 (it reads files)
        # Other file systems need a session, and are checked once there is one.
        if all(map(is_local_path, self.roots)):
            self.discovery.check()
        check_cleaning(self.config, self.name)

    def prepare(self, spark: SparkSession, start: Start) -> None:
        self._spark = spark
        self.ledger.ensure()
        registry = Registry(self.paths.schemas)
        registry.settle(self.sink.columns())
        self._columns = BronzeColumns(
            spark, self.source, registry, start.generation, self.sink.has_versions
        )
        known = self._columns.declared_or_recorded()
        if known is not None:
            # Before anything is recorded: a refused schema must not stop the old config.
            self.sink.check(spark, self._columns.table_of(known))
        self._columns.begin(self._sample() if self._columns.wants_sample else [])
        self.sink.prepare(spark, self._columns.of_table)
        self._columns.record()
        if start.generation > 1:
            committed = self.ledger.committed()
            self._older = Older.of(
                rows=self.sink.counts_of_all(spark, committed),
                lines=self._quarantine.of_last_reading(spark),
                committed=committed,
                archived=frozenset(f.key for f in self.ledger.in_state(State.ARCHIVED)),
            )

    def check_folders(self, spark: SparkSession) -> None:
        """Raises UsageError if no landing folder exists."""
        self._spark = spark
        self.discovery.check()

    def columns_to_infer(self, spark: SparkSession) -> StructType | None:
        """All columns of the table as a first run would infer them now; writes nothing.

        Returns:
            None if there are no files, or none that can be read.
        """
        self._spark = spark
        # Nothing is loaded, so young files count as they are.
        looked_at = self.source.model_copy(update={"min_age": timedelta(0)})
        found = Discovery(self.roots, looked_at, self.ledger.folder, self._session)
        registry = Registry(self.paths.schemas)
        columns = BronzeColumns(
            spark, self.source, registry, has_versions=self.source.keeps_versions
        )
        sample = self._first_of(found.scan(patience=False, everything=True))
        inferred = columns.of_sample(sample) if sample else StructType()
        return columns.table_of(inferred) if inferred.fields else None

    @property
    def sinks(self) -> Sequence[stream.Sink]:
        return ()

    def discover(self) -> Sequence[str]:
        """Lists the source, and admits new files once the query is ready for them.

        Returns:
            Remarks for the user.
        """
        about_readers = self._register() if self._is_first_look else ()
        scan = self.discovery.scan(patience=self._is_first_look)
        self._is_first_look = False
        self._listing_seconds = scan.seconds
        self._refuse_changed(scan)
        self._admission.offer(scan)
        return [*about_readers, *self._new_complaints(scan.complaints), *self._cleaned()]

    def _admit(self, scan: Scan) -> list[FileEntry]:
        """Writes the files of a listing that are to be read to the ledger, and returns them."""
        new, again = self._to_read(scan)
        self._refuse_impossible(new, again)
        for chunk in self._chunks(new):
            self.ledger.admit(chunk)
        for chunk in self._chunks(again):
            self.ledger.admit(chunk, attempt=2)
        return [*new, *again]

    def _new_complaints(self, complaints: Sequence[str]) -> list[str]:
        """Leaves out those of the previous listing, which is repeated until it is admitted."""
        new = [complaint for complaint in complaints if complaint not in self._complaints]
        self._complaints = frozenset(complaints)
        return new

    def _cleaned(self) -> Sequence[str]:
        """Cleans the source when that is due; returns remarks for the user."""
        # Files are there once, for every slot: only the live table's query removes them.
        if not self.paths.is_live or time.monotonic() < self._cleans_at:
            return ()
        cleaned = self.cleaner.clean(datetime.now(timezone.utc))
        if not cleaned.waiting:
            self._cleans_at = time.monotonic() + _CLEANS_EACH_SECONDS
        return cleaned.remarks

    def read(self, spark: SparkSession) -> DataFrame:
        # One data file of the ledger is one chunk, and one chunk is one batch.
        listed = spark.readStream.format("delta").option("maxFilesPerTrigger", 1)
        return listed.load(str(self.ledger.discovered))

    def write(self, df: DataFrame, batch: Batch) -> Written:
        chunk = Chunk.of(df)
        self._reading = tuple(to_path(file.path) for file in chunk.files)
        with self._admission.batch(chunk.files) as recorded:
            return self._write(df.sparkSession, chunk, batch, recorded)

    def _write(
        self, spark: SparkSession, chunk: Chunk, batch: Batch, recorded: Callable[[], None]
    ) -> Written:
        self.discovery.check()
        load = BatchLoad(
            spark=spark,
            columns=self._batch_columns(spark),
            sink=self.sink,
            quarantine=self._quarantine,
            file_status=FileStatus(
                look=self._look,
                is_superseded=self.ledger.is_superseded,
                missing_fails=self.source.on_missing_file == "fail",
            ),
            txn=batch.txn,
            generation=batch.generation,
            already_written=batch.already_written,
            older=self._older,
            fails_if_mostly_bad=self.config.on_all_aside_of(self.ref) == "fail",
        )
        outcomes = load.run(self._to_load(chunk, batch))
        self.ledger.record(outcomes, batch.txn, batch.generation)
        recorded()
        remarks = [*load.remarks, *self._optimized(spark)]
        written = written_of(outcomes, remarks, self.ledger.waiting(), self._listing_seconds)
        return replace(written, set_aside=self._set_aside(load.seen(outcomes), written))

    def _set_aside(self, batch: LoadedBatch, written: Written) -> SetAside | None:
        """Describes a batch of which most did not get into bronze as expected; else None."""
        table = self.sink.path if isinstance(self.sink, DeltaSink) else None
        # Whether the schema fits is checked once a run: rescued data may be normal here.
        if self._knows_schema_fits and not written.quarantined:
            table = None
        self._knows_schema_fits = True
        return batch.in_tables(table, self._quarantine.path)

    def _optimized(self, spark: SparkSession) -> Sequence[str]:
        remark = self.layout and tables.optimize_if_due(spark, self.written_to, self.layout)
        return (remark,) if remark else ()

    def _to_read(self, scan: Scan) -> tuple[list[FileEntry], list[FileEntry]]:
        """The files of a listing to read, by the source's policies: first time, and again."""
        if not self.source.include_existing_files and not self.ledger.has_started:
            self.ledger.note(scan.files, State.SKIPPED, "existed before the first run")
        self.ledger.mark_started()
        compared = self.ledger.compare(scan.files)
        if self.source.on_changed_file == "ignore":
            return compared.new, compared.again
        return [*compared.new, *compared.changed], compared.again

    def _refuse_changed(self, scan: Scan) -> None:
        """Raises DataError if a file that was read has changed and the source forbids it."""
        if self.source.on_changed_file != "fail":
            return
        changed = self.ledger.compare(scan.files).changed
        if changed:
            raise DataError(
                f"{self.ref}: a file has changed since it was read: "
                + ", ".join(to_path(file.path) for file in changed[:3]),
                code="file_changed",
                untouched="the table; no new file was taken",
                next_step="restore the file, land the new content under another name, or "
                "set on_changed_file: reprocess, version or ignore",
            )

    def _refuse_impossible(self, *files: Sequence[FileEntry]) -> None:
        """Raises UsageError if the JVM cannot open a file because of its name."""
        # Otherwise such a file would look like one that does not exist.
        names = (to_path(file.path) for some in files for file in some if is_local(file.path))
        session.refuse_names(names, untouched="the table; no new file was taken")

    def _chunks(self, files: Sequence[FileEntry]) -> Iterator[list[FileEntry]]:
        source = self.source
        return chunks(files, source.max_files_per_trigger, source.max_bytes_per_trigger)

    def _to_load(self, chunk: Chunk, batch: Batch) -> list[FileEntry]:
        """The files of a batch, without those that an earlier batch has loaded.

        A file may be admitted twice: because it has changed, and by `medallion files retry`.
        """
        loaded = self.ledger.loaded_in(batch.generation, chunk.again)
        if loaded and batch.already_written:
            loaded -= self.sink.written(batch.txn).keys()
        return [file for file in chunk.files if file.key not in loaded]

    def _sample(self) -> list[FileEntry]:
        """The oldest files, as many as the source's limits for schema inference allow."""
        return self._first_of(self.discovery.scan(patience=True, everything=True))

    def _first_of(self, scan: Scan) -> list[FileEntry]:
        first = chunks(scan.files, self.source.inference_files, self.source.inference_bytes)
        return next(first, [])

    def _batch_columns(self, spark: SparkSession) -> BronzeColumns:
        """The columns, bound to the session that Spark passes to a query's batches."""
        if self._columns is None:
            raise AssertionError("a query is prepared before its first batch")
        self._columns.spark = spark
        return self._columns

    def _look(self, file: FileEntry) -> FileEntry | None:
        # In a remote store, a round trip per file would take longer than reading the files.
        # There, a missing file is noticed when it cannot be read.
        return store_for(file.path, self._session).stat(file.path) if is_local(file.path) else file

    def _session(self) -> SparkSession:
        if self._spark is None:
            raise AssertionError("a query is prepared before it looks for files")
        return self._spark

    @cached_property
    def _quarantine(self) -> BadRecords:
        return BadRecords(self.paths.quarantine, str(self.ref))

    def _register(self) -> Sequence[str]:
        """Registers as a reader of the landing folders, if the config says so.

        Returns:
            Remarks on what could not be done, and on old registrations.
        """
        if not self.source.registers:
            return neighbours.withdraw(self.paths)
        me, store = Reader.of(self.paths), self.config.store
        return [remark for root in self.roots if (remark := register(root, me, store))]
