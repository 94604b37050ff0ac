"""The lab: the three servers of one folder, the shop's tables and their connector."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from cdc_lab import shop
from cdc_lab.connect import Connect
from cdc_lab.kafka import Broker
from cdc_lab.postgres import Postgres
from cdc_lab.server import Server
from cdc_lab.topics import make_topics, topics
from medallion_jobs.errors import MedallionError, UsageError
from medallion_jobs.runtime.cache import locked

CONNECTOR = SLOT = "shop"
# What a lab has in its folder, and `remove` may delete.
_OURS = ("kafka*", "postgres*", "connect*", "lock")


class NotRunning(MedallionError):
    """A server of the lab does not run, or the connector does not."""

    exit_code = 1


class Lab:
    """PostgreSQL, Kafka and Connect in one folder.

    Attributes:
        postgres, broker, connect: the servers.

    Args:
        folder: created if it is missing; started there again, all go on where they were.
        ports: of PostgreSQL, Kafka and Connect at the first start; 0 takes any that is free.
        partitions: of topics that are made from now on.
        report: receives a line for each jar that is fetched.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ports: tuple[int, int, int] = (0, 0, 0),
        partitions: int = 1,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder = folder.resolve()
        postgres, kafka, connect = ports
        self._partitions = partitions
        self.postgres = Postgres(self.folder, port=postgres)
        self.broker = Broker(
            self.folder, port=kafka, settings={"num.partitions": partitions}, report=report
        )
        self.connect = Connect(self.folder, self.broker, port=connect, report=report)

    @property
    def servers(self) -> tuple[Server, ...]:
        """In the order in which they start."""
        return (self.postgres, self.broker, self.connect)

    def up(self, properties: Mapping[str, object] | None = None) -> None:
        """Starts what does not run; returns when changes of the shop's rows reach their topics.

        Args:
            properties: of the connector, in place of its usual ones.

        Raises:
            UsageError: a port is in use, or a program is missing.
            TransientError: a server or the connector does not start.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.folder / "lock"):
            self.postgres.start()
            shop.create(self.postgres)
            self.broker.start()
            # Else there is none before the first row, and what reads a topic would not start.
            make_topics(self.broker.address, shop.topics(), self._partitions)
            self.connect.start()
            self.connect.put(CONNECTOR, shop.connector(self.postgres, properties or {}))
            # What Connect notes about a task may be from before it was killed.
            self.connect.wait_until(self._is_followed, "the connector follows the database")

    def down(self) -> list[str]:
        """Ends the servers that run; returns their names."""
        if not self.folder.is_dir():
            return []
        with locked(self.folder / "lock"):
            return [server.name for server in reversed(self.servers) if server.stop()]

    def remove(self) -> None:
        """Ends the servers, drops the slot and deletes all that they had.

        Raises:
            UsageError: the folder holds something else, which stays there.
        """
        if not self.folder.is_dir():
            return
        with locked(self.folder / "lock"):
            self.connect.stop()
            if self.postgres.pid:
                self._drop_slot()
            self.broker.stop()
            self.postgres.stop()
            self.postgres.remove()
            for ours in (found for pattern in _OURS for found in self.folder.glob(pattern)):
                if ours.is_dir() and not ours.is_symlink():
                    shutil.rmtree(ours)
                else:
                    ours.unlink()
        if others := sorted(path.name for path in self.folder.iterdir()):
            raise UsageError(
                f"{self.folder} also has {', '.join(others)}, which the lab did not make",
                code="lab_folder_shared",
                untouched="these files; the lab's own are removed",
                next_step="look at them, and remove the folder yourself",
            )
        self.folder.rmdir()

    def running(self, *servers: Server) -> None:
        """Returns if these servers run, or all.

        Raises:
            NotRunning: one of them does not.
        """
        missing = [server.name for server in servers or self.servers if server.pid is None]
        if missing:
            raise NotRunning(
                f"{' and '.join(missing)} not running in {self.folder}",
                code="lab_not_running",
                untouched="its data",
                next_step=f"scripts/cdc-lab up --dir {self.folder}",
            )

    def connector_states(self) -> list[str]:
        """The states of the connector and its task, as Connect has noted them."""
        state = self.connect.state(CONNECTOR)
        return [part["state"] for part in (state["connector"], *state["tasks"])] if state else []

    def slot(self) -> tuple[bool, int] | None:
        """Whether somebody reads the slot, and how many bytes are not read; None without one."""
        found = self.postgres.rows(
            "SELECT active, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) "
            f"FROM pg_replication_slots WHERE slot_name = '{SLOT}'"
        )
        return (found[0][0], int(found[0][1] or 0)) if found else None

    def ends(self) -> dict[str, int]:
        """How many records each topic of the shop has."""
        with topics(self.broker.address) as read:
            counted: dict[str, int] = {}
            for (topic, _), end in read.ends(read.names(f"{shop.PREFIX}.")).items():
                counted[topic] = counted.get(topic, 0) + end
        return counted

    def _is_followed(self) -> bool:
        self.connect.is_running(CONNECTOR)  # raises if it has failed
        slot = self.slot()
        return bool(slot and slot[0])

    def _drop_slot(self) -> None:
        """Drops the slot, which would keep the log of the database from being cut."""
        with closing(self.postgres.connect(autocommit=True)) as connection:
            self.postgres.wait_until(
                lambda: not _is_read(connection), "nobody reads the slot any more"
            )
            connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                "WHERE slot_name = %s",
                (SLOT,),
            )
            connection.execute("DROP PUBLICATION IF EXISTS shop")


def _is_read(connection: psycopg.Connection[Any]) -> bool:
    found = connection.execute(
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND active", (SLOT,)
    ).fetchone()
    return found is not None
