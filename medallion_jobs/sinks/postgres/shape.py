"""The table in the database: made where it is missing, brought up to the gold table's columns."""

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
    """What has to be done to the table before rows go in.

    Attributes:
        statements: SQL, to be run in the load's transaction.
        added: columns that the table did not have.
    """

    statements: tuple[str, ...]
    added: tuple[str, ...] = ()


def check_place(connection: Connection, target: Target, place: Place) -> None:
    """Raises unless the schema is there and the user may make tables in it.

    Raises:
        UsageError: it is not, or she may not.
    """
    ((there, may),) = connection.rows(
        "SELECT n.oid IS NOT NULL, coalesce(has_schema_privilege(n.oid, 'CREATE'), false) "
        "FROM (VALUES (1)) AS one LEFT JOIN pg_namespace AS n ON n.nspname = ?",
        target.schema,
    )
    if not there or not may:
        what = f"may make no table in schema {target.schema}" if there else "finds no such schema"
        raise UsageError(
            f"{place}: the sink's user {what}",
            untouched="nothing was loaded",
            next_step=f"in the database: CREATE SCHEMA {target.schema}; "
            f"GRANT USAGE, CREATE ON SCHEMA {target.schema} TO the user",
        )


def has(connection: Connection, target: Target, place: Place) -> Mapping[str, str] | None:
    """The table's columns and their types; None where there is no table.

    Raises:
        UsageError: the name is that of a view or the like.
    """
    found = connection.rows(
        "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(?)", target.sql
    )
    if not found:
        return None
    if found[0][0] not in _TABLES:
        raise UsageError(
            f"{place}: what has this name in the database is no table",
            untouched="nothing was loaded",
            next_step="give the sink another `table`",
        )
    columns = connection.rows(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        target.sql,
    )
    return {str(name): str(kind) for name, kind in columns}


def check_rows_are_ours(connection: Connection, target: Target, place: Place) -> None:
    """Raises when a table that no load has filled has rows: somebody else's.

    Raises:
        UsageError: it has.
    """
    ((any_row,),) = connection.rows(f"SELECT EXISTS (SELECT 1 FROM {target.sql})")
    if any_row:
        raise UsageError(
            f"{place}: the table has rows that no load brought, and a load would replace them",
            untouched="nothing was loaded; the rows are as they were",
            next_step=f"give the sink another `table`, or empty this one: DELETE FROM {target.sql}",
        )


def creation(target: Target, columns: Sequence[Stored], keys: Sequence[str], server: int) -> Change:
    """Makes the table, with an index by which its keys are found."""
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
    there: Mapping[str, str],
    place: Place,
    *,
    may_add: bool,
) -> Change:
    """What the table lacks for the gold table's columns.

    Raises:
        UsageError: a column that may not be added, or whose type there cannot hold the values.
    """
    new = [column for column in columns if column.name not in there]
    if new and not may_add:
        raise UsageError(
            f"{place}: the table there lacks columns: {_named(new)}",
            untouched="nothing was loaded",
            next_step="add them there, or let loads do it: `new_columns: add`",
        )
    known = [(column, there[column.name]) for column in columns if column.name in there]
    small = [(column, kind) for column, kind in known if not widens(column.kind, kind)]
    other = [(column, kind) for column, kind in small if not widens(kind, column.kind)]
    if other:
        lines = [f"{c.name}: {kind} there, and {c.kind} in gold" for c, kind in other]
        raise UsageError(
            f"{place}: columns have types there that cannot hold gold's values:\n  "
            + "\n  ".join(lines),
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
