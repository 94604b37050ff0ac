"""Silver: shapes rows, joins dimensions, checks rules, and writes each row once.

    source -> shape -> cast -> lookups -> columns -> rules -> append, upsert or history

A row that cannot be written is quarantined, or held until a dimension has its key. Run it with
spark-submit (`spark-submit … medallion_jobs/silver.py --config conf/sales.yaml`) or
`medallion run silver`; both run the same code.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from medallion_jobs.checkpoint import Claim, Logic
from medallion_jobs.checkpoint.logic import as_texts
from medallion_jobs.config import Pipeline, SilverTable, TableRef
from medallion_jobs.engine import runner
from medallion_jobs.engine.stream import Batch, Sink, Start, Written
from medallion_jobs.lake import tables
from medallion_jobs.lake.paths import LIVE, TablePaths
from medallion_jobs.refine import lookup
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.quarantine.held_rows import HeldRows
from medallion_jobs.refine.target_table import make
from medallion_jobs.refine.write.unknown_member import ensure_member
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# The keys that decide how existing rows were written, and so cannot change without a reset.
_STATE_KEYS = (
    *("write", "keys", "sequence", "apply_changes", "snapshot"),
    *("surrogate_key", "unknown_member"),
)

# Parts of these that only affect the batches to come.
_FREE_INSIDE = {
    "apply_changes": ("tombstone_retention", "on_gap"),
    "snapshot": ("max_missing", "on_refused"),
}


@dataclass(frozen=True)
class SilverStream:
    """The query that writes one silver table.

    Attributes:
        slot: the slot of the table that it writes; what it reads is live.
    """

    config: Pipeline
    name: str
    slot: str = LIVE
    output_mode = "append"
    _refinery: Refinery = field(init=False, repr=False, compare=False)
    _waiting: HeldRows = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_refinery", Refinery(self.config, self.ref, self.slot))
        object.__setattr__(self, "_waiting", HeldRows(self._refinery))

    @property
    def ref(self) -> TableRef:
        return TableRef("silver", self.name)

    @property
    def paths(self) -> TablePaths:
        return self._refinery.paths

    @property
    def table(self) -> SilverTable:
        return self.config.silver[self.name]

    @property
    def claim(self) -> Claim:
        table = self.table
        settings = table.model_dump(
            mode="json", by_alias=True, exclude={"from_", "layout"}, exclude_defaults=True
        )
        for key, names in _FREE_INSIDE.items():
            inside = settings.get(key, {})
            settings |= {f"{key}.{name}": inside.pop(name) for name in names if name in inside}
        return Claim(
            pipeline=self.config.pipeline,
            reads=table.from_,
            paths=self.paths,
            target_path=self.paths.data,
            source=str(table.from_),
            on_change=table.on_source_change,
            source_path=self._refinery.path_of(table.from_),
            # A table with one row for each key cannot continue as one with a row for each
            # change. All other settings only affect the rows of each batch.
            logic=Logic(
                state={key: _as_text(settings.pop(key)) for key in _STATE_KEYS if key in settings},
                free={key: str(value) for key, value in settings.items()},
                settings=as_texts({"layout": table.layout}),
            ),
        )

    def preflight(self, made: Collection[Location]) -> None:
        tables.require(self.claim.source, self.claim.source_table, made)
        for name in self.table.dimensions:
            lookup.check_dimension(name, self._refinery.path_of(name), made)

    def prepare(self, spark: SparkSession, start: Start) -> None:
        for name in self.table.dimensions:
            tables.register(spark, name, self._refinery.path_of(name))
        make(self._refinery, spark, is_rebuild=start.rebuilds_table)
        self._waiting.begin(spark, start.generation)

    @property
    def sinks(self) -> Sequence[Sink]:
        return ()

    def discover(self) -> Sequence[str]:
        """Rows that waited for a key of a dimension go on where it has come."""
        return self._waiting.poll()

    def read(self, spark: SparkSession) -> DataFrame:
        # Not in `prepare`: the manifest is written after it, and for a table with rows and no
        # manifest the start checks would say that the checkpoint is lost.
        ensure_member(self._refinery, spark)
        reader = spark.readStream.format("delta")
        if self.table.on_source_change == "keep":
            # Spark would also skip rows that such a commit adds; the engine refuses these.
            reader = reader.option("skipChangeCommits", True)
        if self.table.snapshot:
            # By default a batch has 1,000 files, and so might have a part of a dump.
            reader = reader.option("maxFilesPerTrigger", 2**31 - 1)
        return reader.load(str(self.claim.source_path))

    def write(self, df: DataFrame, batch: Batch) -> Written:
        with self._waiting.write_lock:
            written, notes = self._write(df, batch)
            went_on = self._waiting.release(df.sparkSession)
            optimized = tables.optimize_if_due(
                df.sparkSession, self.claim.target_path, self.table.layout
            )
            tidied = self._refinery.tidy(df.sparkSession)
        remarks = (*written.remarks, *notes, *went_on, *filter(None, (optimized, tidied)))
        return replace(written, remarks=remarks)

    def _write(self, df: DataFrame, batch: Batch) -> tuple[Written, list[str]]:
        """Writes a batch; returns notes for the user, too."""
        if batch.already_written:
            return self._refinery.write(df, batch), []
        if batch.is_empty:
            return self._refinery.write_nothing(df.sparkSession, batch), []
        new, notes = self._refinery.look_for_columns(df)
        if new:
            make(self._refinery, df.sparkSession, is_rebuild=False)
        return self._refinery.write(df, batch), notes


def _as_text(value: object) -> str:
    """The value as text, independent of the order of a mapping's keys."""
    return str(dict(sorted(value.items())) if isinstance(value, dict) else value)


def streams(config: Pipeline) -> list[SilverStream]:
    """The layer's queries, each after those whose tables it reads or looks up."""
    return [SilverStream(config, name) for name in config.silver_in_order()]


if __name__ == "__main__":
    runner.submitted(streams)
