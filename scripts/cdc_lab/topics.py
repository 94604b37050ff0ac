"""The topics of a broker: made, and read from their first record to their last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition


@dataclass(frozen=True)
class Record:
    """A record as text; key and value are None if they are null, as in a tombstone."""

    topic: str
    partition: int
    offset: int
    key: str | None
    value: str | None
    headers: tuple[tuple[str, str | None], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Topics:
    """The topics of a broker, read without a group."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    def names(self, prefix: str = "") -> list[str]:
        """The topics whose name begins so, without Kafka's own."""
        return sorted(
            name
            for name in self._consumer.topics()
            if name.startswith(prefix) and not name.startswith("__")
        )

    def ends(self, names: list[str]) -> dict[tuple[str, int], int]:
        """The offset after the last record, by topic and partition."""
        found = self._consumer.end_offsets(self._partitions(names))
        return {(part.topic, part.partition): end for part, end in sorted(found.items())}

    def records(self, names: list[str]) -> Iterator[Record]:
        """All records that the topics have now, by topic, partition and offset."""
        for (topic, partition), end in self.ends(names).items():
            part = TopicPartition(topic, partition)
            self._consumer.assign([part])
            self._consumer.seek_to_beginning(part)
            while self._consumer.position(part) < end:
                for found in self._consumer.poll(timeout_ms=200).get(part, []):
                    if found.offset < end:
                        yield _record(found)

    def _partitions(self, names: list[str]) -> list[TopicPartition]:
        return [
            TopicPartition(name, number)
            for name in names
            for number in sorted(self._consumer.partitions_for_topic(name) or ())
        ]


def make_topics(address: str, names: Sequence[str], partitions: int) -> None:
    """Makes those of these topics that are not there."""
    with closing(KafkaAdminClient(bootstrap_servers=address)) as admin:
        there = set(admin.list_topics())
        made = {"num_partitions": partitions, "replication_factor": 1, "configs": {}}
        if wanted := {name: made for name in names if name not in there}:
            admin.create_topics(wanted, wait_for_metadata=True)


@contextmanager
def topics(address: str) -> Iterator[Topics]:
    """The topics of the broker at `address`."""
    with closing(
        KafkaConsumer(bootstrap_servers=address, enable_auto_commit=False, group_id=None)
    ) as consumer:
        yield Topics(consumer)


def _record(found: Any) -> Record:
    return Record(
        found.topic,
        found.partition,
        found.offset,
        _text(found.key),
        _text(found.value),
        tuple((name, _text(value)) for name, value in found.headers or ()),
    )


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode()
