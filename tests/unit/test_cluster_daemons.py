"""The local cluster's processes and files, with no JVM: any process will do."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_cluster import command as cluster
from local_cluster import daemon as daemons
from local_cluster.daemon import Daemon
from local_cluster.settings import Settings
from support.lake import ROOT

from medallion_jobs.errors import MedallionError, UsageError

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path, "worker-1")
    yield made
    made.end()


def start(daemon: Daemon, code: str = "") -> int:
    line = [sys.executable, "-c", f"{code}\nimport time; time.sleep(300)"]
    daemon.start(line, {**os.environ, "NAME": daemon.name})
    pid = daemon.pid
    assert pid is not None
    return pid


def test_it_is_found_while_it_lives_and_never_after(daemon: Daemon, tmp_path: Path) -> None:
    assert daemon.pid is None
    assert not daemon.end()
    pid = start(daemon)
    assert Daemon(tmp_path, daemon.name).pid == pid
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while daemon.pid is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    # Its pid may be anybody's by now: the file alone does not count.
    (tmp_path / "worker-1.pid").write_text(f"{os.getpid()}\n")
    assert daemon.pid is None
    assert not daemon.end()


def test_one_that_does_not_go_is_killed(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons, "STOP_TIMEOUT_SECONDS", 0.3)
    start(daemon, STUBBORN)
    while "up" not in daemon.log.read_text():
        time.sleep(0.01)
    assert daemon.end()
    assert daemon.pid is None


def test_only_the_user_reads_the_secret_and_it_stays(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    assert settings.master is None
    settings.write("spark://127.0.0.1:7077")
    first = settings.for_jobs.read_text()
    assert settings.master == "spark://127.0.0.1:7077"
    for file in (settings.for_jobs, settings.for_daemons):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    settings.write("spark://127.0.0.1:7078")
    assert settings.for_jobs.read_text() == first.replace(":7077", ":7078")
    (secret,) = [x for x in first.splitlines() if x.startswith("spark.authenticate.secret ")]
    assert len(secret.split()[1]) == 64
    assert secret in settings.for_daemons.read_text()
    assert "spark.master.rest.enabled false" in settings.for_daemons.read_text()


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        with pytest.raises(UsageError, match=f"port {port} cannot be used"):
            cluster.main(["up", "--dir", str(tmp_path), "--port", port])
    assert list(tmp_path.glob("*.pid")) == []


def test_what_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho this java is broken >&2\nexit 1\n")
    java.chmod(0o755)
    (tmp_path / "java" / "release").write_text('JAVA_VERSION="17.0.1"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    folder = tmp_path / "cluster"
    with pytest.raises(MedallionError, match="this java is broken"):
        cluster.main(["up", "--dir", str(folder), "--port", "0", "--ui-port", "0"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_status_and_down_where_nothing_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MedallionError, match="no master is running") as refused:
        cluster.main(["status", "--dir", str(tmp_path / "none")])
    assert refused.value.exit_code == 1
    cluster.main(["down", "--dir", str(tmp_path / "none")])
    assert "nothing was running" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()
    line = [sys.executable, str(ROOT / "scripts" / "local_cluster"), "sideways"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "sideways" in done.stderr
