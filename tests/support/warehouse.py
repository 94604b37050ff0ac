"""A gold table that goes to a database, who reads there meanwhile, and what holds a load up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.own import OwnLake
from support.postgres import ADMIN, Postgres

_CONFIG = """
pipeline: shop
bronze:
  sales: {{source: {{format: json, schema: "region string, n int"}}}}
silver:
  sales: {{from: bronze.sales}}
gold:
  totals:
    from: silver.sales
    group_by: [{keys}]
    measures: {{n: count(*)}}
    sinks:
      - jdbc:
          url: {url}
          {settings}
"""


def lake_with_sink(
    folder: Path, server: Postgres, keys: str = "region, day", **settings: object
) -> OwnLake:
    """A lake whose `gold.totals` goes to the server; `settings` are those of the sink."""
    wanted = {"user": ADMIN, **settings}
    if "password" in wanted:  # a config may not hold one
        secret = folder / "password"
        secret.write_text(str(wanted["password"]))
        wanted["password"] = f"${{file:{secret}}}"
    lines = "\n          ".join(f"{key}: {value}" for key, value in wanted.items())
    return OwnLake.of(folder, _CONFIG.format(keys=keys, url=server.url, settings=lines))


@contextmanager
def polled(server: Postgres, query: str) -> Iterator[set[tuple[Any, ...]]]:
    """Every answer that a reader gets who asks again and again while the block runs."""
    answers: set[tuple[Any, ...]] = set()
    stop = threading.Event()

    def read() -> None:
        with server.connect(autocommit=True) as connection:
            while not stop.wait(0.002):
                answers.update(connection.execute(query).fetchall())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield answers
    finally:
        stop.set()
        reader.join()


# Whoever inserts the row waits until nobody has the advisory lock of this number.
GATE = 4711
_GATE = f"""
CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock({GATE}); RETURN new; END $$
"""


def put_gate(server: Postgres, table: str, column: str, value: object) -> None:
    """Holds up whoever inserts a row with this value, as long as `gate_closed` lasts."""
    server.run(
        _GATE,
        f"CREATE TRIGGER gate BEFORE INSERT ON {table} FOR EACH ROW "
        f"WHEN (new.{column} = {value}) EXECUTE FUNCTION wait_at_gate()",
    )


def put_gate_on_new_tables(server: Postgres, ending: str, column: str, value: object) -> None:
    """The same, of every table that is made from now on and whose name ends so."""
    server.run(
        _GATE,
        f"""
        CREATE FUNCTION put_gate() RETURNS event_trigger LANGUAGE plpgsql AS $$
        DECLARE made record;
        BEGIN
            FOR made IN SELECT object_identity AS name FROM pg_event_trigger_ddl_commands()
                WHERE command_tag = 'CREATE TABLE' AND object_identity LIKE '%{ending}'
            LOOP
                EXECUTE 'CREATE TRIGGER gate BEFORE INSERT ON ' || made.name ||
                    ' FOR EACH ROW WHEN (new.{column} = {value}) EXECUTE FUNCTION wait_at_gate()';
            END LOOP;
        END $$
        """,
        "CREATE EVENT TRIGGER gates ON ddl_command_end EXECUTE FUNCTION put_gate()",
    )


@contextmanager
def gate_closed(server: Postgres) -> Iterator[None]:
    connection = server.connect(autocommit=True)
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", [GATE])
        yield
    finally:
        connection.close()
