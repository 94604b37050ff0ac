"""Silver: bronze rows, looked up, computed and put into a declared shape.

    bronze -> lookups -> columns -> declared schema

Run by spark-submit (`spark-submit … medallion_jobs/silver.py --config conf/sales.yaml`) or by
`medallion run silver`: one way through the code.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import Observation
from pyspark.sql import functions as F  # noqa: N812 (the field's own name for it)

from medallion_jobs import lookup, run, tables
from medallion_jobs.checkpoint import Claim, Logic
from medallion_jobs.config import Pipeline, SilverTable, TableRef
from medallion_jobs.streams import Batch, Start, Written
from medallion_jobs.tables import schema as schemas

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class SilverStream:
    """The query that fills one silver table."""

    config: Pipeline
    name: str
    output_mode = "append"

    @property
    def ref(self) -> TableRef:
        return TableRef("silver", self.name)

    @property
    def table(self) -> SilverTable:
        return self.config.silver[self.name]

    @property
    def claim(self) -> Claim:
        table = self.table
        return Claim(
            pipeline=self.config.pipeline,
            reads=table.from_,
            ref=self.ref,
            target_path=self.config.table_path(self.ref),
            source=str(table.from_),
            source_path=self.config.table_path(table.from_),
            # No state: each batch is computed from its own rows. New rows get new logic.
            logic=Logic(
                free={
                    "schema": table.schema_,
                    **{f"columns.{name}": sql for name, sql in table.columns.items()},
                    **{f"lookups.{one.table}": repr(one) for one in table.lookups},
                }
            ),
        )

    def preflight(self, made: Collection[Path]) -> None:
        tables.require(self.claim.source, self.claim.source_path, made)
        for one in self.table.lookups:
            lookup.check_dimension(one, self.config.table_path(one.table))

    def prepare(self, spark: SparkSession, start: Start) -> None:
        declared = schemas.parse_ddl(self.table.schema_)
        if start.is_anew and tables.snapshot(self.claim.target_path):
            tables.begin_anew(spark, self.claim.target_path, declared)
        for one in self.table.lookups:
            tables.register(spark, one.table, self.config.table_path(one.table))
        tables.ensure(
            spark,
            self.ref,
            self.claim.target_path,
            declared,
            comment=f"Clean and enriched rows of {self.table.from_}",
            properties={},
        )

    def poll(self) -> Sequence[str]:
        """Nothing to look for: Spark's Delta source finds new versions itself."""
        return ()

    def read(self, spark: SparkSession) -> DataFrame:
        return spark.readStream.format("delta").load(str(self.claim.source_path))

    def write(self, df: DataFrame, batch: Batch) -> Written:
        if batch.replayed:
            return Written.before(tables.rows_written(self.claim.target_path, batch.txn))
        spark, table = df.sparkSession, self.table
        missed = Observation()
        rows = lookup.join_all(df, self._dimensions(spark))
        rows = rows.observe(missed, *lookup.misses(table.lookups))
        rows = lookup.without_misses(rows, table.lookups)
        rows = schemas.conform(
            rows.withColumns({name: F.expr(sql) for name, sql in table.columns.items()}),
            schemas.parse_ddl(table.schema_),
        )
        written = tables.append(rows, self.claim.target_path, batch.txn)
        rows_out = tables.rows_written(self.claim.target_path, batch.txn)
        if not written:
            return Written.before(rows_out)
        return Written(
            rows_out=rows_out,
            remarks=lookup.remarks(table.lookups, missed.get),
        )

    def _dimensions(self, spark: SparkSession) -> list[lookup.Dimension]:
        """Read anew for each batch: newest version, newest columns."""
        return [
            lookup.Dimension.read(spark, one, self.config.table_path(one.table))
            for one in self.table.lookups
        ]


def streams(config: Pipeline) -> list[SilverStream]:
    """The layer's queries, each after those whose tables it reads."""
    waiting, ordered = dict(config.silver), list[str]()
    while waiting:
        ready = [
            n for n, t in waiting.items() if str(t.from_).removeprefix("silver.") not in waiting
        ]
        ordered += ready
        for name in ready:
            del waiting[name]
    return [SilverStream(config, name) for name in ordered]


if __name__ == "__main__":
    run.submitted(streams)
