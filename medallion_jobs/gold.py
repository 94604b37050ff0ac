"""Gold: aggregates silver rows into tables for reports.

    silver -> where, period -> group by -> measures -> columns -> complete or incremental write

Complete mode keeps a running value of every group and rewrites the whole table in each batch.
Incremental mode follows the changes of its source and rewrites only the groups that they touch.
Run it with spark-submit (`spark-submit … medallion_jobs/gold.py --config conf/sales.yaml`) or
`medallion run gold`; both run the same code.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from medallion_jobs.aggregate import Aggregation, complete, incremental
from medallion_jobs.checkpoint import Claim, Logic, QueryFolder
from medallion_jobs.checkpoint.logic import as_texts
from medallion_jobs.checkpoint.offsets import Offset
from medallion_jobs.checkpoint.source_changes import OnChange
from medallion_jobs.config import GoldTable, Pipeline, TableRef
from medallion_jobs.engine import runner
from medallion_jobs.engine.stream import Batch, Sink, Start, Written
from medallion_jobs.errors import UsageError
from medallion_jobs.lake import tables
from medallion_jobs.lake.paths import LIVE, TablePaths
from medallion_jobs.sinks import postgres
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_CHANGE_FEED = "delta.enableChangeDataFeed"
_ANY_NUMBER = 2**31 - 1
# A batch changes few rows of a large table: deletion vectors mark them, files are not rewritten.
_FOR_MERGES = {"delta.enableDeletionVectors": "true"}


@dataclass(frozen=True)
class GoldStream:
    """The query that maintains one gold table.

    Attributes:
        slot: the slot of the table that it writes; what it reads is live.
    """

    config: Pipeline
    name: str
    slot: str = LIVE

    @property
    def output_mode(self) -> str:
        return "append" if self.is_incremental else "complete"

    @property
    def is_incremental(self) -> bool:
        return self.table.mode == "incremental"

    @property
    def ref(self) -> TableRef:
        return TableRef("gold", self.name)

    @cached_property
    def paths(self) -> TablePaths:
        return TablePaths(self.config, self.ref, self.slot)

    @property
    def table(self) -> GoldTable:
        return self.config.gold[self.name]

    @property
    def aggregation(self) -> Aggregation:
        return Aggregation(self.table)

    @property
    def claim(self) -> Claim:
        # The state and the table hold one value for each group and measure, so a query with
        # other groups or measures cannot continue from them.
        derived = {f"columns.{name}": sql for name, sql in self.table.columns.items()}
        return Claim(
            pipeline=self.config.pipeline,
            reads=self.table.from_,
            paths=self.paths,
            target_path=self.paths.data,
            source=str(self.table.from_),
            source_path=TablePaths(self.config, self.table.from_).data,
            logic=Logic(
                state={**self.aggregation.logic, **derived},
                settings=as_texts(
                    {
                        "layout": self.table.layout,
                        "sinks": self._sinks_by_name,
                        "on_source_change": "keep" if self._on_change == "keep" else None,
                    }
                ),
            ),
            on_change=self._on_change,
        )

    def preflight(self, made: Collection[Location]) -> None:
        claim = self.claim
        tables.require(claim.source, claim.source_table, made)
        source = None if claim.source_path in made else tables.snapshot(claim.source_table)
        if self.is_incremental and source and source.properties.get(_CHANGE_FEED) != "true":
            raise UsageError(
                f"{self.ref} reads the change data feed of {claim.source}, which has none",
                code="no_change_data_feed",
                untouched="nothing was started",
                next_step="run that layer once with this config, which turns the feed on: "
                f"`medallion run {self.table.from_.layer}`",
            )

    def prepare(self, spark: SparkSession, start: Start) -> None:
        source = spark.read.format("delta").load(str(self.claim.source_path))
        keys = ", ".join(self.aggregation.keys)
        path, layout = self.claim.target_path, self.table.layout
        tables.create(
            spark,
            path,
            self.aggregation.of(source).schema,
            comment=f"{self.table.from_} by {keys}",
            properties=self._properties,
            layout=layout,
        )
        tables.set_properties(spark, path, self._properties)
        if self._has_written(start):
            tables.ensure_layout(spark, self.ref, path, layout)
        if self.paths.is_live:
            tables.register(spark, self.ref, path)

    def _has_written(self, start: Start) -> bool:
        """Whether this generation wrote the table; if not, its first batch rebuilds the table."""
        app_id = self._query_folder.checkpoint(start.generation).app_id
        target = tables.snapshot(self.claim.target_path)
        return start.generation == 1 or bool(target and target.txn(app_id) >= 0)

    @property
    def _sinks_by_name(self) -> Mapping[str, str]:
        # How a sink is reached may be a secret; which tables it has is none.
        found = {sink.jdbc.name: sink.jdbc for sink in self.table.sinks}
        return {name: f"{jdbc.schema_}.{jdbc.table or self.name}" for name, jdbc in found.items()}

    @property
    def _on_change(self) -> OnChange:
        return "follow" if self.is_incremental else self.table.on_source_change

    @property
    def _query_folder(self) -> QueryFolder:
        return QueryFolder.of(self.paths)

    @property
    def _properties(self) -> dict[str, str]:
        if not self.is_incremental:
            return {}
        return {**_FOR_MERGES, **({_CHANGE_FEED: "true"} if self.table.sinks else {})}

    @property
    def sinks(self) -> Sequence[Sink]:
        # A database has one place for the table, and the live one is loaded into it.
        if not self.table.sinks or not self.paths.is_live:
            return ()
        return (postgres.Loader(self.config, self.ref),)

    def discover(self) -> Sequence[str]:
        return ()  # Spark's Delta source finds new versions itself

    def read(self, spark: SparkSession) -> DataFrame:
        rows = spark.readStream.format("delta")
        source = str(self.claim.source_path)
        if self.is_incremental:
            # A batch takes whole commits: one split over two batches would be counted in part.
            changes = rows.option("readChangeFeed", True).option("maxFilesPerTrigger", _ANY_NUMBER)
            return changes.load(source)
        if self._on_change == "keep":
            rows = rows.option("skipChangeCommits", True)
        return self.aggregation.of(rows.load(source), streaming=True)

    def write(self, df: DataFrame, batch: Batch) -> Written:
        spark, path, layout = df.sparkSession, self.claim.target_path, self.table.layout
        write = self._write_incremental if self.is_incremental else self._write_complete
        written = write(df, batch)
        if batch.number == 0:
            # The first batch sets the table's columns, and Delta then drops the rest of the layout.
            tables.ensure_layout(spark, self.ref, path, layout)
        optimized = tables.optimize_if_due(spark, path, layout)
        return replace(written, remarks=(*written.remarks, *([optimized] if optimized else ())))

    def _write_complete(self, df: DataFrame, batch: Batch) -> Written:
        # The first batch of a generation may have other measures than the table has columns.
        done = complete.write(
            df,
            self.claim.target_path,
            batch.txn,
            new_schema=batch.number == 0,
            layout=self.table.layout,
        )
        if done.how == "before":
            return Written.by_earlier_run(done.groups)
        if done.how == "same":
            return Written(rows_out=0, remarks=("no group changed",))
        return Written(rows_out=done.groups)

    def _write_incremental(self, df: DataFrame, batch: Batch) -> Written:
        claim, path = self.claim, self.claim.target_path
        if batch.already_written:
            return Written.by_earlier_run(tables.rows_written(path, batch.txn))
        version = self._source_version(batch)
        step = incremental.Step(
            aggregation=self.aggregation,
            source=claim.source_table,
            target=path,
            version=version,
            txn=batch.txn,
        )
        done = step.follow(df) if batch.number else step.build(df.sparkSession)
        recomputed = done.recomputed if batch.number else 0
        remarks = (f"{recomputed} groups recomputed",) if recomputed else ()
        return Written(rows_out=done.written, rows_in=done.rows_in, remarks=remarks)

    def _source_version(self, batch: Batch) -> int:
        """The version of the source at which a batch ends."""
        reached = Offset.after(self._query_folder.checkpoint(batch.generation), batch.number)
        assert reached is not None  # Spark notes it before the batch begins
        if reached.whole is not None:
            return reached.whole
        # An offset may point at a commit's last file instead of the next version; `read` never
        # splits a commit. The snapshot that a query starts with may take several batches: the
        # first one takes all of it.
        return reached.version


def streams(config: Pipeline) -> list[GoldStream]:
    """The layer's queries, in the order in which they are declared."""
    return [GoldStream(config, name) for name in config.gold]


if __name__ == "__main__":
    runner.submitted(streams)
