"""What a Kafka cluster has: its id, the ids of its topics, and the offsets of their partitions.

It is asked through kafka-python, without a JVM, by the start checks and by `medallion status`. The
package works without that client: a run then asks through Kafka's own client in the JVM
(`java_broker`), and what happens before there is a JVM goes without an answer.
"""

from __future__ import annotations

import base64
import logging
import re
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from medallion_jobs.config import KafkaSource
from medallion_jobs.config.kafka_options import JAAS, PREFIX
from medallion_jobs.errors import TransientError, UsageError
from medallion_jobs.masking import remember

# By topic and partition, an offset.
Offsets = Mapping[str, Mapping[int, int]]

INSTALL = "pip install 'medallion-jobs[kafka]'"
# As in Spark's source: offsets of aborted transactions, and of open ones, are not messages.
ISOLATION, COMMITTED = f"{PREFIX}isolation.level", "read_committed"
# How long a cluster that does not answer is waited for.
PATIENCE_SECONDS = 10
_NO_ID = uuid.UUID(int=0)
_NO_SUCH_TOPIC, _NOT_ALLOWED, _OK = 3, 29, 0


@dataclass(frozen=True)
class Topic:
    """A topic.

    Attributes:
        id: Kafka's id of it: another one if it is deleted and made again. Empty for a cluster
            that gives none.
        earliest: by partition, the offset of the oldest message that is still there.
        latest: by partition, the offset that the next message will get.
    """

    id: str
    earliest: Mapping[int, int]
    latest: Mapping[int, int]


@dataclass(frozen=True)
class Cluster:
    """The cluster, as it answers now.

    Attributes:
        topics: those of the source that exist, by name.
    """

    id: str
    topics: Mapping[str, Topic]

    @property
    def earliest(self) -> Offsets:
        return {name: topic.earliest for name, topic in self.topics.items()}

    @property
    def latest(self) -> Offsets:
        return {name: topic.latest for name, topic in self.topics.items()}


class UnknownError(Exception):
    """The cluster cannot be asked from here; the text says why, and what to do."""


class Broker(Protocol):
    """A way to ask the cluster."""

    def look(self) -> Cluster:
        """Asks the cluster.

        Raises:
            TransientError: it does not answer.
            UsageError: it refuses the login.
            UnknownError: it cannot be asked in this way.
        """


@dataclass(frozen=True)
class PythonBroker:
    """The cluster of a source, asked through kafka-python, with a connection for each look.

    Attributes:
        patience_seconds: how long a cluster that does not answer is waited for.
    """

    source: KafkaSource
    patience_seconds: float = PATIENCE_SECONDS

    def look(self) -> Cluster:
        with self._client() as client:
            wanted = self._wanted(client)
            described = client.describe_topics(wanted) if wanted else []
            found = [t for t in described if t["error_code"] != _NO_SUCH_TOPIC]
            for topic in found:
                if topic["error_code"] == _NOT_ALLOWED:
                    raise refused(self.source, f"it may not read topic {topic['name']}")
                if topic["error_code"] != _OK:
                    why = f"error {topic['error_code']} of topic {topic['name']}"
                    raise unreachable(self.source, why)
            earliest, latest = (self._offsets(client, found, at) for at in ("EARLIEST", "LATEST"))
            return Cluster(
                client.describe_cluster()["cluster_id"],
                {
                    topic["name"]: Topic(
                        _id(topic["topic_id"]), earliest[topic["name"]], latest[topic["name"]]
                    )
                    for topic in found
                },
            )

    def _wanted(self, client: Any) -> list[str]:
        return topics_of(self.source, lambda: _names(client)) or []

    def _offsets(
        self, client: Any, topics: list[dict[str, Any]], at: str
    ) -> dict[str, dict[int, int]]:
        kafka, admin = import_module("kafka"), import_module("kafka.admin")
        level = "READ_COMMITTED" if isolation(self.source) == COMMITTED else "READ_UNCOMMITTED"
        wanted = {
            kafka.TopicPartition(topic["name"], part["partition_index"]): getattr(
                admin.OffsetSpec, at
            )
            for topic in topics
            for part in topic["partitions"]
        }
        found: dict[str, dict[int, int]] = {topic["name"]: {} for topic in topics}
        if wanted:
            levels = import_module("kafka.protocol.consumer").IsolationLevel
            answer = client.list_partition_offsets(wanted, isolation_level=getattr(levels, level))
            for partition, offset in answer.items():
                found[partition.topic][partition.partition] = offset.offset
        return found

    @contextmanager
    def _client(self) -> Iterator[Any]:
        if find_spec("kafka") is None:
            raise UnknownError(f"kafka-python is not installed; install it: {INSTALL}")
        milliseconds = int(self.patience_seconds * 1000)
        settings = {
            **settings_of(self.source),
            "bootstrap_timeout_ms": milliseconds,
            "request_timeout_ms": milliseconds,
        }
        self._refuse_silence()
        errors, admin = import_module("kafka.errors"), import_module("kafka").KafkaAdminClient
        if not hasattr(admin, "list_partition_offsets"):
            raise UnknownError(f"kafka-python is older than 3; install it: {INSTALL}")
        # It logs each attempt to connect; the error says enough.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        try:
            client = admin(**settings)
            try:
                yield client
            finally:
                client.close()
        except (errors.SaslAuthenticationFailedError, errors.AuthorizationError) as error:
            raise refused(self.source, str(error)) from error
        except errors.KafkaError as error:
            if settings["security_protocol"] == "PLAINTEXT":
                raise unreachable(self.source, str(error)) from error
            # A cluster that refuses a login just ends the connection: Kafka's own client knows why.
            raise UnknownError(
                "kafka-python gets no answer; the login or the certificate may be refused"
            ) from error
        except (OSError, ValueError, AssertionError) as error:  # its checks of settings and files
            raise UnknownError(f"kafka-python cannot connect: {error}") from error

    def _refuse_silence(self) -> None:
        """Raises TransientError if nobody listens; kafka-python would try until it gives up."""
        failures = []
        for server in self.source.servers:
            host, _, port = server.rpartition(":")
            try:
                with socket.create_connection((host.strip("[]"), int(port)), self.patience_seconds):
                    return
            except OSError as error:
                failures.append(f"{server}: {error.strerror or error}")
        raise unreachable(self.source, "; ".join(failures))


def topics_of(source: KafkaSource, names: Any) -> list[str]:
    """The names of the topics that a source reads.

    Args:
        names: a function that lists all topics of the cluster; called only for a pattern.
    """
    if source.topics:
        return list(source.topics)
    pattern = re.compile(str(source.topic_pattern))
    return sorted(name for name in names() if pattern.fullmatch(name))


def isolation(source: KafkaSource) -> str:
    """Which messages of transactions are read; only those that were committed, by default."""
    return source.options.get(ISOLATION, COMMITTED)


def unreachable(source: KafkaSource, why: str) -> TransientError:
    """The error for a cluster that does not answer."""
    return TransientError(
        f"Kafka at {', '.join(source.servers)} does not answer: {' '.join(why.split())}",
        code="kafka_unreachable",
        untouched="nothing was read",
        next_step="check `servers` and the network; then run again",
    )


def refused(source: KafkaSource, why: str) -> UsageError:
    """The error for a cluster that refuses the login."""
    return UsageError(
        f"Kafka at {', '.join(source.servers)} refuses this login: {' '.join(why.split())}",
        code="kafka_refused",
        untouched="nothing was read",
        next_step="check the user, the password and the rights on the topics; see docs/kafka.md",
    )


def topic_missing(table: str, source: KafkaSource, missing: list[str]) -> UsageError:
    """The error for topics that do not exist."""
    return UsageError(
        f"{table}: Kafka at {', '.join(source.servers)} has no topic {', '.join(missing)}",
        code="kafka_topic_missing",
        untouched="nothing was read, and no topic was made",
        next_step="create it, or correct `topics`; then run again",
    )


def _names(client: Any) -> list[str]:
    """All topics but Kafka's own."""
    return [topic["name"] for topic in client.describe_topics() if not topic["is_internal"]]


def _id(found: object) -> str:
    """A topic's id as Kafka writes it, from a UUID; empty if there is none."""
    known = uuid.UUID(str(found)) if found else _NO_ID
    if known == _NO_ID:
        return ""
    return base64.urlsafe_b64encode(known.bytes).decode().rstrip("=")


_IN_LOGIN = r'\b{key}\s*=\s*"((?:[^"\\]|\\.)*)"'


def settings_of(source: KafkaSource) -> dict[str, Any]:
    """The source's settings as kafka-python names them.

    Raises:
        UnknownError: it has no setting for one of them.
    """
    given = {key.removeprefix(PREFIX): value for key, value in source.options.items()}
    settings: dict[str, Any] = {
        "bootstrap_servers": list(source.servers),
        "security_protocol": given.get("security.protocol", "PLAINTEXT"),
    }
    if "client.id" in given:
        settings["client_id"] = given["client.id"]
    if settings["security_protocol"].startswith("SASL_"):
        settings |= _login(given)
    if settings["security_protocol"].endswith("SSL"):
        settings |= _certificates(given)
    return settings


def _login(given: Mapping[str, str]) -> dict[str, Any]:
    mechanism = given.get("sasl.mechanism", "GSSAPI")
    login = {"sasl_mechanism": mechanism}
    if mechanism == "GSSAPI":
        service = given.get("sasl.kerberos.service.name", "kafka")
        return {**login, "sasl_kerberos_service_name": service}
    jaas = given.get(JAAS.removeprefix(PREFIX), "")
    for key, name in (
        ("username", "sasl_plain_username"),
        ("password", "sasl_plain_password"),
    ):
        found = re.search(_IN_LOGIN.format(key=key), jaas)
        if found is None:
            raise UnknownError(f"kafka-python finds no {key} in {JAAS}")
        login[name] = re.sub(r"\\(.)", r"\1", found[1])
    remember(login["sasl_plain_password"])
    return login


def _certificates(given: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "ssl_check_hostname": given.get("ssl.endpoint.identification.algorithm", "https") != ""
    }
    for store, names in (
        ("truststore", ("ssl_cafile",)),
        ("keystore", ("ssl_certfile", "ssl_keyfile")),
    ):
        if given.get(f"ssl.{store}.type", "JKS") != "PEM" and f"ssl.{store}.location" in given:
            raise UnknownError(
                f"kafka-python cannot read a {store} of Java; "
                f"with {PREFIX}ssl.{store}.type PEM, it can"
            )
        if f"ssl.{store}.location" in given:
            settings |= dict.fromkeys(names, given[f"ssl.{store}.location"])
    if "ssl.keystore.key" in given or "ssl.truststore.certificates" in given:
        raise UnknownError("kafka-python reads keys and certificates from files only")
    if "ssl.key.password" in given:
        settings["ssl_password"] = given["ssl.key.password"]
    return settings
