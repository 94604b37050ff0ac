"""The staging table: Spark writes rows to it, and one transaction copies them to the table.

It is unlogged, which makes it cheap: a crash of the server empties it, and also ends the
transaction that would have read it. Each row has the id of its load, so that tasks of an abandoned
load cannot add rows to another load; and a unique number in it, so that a task that Spark runs
twice fails instead of duplicating its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from medallion_jobs.config import Jdbc
from medallion_jobs.errors import UsageError
from medallion_jobs.sinks.postgres.columns import Stored, listed
from medallion_jobs.sinks.postgres.connection import Connection, spark_options
from medallion_jobs.sinks.postgres.faults import DatabaseError, Place, database_error
from medallion_jobs.sinks.postgres.names import Target

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

GONE = "gone"
_LOAD, _ROW = "load", "row"
_REMARK = "medallion: rows on their way to another table"
# Concurrent connections, one for each task.
_MOST_WRITERS = "8"
_ROWS_A_BATCH = "5000"
_UNIQUE_VIOLATION = "23505"


def make(connection: Connection, target: Target, columns: Sequence[Stored], place: Place) -> None:
    """Creates the empty staging table; an old one is dropped.

    Raises:
        UsageError: a table that no load created has its name.
    """
    found = connection.rows(
        "SELECT coalesce(obj_description(oid, 'pg_class'), '') FROM pg_class "
        "WHERE oid = to_regclass(?)",
        target.staging,
    )
    if found and found[0][0] != _REMARK:
        raise UsageError(
            f"{place}: {target.staging} exists and no load created it",
            code="sink_staging_exists",
            untouched="nothing was loaded",
            next_step="rename it, or give the sink another `table`",
        )
    kinds = "".join(f", {column.staged_name} {column.staged_kind}" for column in columns)
    connection.execute(f"DROP TABLE IF EXISTS {target.staging}")
    connection.execute(
        f"CREATE UNLOGGED TABLE {target.staging} ({_LOAD} bigint, {_ROW} bigint, "
        f"{GONE} boolean{kinds}, PRIMARY KEY ({_LOAD}, {_ROW}))"
    )
    connection.execute(f"COMMENT ON TABLE {target.staging} IS '{_REMARK}'")
    connection.commit()


def fill(rows: DataFrame, sink: Jdbc, target: Target, load: int) -> None:
    """Writes staged rows; with the column `GONE`, some of them are keys to delete.

    Args:
        load: the id of the load.

    Raises:
        DatabaseError: the database refused the rows or cannot be reached.
    """
    gone = F.col(GONE) if GONE in rows.columns else F.lit(False)
    others = [column for column in rows.columns if column != GONE]
    added = [
        F.lit(load).cast("bigint").alias(_LOAD),
        F.monotonically_increasing_id().alias(_ROW),
        gone.alias(GONE),
    ]
    writer = rows.select(*added, *others).write.format("jdbc").mode("append")
    writer = writer.options(**spark_options(sink), dbtable=target.staging)
    writer = writer.option("numPartitions", _MOST_WRITERS).option("batchsize", _ROWS_A_BATCH)
    with translated_errors(sink):
        writer.save()


@contextmanager
def translated_errors(sink: Jdbc) -> Iterator[None]:
    """Raises the database's error inside an error of Spark as a DatabaseError."""
    try:
        yield
    except (Py4JJavaError, PySparkException) as error:
        translated = database_error(error, sink.password)
        if translated is None:
            raise
        if translated.state == _UNIQUE_VIOLATION:
            # The task had written its rows, but Spark lost it and ran it again.
            translated = DatabaseError("40001", f"a task was run twice: {translated.message}")
        raise translated from None


def swap(connection: Connection, target: Target, columns: Sequence[Stored], load: int) -> int:
    """Replaces all rows of the table by the staged ones.

    Returns:
        How many rows were inserted.
    """
    connection.execute(f"DELETE FROM {target.sql}")
    return _insert(connection, target, columns, load)


def apply(
    connection: Connection,
    target: Target,
    columns: Sequence[Stored],
    keys: Sequence[str],
    load: int,
) -> tuple[int, int]:
    """Deletes the rows that have a staged key, then inserts the staged rows.

    Returns:
        How many rows were deleted, and how many were inserted.
    """
    connection.execute(f"ANALYZE {target.staging}")
    by_name = {column.name: column for column in columns}
    chosen = [by_name[key] for key in keys]
    removed = sum(
        connection.execute(
            f"DELETE FROM {target.sql} AS has USING {target.staging} AS new "
            f"WHERE new.{_LOAD} = ? AND {_same(chosen, nulls)}",
            load,
        )
        for nulls in _combinations_of_nulls(connection, target, chosen, load)
    )
    return removed, _insert(connection, target, columns, load)


def drop(connection: Connection, target: Target) -> None:
    """Drops the staging table."""
    connection.execute(f"DROP TABLE {target.staging}")


def _insert(connection: Connection, target: Target, columns: Sequence[Stored], load: int) -> int:
    values = ", ".join(column.arrived("new") for column in columns)
    return connection.execute(
        f"INSERT INTO {target.sql} ({listed(columns)}) SELECT {values} "
        f"FROM {target.staging} AS new WHERE new.{_LOAD} = ? AND NOT new.{GONE}",
        load,
    )


def _combinations_of_nulls(
    connection: Connection, target: Target, keys: Sequence[Stored], load: int
) -> list[tuple[bool, ...]]:
    """The combinations of null keys in the staged rows; for each, one flag for each key.

    `IS NOT DISTINCT FROM` finds nulls, too, but uses neither an index nor a hash join.
    """
    nulls = ", ".join(f"{key.staged_name} IS NULL" for key in keys)
    sql = f"SELECT DISTINCT {nulls} FROM {target.staging} WHERE {_LOAD} = ?"
    return connection.rows(sql, load)


def _same(keys: Sequence[Stored], nulls: Sequence[bool]) -> str:
    return " AND ".join(
        f"has.{key.sql} IS NULL AND new.{key.staged_name} IS NULL"
        if is_null
        else f"has.{key.sql} = {key.arrived('new')}"
        for key, is_null in zip(keys, nulls, strict=True)
    )
