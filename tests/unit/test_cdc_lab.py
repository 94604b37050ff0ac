"""The change data lab without its servers: any program that answers a connection will do."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from cdc_lab import packages
from cdc_lab.server import LOOPBACK, Server, free_ports, write_properties

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
