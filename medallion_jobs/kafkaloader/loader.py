"""The query that loads Kafka topics into a bronze table.

The order makes a crash harmless, as in the autoloader: the rows of a batch come first, in one
commit with its transaction, then its bad messages, in a commit of their own. A batch that runs
again after a crash reads the same offsets, and writes only what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from medallion_jobs.autoloader.loading.sinks import DeltaSink
from medallion_jobs.checkpoint import Claim, Logic, QueryFolder, manifest, refused_for
from medallion_jobs.checkpoint.logic import as_texts
from medallion_jobs.config import KafkaSource, Pipeline, TableRef
from medallion_jobs.config.kafka_source import EARLIEST, LATEST, WORDS
from medallion_jobs.engine import stream
from medallion_jobs.engine.stream import Batch, Start, Written
from medallion_jobs.kafkaloader.batch import BatchLoad
from medallion_jobs.kafkaloader.broker import (
    ISOLATION,
    PATIENCE_SECONDS,
    Cluster,
    Offsets,
    UnknownError,
    isolation,
    topic_missing,
)
from medallion_jobs.kafkaloader.columns import of_table
from medallion_jobs.kafkaloader.decoders import Decoders
from medallion_jobs.kafkaloader.java_broker import JavaBroker
from medallion_jobs.kafkaloader.loaded import Loaded
from medallion_jobs.kafkaloader.offsets import KafkaOffsets, identity_of
from medallion_jobs.kafkaloader.poison import Poison
from medallion_jobs.lake import tables
from medallion_jobs.lake.paths import LIVE, TablePaths
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


# Keys of the source that leave rows as they are.
_BESIDE = {"starting", "on_data_loss", "max_messages_per_trigger"}


@dataclass
class KafkaLoader:
    """A stream (`engine.stream.Stream`) from Kafka topics to a bronze table.

    Attributes:
        slot: the slot of all that it writes. The topics are those of the live table.
        patience_seconds: how long to wait for an answer of the cluster before there is a JVM.
    """

    config: Pipeline
    name: str
    slot: str = LIVE
    output_mode = "append"
    patience_seconds: float = PATIENCE_SECONDS
    _decoders: Decoders | None = None
    _loaded: Loaded | None = None
    _is_answered: bool = False

    @property
    def ref(self) -> TableRef:
        return TableRef("bronze", self.name)

    @cached_property
    def paths(self) -> TablePaths:
        return TablePaths(self.config, self.ref, self.slot)

    @cached_property
    def source(self) -> KafkaSource:
        return self.config.kafka_sources[self.name]

    @cached_property
    def offsets(self) -> KafkaOffsets:
        return KafkaOffsets.of(self.source, str(self.ref), self.patience_seconds)

    @cached_property
    def _sink(self) -> DeltaSink:
        return DeltaSink(
            name=str(self.ref),
            path=self.paths.data,
            ref=self.ref,
            comment=f"Messages of Kafka ({self.source.subscription}) as they came",
            layout=self.config.layout_of(self.ref),
            in_catalog=self.paths.is_live,
        )

    @cached_property
    def _poison(self) -> Poison:
        return Poison(self.paths.quarantine, self.ref)

    @property
    def claim(self) -> Claim:
        source = self.source
        return Claim(
            pipeline=self.config.pipeline,
            paths=self.paths,
            target_path=self.paths.data,
            source=f"Kafka: {source.subscription}",
            source_path=None,
            other_offsets=self.offsets,
            logic=Logic(
                free={
                    "topics": source.subscription,
                    "value": source.value,
                    "key": source.key,
                    "isolation": isolation(source),
                },
                settings=as_texts(
                    {
                        **source.model_dump(mode="json", exclude_defaults=True, include=_BESIDE),
                        "layout": self.config.layout_of(self.ref),
                    }
                ),
            ),
        )

    def preflight(self, made: Collection[Location]) -> None:  # noqa: ARG002 (it reads topics)
        try:
            self._refuse_missing(self.offsets.broker.look())
            self._is_answered = True
        except UnknownError:
            self._is_answered = False

    def prepare(self, spark: SparkSession, start: Start) -> None:
        self.offsets.broker = JavaBroker(spark, self.source)
        self._refuse_missing(self.offsets.broker.look())
        query_folder = QueryFolder.of(self.paths)
        recorded = manifest.read(query_folder)
        binding = recorded.current.binding if recorded else None
        bound = identity_of(binding) if binding else None
        self.offsets.former = bound["topics"] if bound else {}
        if binding and not self._is_answered:
            # The start checks had nobody to ask.
            for fault in self.offsets.faults(query_folder.checkpoint(start.generation), binding):
                raise refused_for(self.claim, fault)
        self._decoders = Decoders.of(spark, self.source, self.paths)
        self._sink.prepare(spark, of_table(self.source, self._decoders.kinds))
        self._poison.prepare(spark)
        self._loaded = Loaded.of(spark, self.paths, recorded, self.offsets)
        if recorded and binding is None:
            # A new generation reads on where the older ones have ended.
            for fault in self.offsets.lost(self._loaded.next, self.offsets.broker.look()):
                raise refused_for(self.claim, fault)

    @property
    def sinks(self) -> Sequence[stream.Sink]:
        return ()

    def discover(self) -> Sequence[str]:
        """Nothing to look for: Spark asks the cluster itself, at each trigger."""
        return ()

    def read(self, spark: SparkSession) -> DataFrame:
        source = self.source
        options = {
            ISOLATION: isolation(source),
            **source.options,
            "kafka.bootstrap.servers": ",".join(source.servers),
            "includeHeaders": "true",
            "failOnDataLoss": str(source.on_data_loss == "fail").lower(),
            "maxOffsetsPerTrigger": str(source.max_messages_per_trigger),
            "startingOffsets": self._starting(),
        }
        if source.topics:
            options["subscribe"] = ",".join(source.topics)
        else:
            options["subscribePattern"] = str(source.topic_pattern)
        if isinstance(source.starting, datetime) and not self._is_again:
            milliseconds = int(source.starting.timestamp() * 1000)
            options["startingTimestamp"] = str(milliseconds)
            # Nothing is as new as that time: wait for what comes.
            options["startingOffsetsByTimestampStrategy"] = LATEST
            del options["startingOffsets"]
        return spark.readStream.format("kafka").options(**options).load()

    @property
    def _is_again(self) -> bool:
        """Whether a new generation reads again what an older one has read."""
        return self._loaded is not None and bool(self._loaded.first)

    def _starting(self) -> str:
        """Where the first batch of the generation starts, as Spark's option has it.

        A new generation starts where the first one did: with `latest`, it would leave out what came
        since.
        """
        starting = self.source.starting
        if starting == EARLIEST or (isinstance(starting, str) and not self._is_again):
            return str(starting)
        cluster = self.offsets.broker.look()
        given: Offsets = {}
        if self._loaded is not None and self._is_again:
            given = self._loaded.first
        elif not isinstance(starting, str | datetime):
            given = starting
        wanted = {
            name: {
                partition: _not_before(oldest, given.get(name, {}).get(partition))
                for partition, oldest in topic.earliest.items()
            }
            for name, topic in cluster.topics.items()
        }
        return json.dumps({n: {str(p): o for p, o in of.items()} for n, of in wanted.items()})

    def write(self, df: DataFrame, batch: Batch) -> Written:
        if self._decoders is None or self._loaded is None:
            raise AssertionError("a query is prepared before its first batch")
        spark = df.sparkSession
        load = BatchLoad(
            messages=df,
            source=self.source,
            ref=self.ref,
            checkpoint=QueryFolder.of(self.paths).checkpoint(batch.generation),
            sink=self._sink,
            poison=self._poison,
            decoders=self._decoders.on(spark),
            loaded=self._loaded,
            broker=self.offsets.broker,
            batch=batch,
            fails_if_mostly_bad=self.config.on_all_aside_of(self.ref) == "fail",
        )
        written = load.run()
        optimized = tables.optimize_if_due(spark, self.paths.data, self.config.layout_of(self.ref))
        return replace(written, remarks=(*written.remarks, *((optimized,) if optimized else ())))

    def _refuse_missing(self, cluster: Cluster) -> None:
        # A topic that was read and is gone is for the start checks to report.
        recorded = manifest.read(QueryFolder.of(self.paths))
        if recorded and recorded.current.binding:
            return
        missing = [name for name in self.source.topics or () if name not in cluster.topics]
        if missing:
            raise topic_missing(str(self.ref), self.source, missing)


def _not_before(oldest: int, offset: int | None) -> int:
    """An offset to start at; not one that is gone, for which Spark would fail."""
    if offset is None:
        return WORDS[EARLIEST]
    return max(offset, oldest) if offset >= 0 else offset
