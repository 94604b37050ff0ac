"""The cluster's two properties files, with the secret that its processes share.

    spark.properties     for spark-submit: `-- --properties-file FOLDER/spark.properties`
    daemons.properties   for the master and the workers

Only the user can read them, so nobody else on the machine can submit to the cluster.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

LOOPBACK = "127.0.0.1"

_SECRET = "spark.authenticate.secret"
_MASTER = "spark.master"
_FOR_ALL = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.network.crypto.saslFallback": "false",
    # The web pages must not be able to end applications.
    "spark.ui.killEnabled": "false",
}
_FOR_DAEMONS = {
    # The REST server has no authentication, so it would accept jobs from everybody.
    "spark.master.rest.enabled": "false",
    "spark.master.ui.decommission.allow.mode": "DENY",
    # On another port, clients would not find it.
    "spark.port.maxRetries": "0",
    "spark.worker.cleanup.enabled": "true",
}
_FOR_JOBS = {
    "spark.driver.host": LOOPBACK,
    "spark.driver.bindAddress": LOOPBACK,
    # By default an application takes all cores, and leaves none to the next layer.
    "spark.cores.max": "2",
    "spark.executor.cores": "1",
    "spark.executor.memory": "1g",
    # The default of 50 means fifty tasks to read the log of a small table.
    "spark.databricks.delta.snapshotPartitions": "2",
}


class Settings:
    """The files of one cluster's folder."""

    def __init__(self, folder: Path) -> None:
        self.for_jobs = folder / "spark.properties"
        self.for_daemons = folder / "daemons.properties"

    @property
    def master(self) -> str | None:
        """The master's address, once the files are written."""
        return self._read(_MASTER)

    def write(self, master: str) -> None:
        """Writes both files; an existing secret is kept."""
        secret = {_SECRET: self._read(_SECRET) or secrets.token_hex(32)}
        _write(self.for_daemons, {**_FOR_ALL, **_FOR_DAEMONS, **secret})
        _write(self.for_jobs, {_MASTER: master, **_FOR_ALL, **_FOR_JOBS, **secret})

    def _read(self, key: str) -> str | None:
        if not self.for_jobs.exists():
            return None
        found = re.search(rf"^{re.escape(key)} (.+)$", self.for_jobs.read_text("utf-8"), re.M)
        return found[1] if found else None


def _write(file: Path, settings: Mapping[str, str]) -> None:
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    # Created unreadable for others.
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.writelines(f"{key} {value}\n" for key, value in settings.items())
    part.replace(file)
