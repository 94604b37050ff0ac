"""Rows on their way: written by Spark beside the table, taken over by one transaction.

The staging table is not logged, so that it costs little; a server that crashes empties it, and
ends the transaction that would have read it. Each row names the load that brought it, lest
tasks of a load that was given up add theirs to another's; and its place in it is unique, so
that a task that Spark runs a second time fails instead of doubling its rows.
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
from medallion_jobs.sinks.postgres.faults import DatabaseError, Place, told_by_java
from medallion_jobs.sinks.postgres.names import Target

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

GONE = "gone"
_LOAD, _ROW = "load", "row"
_REMARK = "medallion: rows on their way to another table"
# Connections at once, each from a task.
_MOST_WRITERS = "8"
_ROWS_A_BATCH = "5000"
_UNIQUE_VIOLATION = "23505"


def make(connection: Connection, target: Target, columns: Sequence[Stored], place: Place) -> None:
    """Makes the staging table anew, empty.

    Raises:
        UsageError: a table of somebody else has its name.
    """
    found = connection.rows(
        "SELECT coalesce(obj_description(oid, 'pg_class'), '') FROM pg_class "
        "WHERE oid = to_regclass(?)",
        target.staging,
    )
    if found and found[0][0] != _REMARK:
        raise UsageError(
            f"{place}: {target.staging} is there and no load made it",
            untouched="nothing was loaded",
            next_step="name it otherwise, or give the sink another `table`",
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
    """Writes rows, as they cross; `rows` has GONE where some are to be taken out.

    Raises:
        DatabaseError: the database said no.
    """
    gone = F.col(GONE) if GONE in rows.columns else F.lit(False)
    others = [column for column in rows.columns if column != GONE]
    marks = [
        F.lit(load).cast("bigint").alias(_LOAD),
        F.monotonically_increasing_id().alias(_ROW),
        gone.alias(GONE),
    ]
    writer = rows.select(*marks, *others).write.format("jdbc").mode("append")
    writer = writer.options(**spark_options(sink), dbtable=target.staging)
    writer = writer.option("numPartitions", _MOST_WRITERS).option("batchsize", _ROWS_A_BATCH)
    with answers_translated(sink):
        writer.save()


@contextmanager
def answers_translated(sink: Jdbc) -> Iterator[None]:
    """A database's answer in what Spark raises, as a DatabaseError."""
    try:
        yield
    except (Py4JJavaError, PySparkException) as error:
        answer = told_by_java(error, sink.password)
        if answer is None:
            raise
        if answer.state == _UNIQUE_VIOLATION:
            # A task that wrote its rows and was lost before it could say so.
            answer = DatabaseError("40001", f"a task was run twice: {answer.said}")
        raise answer from None


def swap(connection: Connection, target: Target, columns: Sequence[Stored], load: int) -> int:
    """Replaces all rows of the table by those that are staged; gives how many these are."""
    connection.execute(f"DELETE FROM {target.sql}")
    return _insert(connection, target, columns, load)


def apply(
    connection: Connection,
    target: Target,
    columns: Sequence[Stored],
    keys: Sequence[str],
    load: int,
) -> tuple[int, int]:
    """Takes out the rows that have a staged key, puts the staged rows in.

    Returns:
        How many rows were taken out, and how many put in.
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
    """Removes the staging table."""
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
    """Which of the keys are null together, of the rows that are staged.

    `IS NOT DISTINCT FROM` finds nulls too, but by no index and by no hash: a row at a time.
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
