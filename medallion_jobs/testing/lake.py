"""A pipeline in a test's own folder: drop files, run it, crash it, resume it, read its tables.

    lake = LakeHarness.of("conf/sales.yaml", tmp_path)
    lake.drop("sales", "1.json", {"order_id": "o-1", "quantity": 2})
    lake.run("bronze")
    assert lake.rows("bronze.sales")[0]["quantity"] == 2

The jobs run in this process, on one Spark session for all tests, as `medallion run` runs them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import write_deltalake

from medallion_jobs.checkpoint import Claim
from medallion_jobs.config import LAYERS, Pipeline, TableRef, load
from medallion_jobs.engine import runner
from medallion_jobs.engine.query import StopSwitch
from medallion_jobs.engine.stream import Batch, Sink, Start, Stream, Written
from medallion_jobs.errors import MedallionError, UsageError
from medallion_jobs.lake import tables
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.observe.events import BatchDone, Event
from medallion_jobs.report.lake_views import connect, scan
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import open_delta

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Record = Mapping[str, Any] | str | bytes

# A file that is younger than `min_age` may still be written, and the first look waits for it.
_AGE_SECONDS = 3600.0


@dataclass
class LakeHarness:
    """A pipeline whose lake and landing folder belong to one test.

    Attributes:
        config: the pipeline, with the test's `storage.root` and `landing.root`.
        events: what the last run reported, in order: batches, notes, failed tables and warnings.
    """

    config: Pipeline
    events: list[Event] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        config_file: str | PathLike[str],
        folder: str | PathLike[str],
        *settings: str,
        env: str | None = None,
    ) -> LakeHarness:
        """A pipeline's file, with its lake in `FOLDER/lake` and its files in `FOLDER/landing`.

        Args:
            config_file: as `medallion run --config` takes it.
            folder: the test's own, such as pytest's `tmp_path`.
            settings: changes of the config, as `--set` takes them: `DOTTED.PATH=VALUE`.
            env: the overlay, as `--env` takes it.

        Raises:
            ConfigError: the config has mistakes.
        """
        own = [
            f"storage.root={Path(folder) / 'lake'}",
            f"landing.root={Path(folder) / 'landing'}",
            "spark.shuffle_partitions=1",
        ]
        config = load(Path(config_file), env, [*own, *settings]).pipeline
        for name, source in config.file_sources.items():
            if not source.path:  # it is below `landing.root`, and a run demands it
                (Path(folder) / "landing" / name).mkdir(parents=True, exist_ok=True)
        return cls(config)

    # What goes in

    def drop(self, table: str, name: str, *records: Record, age: float = _AGE_SECONDS) -> Path:
        """Lands a file for a bronze table, at once as a whole.

        Args:
            table: the bronze table's name, without the layer.
            name: the file's name, or a path below the table's landing folder.
            records: its lines: a mapping becomes one line of JSON, text and bytes stay as they
                are; bytes get no line end.
            age: seconds since the file's last change; older files are read first.

        Raises:
            UsageError: the pipeline has no such bronze table, or it does not read a folder of
                this machine.
        """
        self._paths(f"bronze.{table}")
        if table not in self.config.file_sources:
            raise UsageError(
                f"bronze.{table} reads Kafka topics, and a test drops files",
                code="drops_no_messages",
                untouched="nothing was written",
                next_step="send its messages to a cluster of the test's own",
            )
        folder = self.config.landing_path(table)
        if not isinstance(folder, Path):
            raise UsageError(
                f"bronze.{table} reads {folder}, and a test drops files on this machine",
                code="landing_not_local",
                untouched="nothing was written",
                next_step=f"give the test a folder: bronze.{table}.source.path=…",
            )
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name that starts with a dot is no file of the source, so no look finds half of it.
        draft = path.with_name(f".{path.name}.draft")
        draft.write_bytes(b"".join(map(_line, records)))
        changed = time.time() - age
        os.utime(draft, (changed, changed))
        return draft.rename(path)

    def write_table(self, table: str, *rows: Mapping[str, Any]) -> None:
        """Adds rows to a Delta table that the pipeline reads and does not write: a dimension.

        Args:
            table: as `silver.customers`.
            rows: with the columns and the Python types that the table is to have.

        Raises:
            UsageError: the pipeline writes this table itself, or the name is no table's.
        """
        try:
            ref = TableRef.parse(table)
        except ValueError:
            ref = None
        if ref is None or ref.name in getattr(self.config, ref.layer):
            why = "is no name of a table" if ref is None else "is written by the pipeline itself"
            raise UsageError(
                f"{table} {why}",
                code="table_not_for_tests",
                untouched="nothing was written",
                next_step="name a table that the pipeline only reads, or drop files for it",
            )
        path = TablePaths(self.config, ref).data
        write_deltalake(str(path), pa.Table.from_pylist([dict(row) for row in rows]), mode="append")

    # What is done

    def run(self, *layers: str) -> list[BatchDone]:
        """Runs layers, all unless named, until everything that has landed is read.

        Args:
            layers: names of layers, or of single tables, as `silver.sales`.

        Returns:
            The batches, in order.

        Raises:
            MedallionError: a query was refused, or failed.
        """
        return self._run(self._streams(layers))

    def crash_after(self, table: str, batch: int = 0, *layers: str) -> list[BatchDone]:
        """Runs layers until `kill -9` would hit: a table has its batch, and Spark does not know.

        The next `run` does the batch again, and must change nothing.

        Args:
            table: the table whose query crashes, as `silver.sales`.
            batch: the number of the batch after whose commit it crashes.
            layers: all, unless named.

        Returns:
            The batches that were done before.

        Raises:
            AssertionError: the table had no such batch in this run.
            MedallionError: a query was refused, or failed of something else.
        """
        ref, stop = self._paths(table).ref, StopSwitch()
        streams = [
            _Crashing(stream, batch, stop) if stream.claim.ref == ref else stream
            for stream in self._streams(layers)
        ]
        try:
            self._run(streams, stop)
        except MedallionError as error:
            if not isinstance(error.__cause__, _CrashError):
                raise
            return self.batches()
        raise AssertionError(f"{table} had no batch {batch} in this run")

    def batches(self, table: str | None = None) -> list[BatchDone]:
        """The batches of the last run: all, or those of one table, as `silver.sales`."""
        done = [event for event in self.events if isinstance(event, BatchDone)]
        return [batch for batch in done if table in (None, batch.table)]

    # What comes out

    def rows(self, table: str, version: int | None = None) -> list[dict[str, Any]]:
        """The rows of a table, as `gold.sales_by_region_day`, read without Spark.

        Args:
            version: of the Delta table; the newest unless given.
        """
        return _rows(self._paths(table).data, version)

    def quarantined(self, table: str) -> list[dict[str, Any]]:
        """The rows in a table's quarantine: what they are, and why they are there."""
        return _rows(self._paths(table).quarantine)

    def held(self, table: str) -> list[dict[str, Any]]:
        """The rows of a silver table that have waited for a key of a dimension."""
        return _rows(self._paths(table).held)

    def _run(self, streams: Sequence[Stream], stop: StopSwitch | None = None) -> list[BatchDone]:
        self.events = []
        runner.run(self.config, streams, self.events.append, stop=stop)
        return self.batches()

    def _streams(self, layers: Iterable[str]) -> list[Stream]:
        from medallion_jobs import bronze, gold, silver  # noqa: PLC0415 (imports pyspark)

        jobs = {"bronze": bronze, "silver": silver, "gold": gold}
        chosen = tuple(layers) or LAYERS
        for name in set(chosen) - set(LAYERS):
            self._paths(name)  # refuses one that the pipeline does not have
        return [
            stream
            for layer, job in jobs.items()
            for stream in job.streams(self.config)
            if layer in chosen or str(stream.claim.ref) in chosen
        ]

    def _paths(self, name: str) -> TablePaths:
        """A table that the pipeline writes, or that a test wrote for it."""
        with suppress(ValueError):
            table = TablePaths(self.config, TableRef.parse(name))
            is_written = table.ref.name in getattr(self.config, table.ref.layer)
            if is_written or tables.snapshot(table.data):
                return table
        known = [f"{layer}.{table}" for layer in LAYERS for table in getattr(self.config, layer)]
        raise UsageError(
            f"the pipeline has no table {name}",
            code="unknown_table",
            untouched="nothing was run or written",
            next_step=f"take one of these: {', '.join(known)}",
        )


class _CrashError(Exception):
    """Stands for `kill -9`."""


@dataclass
class _Crashing:
    """A stream that dies after the commit of one batch, and the other queries with it."""

    stream: Stream
    batch: int
    stop: StopSwitch

    @property
    def claim(self) -> Claim:
        return self.stream.claim

    @property
    def output_mode(self) -> str:
        return self.stream.output_mode

    def preflight(self, made: Collection[Location]) -> None:
        self.stream.preflight(made)

    def prepare(self, spark: SparkSession, start: Start) -> None:
        self.stream.prepare(spark, start)

    @property
    def sinks(self) -> Sequence[Sink]:
        return self.stream.sinks

    def discover(self) -> Sequence[str]:
        return self.stream.discover()

    def read(self, spark: SparkSession) -> DataFrame:
        return self.stream.read(spark)

    def write(self, df: DataFrame, batch: Batch) -> Written:
        written = self.stream.write(df, batch)
        if batch.number == self.batch:
            self.stop.flip("a crash")
            raise _CrashError
        return written


def _line(record: Record) -> bytes:
    if isinstance(record, bytes):
        return record
    text = record if isinstance(record, str) else json.dumps(record, default=str)
    return text.encode() + b"\n"


def _rows(path: Location, version: int | None = None) -> list[dict[str, Any]]:
    found = tables.snapshot(path, version)
    if found is None:
        return []
    if found.has_deletion_vectors:  # delta-rs does not read them
        with connect(path.parent) as duck:
            scanned = duck.execute(f"SELECT * FROM {scan(path, version)}")  # noqa: S608 (quoted)
            return list(scanned.to_arrow_table().to_pylist())
    rows: list[dict[str, Any]] = open_delta(path, version=version).to_pyarrow_table().to_pylist()
    return rows
