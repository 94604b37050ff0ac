"""Bronze from a real Kafka: every message is a row or in quarantine, once."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from deltalake import write_deltalake
from support.kafka_topics import (
    LOGIN,
    PASSWORD,
    Cluster,
    KafkaLake,
    SchemaRegistry,
    WithLogin,
    avro,
    with_id,
)

from medallion_jobs.errors import DataError, MedallionError, TransientError
from medallion_jobs.kafkaloader import KafkaOffsets
from medallion_jobs.kafkaloader import broker as brokers
from medallion_jobs.kafkaloader.poison import Poison

pytestmark = pytest.mark.usefixtures("spark")

GOOD = [
    b'{"id": 1, "price": 5.00}',
    b' {"a" : {"b": [1, {"c": null}]}}\n',
    b"[1, 2]",
    b"7",
    b'"text"',
    b"null",
    '{"é": "ü \\u00e9"}'.encode(),
    b"{}",
]
# By value, a part of the reason.
BAD = {
    b"\xff{}": "not UTF-8",
    b"": "empty",
    b'{"a":1}{"b":2}': "more than one value",
    b'{"a":1} x': "not valid JSON",
    b'{"a":1,"a":2}': "repeated",
    b'{"a":NaN}': "not valid JSON",
    b"{'a':1}": "not valid JSON",
    b'{"a":1': "not valid JSON",
    b"01": "not valid JSON",
    b'"\\ud800" : 1': "not valid JSON",
    b"\x1f\x8b\x08": "gzip",
    b"\0\0\0\0\x01ab": "null byte",
}
ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "note", "type": ["null", "string"], "default": None},
    ],
}


@pytest.fixture(scope="module")
def cluster(broker: WithLogin) -> Cluster:
    return Cluster(broker.address)


def test_every_message_is_a_row_or_in_quarantine(cluster: Cluster, tmp_path: Path) -> None:
    topic = cluster.topic()
    cluster.send(topic, *GOOD, (b"gone", None), headers=[("h", b"\xfe\x01")])
    cluster.send(topic, *BAD, (b"\xfe", b"{}"), (None, b"{}"), partition=1)
    lake = KafkaLake.reading(tmp_path, cluster, topics=topic, add_columns=["_batch_id"])
    (done,) = lake.load()
    total = len(GOOD) + len(BAD) + 3
    assert (done.rows_in, done.rows_out, done.quarantined) == (total, len(GOOD) + 2, len(BAD) + 1)
    assert done.backlog == 0
    rows = lake.orders
    values = [None if row["value"] is None else row["value"].encode() for row in rows]
    assert values == [*GOOD, None, b"{}"]
    assert [row["offset"] for row in rows] == [*range(9), len(BAD) + 1]
    assert [row["key"] for row in rows] == ["k"] * 8 + ["gone", None]
    assert {str(row["headers"]) for row in rows[:9]} == {"[{'key': 'h', 'value': b'\\xfe\\x01'}]"}
    assert {row["topic"] for row in rows} == {topic}
    assert {row["_batch_id"] for row in rows} == {0}
    bad = lake.bad
    for row, (value, reason) in zip(bad[:-1], BAD.items(), strict=True):
        assert reason in row["reason"], row
        assert _bytes(row, "value") == value
    assert (_bytes(bad[-1], "key"), _bytes(bad[-1], "value")) == (b"\xfe", b"{}")
    assert "key: binary" in bad[-1]["reason"]
    listed = json.loads(lake.cli("quarantine", "list", "--json"))
    assert sum(row["open"] for row in listed) == len(BAD) + 1
    shown = json.loads(lake.cli("quarantine", "show", "bronze.orders", "--limit", "99", "--json"))
    wheres = {f"topic {topic}, partition 1, offset {offset}" for offset in range(len(BAD) + 1)}
    assert {row["file"] for row in shown} == wheres
    assert {json.loads(row["row"])["offset"] for row in shown} == {*range(len(BAD) + 1)}


def _bytes(row: dict[str, Any], part: str) -> bytes:
    if row[f"{part}_base64"] is not None:
        return base64.b64decode(row[f"{part}_base64"])
    return str(row[part]).encode()


def test_batches_restarts_and_what_is_left(cluster: Cluster, tmp_path: Path) -> None:
    """Also a crash between the two commits of a batch, and a reset."""
    topic = cluster.topic()
    lake = KafkaLake.reading(tmp_path, cluster, topics=topic, max_messages_per_trigger=6)
    cluster.send(topic, *[b'{"n": %d}' % n for n in range(9)], b"bad")
    first = lake.load()
    assert [done.backlog for done in first] == [4, 0]
    assert lake.load() == []
    cluster.send(topic, *[b"[%d]" % n for n in range(5)], b"worse", partition=1)
    assert (lake.status["behind"], lake.status["messages"]) == (6, 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Poison, "put", _dies)
        with pytest.raises(MedallionError, match="died"):
            lake.run("bronze")
    assert len(lake.orders) == 14
    (again,) = lake.load()
    assert (again.rows_in, again.rows_out, again.quarantined) == (6, 5, 1)
    assert [row["value"] for row in lake.bad] == ["bad", "worse"]
    assert (lake.status["behind"], lake.status["messages"]) == (0, 16)
    before = lake.orders
    lake.reset("bronze.orders")
    cluster.send(topic, b'{"after": "the reset"}')
    done = lake.load()
    assert sum(batch.rows_out for batch in done) == 1
    assert sum(batch.repeated for batch in done) == 16
    assert [row for row in lake.orders if row in before] == before


def test_the_lag_is_the_one_that_kafka_shows(cluster: Cluster, tmp_path: Path) -> None:
    """By Kafka's own tool, for a group that has reached what bronze has."""
    topic = cluster.topic()
    lake = KafkaLake.reading(tmp_path, cluster, topics=topic)
    cluster.send(topic, *[b"{}"] * 4)
    cluster.send(topic, *[b"{}"] * 2, b"bad", partition=1)
    lake.load()
    assert lag(lake, cluster, topic) == {0: 0, 1: 0}
    cluster.send(topic, *[b"{}"] * 5)
    cluster.transaction(topic, [b"{}"] * 3, commits=False)
    cluster.send(topic, *[b"{}"] * 7, partition=1)
    # The mark of a transaction has an offset, too.
    assert lag(lake, cluster, topic) == {0: 5 + 3 + 1, 1: 7}


def lag(lake: KafkaLake, cluster: Cluster, topic: str) -> dict[int, int]:
    """By partition; `status` has their sum."""
    read = [(row["partition"], row["offset"]) for row in (*lake.orders, *lake.bad)]
    reached = {partition: max(o for p, o in read if p == partition) + 1 for partition, _ in read}
    found = cluster.lag(topic, reached)
    assert lake.status["behind"] == sum(found.values())
    return found


def _dies(*_: object) -> int:
    raise OSError("died")


def test_verify_finds_what_is_wrong(cluster: Cluster, tmp_path: Path) -> None:
    topic = cluster.topic()
    cluster.send(topic, *[b"{}"] * 4)
    lake = KafkaLake.reading(tmp_path, cluster, topics=topic)
    lake.load()
    table = lake.path("bronze.orders")
    rows = lake.orders
    foreign = [rows[0], {**rows[1], "offset": 4}]
    import pyarrow as pa
    from deltalake import DeltaTable

    schema = pa.schema(DeltaTable(table).schema().to_arrow())
    write_deltalake(table, pa.Table.from_pylist(foreign, schema=schema), mode="append")
    with pytest.raises(SystemExit):
        lake.verify()
    layers = ["verify", "bronze.orders", "--layers", "--json"]
    from support.lake import CliRunner, app

    answer = json.loads(CliRunner().invoke(app, [*layers, *lake.arguments]).stdout)
    read, once, ends = answer["layers"][0]["checks"]
    assert (read["right"], read["expected"], read["found"]) == (False, 4, 6)
    where = f"topic {topic}, partition 0"
    assert [found["where"] for found in once["mismatches"]] == [f"{where}, offset 0"]
    assert [found["where"] for found in ends["mismatches"]] == [
        f"{where}: offset after the last one"
    ]


def test_avro_with_the_schemas_of_a_registry(cluster: Cluster, tmp_path: Path) -> None:
    more = {
        "name": "place",
        "type": {"type": "record", "name": "P", "fields": [ORDER["fields"][0]]},
    }
    registry = SchemaRegistry(
        {
            1: {"schema": json.dumps(ORDER)},
            2: {"schema": json.dumps({**ORDER, "fields": [*ORDER["fields"], more]})},
            3: {"schema": json.dumps({**ORDER, "fields": [{"name": "id", "type": "string"}]})},
            4: {"schema": "syntax = 3", "schemaType": "PROTOBUF"},
        }
    )
    topic = cluster.topic()
    with registry.answering():
        source = {"topics": topic, "value": "avro", "schema_registry": registry.url}
        lake = KafkaLake.reading(tmp_path, cluster, **source)
        cluster.send(topic, with_id(1, avro(7, None)), with_id(1, avro(8, 1, "é")))
        cluster.send(topic, with_id(2, avro(9, None, 70)), (b"gone", None))
        whole = with_id(1, avro(7, None))
        bad = {
            with_id(3, avro("x")): "its field id is string",
            with_id(4, b"?"): "PROTOBUF",
            with_id(5, b"?"): "has no such schema",
            b'{"id": 1}': "does not start with the id",
            whole + b"\0": "not a message of the schema",
            whole[:-1]: "not a message of the schema",
            with_id(1, avro(7, 1, b"\x02\xff")): "not UTF-8",
        }
        cluster.send(topic, *bad)
        (done,) = lake.load()
        assert (done.rows_out, done.quarantined) == (4, len(bad))
        for row, (value, reason) in zip(lake.bad, bad.items(), strict=True):
            assert (reason in row["reason"], _bytes(row, "value")) == (True, value), row
        rows = lake.orders
        assert [row["data"] for row in rows] == [
            {"id": 7, "note": None, "place": None},
            {"id": 8, "note": "é", "place": None},
            {"id": 9, "note": None, "place": {"id": 70}},
            None,
        ]
        assert rows[0]["value"] == with_id(1, avro(7, None))
        assert registry.asked.count("/schemas/ids/1") == 1
        # What is known needs no registry; what is new does.
        registry.is_down = True
        cluster.send(topic, with_id(2, avro(10, None, 71)))
        assert lake.load()[0].rows_out == 1
        registry.schemas[5] = {"schema": json.dumps(ORDER)}
        cluster.send(topic, with_id(5, avro(11, None)))
        with pytest.raises(TransientError) as error:
            lake.load()
        assert error.value.code == "registry_unreachable"
        registry.is_down = False
        assert lake.load()[0].rows_out == 1
        assert [row["data"]["id"] for row in lake.orders if row["data"]] == [7, 8, 9, 10, 11]


@pytest.mark.parametrize("has_client", [True, False])
def test_lost_messages(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_client: bool
) -> None:
    """With kafka-python before there is a JVM, without it from Kafka's own client."""
    if not has_client:
        monkeypatch.setattr(brokers, "find_spec", lambda _: None)
    topic = cluster.topic()
    lake = KafkaLake.reading(tmp_path, cluster, topics=topic)
    cluster.send(topic, *[b"{}"] * 5)
    lake.load()
    status = lake.status
    assert status["behind"] == (0 if has_client else None)
    assert ("medallion-jobs[kafka]" in (status["behind_unknown"] or "")) is not has_client
    cluster.send(topic, *[b"{}"] * 5)
    cluster.forget(topic, 0, before=8)
    with pytest.raises(DataError) as lost:
        lake.load()
    assert lost.value.code == "kafka_data_lost"
    for part in (topic, "partition 0", "offset 5", "8 is the oldest"):
        assert part in lost.value.what
    (done,) = lake.setting(on_data_loss="continue").load()
    assert done.rows_out == 2
    assert any("3 messages are missing" in remark for remark in done.remarks)
    cluster.drop(topic)
    with pytest.raises(DataError) as gone:
        lake.load()
    assert gone.value.code == "source_removed"
    cluster.topic(name=topic)
    cluster.send(topic, *[b"[]"] * 20)
    with pytest.raises(DataError) as replaced:
        lake.load()
    assert replaced.value.code == "kafka_topic_replaced"
    lake.reset("bronze.orders")
    assert lake.load()[0].rows_out == 20
    assert len(lake.orders) == 7 + 20


def test_messages_that_go_while_it_runs(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were there when the start was checked."""
    topic = cluster.topic(partitions=1)
    lake = KafkaLake.reading(tmp_path, cluster, topics=topic)
    cluster.send(topic, *[b"{}"] * 5)
    lake.load()
    cluster.send(topic, *[b"{}"] * 5)
    cluster.forget(topic, 0, before=8)
    check, calls = KafkaOffsets.faults, list[object]()

    def too_early(self: KafkaOffsets, *about: Any) -> Any:
        calls.append(about)
        return iter(()) if len(calls) == 1 else check(self, *about)

    monkeypatch.setattr(KafkaOffsets, "faults", too_early)
    with pytest.raises(DataError) as lost:
        lake.run("bronze")
    assert lost.value.code == "kafka_data_lost"
    assert "bronze.orders cannot continue: Kafka no longer has" in lost.value.what
    assert len(lake.orders) == 5


@pytest.mark.slow
def test_where_it_starts(cluster: Cluster, tmp_path: Path) -> None:
    topic = cluster.topic()
    cluster.send(topic, *[b"0"] * 3)
    cluster.send(topic, *[b"1"] * 2, partition=1)
    time.sleep(0.01)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    found = {}
    for name, starting in {
        "offsets": json.dumps({topic: {0: 2}}),
        "words": json.dumps({topic: {0: "latest", 1: 1}}),
        "latest": "latest",
        "past": "2020-01-01",
        "future": moment,
    }.items():
        lake = KafkaLake.reading(tmp_path / name, cluster, topics=topic).setting(starting=starting)
        lake.run("bronze")
        found[name] = [(row["partition"], row["offset"]) for row in lake.orders]
    all_of_them = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert found == {
        "offsets": [(0, 2), (1, 0), (1, 1)],
        "words": [(1, 1)],
        "latest": [],
        "past": all_of_them,
        "future": [],
    }
    cluster.send(topic, b"2")
    assert lake.load()[0].rows_out == 1
    # A new generation starts where the first one did, and has what came since.
    lake = KafkaLake.reading(tmp_path / "latest", cluster, topics=topic).setting(starting="latest")
    cluster.send(topic, b"3", partition=1)
    lake.reset("bronze.orders")
    lake.load()
    assert [(row["partition"], row["value"]) for row in lake.orders] == [(0, "2"), (1, "3")]


def test_a_missing_topic(cluster: Cluster, tmp_path: Path) -> None:
    lake = KafkaLake.reading(tmp_path, cluster, topics="none_of_this_name")
    with pytest.raises(MedallionError) as missing:
        lake.run("bronze")
    assert missing.value.code == "kafka_topic_missing"
    assert not lake.path("bronze.orders").exists()


def test_a_login_that_nobody_sees(
    broker: WithLogin, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the right password, and with a wrong one."""
    topic = cluster.topic()
    cluster.send(topic, b"{}")
    secret = tmp_path / "login"
    options = {
        "kafka.security.protocol": "SASL_PLAINTEXT",
        "kafka.sasl.mechanism": "PLAIN",
        "kafka.sasl.jaas.config": f"${{file:{secret}}}",
    }
    lake = KafkaLake.reading(
        tmp_path, cluster, topics=topic, servers=broker.login_address, options=options
    )
    secret.write_text(LOGIN)
    (done,) = lake.load()
    assert (done.rows_out, done.backlog, lake.status["behind"]) == (1, 0, 0)
    secret.write_text(LOGIN.replace(PASSWORD, "wrong-canary"))
    # kafka-python only sees that the connection ends, and waits for another one.
    monkeypatch.setattr(brokers, "find_spec", lambda _: None)
    with pytest.raises(MedallionError) as refused:
        lake.run("bronze")
    assert refused.value.code == "kafka_refused"
    assert "canary" not in str(refused.value)
    kept = [file for file in tmp_path.rglob("*") if file.is_file() and file != secret]
    assert len(kept) > 10
    assert [file for file in kept if b"canary" in file.read_bytes()] == []


@pytest.mark.slow
def test_transactions_and_compaction_leave_gaps(cluster: Cluster, tmp_path: Path) -> None:
    """Messages of aborted transactions are no rows; offsets without a message are right."""
    topic = cluster.topic(partitions=1)
    cluster.transaction(topic, [b"1", b"2"], commits=True)
    cluster.transaction(topic, [b"3", b"4"], commits=False)
    cluster.transaction(topic, [b"5"], commits=True)
    lake = KafkaLake.reading(tmp_path / "committed", cluster, topics=topic)
    assert lake.load()[0].rows_out == 3
    assert [row["value"] for row in lake.orders] == ["1", "2", "5"]
    assert lake.status["behind"] == 0
    cluster.transaction(topic, [b"6"], commits=False)
    lake.load()
    cluster.transaction(topic, [b"7"], commits=True)
    assert lake.load()[0].rows_out == 1
    all_of_them = KafkaLake.reading(
        tmp_path / "all",
        cluster,
        topics=topic,
        options={"kafka.isolation.level": "read_uncommitted"},
    )
    assert all_of_them.load()[0].rows_out == 7

    compacted = cluster.topic(
        1, **{"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    )
    for n in range(20):
        cluster.send(compacted, (b"same", b"%d" % n))
        time.sleep(0.06)
    deadline = time.monotonic() + 120
    while cluster.count(compacted) == 20:
        assert time.monotonic() < deadline
        time.sleep(1)
    lake = KafkaLake.reading(tmp_path / "compacted", cluster, topics=compacted)
    (done,) = lake.setting(max_messages_per_trigger=7).load()[-1:]
    assert done.backlog == 0
    assert lake.orders[-1]["value"] == "19"


@pytest.mark.slow
def test_topics_and_partitions_that_come_later(cluster: Cluster, tmp_path: Path) -> None:
    first = cluster.topic(partitions=1, name="shop.a")
    cluster.send(first, b"1")
    cluster.send(cluster.topic(name="shop_b"), b"2")
    lake = KafkaLake.reading(tmp_path, cluster, topic_pattern=r"shop\..*")
    assert lake.load()[0].rows_out == 1
    cluster.send(cluster.topic(partitions=1, name="shop.c"), b"3")
    cluster.grow(first, 3)
    cluster.send(first, b"4", partition=2)
    assert sum(done.rows_out for done in lake.load()) == 2
    assert [(row["topic"], row["partition"]) for row in lake.orders] == [
        ("shop.a", 0),
        ("shop.a", 2),
        ("shop.c", 0),
    ]


@pytest.mark.slow
def test_a_topic_that_is_read_again(cluster: Cluster, tmp_path: Path) -> None:
    """Spark reads it from its beginning, and has forgotten how far it was."""
    first, second = cluster.topic(partitions=1), cluster.topic(partitions=1)
    cluster.send(first, b"1")
    cluster.send(second, b"2", b"bad")
    lake = KafkaLake.reading(tmp_path, cluster, topics=[first, second])
    lake.load()
    less = lake.setting(topics=f"[{first}]")
    with pytest.raises(DataError) as left:
        less.load()
    assert left.value.code == "kafka_topic_left_config"
    cluster.send(first, b"3")
    assert less.setting(on_data_loss="continue").load()[0].rows_out == 1
    cluster.send(second, b"4")
    done = lake.load()
    assert [(batch.rows_out, batch.repeated) for batch in done] == [(1, 2)]
    assert sorted(row["value"] for row in lake.orders) == ["1", "2", "3", "4"]
    assert len(lake.bad) == 1
