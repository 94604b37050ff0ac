"""A Kafka broker that is its own controller (KRaft), in a folder of its own."""

from __future__ import annotations

import base64
import socket
import struct
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cdc_lab.packages import kafka_jars
from cdc_lab.server import LOOPBACK, Server, java_line, write_properties
from medallion_jobs.errors import TransientError

_ANSWER_WITHIN_SECONDS = 5.0
_METADATA, _VERSION = 3, 1
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "inter.broker.listener.name": "PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "num.partitions": 1,
    # One broker cannot hold three copies.
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    # Nobody else joins a group here, so there is no reason to wait for more members.
    "group.initial.rebalance.delay.ms": 0,
    # How long the controller waits for a broker that was killed, before it takes the next one.
    "broker.session.timeout.ms": 4000,
    "broker.heartbeat.interval.ms": 1000,
    # What is in a topic stays until the folder is removed.
    "log.retention.ms": -1,
    # The least it takes; the default is more than the whole heap here.
    "log.cleaner.dedupe.buffer.size": 2_097_152,
}


class Broker(Server):
    """One broker; `address` is what clients take for `bootstrap.servers`.

        broker = Broker(folder)
        broker.start()     # ready: it answers, and topics can be made
        broker.kill()      # as kill -9
        broker.start()     # the same address, the same topics
        broker.stop()

    Args:
        folder: its data, log, pid and ports; created if it is missing.
        port: for clients; 0 takes one that is free, and the same one at each later start.
        settings: of the broker, in place of those above: `{"log.retention.ms": "1000"}`.
        memory: of its heap.
        report: receives a line for each jar that is fetched.
    """

    name = "kafka"
    _further_ports = 1  # the controller's

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        settings: Mapping[str, object] | None = None,
        memory: str = "384m",
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(folder, port=port)
        self._settings = dict(settings or {})
        self._memory = memory
        self._report = report

    @property
    def data(self) -> Path:
        """The folder of its topics."""
        return self.folder / "kafka-data"

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        clients, controller = self._ports()
        properties = self.folder / "kafka.properties"
        write_properties(
            properties,
            {
                **_SETTINGS,
                "listeners": f"PLAINTEXT://{LOOPBACK}:{clients},CONTROLLER://{LOOPBACK}:{controller}",
                "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{clients}",
                "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
                "log.dirs": self.data,
                **self._settings,
            },
        )
        jars = kafka_jars(self._report)
        # It is written last.
        if not (self.data / "meta.properties").exists():
            self._format(jars, properties)
        return java_line("kafka.Kafka", jars, str(properties), memory=self._memory), {}

    def _format(self, jars: Sequence[Path], properties: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        asked = ("format", f"--cluster-id={cluster}", "--config", str(properties))
        line = java_line("kafka.tools.StorageTool", jars, *asked, memory="128m")
        answer = subprocess.run(line, check=False, capture_output=True, text=True)
        if answer.returncode:
            raise TransientError(
                f"Kafka could not format {self.data}:\n{answer.stdout}{answer.stderr}".rstrip(),
                code="lab_not_formatted",
                untouched="no server was started",
                next_step=f"remove {self.data}, then the same command again",
            )

    def _answers(self) -> bool:
        """Whether it names itself as a broker: from then on, it takes new topics and records."""
        try:
            return _brokers(self.port) > 0
        except OSError:
            return False


def _brokers(port: int) -> int:
    """How many brokers the metadata have, by Kafka's own protocol."""
    client = b"lab"
    body = struct.pack(">hhih3si", _METADATA, _VERSION, 1, len(client), client, 0)
    with socket.create_connection((LOOPBACK, port), _ANSWER_WITHIN_SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        with connection.makefile("rb") as answer:
            head = answer.read(12)  # its length, the number of the request, the count
    if len(head) < 12:  # noqa: PLR2004
        raise ConnectionError("it ended in the middle of its answer")
    return int(struct.unpack(">iii", head)[2])
