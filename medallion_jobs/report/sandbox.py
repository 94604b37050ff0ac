"""A sandbox for SQL: it may read the lake's tables, and nothing else.

Without it, DuckDB can read and write any file on this machine, and use the network. A saved
query is part of a config, and a config is data, not trusted code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import duckdb

from medallion_jobs.errors import UsageError
from medallion_jobs.storage import Location, uri
from medallion_jobs.storage.duck import text

# DuckDB runs a PIVOT as a CREATE, which writes to memory only.
_READING = {
    duckdb.StatementType.SELECT,
    duckdb.StatementType.EXPLAIN,
    duckdb.StatementType.CREATE,
}
_BLANK = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_EXPLAIN = re.compile(
    rf"{_BLANK}EXPLAIN\b{_BLANK}(ANALYZE\b)?{_BLANK}(\([^)]*\))?", re.IGNORECASE | re.DOTALL
)


def refuse_changes(duck: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raises UsageError unless each statement only reads.

    COPY and similar statements are refused before they run: DuckDB could also write to the
    folders that it may read.
    """
    for statement in duck.extract_statements(sql):
        # With ANALYZE it runs the statement that it explains.
        explains = statement.type == duckdb.StatementType.EXPLAIN
        begins = _EXPLAIN.match(statement.query) if explains else None
        if statement.type not in _READING or (explains and not begins):
            raise UsageError(
                f"the statement is not a query, but {statement.type.name}",
                code="not_a_query",
                untouched="the tables; they are read-only here",
                next_step="to write the result to a file, use --out FILE",
            )
        if begins:
            refuse_changes(duck, statement.query[begins.end() :])


def confine(duck: duckdb.DuckDBPyConnection, folders: Iterable[Location]) -> None:
    """Restricts a connection to files of these folders; this cannot be undone."""
    allowed = ", ".join(text(uri(folder)) for folder in folders)
    duck.execute(f"SET allowed_directories = [{allowed}]")
    # Otherwise a name in SQL could also refer to this program's variables.
    duck.execute("SET python_enable_replacements = false")
    duck.execute("SET enable_external_access = false")
    duck.execute("SET lock_configuration = true")
