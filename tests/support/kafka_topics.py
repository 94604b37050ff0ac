"""Topics of a real Kafka, a lake that reads one, and a schema registry that answers from a dict."""

from __future__ import annotations

import json
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

from cdc_lab.kafka import Broker
from cdc_lab.packages import kafka_jars
from cdc_lab.server import free_ports, java_line
from kafka import (
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    TopicPartition,
)

from medallion_jobs.observe.events import BatchDone
from medallion_jobs.storage.duck import connect
from support.lake import batches, rows_at
from support.own import OwnLake

_numbers = count(1)
PASSWORD = "canary-of-kafka"
_MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"
LOGIN = f'{_MODULE} required username="medallion" password="{PASSWORD}";'


class WithLogin(Broker):
    """A broker that has a second address, at which one has to log in with `LOGIN`."""

    _login_port = 0

    @property
    def login_address(self) -> str:
        return f"127.0.0.1:{self._login_port}"

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        self._login_port = self._login_port or free_ports([0])[0]
        own = f"PLAINTEXT://{self.address},SASL_PLAINTEXT://{self.login_address}"
        controller = self._ports()[1]
        users = f'username="admin" password="x" user_medallion="{PASSWORD}"'
        self._settings |= {
            "listeners": f"{own},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": own,
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
            "SASL_PLAINTEXT:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": f"{_MODULE} required {users};",
        }
        return super()._command()


@dataclass(frozen=True)
class Cluster:
    """What a test does with a cluster, besides reading it."""

    address: str

    def topic(self, partitions: int = 2, name: str = "", **settings: str) -> str:
        """Makes a topic, by default with a name that no other has."""
        name = name or f"orders_{next(_numbers)}"
        made = {"num_partitions": partitions, "replication_factor": 1, "configs": settings}
        with self.admin() as admin:
            admin.create_topics({name: made}, wait_for_metadata=True)
        return name

    def send(
        self,
        topic: str,
        *messages: bytes | tuple[bytes | None, bytes | None] | None,
        partition: int | None = 0,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Sends values, or pairs of key and value."""
        producer = KafkaProducer(bootstrap_servers=self.address)
        for message in messages:
            key, value = message if isinstance(message, tuple) else (b"k", message)
            producer.send(topic, value, key, headers=list(headers), partition=partition)
        producer.flush()
        producer.close()

    def transaction(self, topic: str, values: Sequence[bytes], *, commits: bool) -> None:
        """Sends values in one transaction, and commits or aborts it."""
        number = f"t-{next(_numbers)}"
        producer = KafkaProducer(bootstrap_servers=self.address, transactional_id=number)
        producer.init_transactions()
        producer.begin_transaction()
        for value in values:
            producer.send(topic, value, b"k", partition=0)
        producer.flush()
        (producer.commit_transaction if commits else producer.abort_transaction)()
        producer.close()

    def count(self, topic: str) -> int:
        """How many messages there are."""
        consumer = KafkaConsumer(
            topic,
            bootstrap_servers=self.address,
            auto_offset_reset="earliest",
            consumer_timeout_ms=2000,
            group_id=None,
        )
        found = sum(1 for _ in consumer)
        consumer.close()
        return found

    def lag(self, topic: str, reached: Mapping[int, int]) -> dict[int, int]:
        """What kafka-consumer-groups shows for a group that has reached these offsets.

        Args:
            reached: by partition, the offset after the last message that is read.
        """
        group = f"g-{next(_numbers)}"
        about = {TopicPartition(topic, p): OffsetAndMetadata(o, "", -1) for p, o in reached.items()}
        with closing(
            KafkaConsumer(bootstrap_servers=self.address, group_id=group, enable_auto_commit=False)
        ) as consumer:
            consumer.assign(list(about))
            consumer.commit(about)
        main = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
        asked = ("--bootstrap-server", self.address, "--describe", "--group", group)
        line = java_line(main, kafka_jars(), *asked, memory="128m")
        told = subprocess.run(line, check=True, capture_output=True, text=True).stdout
        lines = (line.split() for line in told.splitlines())
        head, *rows = (words for words in lines if {"LAG", group} & {*words})
        return {int(row[head.index("PARTITION")]): int(row[head.index("LAG")]) for row in rows}

    def grow(self, topic: str, partitions: int) -> None:
        with self.admin() as admin:
            admin.create_partitions({topic: partitions})

    def forget(self, topic: str, partition: int, before: int) -> None:
        """Deletes the oldest messages, as retention does."""
        with self.admin() as admin:
            admin.delete_records({TopicPartition(topic, partition): before})

    def drop(self, topic: str) -> None:
        with self.admin() as admin:
            admin.delete_topics([topic])
            while topic in admin.list_topics():
                pass

    @contextmanager
    def admin(self) -> Iterator[Any]:
        admin = KafkaAdminClient(bootstrap_servers=self.address)
        yield admin
        admin.close()


@dataclass(frozen=True)
class KafkaLake(OwnLake):
    """A lake with one bronze table, `bronze.orders`, that reads Kafka."""

    @classmethod
    def reading(cls, folder: Path, cluster: Cluster, **source: Any) -> KafkaLake:
        about = {"format": "kafka", "servers": cluster.address, **source}
        config = f"pipeline: topics\nbronze:\n  orders: {{source: {json.dumps(about)}}}\n"
        made = cls.of(folder, config)
        assert isinstance(made, KafkaLake)
        return made

    def setting(self, **source: Any) -> KafkaLake:
        """The same lake, with other keys of the source."""
        return self.having(*(f"bronze.orders.source.{k}={v}" for k, v in source.items()))  # type: ignore[return-value]

    def load(self) -> list[BatchDone]:
        """Runs bronze to the end of what is there, and checks that the account is right."""
        done = batches(self.run("bronze"), "bronze.orders")
        self.verify()
        return done

    def verify(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.cli("verify", "bronze.orders", "--layers", "--json")
        )
        assert found["right"], found
        return found

    @property
    def status(self) -> dict[str, Any]:
        (row,) = json.loads(self.cli("status", "--json"))
        assert isinstance(row, dict)
        return row

    @property
    def orders(self) -> list[dict[str, Any]]:
        """The rows of bronze by their offsets, as delta-rs and DuckDB read them."""
        return self._read("bronze.orders", self.path("bronze.orders"))

    @property
    def bad(self) -> list[dict[str, Any]]:
        """The messages in quarantine, the same."""
        return self._read("quarantine", self.storage / "_medallion/quarantine/bronze/orders")

    def _read(self, name: str, path: Path) -> list[dict[str, Any]]:
        rows = sorted(rows_at(path), key=_place)
        with connect(path, delta=True) as duck:
            duck.execute("SET TimeZone = 'UTC'")
            found = duck.execute("SELECT * FROM delta_scan(?)", [str(path)]).to_arrow_table()
        by_duck = sorted(found.to_pylist(), key=_place)
        assert [_comparable(row) for row in by_duck] == [_comparable(row) for row in rows], name
        return rows


def _place(row: Mapping[str, Any]) -> tuple[str, int, int]:
    return row["topic"], row["partition"], row["offset"]


def _comparable(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: bytes(v) if isinstance(v, bytearray) else v for key, v in row.items()}


@dataclass
class SchemaRegistry:
    """Answers as Confluent's registry does.

    Attributes:
        schemas: by id, what it answers for it.
        subjects: by `SUBJECT/VERSION`.
        asked: the paths of all requests.
        is_down: whether it answers with a fault.
    """

    schemas: dict[int, dict[str, Any]] = field(default_factory=dict)
    subjects: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    is_down: bool = False
    url: str = ""

    @contextmanager
    def answering(self) -> Iterator[SchemaRegistry]:
        registry = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(self.path)
                found = registry.found(self.path.strip("/").split("/"))
                self.send_response(503 if registry.is_down else 200 if found else 404)
                self.end_headers()
                self.wfile.write(json.dumps(found or {"error_code": 40403}).encode())

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def found(self, path: list[str]) -> dict[str, Any] | None:
        if path[0] == "schemas":
            return self.schemas.get(int(path[2]))
        return self.subjects.get(f"{path[1]}/{path[3]}")


def with_id(number: int, data: bytes) -> bytes:
    """A message in the wire format of a registry."""
    return b"\0" + struct.pack(">I", number) + data


def avro(*values: int | str | bytes | None) -> bytes:
    """Avro's binary form of a record whose fields are longs, strings, or bytes that are it already.

    None is the first branch of a union, so a text or number in a union has its branch before it.
    """
    return b"".join(map(_encoded, values))


def _encoded(value: int | str | bytes | None) -> bytes:
    if value is None:
        return b"\0"
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        data = value.encode()
        return _encoded(len(data)) + data
    number, out = (value << 1) ^ (value >> 63), b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])
