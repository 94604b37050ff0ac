"""What a query has loaded and may read again, which it then leaves out.

A reset reads the topics again, and so does a config that names a topic again. Bronze is
append-only, so a message that the table or its quarantine already has is not written again. A topic
that was deleted and made again starts its offsets again: there, only what a generation has loaded
that was bound to the topic of now counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from medallion_jobs.checkpoint import QueryFolder
from medallion_jobs.checkpoint.manifest import Manifest
from medallion_jobs.kafkaloader.broker import Offsets
from medallion_jobs.kafkaloader.columns import PLACE
from medallion_jobs.kafkaloader.offsets import (
    KafkaOffsets,
    end_of,
    identity_of,
    made_again,
    start_of,
)
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import snapshot

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


@dataclass(frozen=True)
class Loaded:
    """The messages in a table and its quarantine, if the query may read them again.

    Attributes:
        since: by topic, from when on loaded messages are those of the topic of now.
        first: by partition, where the first generation started, or the lowest offset of them.
        last: by partition, the highest offset of them.
        load_time_column: of the table.
    """

    paths: TablePaths
    since: dict[str, datetime]
    first: Offsets
    last: Offsets
    load_time_column: str = "_load_time"

    @classmethod
    def of(
        cls,
        spark: SparkSession,
        paths: TablePaths,
        recorded: Manifest | None,
        offsets: KafkaOffsets,
    ) -> Loaded:
        """What is loaded; empty for a query that was never reset, and reads what it always did."""
        column = offsets.source.load_time_column
        if recorded is None or not _may_read_again(QueryFolder.of(paths), recorded, offsets):
            return cls(paths, {}, {}, {}, column)
        now = json.loads(offsets.identity() or '{"topics": {}}')["topics"]
        known = {topic: made[-1] for topic, made in made_again(recorded, now).items()}
        frame = cls(paths, known, {}, {}, column)._messages(spark)
        ends = frame.groupBy("topic", "partition").agg(F.min("offset"), F.max("offset")).collect()
        first = _starts(QueryFolder.of(paths), recorded, now)
        last: dict[str, dict[int, int]] = {}
        for topic, partition, low, high in ends:
            of_topic = first.setdefault(topic, {})
            of_topic[partition] = min(low, of_topic.get(partition, low))
            last.setdefault(topic, {})[partition] = high
        return cls(paths, known, first, last, column)

    @property
    def next(self) -> Offsets:
        """By partition, the offset after the highest one."""
        return {t: {p: offset + 1 for p, offset in of.items()} for t, of in self.last.items()}

    def has_from(self, start: Offsets) -> bool:
        """Whether messages at or after these offsets are loaded."""
        return any(
            offset >= start.get(topic, {}).get(partition, 0)
            for topic, of_topic in self.last.items()
            for partition, offset in of_topic.items()
        )

    def without(self, messages: DataFrame, start: Offsets) -> DataFrame:
        """The messages that are not loaded.

        Args:
            start: where the batch starts.
        """
        frame = self._messages(messages.sparkSession)
        inside = [
            (F.col("topic") == topic)
            & (F.col("partition") == partition)
            & (F.col("offset") >= begin)
            for topic, of_topic in self.last.items()
            for partition, offset in of_topic.items()
            if (begin := start.get(topic, {}).get(partition, 0)) <= offset
        ]
        frame = frame.where(reduce(lambda a, b: a | b, inside, F.lit(False)))
        return messages.join(frame, list(PLACE), "left_anti").select(*messages.columns)

    def _messages(self, spark: SparkSession) -> DataFrame:
        """Topic, partition and offset of each message that is loaded."""
        frames = [
            spark.read.format("delta")
            .load(str(path))
            .where(self._of_now(F.col(loaded_at)))
            .select(*PLACE)
            for path, loaded_at in (
                (self.paths.data, self.load_time_column),
                (self.paths.quarantine, "load_time"),
            )
            if snapshot(path) is not None
        ]
        return reduce(lambda a, b: a.unionAll(b), frames)

    def _of_now(self, loaded_at: Column) -> Column:
        """Whether a message is one of the topic of now."""
        of_now = F.lit(True)
        for topic, since in self.since.items():
            of_now = of_now & ((F.col("topic") != topic) | (loaded_at >= F.lit(since)))
        return of_now


def _may_read_again(query_folder: QueryFolder, recorded: Manifest, offsets: KafkaOffsets) -> bool:
    """Whether a query was reset, or has partitions to read that its checkpoint does not know."""
    if len(recorded.generations) > 1:
        return True
    checkpoint = query_folder.checkpoint(recorded.current.number)
    reached = end_of(checkpoint, checkpoint.latest_offsets)
    return bool(reached) and any(
        topic.earliest.keys() - reached.get(name, {}).keys()
        for name, topic in offsets.broker.look().topics.items()
    )


def _starts(
    query_folder: QueryFolder, recorded: Manifest, now: Mapping[str, str]
) -> dict[str, dict[int, int]]:
    """By partition, where the first generation started that has read the topic of now.

    Args:
        now: the ids of the topics of now.
    """
    found: dict[str, dict[int, int]] = {}
    for generation in recorded.generations:
        bound = identity_of(generation.binding) if generation.binding else None
        started = start_of(query_folder.checkpoint(generation.number), 0)
        for topic, of_topic in started.items():
            if bound and bound["topics"].get(topic) == now.get(topic):
                for partition, offset in of_topic.items():
                    found.setdefault(topic, {}).setdefault(partition, offset)
    return found
