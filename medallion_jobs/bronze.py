"""Bronze: files to an append-only table, every line accounted for.

    files -> ledger -> lines -> rows, rescued values, quarantined lines

Run by spark-submit (`spark-submit … medallion_jobs/bronze.py --config conf/sales.yaml`) or by
`medallion run bronze`: one way through the code.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from medallion_jobs import autoloader, places, run, tables
from medallion_jobs.checkpoint import Claim, Logic
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.streams import Batch, Start, Written
from medallion_jobs.tables import schema as schemas

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType


@dataclass
class BronzeStream:
    """The query that fills one bronze table from its landing folder."""

    config: Pipeline
    name: str
    output_mode = "append"
    _older: autoloader.Older = autoloader.NOTHING_OLDER

    @property
    def ref(self) -> TableRef:
        return TableRef("bronze", self.name)

    @cached_property
    def ledger(self) -> autoloader.Ledger:
        return autoloader.Ledger(places.ledger(self.config, self.name))

    @property
    def claim(self) -> Claim:
        source = self.config.bronze[self.name].source
        return Claim(
            pipeline=self.config.pipeline,
            ref=self.ref,
            target_path=self.config.table_path(self.ref),
            source=f"files of {self.config.landing_path(self.name)}",
            source_path=places.discovered(self.config, self.name),
            logic=Logic(
                free={
                    "format": source.format,
                    "schema": source.schema_,
                }
            ),
        )

    def preflight(self, made: Collection[Path]) -> None:  # noqa: ARG002 (it reads files)
        autoloader.check_folder(self.config.landing_path(self.name))

    def prepare(self, spark: SparkSession, start: Start) -> None:
        self.ledger.ensure()
        tables.ensure(
            spark,
            self.ref,
            self.claim.target_path,
            autoloader.bronze_schema(self._schema),
            comment=f"Files of {self.config.landing_path(self.name)} as they came",
            properties={"delta.appendOnly": "true"},
        )
        if start.generation > 1:
            self._older = autoloader.older(
                spark, self.claim.target_path, self._quarantine, self.ledger
            )

    def poll(self) -> None:
        source = self.config.bronze[self.name].source
        found = autoloader.scan(self.config.landing_path(self.name))
        new = self.ledger.unknown(found)
        for chunk in autoloader.chunks(
            new, source.max_files_per_trigger, source.max_bytes_per_trigger
        ):
            self.ledger.admit(chunk)

    def read(self, spark: SparkSession) -> DataFrame:
        # One data file of the ledger is one chunk, and one chunk is one batch.
        chunks = spark.readStream.format("delta").option("maxFilesPerTrigger", 1)
        return chunks.load(str(self.ledger.discovered))

    def write(self, df: DataFrame, batch: Batch) -> Written:
        load = autoloader.BatchLoad(
            spark=df.sparkSession,
            schema=self._schema,
            target=self.claim.target_path,
            quarantine=self._quarantine,
            txn=batch.txn,
            generation=batch.generation,
            replayed=batch.replayed,
            older=self._older,
        )
        autoloader.check_folder(self.config.landing_path(self.name))
        outcomes = load.run(autoloader.files_of(df))
        self.ledger.record(outcomes, batch.txn, batch.generation)
        rows = sum(o.rows for o in outcomes if o.is_new)
        bad = sum(o.bad for o in outcomes if o.is_new)
        return Written(
            rows_in=rows + bad,
            rows_out=rows,
            files=len(outcomes),
            quarantined=bad,
            remarks=tuple(
                f"{autoloader.to_path(o.file.path)}: {o.state.value}: {o.error}"
                for o in outcomes
                if o.error
            ),
        )

    @property
    def _quarantine(self) -> Path:
        return places.quarantine(self.config, self.ref)

    @property
    def _schema(self) -> StructType:
        return schemas.parse_ddl(self.config.bronze[self.name].source.schema_)


def streams(config: Pipeline) -> list[BronzeStream]:
    """The layer's queries, in the order in which they are declared."""
    return [BronzeStream(config, name) for name in config.bronze]


if __name__ == "__main__":
    run.submitted(streams)
