"""The cluster of a source, asked through Kafka's own client in the session's JVM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError

from medallion_jobs.config import KafkaSource
from medallion_jobs.config.kafka_options import PREFIX
from medallion_jobs.errors import MedallionError
from medallion_jobs.kafkaloader.broker import (
    COMMITTED,
    PATIENCE_SECONDS,
    Cluster,
    Topic,
    isolation,
    refused,
    topics_of,
    unreachable,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_NO_SUCH_TOPIC = "UnknownTopicOrPartitionException"
_NO_LOGIN = ("AuthenticationException", "AuthorizationException", "SaslAuthentication")


_clients: dict[tuple[object, ...], Any] = {}


@dataclass
class JavaBroker:
    """The cluster of a source."""

    spark: SparkSession
    source: KafkaSource

    def look(self) -> Cluster:
        try:
            return self._look()
        except Py4JJavaError as error:
            raise self._explained(error) from error

    def _look(self) -> Cluster:
        described = self._described(topics_of(self.source, self._names))
        partitions = {
            name: [part.partition() for part in topic.partitions()]
            for name, topic in described.items()
        }
        at = self._jvm.org.apache.kafka.clients.admin.OffsetSpec
        earliest = self._offsets(partitions, at.earliest())
        latest = self._offsets(partitions, at.latest())
        return Cluster(
            self._client.describeCluster().clusterId().get(),
            {
                name: Topic(_id(topic.topicId()), earliest[name], latest[name])
                for name, topic in described.items()
            },
        )

    def _names(self) -> list[str]:
        return list(self._client.listTopics().names().get())

    def _described(self, names: list[str]) -> dict[str, Any]:
        asked = self._jvm.java.util.ArrayList()
        for name in names:
            asked.add(name)
        answers, found = self._client.describeTopics(asked).topicNameValues(), {}
        for name in names:
            try:
                found[name] = answers.get(name).get()
            except Py4JJavaError as error:
                if _NO_SUCH_TOPIC not in str(error):
                    raise
        return found

    def _offsets(self, partitions: dict[str, list[int]], at: Any) -> dict[str, dict[int, int]]:
        kafka = self._jvm.org.apache.kafka
        asked = self._jvm.java.util.HashMap()
        keys = {
            name: {number: kafka.common.TopicPartition(name, number) for number in numbers}
            for name, numbers in partitions.items()
        }
        for of_topic in keys.values():
            for key in of_topic.values():
                asked.put(key, at)
        level = "READ_COMMITTED" if isolation(self.source) == COMMITTED else "READ_UNCOMMITTED"
        levels = kafka.common.IsolationLevel
        options = kafka.clients.admin.ListOffsetsOptions(levels.valueOf(level))
        answer = self._client.listOffsets(asked, options).all().get()
        return {
            name: {number: answer.get(key).offset() for number, key in of_topic.items()}
            for name, of_topic in keys.items()
        }

    @property
    def _client(self) -> Any:
        """Kafka's client, one for each cluster and session: it holds a thread of the JVM."""
        given = tuple(sorted(self.source.options.items()))
        key = (self.spark.sparkContext.applicationId, self.source.servers, given)
        if key not in _clients:
            _clients[key] = self._created()
        return _clients[key]

    def _created(self) -> Any:
        settings = self._jvm.java.util.Properties()
        own = {
            "bootstrap.servers": ",".join(self.source.servers),
            "default.api.timeout.ms": str(PATIENCE_SECONDS * 1000),
            "request.timeout.ms": str(PATIENCE_SECONDS * 1000),
        }
        given = {key.removeprefix(PREFIX): str(v) for key, v in self.source.options.items()}
        for key, value in {**own, **given}.items():
            settings.put(key, value)
        try:
            return self._jvm.org.apache.kafka.clients.admin.AdminClient.create(settings)
        except Py4JJavaError as error:
            raise self._explained(error) from error

    @property
    def _jvm(self) -> Any:
        return self.spark.sparkContext._jvm

    def _explained(self, error: Py4JJavaError) -> MedallionError:
        text = str(error)
        causes = [line.strip() for line in text.splitlines() if "Exception: " in line]
        why = causes[-1].removeprefix("Caused by: ") if causes else text
        of_login = any(name in text for name in _NO_LOGIN)
        return (refused if of_login else unreachable)(self.source, why)


def _id(found: Any) -> str:
    # Kafka's zero UUID: a cluster without ids.
    text = str(found.toString())
    return "" if set(text) == {"A"} else text
