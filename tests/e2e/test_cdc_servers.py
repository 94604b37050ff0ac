"""The change data lab with its servers: what arrives in Kafka is what the database has."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cdc_lab import shop
from cdc_lab.lab import Lab
from cdc_lab.topics import Topics, topics
from cdc_lab.workload import KEYS
from support.lake import ROOT

from medallion_jobs.errors import TransientError

pytestmark = [
    pytest.mark.slow,
    # kafka-python leaves one open if it is closed while it asks for metadata.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*unclosed <socket:pytest.PytestUnraisableExceptionWarning"),
]

PORTS = ("--kafka-port", "0", "--postgres-port", "0", "--connect-port", "0")
EPOCH = datetime(1970, 1, 1)
# What Debezium has in place of a long text that an update has left as it was.
LEFT_OUT = "__debezium_unavailable_value"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path / "lab")
    yield made
    made.remove()


def lab_does(lab: Lab, *words: str) -> str:
    """What `scripts/cdc-lab` prints; it has to succeed."""
    answer = asked(lab, *words)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def asked(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(ROOT / "scripts" / "cdc_lab"), *words, "--dir", str(lab.folder)]
    return subprocess.run(line, check=False, capture_output=True, text=True)


def test_topics_come_to_what_the_database_has(lab: Lab) -> None:
    lab_does(lab, "up", *PORTS)
    assert "    500  changes" in lab_does(lab, "load", "--changes", "500", "--alter")
    arrives(lab)
    # Each of them is killed, while the others go on or not.
    lab.connect.kill()
    lab_does(lab, "load", "--changes", "50", "--seed", "2")
    lab_does(lab, "up")
    arrives(lab)
    for server in (lab.broker, lab.postgres):
        server.kill()
    status = asked(lab, "status")
    assert status.returncode == 1
    assert f"next:      scripts/cdc-lab up --dir {lab.folder}" in status.stderr
    lab_does(lab, "up")
    lab_does(lab, "load", "--changes", "50", "--seed", "3", "--rate", "100")
    arrives(lab)
    status = asked(lab, "status")
    assert status.returncode == 0, status.stderr
    assert "connector   running, task running" in status.stdout
    # What was up goes down, in order, and comes back.
    assert lab_does(lab, "down") == "ended connect, kafka, postgres\n"
    lab_does(lab, "up")
    lab_does(lab, "load", "--changes", "5", "--seed", "4")
    arrives(lab)
    kept = lab.folder / "notes.txt"
    kept.write_text("mine")
    answer = asked(lab, "down", "--remove")
    assert answer.returncode == 2
    assert "notes.txt" in answer.stderr
    assert [path.name for path in lab.folder.iterdir()] == ["notes.txt"]
    kept.unlink()


def arrives(lab: Lab) -> None:
    """Waits until the topics, folded by key, come to the rows of the database."""
    expected = {table: rows_of(lab, table) for table in shop.TABLES}

    with topics(lab.broker.address) as read:

        def same() -> bool:
            return all(folded(read, table) == rows for table, rows in expected.items())

        with suppress(TransientError):
            lab.connect.wait_until(same, "the topics come to the rows of the database", within=60)
        for table, rows in expected.items():
            assert folded(read, table) == rows


def rows_of(lab: Lab, table: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    columns = [
        name
        for (name,) in lab.postgres.rows(
            "SELECT attname FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped "
            f"AND attrelid = '{table}'::regclass ORDER BY attnum"
        )
    ]
    rows = (
        dict(zip(columns, row, strict=True)) for row in lab.postgres.rows(f"SELECT * FROM {table}")
    )
    return {tuple(row[name] for name in KEYS[table]): row for row in rows}


def folded(read: Topics, table: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    gone: dict[tuple[Any, ...], dict[str, Any]] = {}
    topic = f"shop.public.{table}"
    for record in read.records([name for name in read.names(topic) if name == topic]):
        assert record.key
        key = tuple(json.loads(record.key)["payload"].values())
        message = json.loads(record.value) if record.value else None
        after = message and message["payload"]["after"]
        if after is None:
            gone[key] = rows.pop(key, gone.get(key, {}))
            continue
        # A row with a changed key leaves out long values, too: they are those of the old key.
        old = dict(record.headers).get("__debezium.oldkey")
        before = gone[tuple(json.loads(old).values())] if old else rows.get(key, {})
        kinds = message["schema"]["fields"][1]["fields"]
        new = {kind["field"]: decoded(after[kind["field"]], kind) for kind in kinds}
        rows[key] = {k: before.get(k) if v == LEFT_OUT else v for k, v in new.items()}
    if table == "orders" and any("channel" in row for row in rows.values()):
        # A row that was not sent since then has none.
        rows = {key: {**row, "channel": row.get("channel")} for key, row in rows.items()}
    return rows


def decoded(value: Any, kind: dict[str, Any]) -> Any:
    """A value of a message as psycopg has it."""
    name = kind.get("name", "").rpartition(".")[2]
    if value is None or value == LEFT_OUT:
        return value
    if name == "Decimal":
        digits = int.from_bytes(base64.b64decode(value), "big", signed=True)
        return Decimal(digits).scaleb(-int(kind["parameters"]["scale"]))
    if name == "MicroTimestamp":
        return EPOCH + timedelta(microseconds=value)
    if name == "ZonedTimestamp":
        return datetime.fromisoformat(value.replace("Z", "+00:00")).astimezone(timezone.utc)
    if name == "Date":
        return date(1970, 1, 1) + timedelta(days=value)
    return {"Uuid": UUID, "Json": json.loads}.get(name, lambda same: same)(value)
