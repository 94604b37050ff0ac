"""The source of Kafka topics in a config: its keys, its mistakes, its secrets."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from medallion_jobs.config import ConfigError, KafkaSource, Pipeline, load
from medallion_jobs.config.kafka_options import JAAS, refusal
from medallion_jobs.masking import masked
from medallion_jobs.report.graph import graph
from medallion_jobs.runtime.jars import DELTA, KAFKA, needed

CANARY = "canary-hunter2"
LOGIN = (
    "org.apache.kafka.common.security.scram.ScramLoginModule required "
    f'username="me" password="{CANARY}";'
)
LEAST = {"format": "kafka", "servers": "a:9092", "topics": "orders"}


def loaded(folder: Path, *overrides: str, **source: Any) -> Pipeline:
    file = folder / "web.yaml"
    own = json.dumps({**LEAST, **source})
    files = "clicks: {source: {format: json, schema: a int}}"
    file.write_text(f"pipeline: web\nbronze:\n  {files}\n  orders: {{source: {own}}}\n")
    return load(file, overrides=overrides, environ={"LOGIN": LOGIN}).pipeline


def source(folder: Path, *overrides: str, **keys: Any) -> KafkaSource:
    return loaded(folder, *overrides, **keys).kafka_sources["orders"]


def mistakes(folder: Path, **keys: Any) -> dict[str, str]:
    """By key of the source, what is wrong with it."""
    with pytest.raises(ConfigError) as raised:
        loaded(folder, **keys)
    assert CANARY not in str(raised.value)
    prefix = "bronze.orders.source"
    return {p.path.removeprefix(prefix).lstrip("."): p.what for p in raised.value.problems}


def test_what_may_be_written_in_two_ways(tmp_path: Path) -> None:
    one = source(tmp_path, servers="a:1, b:2", topics="orders")
    assert one.servers == ("a:1", "b:2")
    assert source(tmp_path, servers=["a:1", "b:2"], topics=["orders"]) == one
    assert (one.value, one.key, one.starting, one.on_data_loss) == (
        "json",
        "text",
        "earliest",
        "fail",
    )


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("latest", "latest"),
        ("2026-01-31T12:00Z", datetime(2026, 1, 31, 12, tzinfo=timezone.utc)),
        ({"orders": {"0": 7, "1": "latest", "2": "earliest"}}, {"orders": {0: 7, 1: -1, 2: -2}}),
    ],
)
def test_where_it_starts(tmp_path: Path, written: object, means: object) -> None:
    assert source(tmp_path, starting=written).starting == means


def test_settings_of_the_client_on_the_command_line(tmp_path: Path) -> None:
    given = source(tmp_path, "bronze.orders.source.options.kafka.client.id=me")
    assert given.options == {"kafka.client.id": "me"}


def test_a_table_reads_files_or_topics(tmp_path: Path) -> None:
    pipeline = loaded(tmp_path)
    assert (list(pipeline.file_sources), list(pipeline.kafka_sources)) == (["clicks"], ["orders"])
    assert not pipeline.has_objects
    with pytest.raises(KeyError):
        pipeline.landing_paths("orders")
    nodes = {node.id: node for node in graph(pipeline).nodes}
    assert nodes["landing.orders.0"].name == "orders at a:9092"
    assert "bronze.orders" in {edge.target for edge in graph(pipeline).edges}
    assert set(needed(objects=False, kafka=True)) == {*DELTA, *KAFKA}
    assert needed(objects=False, kafka=False) == DELTA


def test_keys_of_the_other_kind(tmp_path: Path) -> None:
    of_files = {"path": "/in", "schema": "a int", "clean_source": {"mode": "delete"}}
    found = mistakes(tmp_path, **of_files, toppics="x")
    assert found == {
        **dict.fromkeys(of_files, "not a key where `format` is kafka"),
        "toppics": "unknown key",
    }
    found = mistakes(tmp_path, format="json")
    assert set(found) == {"servers", "topics"}
    assert all("not a key where `format` is json or" in what for what in found.values())


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    wrong = {
        "servers": "a",
        "topics": "no spaces",
        "starting": "yesterday",
        "value": "xml",
        "on_data_loss": "maybe",
        "max_messages_per_trigger": 0,
    }
    assert set(mistakes(tmp_path, **wrong)) == set(wrong)
    assert set(mistakes(tmp_path, format="kafak", starting="x")) == {"format", "starting"}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"topic_pattern": "o.*"}, "either `topics` or `topic_pattern`"),
        ({"topics": None}, "either `topics` or `topic_pattern`"),
        ({"value": "avro"}, "needs `value_schema` or `schema_registry`"),
        ({"key": "avro", "value_schema": "a.avsc"}, "`value_schema` is for `value: avro`"),
        ({"schema_registry": "http://r:1"}, "is for `value: avro` or `key: avro`"),
    ],
)
def test_keys_that_belong_together(tmp_path: Path, keys: dict[str, Any], says: str) -> None:
    assert says in mistakes(tmp_path, **keys)[""]


def test_a_login_comes_from_a_placeholder_and_is_never_shown(tmp_path: Path) -> None:
    given = source(tmp_path, options={JAAS: "${env:LOGIN}"})
    assert given.options[JAAS] == LOGIN
    assert CANARY not in repr(given)
    assert CANARY not in masked(f"failed with {LOGIN}")
    assert f"options.{JAAS}" in mistakes(tmp_path, options={JAAS: LOGIN})
    with_login = {"value": "avro", "schema_registry": f"http://me:{CANARY}@r:8081"}
    assert "must come from" in mistakes(tmp_path, **with_login)["schema_registry"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("client.id", "x"),
        ("kafka.bootstrap.servers", "b:1"),
        ("kafka.key.deserializer", "Evil"),
        ("kafka.interceptor.classes", "Evil"),
        ("kafka.metric.reporters", "Evil"),
        ("kafka.ssl.engine.factory.class", "Evil"),
        ("kafka.sasl.login.callback.handler.class", "Evil"),
        ("kafka.sasl.client.callback.handler.class", "Evil"),
        ("kafka.security.providers", "Evil"),
        ("kafka.config.providers", "Evil"),
        ("kafka.auto.offset.reset", "latest"),
        ("kafka.enable.auto.commit", "true"),
        ("kafka.isolation.level", "dirty"),
        (JAAS, "com.sun.security.auth.module.JndiLoginModule required user.provider.url=x;"),
        (JAAS, f"{LOGIN} com.sun.security.auth.module.JndiLoginModule required x=y;"),
    ],
)
def test_options_that_a_config_may_not_have(key: str, value: str) -> None:
    why = refusal(key, value)
    assert why
    assert value not in why or value == "x"


def test_options_that_it_may_have() -> None:
    assert refusal(JAAS, LOGIN) is None
    for name in ("security.protocol", "ssl.truststore.location", "fetch.max.bytes", "client.rack"):
        assert refusal(f"kafka.{name}", "x") is None
