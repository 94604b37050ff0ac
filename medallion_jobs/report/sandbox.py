"""What SQL that somebody else wrote may do: read the lake's tables, and nothing else.

DuckDB would read and write any file of this machine, and fetch from the network. A saved query
is a part of a config, and a config is data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import duckdb

from medallion_jobs.errors import UsageError
from medallion_jobs.storage import Location, uri
from medallion_jobs.storage.duck import text

# CREATE is half of a PIVOT, and makes things in memory only.
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

    COPY and its like are refused before they run: a folder that may be read may be written too.
    """
    for statement in duck.extract_statements(sql):
        # With ANALYZE it does what it explains.
        explains = statement.type == duckdb.StatementType.EXPLAIN
        begins = _EXPLAIN.match(statement.query) if explains else None
        if statement.type not in _READING or (explains and not begins):
            raise UsageError(
                f"that is no query, but {statement.type.name}",
                untouched="the tables; they can be read here, not changed",
                next_step="write the answer to a file with --out FILE",
            )
        if begins:
            refuse_changes(duck, statement.query[begins.end() :])


def confine(duck: duckdb.DuckDBPyConnection, folders: Iterable[Location]) -> None:
    """From here on, this connection opens files of these folders only, and stays so."""
    allowed = ", ".join(text(uri(folder)) for folder in folders)
    duck.execute(f"SET allowed_directories = [{allowed}]")
    # Otherwise a name in SQL also finds this program's own variables.
    duck.execute("SET python_enable_replacements = false")
    duck.execute("SET enable_external_access = false")
    duck.execute("SET lock_configuration = true")
