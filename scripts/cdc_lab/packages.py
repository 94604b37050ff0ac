"""The jars of Kafka, Kafka Connect and Debezium: pinned in `jars.json`, kept in the cache.

The list is what Maven resolves for `org.apache.kafka:{kafka_2.13,kafka-tools,connect-runtime,
connect-json}:4.3.1` and `org.slf4j:slf4j-simple:1.7.36`, and what Debezium's own archive
`debezium-connector-postgres:3.7.0.Final:plugin` contains. Maven is not needed to use it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from medallion_jobs.runtime.jars import Jar, delta_jars

_LIST = Path(__file__).with_name("jars.json")


def _ignored(_: str) -> None:
    pass


def kafka_jars(report: Callable[[str], None] = _ignored) -> list[Path]:
    """Kafka with its tools and Connect: 92 jars, 56 MB; fetches those that are missing.

    Raises:
        TransientError: the network failed; the next call goes on from there.
        UsageError: the repository lacks a jar, or has a different file under its name.
    """
    return delta_jars(pinned("kafka"), report=report)


def debezium_jars(report: Callable[[str], None] = _ignored) -> list[Path]:
    """Debezium's connector for PostgreSQL: 10 jars, 5 MB; as `kafka_jars` otherwise."""
    return delta_jars(pinned("debezium"), report=report)


def pinned(part: str) -> tuple[Jar, ...]:
    """The jars of `kafka` or `debezium`, as `jars.json` has them."""
    listed: dict[str, str] = json.loads(_LIST.read_text("utf-8"))[part]
    named = ((*coordinates.split(":"), sha256) for coordinates, sha256 in listed.items())
    return tuple(
        Jar(group, artifact, version, sha256) for group, artifact, version, sha256 in named
    )
