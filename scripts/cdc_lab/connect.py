"""Kafka Connect with Debezium: one worker, whose connectors, offsets and states are in Kafka.

The worker is a "distributed" one although it is alone. A standalone worker keeps its offsets in
a file that it writes in place: killed in that moment, it would have none, and read every table
again. Here they are records in a compacted topic, which a kill cannot tear. What was sent since
the last offset is sent again after a kill: at least once.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from cdc_lab.kafka import Broker
from cdc_lab.packages import debezium_jars, kafka_jars
from cdc_lab.server import LOOPBACK, Server, java_line, write_properties
from medallion_jobs.errors import TransientError

_ANSWER_WITHIN_SECONDS = 90.0  # as long as Connect itself gives a request
_JSON = "org.apache.kafka.connect.json.JsonConverter"
# Of a database, as a client names them and as Debezium does.
_NAMES = {
    "host": "database.hostname",
    "port": "database.port",
    "user": "database.user",
    "password": "database.password",
    "dbname": "database.dbname",
}
_SETTINGS = {
    "group.id": "cdc-lab",
    "key.converter": _JSON,
    "value.converter": _JSON,
    "plugin.discovery": "service_load",
    "config.storage.topic": "connect-configs",
    "offset.storage.topic": "connect-offsets",
    "status.storage.topic": "connect-status",
    "config.storage.replication.factor": 1,
    "offset.storage.replication.factor": 1,
    "status.storage.replication.factor": 1,
    "offset.storage.partitions": 1,
    "status.storage.partitions": 1,
    "offset.flush.interval.ms": 500,
    # The least a broker takes: a killed worker is in the group's way so long.
    "session.timeout.ms": 6000,
    "heartbeat.interval.ms": 1500,
    # No other worker comes back, so there is nothing to wait for.
    "scheduled.rebalance.max.delay.ms": 0,
    # Records up to the largest value that a row can have here.
    "producer.max.request.size": 10_485_760,
}


class Connect(Server):
    """One worker; `url` is where its REST interface is.

    Args:
        folder: its log, pid, ports and plugins; created if it is missing.
        broker: has to run when the worker starts.
        port: of the REST interface; 0 takes one that is free.
        settings: of the worker, in place of those above.
        memory: of its heap.
        report: receives a line for each jar that is fetched.
    """

    name = "connect"

    def __init__(
        self,
        folder: Path,
        broker: Broker,
        *,
        port: int = 0,
        settings: Mapping[str, object] | None = None,
        memory: str = "512m",
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(folder, port=port)
        self.broker = broker
        self._settings = dict(settings or {})
        self._memory = memory
        self._report = report

    @property
    def url(self) -> str:
        """The address of its REST interface."""
        return f"http://{self.address}"

    def create(self, connector: str, config: Mapping[str, object]) -> None:
        """Makes a connector, or changes it; it starts by and by.

        Raises:
            TransientError: Connect refuses the configuration.
        """
        texts = {key: written(value) for key, value in config.items()}
        self.wait_until(
            lambda: self._request("PUT", f"/connectors/{connector}/config", texts) is not None,
            f"it takes the connector {connector}",
        )

    def put(self, connector: str, config: Mapping[str, object]) -> None:
        """Makes a connector, or changes it; returns when its task runs.

        Raises:
            TransientError: Connect refuses the configuration, or the task fails.
        """
        self.create(connector, config)
        self._restart_failed(connector)
        self.wait_until(lambda: self.is_running(connector), f"{connector} runs")

    def state(self, connector: str) -> dict[str, Any] | None:
        """The connector's state and those of its tasks; None if there is no such connector."""
        found: dict[str, Any] | None = self._request("GET", f"/connectors/{connector}/status")
        return found

    def is_running(self, connector: str) -> bool:
        """Whether the connector and its only task are noted as running.

        Raises:
            TransientError: one of them failed.
        """
        state = self.state(connector)
        if state is None:
            return False
        parts = [state["connector"], *state["tasks"]]
        failed = next((part for part in parts if part["state"] == "FAILED"), None)
        if failed:
            raise TransientError(
                f"the connector {connector} failed: {failed.get('trace', '').strip()[:2000]}",
                code="lab_connector_failed",
                untouched="the database and the topics",
                next_step=f"see {self.log}; then the same command again, which restarts it",
            )
        return len(parts) > 1 and all(part["state"] == "RUNNING" for part in parts)

    def has_failed(self, connector: str) -> bool:
        """Whether the connector or its task has failed."""
        return "FAILED" in _states(self.state(connector))

    def forget(self, connector: str) -> None:
        """Removes the offsets of a connector, so that it starts over."""
        path = f"/connectors/{connector}"
        self._request("PUT", f"{path}/stop")
        self.wait_until(
            lambda: self._request("DELETE", f"{path}/offsets") is not None, "its offsets are gone"
        )
        self._request("PUT", f"{path}/resume")

    def connectors(self) -> list[str]:
        """The names of all connectors."""
        return list(self._request("GET", "/connectors") or [])

    def offsets(self, connector: str) -> list[dict[str, Any]]:
        """How far the connector is, as Connect has noted it: all before it is in the topics."""
        found = self._request("GET", f"/connectors/{connector}/offsets") or {"offsets": []}
        return [one["offset"] for one in found["offsets"] if one["offset"]]

    def delete(self, connector: str) -> None:
        """Removes a connector; returns when its task has ended."""
        self._request("DELETE", f"/connectors/{connector}")
        self.wait_until(lambda: self.state(connector) is None, f"{connector} is gone")

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        plugins = self.folder / "connect-plugins" / "debezium"
        plugins.mkdir(parents=True, exist_ok=True)
        for jar in debezium_jars(self._report):
            link = plugins / jar.name
            link.unlink(missing_ok=True)
            link.symlink_to(jar)
        properties = self.folder / "connect.properties"
        write_properties(
            properties,
            {
                **_SETTINGS,
                "bootstrap.servers": self.broker.address,
                "listeners": f"http://{self.address}",
                "plugin.path": plugins.parent,
                **self._settings,
            },
        )
        main = "org.apache.kafka.connect.cli.ConnectDistributed"
        jars = kafka_jars(self._report)
        return java_line(main, jars, str(properties), memory=self._memory), {}

    def _answers(self) -> bool:
        """Whether it lists its connectors: from then on, it is a member of its group."""
        try:
            return self._request("GET", "/connectors") is not None
        except TransientError:
            return False

    def _restart_failed(self, connector: str) -> None:
        """Starts the connector and its task again if they failed before."""
        if self.has_failed(connector):
            path = f"/connectors/{connector}/restart?includeTasks=true&onlyFailed=true"
            self._request("POST", path)
            self.wait_until(lambda: not self.has_failed(connector), f"{connector} starts again")

    def _request(self, method: str, path: str, body: object = None) -> Any:
        """The answer; None where there is nothing of that name, or the worker is not ready.

        Raises:
            TransientError: it cannot be reached, or refuses.
        """
        request = urllib.request.Request(
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_ANSWER_WITHIN_SECONDS) as answer:
                return json.loads(answer.read() or b"true")
        except HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")
            if error.code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                return None  # a conflict is a rebalance that goes on
            what = f"Connect refused {method} {path} with {error.code}: {said[:2000]}"
        except (URLError, OSError, ValueError) as error:
            what = f"Connect at {LOOPBACK}:{self.port} does not answer {method} {path}: {error}"
        raise TransientError(
            what,
            code="lab_connect_refused",
            untouched="the database and the topics",
            next_step=f"see {self.log}",
        )


def debezium(
    database: Mapping[str, object], tables: Sequence[str], *, prefix: str, **further: object
) -> dict[str, object]:
    """The configuration of a Debezium connector for `tables` of a PostgreSQL database.

    Args:
        database: host, port, user, password and dbname.
        tables: with their schema: `public.orders`.
        prefix: of the topics: `shop` gives `shop.public.orders`; slot and publication are named so.
        further: properties of Debezium: `**{"tombstones.on.delete": False}`.
    """
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": 1,
        "plugin.name": "pgoutput",
        "publication.autocreate.mode": "filtered",
        "publication.name": prefix,
        "slot.name": prefix,
        "topic.prefix": prefix,
        "table.include.list": ",".join(tables),
        **{_NAMES[key]: value for key, value in database.items()},
        **further,
    }


def written(value: object) -> str:
    """A property's value as Connect's REST interface takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _states(state: Mapping[str, Any] | None) -> list[str]:
    return [part["state"] for part in (state["connector"], *state["tasks"])] if state else []
