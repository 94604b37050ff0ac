"""Offsets of Kafka as the engine asks about them, with a cluster that answers from a dict."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from medallion_jobs.checkpoint import Binding, Checkpoint, Generation, Logic, Manifest
from medallion_jobs.config import KafkaSource
from medallion_jobs.config.kafka_options import JAAS
from medallion_jobs.errors import TransientError
from medallion_jobs.kafkaloader import KafkaOffsets, broker
from medallion_jobs.kafkaloader.broker import Cluster, PythonBroker, Topic, UnknownError
from medallion_jobs.kafkaloader.offsets import made_again
from medallion_jobs.kafkaloader.schemas import Registry, Written

SOURCE = {"format": "kafka", "servers": ["a:9092"], "topics": ["orders"]}


@dataclass
class Answers:
    """A cluster with one topic of two partitions."""

    id: str = "c-1"
    topic_id: str = "t-1"
    earliest: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0})
    latest: dict[int, int] = field(default_factory=lambda: {0: 10, 1: 10})
    name: str = "orders"
    fault: Exception | None = None

    def look(self) -> Cluster:
        if self.fault:
            raise self.fault
        topic = Topic(self.topic_id, self.earliest, self.latest)
        return Cluster(self.id, {self.name: topic} if self.name else {})


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """Started at 2 and 0; two batches are done, the third is planned."""
    for batch, (first, second) in enumerate(((4, 0), (6, 3), (8, 5))):
        write(
            tmp_path / "offsets" / str(batch),
            f'v1\n{{}}\n{{"orders":{{"0":{first},"1":{second}}}}}',
        )
    for batch in (0, 1):
        write(tmp_path / "commits" / str(batch), "v1\n{}")
    write(tmp_path / "sources" / "0" / "0", '\0v1\n{"orders":{"0":2,"1":0}}')
    return Checkpoint(tmp_path, "bronze.orders/v1")


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def offsets(cluster: Answers, **keys: Any) -> KafkaOffsets:
    return KafkaOffsets(KafkaSource.model_validate({**SOURCE, **keys}), "bronze.orders", cluster)


def bound(cluster: Answers) -> Binding:
    identity = offsets(cluster).identity()
    assert identity
    return Binding(source="Kafka", source_id=identity, target_id="x", logic=Logic())


def codes(cluster: Answers, checkpoint: Checkpoint, **keys: Any) -> list[str]:
    found = offsets(cluster, **keys).faults(checkpoint, bound(Answers()))
    return [fault.code for fault in found]


def test_what_a_batch_took_and_what_is_left(checkpoint: Checkpoint) -> None:
    asked = offsets(Answers())
    taken = [asked.progress(checkpoint, batch) for batch in range(3)]
    assert [(t.rows, left.rows) for t, left in taken if t and left] == [(2, 16), (5, 11), (4, 7)]
    assert asked.backlog(checkpoint) == 7
    assert offsets(Answers(earliest={0: 9, 1: 7})).backlog(checkpoint) == 1 + 3
    more = Answers(earliest={0: 0, 1: 0, 2: 1}, latest={0: 8, 1: 5, 2: 4})
    assert offsets(more).backlog(checkpoint) == 3


def test_a_cluster_that_is_as_it_was(checkpoint: Checkpoint) -> None:
    assert codes(Answers(), checkpoint) == []
    assert codes(Answers(earliest={0: 6, 1: 3}), checkpoint) == []


@pytest.mark.parametrize(
    ("cluster", "code"),
    [
        (Answers(id="c-2"), "source_replaced"),
        (Answers(topic_id="t-2"), "kafka_topic_replaced"),
        (Answers(name=""), "source_removed"),
        (Answers(earliest={0: 7, 1: 0}), "kafka_data_lost"),
        (Answers(latest={0: 5, 1: 9}), "kafka_topic_cut"),
    ],
)
def test_a_cluster_with_which_it_cannot_go_on(
    cluster: Answers, code: str, checkpoint: Checkpoint
) -> None:
    assert codes(cluster, checkpoint) == [code]
    allowed = [] if code == "kafka_data_lost" else [code]
    assert codes(cluster, checkpoint, on_data_loss="continue") == allowed


def test_lost_messages_are_named(checkpoint: Checkpoint) -> None:
    (fault,) = offsets(Answers(earliest={0: 9, 1: 0})).faults(checkpoint, bound(Answers()))
    for part in ("3 messages", "topic orders, partition 0", "offset 6", "9 is the oldest"):
        assert part in fault.reason
    assert "on_data_loss: continue" in fault.next_step


def test_a_topic_that_left_the_config(checkpoint: Checkpoint) -> None:
    other = Answers(name="payments")
    assert codes(other, checkpoint, topics=["payments"]) == ["kafka_topic_left_config"]
    assert codes(other, checkpoint, topics=["payments"], on_data_loss="continue") == []


def test_a_table_that_read_files_before(checkpoint: Checkpoint) -> None:
    before = Binding(source="files of /in", source_id="1-2", target_id="x", logic=Logic())
    (fault,) = offsets(Answers()).faults(checkpoint, before)
    assert fault.code == "source_changed"


def test_a_cluster_that_cannot_be_asked(checkpoint: Checkpoint) -> None:
    unknown = Answers(fault=UnknownError("no client"))
    assert list(offsets(unknown).faults(checkpoint, bound(Answers()))) == []
    taken, left = offsets(unknown).progress(checkpoint, 1)
    assert (taken and taken.rows, left) == (5, None)
    down = Answers(fault=TransientError("down", code="kafka_unreachable"))
    with pytest.raises(TransientError):
        list(offsets(down).faults(checkpoint, bound(Answers())))
    assert offsets(down).progress(checkpoint, 1)[1] is None


def test_the_lives_of_a_topic() -> None:
    def generation(number: int, topic_id: str | None) -> Generation:
        source_id = json.dumps({"cluster": "c", "topics": {"orders": topic_id}})
        binding = Binding(source="", source_id=source_id, target_id="", logic=Logic())
        return Generation(
            number=number,
            opened_at=datetime(2026, 1, number, tzinfo=timezone.utc),
            opened_by="",
            reason="",
            versions={},
            binding=binding if topic_id else None,
        )

    ids = ("a", "a", "b", "b", None)
    recorded = Manifest(query="q", generations=[generation(n, i) for n, i in enumerate(ids, 1)])
    third, fifth = (recorded.generations[n].opened_at for n in (2, 4))
    assert made_again(recorded, {"orders": "b"}) == {"orders": [third]}
    assert made_again(recorded, {"orders": "c"}) == {"orders": [third, fifth]}


def test_without_the_client_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "find_spec", lambda _: None)
    with pytest.raises(UnknownError, match=r"pip install 'medallion-jobs\[kafka\]'"):
        PythonBroker(KafkaSource.model_validate(SOURCE)).look()


def test_a_cluster_that_does_not_answer() -> None:
    nobody = KafkaSource.model_validate({**SOURCE, "servers": ["127.0.0.1:1"]})
    with pytest.raises(TransientError) as silent:
        PythonBroker(nobody, patience_seconds=0.3).look()
    assert (silent.value.code, "127.0.0.1:1" in silent.value.what) == ("kafka_unreachable", True)


def test_the_settings_of_the_other_client() -> None:
    module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    login = f'{module} username="me" password="a\\"b";'

    def settings(**options: str) -> dict[str, Any]:
        keys = {f"kafka.{name.replace('_', '.')}": value for name, value in options.items()}
        return broker.settings_of(KafkaSource.model_validate({**SOURCE, "options": keys}))

    sasl = {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        JAAS.removeprefix("kafka."): login,
        "ssl_truststore_location": "/ca.pem",
        "ssl_truststore_type": "PEM",
    }
    found = settings(**sasl)
    assert (found["sasl_plain_username"], found["sasl_plain_password"]) == ("me", 'a"b')
    assert (found["ssl_cafile"], found["ssl_check_hostname"]) == ("/ca.pem", True)
    with pytest.raises(UnknownError, match="truststore of Java"):
        settings(security_protocol="SSL", ssl_truststore_location="/ca.jks")


def test_schemas_that_refer_to_others(tmp_path: Path) -> None:
    """The first mention is the definition, as Avro wants it."""
    place = {"type": "record", "name": "shop.Place", "fields": [{"name": "id", "type": "int"}]}
    fields = [{"name": "here", "type": "shop.Place"}, {"name": "there", "type": "shop.Place"}]
    order = {"type": "record", "name": "Order", "fields": fields}
    kept = {"schema": json.dumps(order), "references": {"shop.Place": json.dumps(place)}}
    write(tmp_path / "7.json", json.dumps(kept))
    write(tmp_path / "8.json", json.dumps({"schema": "syntax", "schemaType": "PROTOBUF"}))
    known = Registry("http://127.0.0.1:1", tmp_path).known()
    expected = {**order, "fields": [{"name": "here", "type": place}, fields[1]]}
    assert known[7] == Written(json.dumps(expected))
    assert (known[8].text, "PROTOBUF" in known[8].fault) == (None, True)
    with pytest.raises(TransientError) as silent:
        Registry("http://me:secret-word@127.0.0.1:1", tmp_path).fetched([9])
    assert silent.value.code == "registry_unreachable"
    assert "secret-word" not in str(silent.value)
