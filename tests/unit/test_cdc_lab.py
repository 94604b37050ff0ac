"""The change data lab without a JVM: any program that answers a connection will do as a server."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cdc_lab import drawing, packages, shop
from cdc_lab.lab import Lab
from cdc_lab.postgres import Postgres
from cdc_lab.server import LOOPBACK, Server, free_ports, write_properties
from cdc_lab.workload import CHANNEL, KEYS, Workload
from support.lake import ROOT

from medallion_jobs.errors import TransientError, UsageError

LISTENS = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""


class Program(Server):
    """Python code as a server, whose first argument is its port."""

    name = "program"
    code = LISTENS

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        return [sys.executable, "-c", self.code, str(self.port)], {}

    def _answers(self) -> bool:
        try:
            socket.create_connection((LOOPBACK, self.port), 5).close()
        except OSError:
            return False
        return True


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path / "lab")
    yield made
    made.stop()


@pytest.mark.parametrize(("part", "count"), [("kafka", 92), ("debezium", 10)])
def test_every_jar_is_pinned(part: str, count: int) -> None:
    jars = packages.pinned(part)
    assert len({jar.file for jar in jars}) == len(jars) == count
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) for jar in jars)
    ours = {"kafka": "org.apache.kafka", "debezium": "io.debezium"}[part]
    assert len({jar.version for jar in jars if jar.group == ours}) == 1


def test_a_killed_server_comes_back_at_the_same_address(program: Program) -> None:
    assert program.pid is None
    assert not program.stop()
    program.start()
    first, address = program.pid, program.address
    assert program.port < 32_768  # no client is given it by the system
    program.start()  # runs already
    assert program.pid == first
    program.kill()
    assert program.pid is None
    Program(program.folder).start()  # another process would find it so
    assert program.pid not in (None, first)
    assert program.address == address
    assert program.stop()
    assert program.pid is None


def test_a_port_of_ones_own(tmp_path: Path) -> None:
    (wanted,) = free_ports([0])
    program = Program(tmp_path, port=wanted)
    with socket.create_server((LOOPBACK, wanted)):
        with pytest.raises(UsageError, match=f"port {wanted} of 127.0.0.1 is in use") as caught:
            program.start()
        assert caught.value.code == "lab_port_in_use"
    assert not program.log.exists()
    program.start()
    assert program.port == wanted
    program.stop()


def test_it_does_not_keep_a_lock_of_whoever_starts_it(program: Program, tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        fcntl.flock(lock, fcntl.LOCK_EX)
        program.start()
    with (tmp_path / "lock").open("w") as again:
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert program.pid


def test_one_that_ends_at_once_is_shown_with_its_log(program: Program) -> None:
    program.code = "print('no space left'); raise SystemExit(1)"
    with pytest.raises(TransientError, match="no space left") as caught:
        program.start()
    assert caught.value.code == "lab_server_ended"
    program.code = LISTENS
    program.start()


def test_what_is_not_seen_in_time(program: Program) -> None:
    program.start()
    with pytest.raises(TransientError, match=r"program: the moon: not seen within 0 s") as caught:
        program.wait_until(lambda: False, "the moon", within=0.1)
    assert str(program.log) in caught.value.next_step


def test_only_the_user_reads_what_has_passwords(tmp_path: Path) -> None:
    file = tmp_path / "x.properties"
    write_properties(file, {"a.b": 1, "c": "x y"})
    assert file.read_text("utf-8") == "a.b=1\nc=x y\n"
    assert file.stat().st_mode & 0o777 == 0o600


def asked(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = [
        sys.executable,
        str(ROOT / "scripts" / "cdc_lab"),
        *words,
        "--dir",
        str(tmp_path / "lab"),
    ]
    return subprocess.run(line, check=False, capture_output=True, text=True)


def test_commands_where_nothing_runs(tmp_path: Path) -> None:
    for command, servers in (
        ("load", "postgres"),
        ("draw", "postgres"),
        ("status", "postgres and kafka and connect"),
    ):
        answer = asked(tmp_path, command)
        assert answer.returncode == 1
        assert f"error: {servers} not running in" in answer.stderr
        assert f"next:      scripts/cdc-lab up --dir {tmp_path}/lab" in answer.stderr
    for words in (("down",), ("down", "--remove")):
        answer = asked(tmp_path, *words)
        assert (answer.returncode, answer.stderr) == (0, "")
    answer = asked(tmp_path, "up", "--set", "decimal.handling.mode")
    assert answer.returncode == 2
    assert "--set decimal.handling.mode=string" in answer.stderr
    assert asked(tmp_path, "sideways").returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_only_the_labs_own_files_are_removed(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    (lab.folder / "kafka-data" / "topic-0").mkdir(parents=True)
    (lab.folder / "kafka-data" / "topic-0" / "log").touch()
    (lab.folder / "connect.log").touch()
    (lab.folder / "mine").touch()
    with pytest.raises(UsageError, match="also has mine, which the lab did not make"):
        lab.remove()
    assert [path.name for path in lab.folder.iterdir()] == ["mine"]
    (lab.folder / "mine").unlink()
    lab.remove()
    assert not lab.folder.exists()


def test_the_workload_is_drawn_from_its_seed(tmp_path: Path) -> None:
    """Against the database alone, which takes a second to start, and is killed on the way."""
    database = Postgres(tmp_path / "lab")
    found = []
    try:
        database.start()
        for name in ("one", "other"):
            database.run(f"CREATE DATABASE {name}")
            own = Postgres(database.folder, database=name)
            shop.create(own)
            load = Workload(own, seed=7, alter=True)
            load.run(300)
            assert load.done == 300
            made = [
                load.counts[kind] for kind in ("inserts", "updates", "deletes", "changes of a key")
            ]
            assert sum(made) == 300
            assert min(made) > 0
            assert load.counts[CHANNEL] == 1
            assert load.counts["pairs of transactions open at the same time"] > 0
            for table, names in KEYS.items():
                keys = own.rows(f"SELECT {', '.join(names)} FROM {table}")
                assert set(keys) == load.keys[table]
            database.kill()
            database.start()
            Workload(own, seed=8).run(1)
            found.append(
                [own.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in shop.TABLES]
            )
    finally:
        database.stop()
        database.remove()
    assert found[0] == found[1]
    assert any(len(row[-2] or "") > 8_000 for row in found[0][2])


def test_a_drawing_has_a_bar_for_each_day() -> None:
    rows = [(date(2026, 1, 1), Decimal("10.50")), (date(2026, 1, 4), Decimal("21"))]
    drawn = ElementTree.fromstring(drawing.bars(rows, "a < b"))
    space = {"s": "http://www.w3.org/2000/svg"}
    titles = [title.text for title in drawn.findall("s:rect/s:title", space)]
    assert titles == ["2026-01-01: 10.50", "2026-01-04: 21"]
    low, high = (float(bar.get("height", "")) for bar in drawn.findall("s:rect", space)[1:])
    assert high == pytest.approx(2 * low, abs=0.2)
    labels = [text.text for text in drawn.findall("s:text", space)]
    assert labels == [
        "a < b",
        *("0", "5", "10", "15", "20", "25"),
        *("2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"),
    ]


@pytest.mark.parametrize(
    ("most", "top"),
    [
        ("0", "1"),
        ("0.07", "0.08"),
        ("1", "1"),
        ("999.99", "1,000"),
        ("123456789.10", "150,000,000"),
    ],
)
def test_the_axis_of_a_drawing_ends_at_a_round_number(most: str, top: str) -> None:
    rows = [(date(2026, 1, 1) + timedelta(days=n), Decimal(most) * n / 400) for n in range(401)]
    drawn = ElementTree.fromstring(drawing.bars(rows, ""))
    space = {"s": "http://www.w3.org/2000/svg"}
    texts = [text.text or "" for text in drawn.findall("s:text", space)]
    assert [text for text in texts if text and "-" not in text][-1] == top
    assert sum("-" in text for text in texts) <= 8
    for bar in drawn.findall("s:rect", space)[1:]:
        ends = [float(bar.get(name, "")) for name in ("x", "y", "width", "height")]
        assert 90 <= ends[0] <= 940
        assert 60 <= ends[1] <= 320
        assert ends[1] + ends[3] == pytest.approx(320, abs=0.2)
