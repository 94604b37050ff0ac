"""Plays a file of `scenarios/` to a database, and stores what Debezium makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from cdc_lab.connect import Connect, debezium
from cdc_lab.kafka import Broker
from cdc_lab.postgres import Postgres
from cdc_lab.server import Server
from cdc_lab.topics import Topics, topics
from medallion_jobs.errors import TransientError

_SCENARIOS = Path(__file__).with_name("scenarios")
_JSON = "org.apache.kafka.connect.json.JsonConverter"
# How a message is written: alone, or with its schema.
FORMS = {"plain": False, "schemas": True}
# Large where it has a schema, and the same for everybody.
_ONLY_PLAIN = {"plain": (), "schemas": (".transaction",)}
DEFAULT: Mapping[str, Mapping[str, object]] = {"default": {}}
_POSTGRES = {"max_replication_slots": 40, "max_wal_senders": 40, "timezone": "UTC"}


@dataclass(frozen=True)
class Scenario:
    """How a file of `scenarios/` is played.

    Attributes:
        modes: properties of Debezium by a name, which the files of messages have.
        forms: of the default mode.
        form: of the other modes.
        settings: properties that all connectors have.
        worker: settings of Connect.
        programs: a pattern for the folder of PostgreSQL's programs, if the usual ones lack a part.
    """

    modes: Mapping[str, Mapping[str, object]] = field(default_factory=lambda: DEFAULT)
    forms: Sequence[str] = tuple(FORMS)
    form: str = "plain"
    settings: Mapping[str, object] = field(default_factory=dict)
    worker: Mapping[str, object] = field(default_factory=dict)
    programs: str = ""


class Play:
    """One scenario on servers of its own.

    Attributes:
        failed: the connectors that failed, and why.
    """

    def __init__(self, name: str, scenario: Scenario, folder: Path) -> None:
        self.name = name
        self.failed: dict[str, str] = {}
        self._settings = scenario.settings
        self._worker = scenario.worker
        self._folder = folder
        # Of the mode that most will have, the topics are named as in the lab: shop.public.orders
        self._connectors = {
            "shop" if (mode, form) == ("default", "plain") else f"shop_{mode}_{form}": (mode, form)
            for mode in scenario.modes
            for form in (scenario.forms if mode == "default" else [scenario.form])
        }
        self._modes = scenario.modes
        programs = Path("/").glob(scenario.programs.lstrip("/")) if scenario.programs else ()
        self._postgres = Postgres(folder, settings=_POSTGRES, programs=max(programs, default=None))
        self._broker = Broker(folder)
        self._marks = 0

    def run(self, target: Path) -> Iterator[Path]:
        """Plays it; returns the files that it writes to `target`.

        Raises:
            MedallionError: a server does not start, or does not what it has to.
        """
        servers: list[Server] = [self._broker, self._postgres]
        try:
            self._broker.start()
            self._postgres.start()
            self._connect = Connect(self._folder, self._broker, settings=self._worker, memory="1g")
            servers.append(self._connect)
            self._connect.start()
            with topics(self._broker.address) as self._topics:
                self._play()
                yield from self._store(self._topics, target)
        finally:
            for server in reversed(servers):
                server.stop()
            self._postgres.remove()

    def _play(self) -> None:
        text = (_SCENARIOS / f"{self.name}.sql").read_text("utf-8")
        before, _, changes = text.partition("-- changes\n")
        self._postgres.run(
            "CREATE TABLE marks (id integer PRIMARY KEY)",
            "CREATE TABLE signals (id text PRIMARY KEY, type text, data text)",
            *(statement for _, statement in _statements(before)),
        )
        for connector, (mode, form) in self._connectors.items():
            self._connect.create(connector, self._config(connector, mode, form))
        for connector in self._connectors:
            self._await_slot(connector)
        self._mark()
        with ExitStack() as opened:
            sessions: dict[str, psycopg.Connection[Any]] = {}
            for session, statement in _statements(changes):
                if session == "lab":
                    self._do(statement)
                    continue
                if session not in sessions:
                    new = closing(self._postgres.connect(autocommit=True))
                    sessions[session] = opened.enter_context(new)
                sessions[session].execute(statement.encode())
        self._mark()
        self._noted()

    def _config(self, connector: str, mode: str, form: str) -> dict[str, object]:
        written = {
            f"{part}.converter{further}": value
            for part in ("key", "value")
            for further, value in (("", _JSON), (".schemas.enable", FORMS[form]))
        }
        return {
            **debezium(self._postgres.for_clients, ["public.*"], prefix=connector),
            **written,
            **self._settings,
            **self._modes[mode],
        }

    def _do(self, what: str) -> None:
        if what == "over":
            self._start_over()
            return
        self._mark()
        if what == "noted":
            self._noted()
        if what == "kill":
            self._connect.kill()
            self._connect.start()
        if what == "lose":
            self._connect.kill()
            self._lose_slots()

    def _lose_slots(self) -> None:
        """Drops the slots: the database no longer keeps its log for the connectors."""
        query = "SELECT 1 FROM pg_replication_slots WHERE active"
        self._connect.wait_until(lambda: not self._postgres.rows(query), "its slots are free")
        self._postgres.run(
            *(f"SELECT pg_drop_replication_slot('{name}')" for name in self._connectors)
        )

    def _start_over(self) -> None:
        """Starts Connect without offsets: connectors refuse to go on after those that they had."""
        self._connect.start()
        for connector in self._connectors:
            failed = partial(self._connect.has_failed, connector)
            self._connect.wait_until(failed, f"{connector} refuses to go on")
            self._connect.forget(connector)
            self._await_slot(connector)

    def _await_slot(self, connector: str) -> None:
        """Waits until the connector has its slot: from then on it gets every change."""
        query = (
            f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{connector}' "
            "AND confirmed_flush_lsn IS NOT NULL"
        )
        self._await(connector, lambda: self._postgres.rows(query), "its slot is there")

    def _mark(self) -> None:
        """Waits until all that was done is in the topics."""
        self._marks += 1
        self._postgres.run(f"INSERT INTO marks VALUES ({self._marks})")
        for connector in self._connectors:
            self._await(
                connector,
                lambda one=connector: self._seen(one, self._marks) and self._is_at_an_end(one),
                f"mark {self._marks} is in its topic",
            )

    def _seen(self, connector: str, mark: int) -> dict[str, Any] | None:
        """The message of a mark."""
        for message in self._messages(f"{connector}.public.marks"):
            row = message.get("after", message)  # in a flat message, the row is all there is
            if row and row["id"] == mark:
                return message
        return None

    def _is_at_an_end(self, connector: str) -> bool:
        """Whether the last transaction that was reported is complete, if they are reported."""
        found = self._messages(f"{connector}.transaction")
        return not found or found[-1]["status"] == "END"

    def _messages(self, topic: str) -> list[dict[str, Any]]:
        if topic not in self._topics.names(topic):
            return []
        values = [json.loads(one.value) for one in self._topics.records([topic]) if one.value]
        return [value.get("payload", value) for value in values]

    def _noted(self) -> None:
        """Waits until Connect has noted that all that was done was sent."""
        for connector in self._connectors:
            if connector in self.failed:
                continue
            message = self._seen(connector, self._marks)
            assert message
            lsn = message["__source_lsn"] if "__source_lsn" in message else message["source"]["lsn"]
            self._await(
                connector,
                lambda one=connector, least=lsn: any(
                    offset.get("lsn", 0) >= least for offset in self._connect.offsets(one)
                ),
                "its offset is noted",
            )

    def _await(self, connector: str, seen: Any, what: str) -> None:
        """Waits for something of a connector, unless it has failed or fails."""
        if connector in self.failed:
            return

        def seen_or_failed() -> Any:
            found = seen()
            if not found:
                try:
                    self._connect.is_running(connector)
                except TransientError as error:
                    self.failed[connector] = error.what
                    return True
            return found

        self._connect.wait_until(seen_or_failed, f"{connector}: {what}")

    def _store(self, read: Topics, target: Path) -> Iterator[Path]:
        target.mkdir(parents=True, exist_ok=True)
        for connector, (mode, form) in self._connectors.items():
            file = target / f"{self.name}.{mode}.{form}.jsonl"
            left_out = (".public.marks", ".public.signals", *_ONLY_PLAIN[form])
            names = [name for name in read.names(f"{connector}.") if not name.endswith(left_out)]
            lines = [
                json.dumps(record.as_dict(), ensure_ascii=False) for record in read.records(names)
            ]
            file.write_text("\n".join(lines) + "\n", "utf-8")
            yield file
        source = target / "source" / f"{self.name}.json"
        source.parent.mkdir(exist_ok=True)
        source.write_text(json.dumps(self._tables(), ensure_ascii=False, indent=1) + "\n", "utf-8")
        yield source

    def _tables(self) -> dict[str, Any]:
        """Each table as it is at the end: the types of its columns, its key, its rows as text."""
        found = {}
        for (table,) in self._postgres.rows(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
            "AND tablename NOT IN ('marks', 'signals') ORDER BY 1"
        ):
            quoted = f'public."{table}"'
            columns = dict(
                self._postgres.rows(
                    "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                    f"WHERE attrelid = '{quoted}'::regclass AND attnum > 0 AND NOT attisdropped "
                    "ORDER BY attnum"
                )
            )
            key = [
                name
                for (name,) in self._postgres.rows(
                    "SELECT attname FROM pg_index JOIN pg_attribute "
                    "ON attrelid = indrelid AND attnum = ANY (indkey) "
                    f"WHERE indrelid = '{quoted}'::regclass AND indisprimary "
                    "ORDER BY array_position(indkey::int2[], attnum)"
                )
            ]
            texts = ", ".join(f"{_quoted(name)}::text" for name in columns)
            rows = self._postgres.rows(f"SELECT {texts} FROM {quoted} ORDER BY {texts}")
            found[table] = {
                "columns": columns,
                "key": key,
                "rows": [dict(zip(columns, row, strict=True)) for row in rows],
            }
        return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _statements(text: str) -> Iterator[tuple[str, str]]:
    """Each statement with its session; for the lab itself, what it has to do."""
    session = "main"
    lines: list[str] = []
    for line in text.splitlines():
        if not lines and (not line.strip() or line.startswith("--")):
            words = line.removeprefix("--").split()
            if words[:1] == ["on"]:
                session = words[1]
            elif words[:1] == ["lab:"]:
                yield "lab", words[1]
            continue
        lines.append(line)
        if line.endswith(";"):
            yield session, "\n".join(lines)
            lines = []
