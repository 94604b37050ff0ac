"""The lock: one run of a query at a time, and a dead one does not hold it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from medallion_jobs.checkpoint import Lock, lock, processes
from medallion_jobs.errors import DataError, LockHeld, TransientError

HOLD = """
import sys
from pathlib import Path
from medallion_jobs.checkpoint import Lock
with Lock(Path(sys.argv[1]), "gold.x"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gold" / "x" / "lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@contextmanager
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    """A process of this machine that stands for a JVM."""
    with subprocess.Popen(["sleep", "30"]) as process:
        yield process
        process.kill()


def leave(path: Path, **facts: Any) -> dict[str, Any]:
    """A lock file as a holder that died has left it; its kernel lock is free."""
    now = datetime.now(timezone.utc).isoformat()
    left: dict[str, Any] = {
        "query": "gold.x",
        "pid": 2**22 + 1,  # beyond the largest pid of Linux
        "born": "1",
        "host": socket.gethostname(),
        "user": "ann",
        "since": now,
        "heartbeat": now,
        "command": "medallion run",
        **facts,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(left))
    return left


def seconds_ago(seconds: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(seconds=seconds)).isoformat()


def test_a_second_process_is_refused_until_the_first_is_killed(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(LockHeld) as refused:
        Lock(path, "gold.x")
    assert refused.value.exit_code == 75
    told = refused.value.holder
    assert (told["pid"], told["host"], told["alive"]) == (holder.pid, socket.gethostname(), True)
    assert datetime.fromisoformat(str(told["since"])).tzinfo
    for fact in ("gold.x", f"pid {holder.pid}", socket.gethostname(), str(told["since"])):
        assert fact in refused.value.what
    assert "medallion stop" in refused.value.next_step
    assert lock.is_running(path)

    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert not lock.is_running(path)
    with Lock(path, "gold.x") as taken:
        assert taken.took_over
        assert taken.took_over["pid"] == holder.pid
        held = lock.read(path)
        assert held
        assert (held["pid"], held["alive"]) == (os.getpid(), True)


def test_a_first_holder_takes_over_from_nobody_and_says_who_it_is(path: Path) -> None:
    with Lock(path, "gold.x") as held:
        assert held.took_over is None
        told = lock.read(path)
        assert told
        assert (told["query"], told["born"]) == ("gold.x", processes.own_birth())


def test_release_frees_and_empties(path: Path) -> None:
    assert lock.read(path) is None
    Lock(path, "gold.x").release()
    assert path.read_bytes() == b""
    assert lock.read(path) is None
    assert not lock.is_running(path)
    with Lock(path, "gold.x") as again:
        assert again.took_over is None


def test_a_failure_inside_frees_too(path: Path) -> None:
    with pytest.raises(DataError), Lock(path, "gold.x"):
        raise DataError("the data says no", code="test")
    with Lock(path, "gold.x") as again:
        assert again.took_over is None


def test_after_a_bug_the_next_holder_knows_of_the_last(path: Path) -> None:
    """Something of the run may still write; its JVM is waited for as after a kill."""
    with pytest.raises(ZeroDivisionError), Lock(path, "gold.x"):
        _ = 1 / 0
    with Lock(path, "gold.x") as again:
        assert again.took_over is not None


def test_a_lock_file_that_was_removed_is_no_lock(path: Path) -> None:
    """`medallion destroy` removes it, while somebody else may just have opened it."""
    first = Lock(path, "gold.x")
    path.unlink()
    with Lock(path, "gold.x"):
        first.release()
        with pytest.raises(LockHeld):
            Lock(path, "gold.x")


def test_of_fifty_starts_at_once_one_holds(path: Path) -> None:
    at_once = threading.Barrier(50)

    def start(_: int) -> Lock | LockHeld:
        at_once.wait()
        try:
            return Lock(path, "gold.x")
        except LockHeld as refused:
            return refused

    began = time.monotonic()
    with ThreadPoolExecutor(50) as starts:
        ended = list(starts.map(start, range(50)))
    [winner] = [one for one in ended if isinstance(one, Lock)]
    assert sum(isinstance(one, LockHeld) for one in ended) == 49
    assert time.monotonic() - began < 30  # whoever waits for a lock waits for 60
    winner.release()


# --- holders on another machine, whose processes nobody here can see


def test_a_fresh_heartbeat_elsewhere_is_refused_and_kept(path: Path) -> None:
    left = leave(path, host="elsewhere", heartbeat=seconds_ago(20))
    assert lock.is_running(path)
    with pytest.raises(LockHeld) as refused:
        Lock(path, "gold.x")
    assert "on elsewhere" in refused.value.what
    assert json.loads(path.read_text()) == left


def test_an_old_heartbeat_elsewhere_is_taken_over(path: Path) -> None:
    leave(path, host="elsewhere", heartbeat=seconds_ago(61))
    assert not lock.is_running(path)
    with Lock(path, "gold.x") as taken:
        assert taken.took_over
        assert taken.took_over["host"] == "elsewhere"


# --- a dead driver's JVM


def test_a_takeover_waits_for_the_end_of_the_jvm(path: Path) -> None:
    with sleeping() as jvm:
        leave(path, jvm={"pid": jvm.pid, "born": processes.birth(jvm.pid)})
        ended: list[float] = []

        def end() -> None:
            ended.append(time.monotonic())
            jvm.kill()

        timer = threading.Timer(0.15, end)
        timer.start()
        with Lock(path, "gold.x") as taken:
            assert ended
            assert time.monotonic() >= ended[0]
            assert taken.took_over
        timer.join()


def test_a_jvm_that_does_not_end_is_refused_and_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_JVM_PATIENCE_SECONDS", 0.0)
    with sleeping() as jvm:
        left = leave(path, jvm={"pid": jvm.pid, "born": processes.birth(jvm.pid)})
        with pytest.raises(TransientError) as refused:
            Lock(path, "gold.x")
        assert f"pid {jvm.pid}" in refused.value.what
        assert f"kill {jvm.pid}" in refused.value.next_step
        assert json.loads(path.read_text()) == left
    # The refused one let go of the lock again.
    with Lock(path, "gold.x") as taken:
        assert taken.took_over == left


def test_the_jvm_is_noted(path: Path) -> None:
    with Lock(path, "gold.x") as held:
        held.note_jvm(os.getpid())
        told = lock.read(path)
        assert told
        assert told["jvm"] == {"pid": os.getpid(), "born": processes.own_birth()}


# --- processes


def test_a_pid_that_was_used_again_is_another_process(path: Path) -> None:
    leave(path, pid=os.getpid(), born="1", jvm={"pid": os.getpid(), "born": "1"})
    assert not lock.is_running(path)
    with Lock(path, "gold.x") as taken:
        assert taken.took_over


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a zombie by /proc")
def test_a_process_is_alive_until_it_ends() -> None:
    with sleeping() as process:
        born = processes.birth(process.pid)
        assert born
        assert processes.is_alive(process.pid, born)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        # Nobody has fetched its exit code yet: it is a zombie, and dead.
        assert processes.birth(process.pid) is None
    assert processes.birth(process.pid) is None


# --- the file


def test_the_file_can_be_read_at_any_moment_while_it_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.0002)
    with Lock(path, "gold.x"):
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            told = lock.read(path)
            assert told
            assert told["pid"] == os.getpid()


@pytest.mark.parametrize(
    "word", ["--set=" + "x" * 9_000, "\N{PILE OF POO}" * 3_000, "\udcff" * 999]
)
def test_a_long_command_leaves_the_file_readable_for_the_next_holder(
    path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["medallion", word])
    with Lock(path, "gold.x") as long:
        long.note_jvm(2**22 + 1)
        left = path.read_bytes()
        told = lock.read(path)
        assert told
        assert told["command"].startswith("medallion " + word[:20])
    path.write_bytes(left)
    monkeypatch.setattr(sys, "argv", ["medallion"])
    with Lock(path, "gold.x") as taken:
        assert taken.took_over
        again = lock.read(path)
        assert again
        assert again["command"] == "medallion"


@pytest.mark.parametrize("key", ["pid", "host", "user", "since", "heartbeat", "command"])
def test_a_holder_in_words(path: Path, key: str) -> None:
    left = leave(path)
    assert str(left[key]) in lock.describe(left)
    assert lock.describe({}).count("?") == 6
