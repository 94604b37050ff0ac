"""Gold: silver rows aggregated, the whole result written at each batch (complete mode).

    silver -> group by -> measures -> one atomic replacement

Run by spark-submit (`spark-submit … medallion_jobs/gold.py --config conf/sales.yaml`) or by
`medallion run gold`: one way through the code.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medallion_jobs import aggregate, run, tables
from medallion_jobs.checkpoint import Claim, Logic
from medallion_jobs.config import GoldTable, Pipeline, TableRef
from medallion_jobs.streams import Batch, Start, Written

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class GoldStream:
    """The query that keeps one gold table."""

    config: Pipeline
    name: str
    output_mode = "complete"

    @property
    def ref(self) -> TableRef:
        return TableRef("gold", self.name)

    @property
    def table(self) -> GoldTable:
        return self.config.gold[self.name]

    @property
    def claim(self) -> Claim:
        return Claim(
            pipeline=self.config.pipeline,
            reads=self.table.from_,
            ref=self.ref,
            target_path=self.config.table_path(self.ref),
            source=str(self.table.from_),
            source_path=self.config.table_path(self.table.from_),
            # The state holds one running value a group and measure: other groups or other
            # measures cannot go on from it.
            logic=Logic(
                state={
                    "mode": self.table.mode,
                    "group_by": ", ".join(self.table.group_by),
                    **{
                        f"measures.{name}": aggregate.normalised(sql)
                        for name, sql in self.table.measures.items()
                    },
                }
            ),
        )

    def preflight(self, made: Collection[Path]) -> None:
        tables.require(self.claim.source, self.claim.source_path, made)

    def prepare(self, spark: SparkSession, start: Start) -> None:  # noqa: ARG002 (see `write`)
        source = spark.read.format("delta").load(str(self.claim.source_path))
        tables.create(
            spark,
            self.claim.target_path,
            self._aggregated(source).schema,
            comment=f"{self.table.from_} by {', '.join(self.table.group_by)}",
        )
        tables.register(spark, self.ref, self.claim.target_path)

    def poll(self) -> Sequence[str]:
        """Nothing to look for: Spark's Delta source finds new versions itself."""
        return ()

    def read(self, spark: SparkSession) -> DataFrame:
        return self._aggregated(spark.readStream.format("delta").load(str(self.claim.source_path)))

    def write(self, df: DataFrame, batch: Batch) -> Written:
        # The first batch of a generation may have other measures than the table has columns.
        written = not batch.replayed and tables.replace(
            df, self.claim.target_path, batch.txn, new_schema=batch.number == 0
        )
        groups = tables.rows_written(self.claim.target_path, batch.txn)
        if not written:
            # The groups are in the table, but not yet in the state, and Spark lets no batch
            # pass whose state was not computed: for ever, it would fail at this one.
            df.write.format("noop").mode("overwrite").save()
            return Written.before(groups)
        return Written(groups)

    def _aggregated(self, rows: DataFrame) -> DataFrame:
        return aggregate.by_group(rows, self.table.group_by, self.table.measures)


def streams(config: Pipeline) -> list[GoldStream]:
    """The layer's queries, in the order in which they are declared."""
    return [GoldStream(config, name) for name in config.gold]


if __name__ == "__main__":
    run.submitted(streams)
