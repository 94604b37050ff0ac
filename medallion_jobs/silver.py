"""Silver: rows shaped, looked up, judged, and written once.

    source -> shape -> cast -> lookups -> columns -> rules -> append, upsert or history

What does not go on is put aside: into quarantine, or where it waits for a dimension. Run by
spark-submit (`spark-submit … medallion_jobs/silver.py --config conf/sales.yaml`) or by
`medallion run silver`: one way through the code.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from medallion_jobs.checkpoint import Claim, Logic
from medallion_jobs.config import Pipeline, SilverTable, TableRef
from medallion_jobs.engine import runner
from medallion_jobs.engine.stream import Batch, Start, Written
from medallion_jobs.lake import tables
from medallion_jobs.refine import lookup
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.quarantine.held_rows import WaitingRows
from medallion_jobs.refine.target_table import make
from medallion_jobs.refine.write.unknown_member import ensure_member
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# What says how the rows that are there were written.
_KEPT_AS = ("write", "keys", "sequence", "surrogate_key", "unknown_member")


@dataclass(frozen=True)
class SilverStream:
    """The query that fills one silver table."""

    config: Pipeline
    name: str
    output_mode = "append"
    _refinery: Refinery = field(init=False, repr=False, compare=False)
    _waiting: WaitingRows = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_refinery", Refinery(self.config, self.ref))
        object.__setattr__(self, "_waiting", WaitingRows(self._refinery))

    @property
    def ref(self) -> TableRef:
        return TableRef("silver", self.name)

    @property
    def table(self) -> SilverTable:
        return self.config.silver[self.name]

    @property
    def claim(self) -> Claim:
        table = self.table
        said = table.model_dump(
            mode="json", by_alias=True, exclude={"from_", "layout"}, exclude_defaults=True
        )
        return Claim(
            pipeline=self.config.pipeline,
            reads=table.from_,
            ref=self.ref,
            target_path=self.config.table_path(self.ref),
            source=str(table.from_),
            source_path=self.config.table_path(table.from_),
            # What the rows that are there were written by: a table of one row a key cannot
            # go on as a table of changes. All else is computed from each batch's own rows.
            logic=Logic(
                state={key: _as_text(said.pop(key)) for key in _KEPT_AS if key in said},
                free={key: str(value) for key, value in said.items()},
            ),
        )

    def preflight(self, made: Collection[Location]) -> None:
        tables.require(self.claim.source, self.claim.source_path, made)
        for name in self.table.dimensions:
            lookup.check_dimension(name, self.config.table_path(name), made)

    def prepare(self, spark: SparkSession, start: Start) -> None:
        for name in self.table.dimensions:
            tables.register(spark, name, self.config.table_path(name))
        make(self._refinery, spark, is_anew=start.rebuilds_table)
        self._waiting.begin(spark, start.generation)

    def poll(self) -> Sequence[str]:
        """Rows that waited for a key of a dimension go on where it has come."""
        return self._waiting.call()

    def read(self, spark: SparkSession) -> DataFrame:
        # Not in `prepare`: for a table with rows and no manifest the fence takes the checkpoint
        # for lost, and the manifest is not written before the table is made.
        ensure_member(self._refinery, spark)
        return spark.readStream.format("delta").load(str(self.claim.source_path))

    def write(self, df: DataFrame, batch: Batch) -> Written:
        with self._waiting.apart:
            written = self._refinery.write(df, batch)
            went_on = self._waiting.called(df.sparkSession)
            optimized = tables.optimize_if_due(
                df.sparkSession, self.claim.target_path, self.table.layout
            )
        remarks = (*written.remarks, *went_on, *([optimized] if optimized else ()))
        return replace(written, remarks=remarks)


def _as_text(value: object) -> str:
    """The value in words, in whatever order a mapping was written."""
    return str(dict(sorted(value.items())) if isinstance(value, dict) else value)


def streams(config: Pipeline) -> list[SilverStream]:
    """The layer's queries, each after those whose tables it reads or looks into."""
    return [SilverStream(config, name) for name in config.silver_in_order()]


if __name__ == "__main__":
    runner.submitted(streams)
