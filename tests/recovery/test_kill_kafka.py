"""`kill -9` while Kafka is read: no message is lost or twice, in bronze and in quarantine."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest
from support.dies_in_kafka import POINTS
from support.kafka_topics import Cluster, KafkaLake, WithLogin
from support.processes import Medallion

SCRIPT = Path(__file__).parents[1] / "support" / "dies_in_kafka.py"
# The one after which most is left to do; the others with `-m slow`.
IN_CI = ("after_the_bronze_commit",)


@pytest.mark.parametrize(
    "point", [p if p in IN_CI else pytest.param(p, marks=pytest.mark.slow) for p in POINTS]
)
def test_at_each_point_of_a_batch(
    point: str, broker: WithLogin, spark: object, tmp_path: Path
) -> None:
    cluster = Cluster(broker.address)
    topic = cluster.topic(partitions=1)
    lake = KafkaLake.reading(tmp_path, cluster, topics=topic, max_messages_per_trigger=10)
    sent = [b"bad %d" % n if n % 5 == 0 else b"[%d]" % n for n in range(30)]
    cluster.send(topic, *sent)
    with Medallion(lake, "run", "bronze", script=SCRIPT, DIES_AT=point) as run:
        assert run.wait() == -9, run.text
    assert len(lake.orders) == (8 if point == "after_the_offset" else 16)
    lake.load()
    assert_exact(lake, sent)
    assert lake.load() == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_at_any_moment(seed: int, broker: WithLogin, spark: object, tmp_path: Path) -> None:
    """A run that follows a topic is killed again and again, while messages come."""
    chance = random.Random(seed)
    cluster = Cluster(broker.address)
    topic = cluster.topic(partitions=1)
    lake = KafkaLake.reading(tmp_path, cluster, topics=topic, max_messages_per_trigger=50)
    lake = lake.having("trigger.interval=1s")  # type: ignore[assignment]
    sent: list[bytes] = []
    ends = threading.Event()

    def send() -> None:
        while not ends.is_set():
            some = [b"{" if chance.random() < 0.1 else b"[%d]" % (len(sent) + n) for n in range(20)]
            cluster.send(topic, *some)
            sent.extend(some)
            time.sleep(0.2)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(4):
            with Medallion(lake, "run", "bronze", "--continuous") as run:
                run.wait_until(lambda: '"event": "batch"' in run.text)
                time.sleep(chance.random() * 4)
                run.signal(9)
    finally:
        ends.set()
        sender.join()
    lake.load()
    assert_exact(lake, sent)


def assert_exact(lake: KafkaLake, sent: list[bytes]) -> None:
    """Every message is where it belongs, once."""
    rows = {row["offset"]: row["value"].encode() for row in lake.orders}
    bad = {row["offset"]: row["value"].encode() for row in lake.bad}
    assert len(rows) == len(lake.orders)
    assert len(bad) == len(lake.bad)
    assert rows == {n: value for n, value in enumerate(sent) if value.startswith(b"[")}
    assert bad == {n: value for n, value in enumerate(sent) if not value.startswith(b"[")}
