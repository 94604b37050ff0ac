"""The control table in the database: the last load of each table."""

from __future__ import annotations

import json
from dataclasses import dataclass

from medallion_jobs.sinks.postgres.connection import Connection
from medallion_jobs.sinks.postgres.names import Target

_COLUMNS = """
    table_name text PRIMARY KEY,
    delta_id text NOT NULL,
    version bigint NOT NULL,
    loaded_at timestamp with time zone NOT NULL,
    run text,
    columns jsonb NOT NULL
"""


@dataclass(frozen=True)
class LastLoad:
    """The last load of a table.

    Attributes:
        delta_id, version: the id and the version of the Delta table that was loaded.
        columns: the columns that were loaded.
    """

    delta_id: str
    version: int
    columns: tuple[str, ...]


def make(connection: Connection, target: Target) -> None:
    """Creates the control table if it does not exist."""
    if _exists(connection, target):
        return
    # Two loads that create it at the same time would both fail.
    lock(connection, f"medallion {target.schema}")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {target.control} ({_COLUMNS})")
    connection.execute(
        f"COMMENT ON TABLE {target.control} IS 'Which version of each gold table is loaded'"
    )
    connection.commit()


def read(connection: Connection, target: Target, *, locked: bool = False) -> LastLoad | None:
    """The last load; None before the first.

    Args:
        locked: lock the row until the transaction ends.
    """
    sql = f"SELECT delta_id, version, columns::text FROM {target.control} WHERE table_name = ?"
    if locked:
        sql += " FOR UPDATE"
    for delta_id, version, columns in connection.rows(sql, target.table):
        return LastLoad(delta_id, int(version), tuple(json.loads(columns)))
    return None


def write(connection: Connection, target: Target, load: LastLoad, run: str) -> None:
    """Records a load.

    Args:
        run: the run that wrote the loaded version.
    """
    connection.execute(
        f"INSERT INTO {target.control} "
        "(table_name, delta_id, version, loaded_at, run, columns) "
        "VALUES (?, ?, ?, now(), ?, ?::jsonb) ON CONFLICT (table_name) DO UPDATE SET "
        "delta_id = excluded.delta_id, version = excluded.version, "
        "loaded_at = excluded.loaded_at, run = excluded.run, columns = excluded.columns",
        target.table,
        load.delta_id,
        load.version,
        run,
        json.dumps(load.columns),
    )


def lock(connection: Connection, name: str) -> None:
    """Takes an advisory lock until the transaction ends; waits while another has it."""
    connection.rows("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))::text", name)


def _exists(connection: Connection, target: Target) -> bool:
    ((exists,),) = connection.rows("SELECT to_regclass(?) IS NOT NULL", target.control)
    return bool(exists)
