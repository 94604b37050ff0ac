"""All tables of a lake in DuckDB, by the names that people know.

bronze.x, silver.x, gold.x    the tables
ledger.x                      every file of bronze.x, and what became of it
quarantine.bronze             what could not go on, of all tables of a layer
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
from duckdb_extensions import import_extension

from medallion_jobs import places
from medallion_jobs.config import LAYERS, Pipeline
from medallion_jobs.config.names import IDENTIFIER_PATTERN

# A folder of any other name is none of ours, and cannot break out of its quotes.
_NAME = re.compile(IDENTIFIER_PATTERN)

Row = tuple[object, ...]

# The newest event of a file is its state; before its first event it is DISCOVERED.
_LEDGER = """
    WITH numbered AS (
        SELECT *, count(*) OVER (PARTITION BY path) AS attempts,
               row_number() OVER (PARTITION BY path ORDER BY generation DESC, batch DESC) AS age
        FROM {events}
    ), found AS (
        SELECT path, max_by(size, discovered_at) AS size,
               max_by(modified, discovered_at) AS modified,
               max(discovered_at) AS discovered_at
        FROM {discovered} GROUP BY path
    )
    SELECT d.path, d.size, d.modified, d.discovered_at,
           coalesce(e.state, 'DISCOVERED') AS state,
           e.rows, e.rescued, e.bad, e.error, coalesce(e.attempts, 0) AS attempts,
           e.generation, e.batch, e.updated_at
    FROM found AS d
    LEFT JOIN (SELECT * FROM numbered WHERE age = 1) AS e ON e.path = d.path
"""


@contextmanager
def connect() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can scan Delta tables, offline."""
    import_extension("delta")
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as duck:
        duck.execute("LOAD delta; SET TimeZone = 'UTC'")
        yield duck


def views(config: Pipeline) -> dict[tuple[str, str], str]:
    """The names of all tables, as schema and view, with the SQL that reads them."""
    state = config.state_path
    tables: dict[tuple[str, str], str] = {
        (layer, table.name): f"SELECT * FROM {_scan(table)}"  # noqa: S608
        for layer in LAYERS
        for table in _tables_in(places.lake(config) / layer)
    }
    ledgers = {
        ("ledger", ledger.name): _LEDGER.format(
            discovered=_scan(ledger / "discovered"), events=_scan(ledger / "events")
        )
        for ledger in _folders_in(state / "ledger")
    }
    quarantines = {
        ("quarantine", layer.name): " UNION ALL BY NAME ".join(
            f"SELECT {_text(f'{layer.name}.{table.name}')} AS table_name, * "  # noqa: S608
            f"FROM {_scan(table)}"
            for table in _tables_in(layer)
        )
        for layer in _folders_in(state / "quarantine")
        if any(_tables_in(layer))
    }
    return {**tables, **ledgers, **quarantines}


def rows_of(answer: duckdb.DuckDBPyConnection | duckdb.DuckDBPyRelation) -> list[Row]:
    """The rows of an answer. Through Arrow: DuckDB's own way wants pytz for time zones."""
    table = answer.to_arrow_table()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def create(duck: duckdb.DuckDBPyConnection, found: Mapping[tuple[str, str], str]) -> None:
    """Makes the views. DuckDB reads a table's log for each, so make those that are needed."""
    for (schema, view), query in found.items():
        duck.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        duck.execute(f'CREATE VIEW "{schema}"."{view}" AS {query}')


def _scan(table: Path) -> str:
    return f"delta_scan({_text(str(table))})"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _tables_in(folder: Path) -> Iterator[Path]:
    return (f for f in _folders_in(folder) if (f / "_delta_log").is_dir())


def _folders_in(folder: Path) -> Iterator[Path]:
    return (f for f in sorted(folder.glob("*")) if f.is_dir() and _NAME.fullmatch(f.name))
