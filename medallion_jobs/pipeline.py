"""A pipeline from Python: for notebooks, for schedulers, and for code of your own.

    from medallion_jobs.pipeline import Pipeline

    sales = Pipeline.load("conf/sales.yaml")
    sales.run()
    sales.tables["gold.sales_by_region_day"].to_arrow()

It does what the commands of the same names do, and raises the errors that they print.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from medallion_jobs import bronze, gold, silver, validation
from medallion_jobs import config as configs
from medallion_jobs.config import LAYERS, Loaded, Selection, project
from medallion_jobs.engine import runner, session
from medallion_jobs.errors import Refused, UsageError
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.observe.events import BatchDone, Event
from medallion_jobs.plan import Plan, plan, refusals
from medallion_jobs.report import saved_queries
from medallion_jobs.runs import recorded
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import open_delta

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from medallion_jobs.engine.query import StopSwitch
    from medallion_jobs.engine.stream import Stream


@dataclass(frozen=True)
class Table:
    """A table of a pipeline.

    Attributes:
        name: with its layer, such as `gold.sales_by_region_day`.
        path: where it is, or will be.
    """

    name: str
    path: Location

    @property
    def exists(self) -> bool:
        """Whether it was ever written."""
        return snapshot(self.path) is not None

    def read(self, spark: SparkSession, version: int | None = None) -> DataFrame:
        """Its rows, as Spark reads them.

        Args:
            spark: a session with Delta Lake.
            version: an older version of the table; None for the newest.

        Raises:
            UsageError: it was never written.
        """
        self._require()
        rows = spark.read.format("delta")
        if version is not None:
            rows = rows.option("versionAsOf", version)
        return rows.load(str(self.path))

    def to_arrow(self, version: int | None = None) -> pa.Table:
        """Its rows, read without Spark; `.to_pandas()` and Polars take them.

        Args:
            version: an older version of the table; None for the newest.

        Raises:
            UsageError: it was never written.
        """
        self._require()
        return open_delta(self.path, version).to_pyarrow_table()

    def _require(self) -> None:
        if not self.exists:
            raise UsageError(
                f"{self.name} was never written",
                code="table_never_written",
                next_step="run the pipeline first: `medallion run`",
            )


@dataclass(frozen=True)
class Run:
    """What a run did.

    Attributes:
        id: its id; `medallion runs show ID` shows its record.
        events: what it reported, in order: batches, notes and warnings.
    """

    id: str
    events: tuple[Event, ...]

    @property
    def batches(self) -> list[BatchDone]:
        """The batches that were written."""
        return [event for event in self.events if isinstance(event, BatchDone)]

    @property
    def rows(self) -> dict[str, int]:
        """Rows written, by the name of the table."""
        written: dict[str, int] = {}
        for batch in self.batches:
            written[batch.table] = written.get(batch.table, 0) + batch.rows_out
        return written


@dataclass(frozen=True)
class Pipeline:
    """A pipeline, as its config describes it.

    Attributes:
        file, env, overrides: what the config was loaded from.
        loaded: the config, with where each value was set.
    """

    file: Path
    env: str | None
    overrides: tuple[str, ...]
    loaded: Loaded

    @classmethod
    def load(
        cls,
        file: str | PathLike[str] | None = None,
        env: str | None = None,
        overrides: Sequence[str] | Mapping[str, object] = (),
    ) -> Pipeline:
        """Reads a config, as `--config`, `--env` and `--set` do.

        Args:
            file: the pipeline's YAML file; None for that of the project in which the current
                folder is, as commands find it.
            overrides: values by dotted path, such as `{"storage.root": "/data/lake"}`, or texts
                as `--set` takes them.

        Raises:
            ConfigError: with every mistake, each with its file and line.
            UsageError: no file is named, and there is no project, or it has several configs.
        """
        if isinstance(overrides, Mapping):
            texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in overrides.items()}
            overrides = [f"{path}={text}" for path, text in texts.items()]
        given = (project.find() if file is None else Path(file), env, tuple(overrides))
        return cls(*given, configs.load(*given, loads_sinks=False))

    @property
    def config(self) -> configs.Pipeline:
        """The typed config."""
        return self.loaded.pipeline

    @property
    def tables(self) -> dict[str, Table]:
        """The tables that it writes, by name, layer by layer."""
        refs = paths.sources(self.config)
        return {str(ref): Table(str(ref), TablePaths(self.config, ref).data) for ref in refs}

    def validate(self, spark: SparkSession | None = None) -> dict[str, StructType]:
        """Checks every SQL expression, and what a run would refuse; writes nothing.

        Args:
            spark: a session with Delta Lake; one is made if None.

        Returns:
            The columns of each table, as far as they are known before the first files are read.

        Raises:
            ConfigError: with every mistake in the config.
            Refused: the config has no mistake, and a run would be refused; with the reasons.
        """
        planned = self.plan()
        own = session.beside(spark) if spark else session.build(self.config, short=True)
        again = "fix them, then call `validate()` of the config, loaded again"
        schemas = validation.check(own, self.loaded, next_step=again)
        saved_queries.check(self.loaded, {ref: s.json() for ref, s in schemas.items()}, again)
        reasons = [] if planned.is_first else [r.what for t in planned.tables for r in t.refusals]
        reasons += [error.what for error in refusals.by_types(self.config, schemas)]
        if reasons:
            raise Refused(
                f"a run of {self.file} would be refused:\n  " + "\n  ".join(reasons),
                code="run_would_be_refused",
                untouched="nothing was started or written",
                next_step="change the config, or what is there: `medallion plan` shows all "
                "tables, and the commands",
            )
        return {str(ref): schema for ref, schema in schemas.items()}

    def plan(self, *, select: Sequence[str] = (), exclude: Sequence[str] = ()) -> Plan:
        """What a run would do with the tables after a change of the config. Starts no JVM.

        Args:
            select, exclude: tables, as `--select` and `--exclude` take them.
        """
        found, selection = plan(self.config), Selection(tuple(select), tuple(exclude))
        return found.only(selection.of(self.config)) if selection else found

    def run(
        self,
        *layers: str,
        spark: SparkSession | None = None,
        select: Sequence[str] = (),
        exclude: Sequence[str] = (),
        once: bool = True,
        emit: Callable[[Event], None] | None = None,
        stop: StopSwitch | None = None,
    ) -> Run:
        """Runs the pipeline, or a part of it, and leaves a record as `medallion run` does.

        Args:
            layers: `bronze`, `silver` or `gold`; all, if none is named.
            spark: a session with Delta Lake, such as a notebook's. Its settings stay as they
                are. One is made by the config if None, and SIGTERM and Ctrl-C then end the run
                after the batch.
            select, exclude: tables, as `--select` and `--exclude` take them.
            once: read what is there, then end; else run until `stop` is flipped.
            emit: called with each event, also from other threads.
            stop: ends the run after the batch, once another thread flips it.

        Raises:
            MedallionError: a table was refused or failed. Tables that do not read it are done.
        """
        selection, events = Selection(tuple(select), tuple(exclude)), list[Event]()

        def keep(event: Event) -> None:
            events.append(event)
            if emit is not None:
                emit(event)

        with recorded("run", self.file, self.env, self.overrides) as recorder:
            config = recorder.config(lambda: self._loaded_for(layers, selection)).pipeline
            runner.run(
                config,
                streams_of(config, layers, selection),
                keep,
                continuous=None if once else config.trigger.interval.total_seconds(),
                spark=spark,
                stop=stop,
                recorder=recorder,
            )
        return Run(recorder.id, tuple(events))

    def _loaded_for(self, layers: Sequence[str], selection: Selection) -> Loaded:
        if not selection.loads_sinks(self.config, layers or LAYERS):
            return self.loaded
        return configs.load(self.file, self.env, self.overrides)


def streams_of(
    config: configs.Pipeline, layers: Sequence[str], selection: Selection
) -> list[Stream]:
    """The queries of a run, in the order in which they run.

    Args:
        layers: those that run; all, if there are none.

    Raises:
        UsageError: there is no such layer, or no table is left.
    """
    if wrong := [layer for layer in layers if layer not in LAYERS]:
        raise UsageError(
            f"{wrong[0]} is no layer",
            code="unknown_layer",
            next_step="one of: " + ", ".join(LAYERS),
        )
    jobs: dict[str, Callable[[configs.Pipeline], Sequence[Stream]]] = {
        "bronze": bronze.streams,
        "silver": silver.streams,
        "gold": gold.streams,
    }
    wanted = [layer for layer in LAYERS if not layers or layer in layers]
    selected = selection.of(config)
    streams: list[Stream] = [
        stream for layer in wanted for stream in jobs[layer](config) if stream.claim.ref in selected
    ]
    if not streams:
        which = f"{wanted[0]} table" if len(wanted) == 1 else "table"
        among = " among the selected ones" if selection else ""
        raise UsageError(f"pipeline {config.pipeline} has no {which}{among}", code="layer_is_empty")
    return streams
