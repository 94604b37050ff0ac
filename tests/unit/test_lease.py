"""The lock of a query whose lake is in a store: a lease, held by whoever beats."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import objects

from medallion_jobs.checkpoint import Lock, lock
from medallion_jobs.errors import LockHeld
from medallion_jobs.storage import ObjectPath

HOLD = """
import sys
from medallion_jobs.checkpoint import Lock
from medallion_jobs.storage import ObjectPath, S3
endpoint, bucket, key, access, secret = sys.argv[1:]
store = S3(endpoint, "eu-west-3", access_key=access, secret_key=secret)
with Lock(ObjectPath(bucket, key, store), "gold.x"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def at(store: objects.Store, tmp_path: Path) -> ObjectPath:
    return store.at(tmp_path.name) / "checkpoints" / "lock"


def left(at: ObjectPath, **facts: Any) -> None:
    """A lease as a holder that died has left it."""
    now = "2026-01-01T00:00:00+00:00"
    told = {
        "query": "gold.x",
        "pid": 2**22 + 1,
        "born": "1",
        "host": socket.gethostname(),
        "user": "ann",
        "since": now,
        "heartbeat": now,
        "command": "medallion run",
        **facts,
    }
    at.write_text(json.dumps(told))


def test_one_holds_it_until_it_is_freed(at: ObjectPath) -> None:
    with Lock(at, "gold.x") as held:
        assert held.took_over is None
        told = lock.read(at)
        assert told
        assert (told["pid"], told["alive"]) == (os.getpid(), True)
        with pytest.raises(LockHeld, match=f"gold.x is already running: pid {os.getpid()}"):
            Lock(at, "gold.x")
    assert at.read_bytes() == b""
    assert lock.read(at) is None
    with Lock(at, "gold.x") as again:
        assert again.took_over is None


def test_a_process_that_is_killed_loses_it_at_once_on_its_own_machine(at: ObjectPath) -> None:
    s3 = at.store
    words = [str(word) for word in (s3.endpoint, at.bucket, at.key, s3.access_key, s3.secret_key)]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockHeld, match=f"pid {holder.pid}"):
            Lock(at, "gold.x")
        holder.kill()
    assert not lock.is_running(at)
    with Lock(at, "gold.x") as taken:
        assert taken.took_over
        assert taken.took_over["pid"] == holder.pid


def test_a_holder_on_another_machine_counts_for_as_long_as_it_beats(
    at: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its own clock may say what it likes: the store's tells how old the lease is.
    left(at, host="elsewhere", heartbeat="2001-01-01T00:00:00+00:00")
    assert lock.is_running(at)
    with pytest.raises(LockHeld, match="on elsewhere"):
        Lock(at, "gold.x")
    monkeypatch.setattr(lock, "DEAD_AFTER_SECONDS", -10.0)
    assert not lock.is_running(at)
    with Lock(at, "gold.x") as taken:
        assert taken.took_over
        assert taken.took_over["host"] == "elsewhere"


def test_a_run_that_was_taken_for_dead_learns_that_it_lost_the_lease(at: ObjectPath) -> None:
    held = Lock(at, "gold.x")
    held.confirm()
    left(at, host="elsewhere", pid=7)
    held.note_jvm(os.getpid())
    with pytest.raises(LockHeld, match="pid 7 on elsewhere"):
        held.confirm()
    held.release()
    there = lock.read(at)
    assert there
    assert there["host"] == "elsewhere"
