"""How far a query has read its topics: `KafkaOffsets`, behind the port `SourceOffsets`.

Spark keeps the end of each batch in the checkpoint, as JSON by topic and partition, and the start
of the first one in a file of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from medallion_jobs.checkpoint import Checkpoint
from medallion_jobs.checkpoint.manifest import Binding, Manifest
from medallion_jobs.checkpoint.offsets import Amount, Fault
from medallion_jobs.config import KafkaSource
from medallion_jobs.errors import MedallionError
from medallion_jobs.kafkaloader.broker import (
    PATIENCE_SECONDS,
    Broker,
    Cluster,
    Offsets,
    PythonBroker,
    UnknownError,
)

_MOST_NAMED = 3


@dataclass
class KafkaOffsets:
    """The offsets of a query that reads Kafka topics.

    Attributes:
        table: the query's table, for messages.
        broker: the way to ask the cluster; a run replaces it once there is a JVM.
        former: ids of topics that were read, by name; they are known as long as the generation.
    """

    source: KafkaSource
    table: str
    broker: Broker
    former: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, source: KafkaSource, table: str, patience_seconds: float = PATIENCE_SECONDS
    ) -> KafkaOffsets:
        """The offsets, with a cluster that is asked without a JVM."""
        return cls(source, table, PythonBroker(source, patience_seconds))

    def identity(self) -> str | None:
        """The cluster's id and the ids of the topics, as JSON; None if there is no topic."""
        cluster = self.broker.look()
        if self.source.topics and not cluster.topics:
            return None
        ids = {**self.former, **{name: topic.id for name, topic in cluster.topics.items()}}
        return json.dumps({"cluster": cluster.id, "topics": dict(sorted(ids.items()))})

    def faults(self, checkpoint: Checkpoint, bound: Binding) -> Iterator[Fault]:
        """Why the query cannot go on: another cluster or topic, or messages that are gone.

        Finds nothing if the cluster cannot be asked from here.
        """
        try:
            cluster = self.broker.look()
        except UnknownError:
            return
        known = identity_of(bound)
        if known is None:
            yield Fault(
                "source_changed", f"it reads Kafka topics now, and read {bound.source} before"
            )
            return
        if known["cluster"] != cluster.id:
            yield Fault(
                "source_replaced",
                f"it has read the Kafka cluster {known['cluster']}, and {self._servers} is the "
                f"cluster {cluster.id}",
            )
            return
        reached = end_of(checkpoint, checkpoint.latest_commits)
        for name in reached:
            if name not in cluster.topics and (fault := self._gone(name)):
                yield fault
        replaced = [
            name
            for name, topic in cluster.topics.items()
            if known["topics"].get(name, topic.id) != topic.id
        ]
        for name in replaced:
            yield Fault(
                "kafka_topic_replaced",
                f"topic {name} was deleted and made again: it has the id "
                f"{cluster.topics[name].id}, and the one that it has read has "
                f"{known['topics'][name] or 'none'}; the new topic's offsets start again",
                "to read the new topic from `starting` on, and keep the rows of the old one: "
                f'`medallion checkpoint reset {self.table} --reason "…" --yes`',
            )
        checked = {name: of for name, of in reached.items() if name not in replaced}
        yield from self.lost(checked, cluster)

    def lost(self, wanted: Offsets, cluster: Cluster) -> Iterator[Fault]:
        """Messages from these offsets on that the cluster does not have."""
        gone = [
            (name, partition, offset, cluster.topics[name].earliest[partition])
            for name, of_topic in wanted.items()
            if name in cluster.topics
            for partition, offset in sorted(of_topic.items())
            if offset < cluster.topics[name].earliest.get(partition, 0)
        ]
        cut = [
            f"topic {name}, partition {partition}: it has read up to offset {offset}, and the "
            f"partition ends at {cluster.topics[name].latest.get(partition, 0)}"
            for name, of_topic in wanted.items()
            if name in cluster.topics
            for partition, offset in sorted(of_topic.items())
            if offset > cluster.topics[name].latest.get(partition, 0)
        ]
        if gone and self.source.on_data_loss == "fail":
            messages = sum(oldest - offset for _, _, offset, oldest in gone)
            listed = [
                f"topic {name}, partition {partition}: offset {offset} is the next to read, and "
                f"{oldest} is the oldest that is still there"
                for name, partition, offset, oldest in gone
            ]
            yield Fault(
                "kafka_data_lost",
                f"Kafka no longer has up to {messages:,} messages that it has not read: "
                f"{_shown(listed)}",
                "to go on without them: set `on_data_loss: continue` in its source, and run again",
            )
        if cut:
            yield Fault(
                "kafka_topic_cut",
                f"Kafka has lost the newest messages of a topic that it has read: {_shown(cut)}",
                "restore the topic; or read it into a table of another name: its next messages get "
                "offsets that this table has already",
            )

    def progress(self, checkpoint: Checkpoint, batch: int) -> tuple[Amount | None, Amount | None]:
        """How many messages `batch` took, and how many are left after it."""
        return self._taken(checkpoint, batch), self._left(checkpoint, batch)

    def backlog(self, checkpoint: Checkpoint) -> int:
        """How many messages are left after the newest planned batch.

        Raises:
            UnknownError, MedallionError: the cluster cannot be asked.
        """
        return _messages(end_of(checkpoint, checkpoint.latest_offsets), self.broker.look())

    def is_empty(self, checkpoint: Checkpoint, batch: int) -> bool:  # noqa: ARG002 (it has messages)
        return False

    def takes(self, checkpoint: Checkpoint, batch: int) -> Sequence[str]:
        before = start_of(checkpoint, batch)
        return [
            f"topic {name}, partition {partition}, offsets {first} to {end - 1}"
            for name, of_topic in sorted(end_of(checkpoint, batch).items())
            for partition, end in sorted(of_topic.items())
            if (first := before.get(name, {}).get(partition, 0)) < end
        ]

    def _taken(self, checkpoint: Checkpoint, batch: int) -> Amount | None:
        before, after = start_of(checkpoint, batch), end_of(checkpoint, batch)
        taken = sum(
            offset - before.get(name, {}).get(partition, 0)
            for name, of_topic in after.items()
            for partition, offset in of_topic.items()
        )
        return Amount(0, taken)

    def _left(self, checkpoint: Checkpoint, batch: int) -> Amount | None:
        try:
            return Amount(0, _messages(end_of(checkpoint, batch), self.broker.look()))
        except (UnknownError, MedallionError):
            return None

    @property
    def _servers(self) -> str:
        return ", ".join(self.source.servers)

    def _gone(self, name: str) -> Fault | None:
        """The fault of a topic that was read and is not there, or not read, any more."""
        is_named = name in (self.source.topics or ())
        if self.source.on_data_loss == "continue" and not is_named:
            return None
        if self.source.topics and not is_named:
            return Fault(
                "kafka_topic_left_config",
                f"it has read topic {name}, which `topics` no longer names; Spark takes that for "
                "lost data",
                f"name it again; or read on without it: set `on_data_loss: continue`, or "
                f'`medallion checkpoint reset {self.table} --reason "…" --yes`',
            )
        return Fault("source_removed", f"its topic {name} is gone at {self._servers}")


def identity_of(bound: Binding) -> dict[str, Any] | None:
    """The cluster and topics that a query was bound to; None if its source was no Kafka."""
    try:
        known = json.loads(bound.source_id)
    except ValueError:  # the id of a Delta table
        return None
    return known if isinstance(known, dict) else None


def made_again(recorded: Manifest, now: Mapping[str, str]) -> dict[str, list[datetime]]:
    """When the generations opened that were the first to read a topic that was made again.

    A message that was loaded before is one of the topic before, whose offsets are others.

    Args:
        now: the ids of the topics, for a generation that was never bound.

    Returns:
        The times by topic, oldest first; without topics that were never made again.
    """
    before: dict[str, str] = {}
    found: dict[str, list[datetime]] = {}
    for generation in recorded.generations:
        bound = identity_of(generation.binding) if generation.binding else {"topics": now}
        for topic, number in (bound or {"topics": {}})["topics"].items():
            if before.setdefault(topic, number) != number:
                found.setdefault(topic, []).append(generation.opened_at)
            before[topic] = number
    return found


def start_of(checkpoint: Checkpoint, batch: int) -> Offsets:
    """Where a batch starts; without the partitions that were new to it."""
    return end_of(checkpoint, batch - 1) if batch > 0 else _first(checkpoint)


def end_of(checkpoint: Checkpoint, batch: int) -> Offsets:
    """Where a batch ends; for batch -1, where the first batch starts. Empty if nobody knows."""
    if batch < 0:
        return _first(checkpoint)
    try:
        return parsed(checkpoint.offset(batch))
    except FileNotFoundError:
        return {}


def _first(checkpoint: Checkpoint) -> Offsets:
    file = checkpoint.path / "sources" / "0" / "0"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    # For Spark 2.1.0, it starts with a null byte; then comes a line with the version.
    return parsed(text.removeprefix("\0").partition("\n")[2])


def parsed(text: str) -> Offsets:
    """Offsets from Spark's JSON."""
    found: Mapping[str, Mapping[str, int]] = json.loads(text)
    return {
        name: {int(partition): offset for partition, offset in of_topic.items()}
        for name, of_topic in found.items()
    }


def _messages(reached: Offsets, cluster: Cluster) -> int:
    """Messages from these offsets on; all that there are of other partitions."""
    return sum(
        max(0, latest - max(reached.get(name, {}).get(partition, 0), topic.earliest[partition]))
        for name, topic in cluster.topics.items()
        for partition, latest in topic.latest.items()
    )


def _shown(lines: list[str]) -> str:
    more = f"; and {len(lines) - _MOST_NAMED:,} more partitions" if len(lines) > _MOST_NAMED else ""
    return "; ".join(lines[:_MOST_NAMED]) + more
