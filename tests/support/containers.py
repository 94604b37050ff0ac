"""Containers without an engine: a root, a network and a host name of their own, by the kernel.

The root is what the Dockerfile copies, on this machine's own system folders, all read-only; what
may be written is what the compose file says: its tmpfs and its volumes. The network is one for
all services, with an address of 127.0.1.0/24 for each, so that they listen on their own names
and ports as they would between containers, and on nothing of this machine.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from medallion_jobs.runtime.jars import ALL, delta_jars
from medallion_jobs.runtime.java import find_java
from support.image import Stage, compose, stages
from support.lake import ROOT
from support.processes import PATIENCE

# Docker's, unless the service says otherwise.
_TMPFS_OPTIONS = ["rw", "noexec", "nosuid", "nodev"]
# A look at a layer is a Python that takes a second of a core, from those that are looked at.
_BETWEEN_LOOKS = 2.0
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "etc")
_IS_ROOT = os.geteuid() == 0
# Who is not root becomes it within a namespace of users, where there is nobody else to become.
_UNSHARE = ["unshare", *(() if _IS_ROOT else ("--user", "--map-root-user"))]
_ENTER = [*(() if _IS_ROOT else ("--user", "--preserve-credentials"))]


def why_not() -> str | None:
    """Why there can be no containers here; None when there can."""
    if not sys.platform.startswith("linux"):
        return "namespaces are Linux's"
    command = [*_UNSHARE, "--mount", "--uts", "--net", "true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else f"{' '.join(command)}: {done.stderr.strip()}"


class Engine:
    """The image of the Dockerfile, and the services of the compose file run from it."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], also: Mapping[str, str] | None = None
    ) -> None:
        """`environment` is what .env would hold; `also` goes to every process, as it is."""
        self.folder = folder
        self._also = also or {}
        self.image: Stage = stages()[-1]
        self.services: dict[str, Any] = compose(environment)["services"]
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._binds = self._laid_out()
        (self.folder / "etc").mkdir()
        for file, text in self._etc().items():
            (self.folder / "etc" / file).write_text(text)
        self._network = subprocess.Popen(
            [*_UNSHARE, "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
            stdout=subprocess.PIPE,
        )
        assert self._network.stdout
        assert self._network.stdout.readline() == b"up\n"

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.running.values():
            if process.poll() is None:
                os.killpg(process.pid, 9)
            process.wait()
        self._network.kill()
        self._network.communicate()

    # What is in the image

    def _laid_out(self) -> dict[str, Path]:
        """By its place in the image, what is there: copies, and what RUN has made of the lock."""
        made_by_run = {"/opt/venv": Path(sys.prefix), "/opt/cache": self._baked_jars()}
        places: dict[str, Path] = {}
        for stage, source, target in self.image.copies:
            if stage:
                assert source == target
                places[target] = made_by_run[target]
            else:
                places[target] = self.folder / "image" / target.lstrip("/")
                shutil.copytree(
                    ROOT / source, places[target], ignore=shutil.ignore_patterns("__pycache__")
                )
        for step in self.image.run:
            python, *options, target = step.split()
            if [python, *options] == ["python", "-m", "compileall", "-q"]:
                subprocess.run([sys.executable, *options, str(places[target])], check=True)
        return places

    def _baked_jars(self) -> Path:
        baked = self.folder / "cache"
        (baked / "jars").mkdir(parents=True)
        for jar in delta_jars(ALL):
            shutil.copy(jar, baked / "jars")
        return baked

    def volume(self, name: str) -> Path:
        """A named volume; like Docker's, it belongs to whom the image's folder belongs to."""
        path = self.folder / "volumes" / name
        if not path.exists():
            path.mkdir(parents=True)
            path.chmod(0o750)
            if _IS_ROOT:
                os.chown(path, *self._ids(self.image.user))
        return path

    # What runs

    def start(self, name: str) -> None:
        """Starts a service, with the command of the compose file."""
        service = self.services[name]
        command = [*self.image.entrypoint, *service.get("command", self.image.command)]
        with self.output(name).open("wb") as out:
            self.running[name] = subprocess.Popen(
                self._contained(name, command),
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, name: str, command: Sequence[str]) -> tuple[int, str]:
        """`docker compose run --entrypoint`: exit code, and what was said."""
        done = subprocess.run(
            self._contained(name, command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.returncode, done.stdout

    def is_healthy(self, name: str) -> bool:
        """Runs the service's own health check, as compose has it."""
        kind, *command = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.run(name, command)[0] == 0

    def await_ready(self, name: str, condition: str, seconds: float = PATIENCE) -> None:
        """Waits for what another service's `depends_on` asks of this one."""
        deadline = time.monotonic() + seconds
        process = self.running[name]
        while True:
            code = process.poll()
            if condition == "service_completed_successfully":
                if code is not None:
                    assert code == 0, self.said(name)
                    return
            else:
                assert code is None, f"{name} ended with {code}:\n{self.said(name)}"
                if condition == "service_started" or self.is_healthy(name):
                    return
            assert time.monotonic() < deadline, f"{name}: not {condition}:\n{self.said(name)}"
            time.sleep(_BETWEEN_LOOKS)

    def await_that(self, seen: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Waits while all that was started goes on running, or has ended well."""
        deadline = time.monotonic() + seconds
        while not seen():
            for name, process in self.running.items():
                assert process.poll() in (None, 0), self.said(name)
            assert time.monotonic() < deadline, "\n".join(map(self.said, self.running))
            time.sleep(_BETWEEN_LOOKS)

    def stop(self, name: str) -> int:
        """`docker compose stop`: SIGTERM to the first process; its exit code."""
        self.running[name].terminate()
        return self.running[name].wait(timeout=PATIENCE)

    def output(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def said(self, name: str) -> str:
        return self.output(name).read_text(errors="replace")

    # How it is kept apart

    def _contained(self, name: str, command: Sequence[str]) -> list[str]:
        """The command in the service's own root, network, host name, user and environment."""
        network = [f"--target={self._network.pid}", "--net", *_ENTER]
        # No file: a health check would write it anew under a service that still reads it.
        script = "\n".join(self._script(name))
        apart = ["unshare", "--mount", "--uts", "sh", "-c", script, "sh", *command]
        return ["nsenter", *network, *apart]

    def _script(self, name: str) -> list[str]:
        """A shell script that makes the root and goes into it, with the command behind it."""
        service = self.services[name]
        root = self.folder / "roots" / name
        root.mkdir(parents=True, exist_ok=True)
        lines = ["set -e", "umask 022", f"mount -t tmpfs -o mode=755 none {root}"]
        for top in _SYSTEM:
            host = Path("/") / top
            if host.is_symlink():
                lines.append(f"ln -s {host.readlink()} {root}/{top}")
            elif host.exists():
                lines += _bound(root, f"/{top}", host)
        for place, host in {**self._host_parts(), **self._binds}.items():
            lines += _bound(root, place, host)
        for file in self._etc():
            lines.append(f"mount --bind {self.folder / 'etc' / file} {root}/etc/{file}")
        for place in ("/proc", "/dev"):
            lines += [f"mkdir -p {root}{place}", f"mount --rbind {place} {root}{place}"]
        for tmpfs in service.get("tmpfs", []):
            place, _, options = tmpfs.partition(":")
            wanted = ",".join([*_TMPFS_OPTIONS, *filter(None, options.split(","))])
            lines += [f"mkdir -p {root}{place}", f"mount -t tmpfs -o {wanted} none {root}{place}"]
        for volume in service.get("volumes", []):
            source, place = volume.split(":")
            lines += _bound(root, place, self.volume(source), options="rw,nosuid,nodev")
        if service["read_only"]:
            lines.append(f"mount -o remount,ro {root}")
        lines += [f"hostname {service['hostname']}", f'exec {self._becoming(service, root)} "$@"']
        return lines

    def _becoming(self, service: Mapping[str, Any], root: Path) -> str:
        user = ["--no-new-privs"]
        if _IS_ROOT:
            uid, gid = self._ids(service["user"])
            user += [f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--inh-caps=-all"]
        if service["cap_drop"] == ["ALL"]:
            user.append("--bounding-set=-all")
        environment = {**self.image.env, **self._java(), **self._also, **service["environment"]}
        told = [f"{key}={value}" for key, value in environment.items()]
        inside = ["sh", "-c", f'cd {self.image.folder} && exec "$@"', "sh"]
        line = ["chroot", str(root), "setpriv", *user, "env", "-i", *told, *inside]
        return shlex.join(line)

    def _host_parts(self) -> dict[str, Path]:
        """Of this machine, where the image has its own: Python below the environment, and Java."""
        homes = [Path(sys.base_prefix), find_java().home]
        return {str(home): home for home in homes if not home.is_relative_to("/usr")}

    def _java(self) -> dict[str, str]:
        home = find_java().home
        return {} if home.is_relative_to("/usr/lib/jvm") else {"JAVA_HOME": str(home)}

    def _etc(self) -> dict[str, str]:
        names = [f"127.0.1.{n} {name}\n" for n, name in enumerate(self.services, start=1)]
        uid, gid = self._ids(self.image.user) if _IS_ROOT else (0, 0)
        return {
            "hosts": "".join(["127.0.0.1 localhost\n", *names]),
            "passwd": f"medallion:x:{uid}:{gid}::/tmp:/bin/sh\n",
            "group": f"medallion:x:{gid}:\n",
        }

    @staticmethod
    def _ids(user: str) -> tuple[int, int]:
        uid, gid = map(int, user.split(":"))
        return uid, gid


def _bound(root: Path, place: str, host: Path, options: str = "ro,nosuid") -> list[str]:
    """Lines that show a folder of this machine at a place below the root."""
    at = f"{root}{place}"
    return [f"mkdir -p {at}", f"mount --bind {host} {at}", f"mount -o remount,bind,{options} {at}"]
