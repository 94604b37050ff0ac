"""The table in the database: created, or altered to have the gold table's columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medallion_jobs.errors import UsageError
from medallion_jobs.sinks.postgres.columns import Stored, widens
from medallion_jobs.sinks.postgres.connection import Connection
from medallion_jobs.sinks.postgres.faults import Place
from medallion_jobs.sinks.postgres.names import Target

# From this version on, nulls can be equal in a unique index.
_NULLS_NOT_DISTINCT = 150_000
_TABLES = ("r", "p")  # ordinary and partitioned


@dataclass(frozen=True)
class Change:
    """The changes of the table before a load.

    Attributes:
        statements: SQL to run in the load's transaction.
        added: the names of new columns.
    """

    statements: tuple[str, ...]
    added: tuple[str, ...] = ()


def check_schema(connection: Connection, target: Target, place: Place) -> None:
    """Checks that the schema exists and the user may create tables in it.

    Raises:
        UsageError: it does not exist, or the user may not.
    """
    ((exists, may_create),) = connection.rows(
        "SELECT n.oid IS NOT NULL, coalesce(has_schema_privilege(n.oid, 'CREATE'), false) "
        "FROM (VALUES (1)) AS one LEFT JOIN pg_namespace AS n ON n.nspname = ?",
        target.schema,
    )
    if not exists or not may_create:
        problem = "the sink's user may not create tables in" if exists else "there is no"
        raise UsageError(
            f"{place}: {problem} schema {target.schema}",
            code="sink_schema_missing",
            untouched="nothing was loaded",
            next_step=f"in the database: CREATE SCHEMA {target.schema}; "
            f"GRANT USAGE, CREATE ON SCHEMA {target.schema} TO the user",
        )


def has(connection: Connection, target: Target, place: Place) -> Mapping[str, str] | None:
    """The table's columns and their types; None if there is no table.

    Raises:
        UsageError: the name is that of a view or another object.
    """
    found = connection.rows(
        "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(?)", target.sql
    )
    if not found:
        return None
    if found[0][0] not in _TABLES:
        raise UsageError(
            f"{place}: the object with this name in the database is no table",
            code="sink_not_a_table",
            untouched="nothing was loaded",
            next_step="give the sink another `table`",
        )
    columns = connection.rows(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        target.sql,
    )
    return {str(name): str(kind) for name, kind in columns}


def check_no_foreign_rows(connection: Connection, target: Target, place: Place) -> None:
    """Checks that a table without a recorded load is empty.

    Raises:
        UsageError: it has rows, which somebody else wrote.
    """
    ((any_row,),) = connection.rows(f"SELECT EXISTS (SELECT 1 FROM {target.sql})")
    if any_row:
        raise UsageError(
            f"{place}: the table has rows that no load wrote, and a load would replace them",
            code="sink_has_other_rows",
            untouched="nothing was loaded; the rows are as they were",
            next_step=f"give the sink another `table`, or empty this one: DELETE FROM {target.sql}",
        )


def creation(target: Target, columns: Sequence[Stored], keys: Sequence[str], server: int) -> Change:
    """The statements that create the table, with an index on its keys."""
    kept = {column.name: column for column in columns}
    listed = ", ".join(f"{column.sql} {column.kind}" for column in columns)
    statements = [f"CREATE TABLE {target.sql} ({listed})"]
    if keys:
        unique = server >= _NULLS_NOT_DISTINCT
        statements.append(
            f"CREATE {'UNIQUE ' if unique else ''}INDEX {target.index} ON {target.sql} "
            f"({', '.join(kept[key].sql for key in keys)})"
            + (" NULLS NOT DISTINCT" if unique else "")
        )
    return Change(tuple(statements))


def drift(
    target: Target,
    columns: Sequence[Stored],
    existing: Mapping[str, str],
    place: Place,
    *,
    may_add: bool,
) -> Change:
    """The changes that the table needs for the gold table's columns.

    Args:
        existing: the table's columns and their types.
        may_add: whether columns may be added.

    Raises:
        UsageError: a column may not be added, or its existing type cannot hold the values.
    """
    new = [column for column in columns if column.name not in existing]
    if new and not may_add:
        raise UsageError(
            f"{place}: the table in the database lacks columns: {_named(new)}",
            code="sink_lacks_columns",
            untouched="nothing was loaded",
            next_step="add them, or let loads do it: `new_columns: add`",
        )
    known = [(column, existing[column.name]) for column in columns if column.name in existing]
    small = [(column, kind) for column, kind in known if not widens(column.kind, kind)]
    other = [(column, kind) for column, kind in small if not widens(kind, column.kind)]
    if other:
        lines = [f"{c.name}: {kind} in the database, {c.kind} in gold" for c, kind in other]
        raise UsageError(
            f"{place}: columns have types in the database that cannot hold gold's values:\n  "
            + "\n  ".join(lines),
            code="sink_types_too_narrow",
            untouched="nothing was loaded",
            next_step=f"in the database: ALTER TABLE {target.sql} ALTER COLUMN … TYPE …; or cast "
            "in the gold table's `columns`, or give the sink another `table`",
        )
    added = [f"ADD COLUMN {column.sql} {column.kind}" for column in new]
    widened = [f"ALTER COLUMN {column.sql} TYPE {column.kind}" for column, _ in small]
    clauses = ", ".join(added + widened)
    statements = (f"ALTER TABLE {target.sql} {clauses}",) if clauses else ()
    return Change(statements, tuple(column.name for column in new))


def server_version(connection: Connection) -> int:
    """The server's version, such as 150018."""
    ((version,),) = connection.rows("SELECT current_setting('server_version_num')::int")
    return int(version)


def _named(columns: Sequence[Stored]) -> str:
    return ", ".join(f"{column.name} {column.kind}" for column in columns)
