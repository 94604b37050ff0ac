"""All tables of a lake in DuckDB, by the names that people know.

bronze.x, silver.x, gold.x    the tables
ledger.x                      every file of bronze.x, and what became of it
quarantine.bronze             what could not go on, of all tables of a layer
held.silver                   rows that wait for a dimension's key
metrics.batches               a row for each batch of every query
metrics.quality               a row for each batch and rule of every table
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

# Events by which a batch says what it made of a file; the others tell of its archiving.
_OUTCOMES = "('COMMITTED', 'QUARANTINED', 'MISSING', 'SKIPPED')"

# The newest event of a file is its state; before its first event it is DISCOVERED, and again
# once it was found anew or is to be retried. A file whose rows are in bronze stays what it is.
# One that was there before the first run and is not wanted has an event and nothing else.
_LEDGER = """
    WITH told AS (
        SELECT path, version, max_by(state, updated_at) AS state,
               count(*) FILTER (WHERE state IN {outcomes} AND batch IS NOT NULL) AS attempts,
               max_by(size, updated_at) AS size, max_by(modified, updated_at) AS modified,
               max_by(
                   {{'rows': rows, 'rescued': rescued, 'bad': bad, 'error': error,
                    'generation': generation, 'batch': batch}}, updated_at
               ) FILTER (WHERE state IN {outcomes}) AS outcome,
               min(updated_at) AS first_told, max(updated_at) AS updated_at
        FROM {events} GROUP BY path, version
    ), found AS (
        SELECT path, version, max_by(size, discovered_at) AS size,
               max_by(modified, discovered_at) AS modified,
               min(discovered_at) AS first_seen, max(discovered_at) AS last_seen
        FROM {discovered} GROUP BY path, version
    )
    SELECT coalesce(f.path, t.path) AS path, coalesce(f.version, t.version) AS version,
           coalesce(f.size, t.size) AS size, coalesce(f.modified, t.modified) AS modified,
           coalesce(f.first_seen, t.first_told) AS first_seen,
           coalesce(f.last_seen, t.first_told) AS last_seen,
           CASE WHEN t.state IS NULL OR (
               t.state IN ('QUARANTINED', 'MISSING', 'SKIPPED') AND f.last_seen > t.updated_at
           ) THEN 'DISCOVERED' ELSE t.state END AS state,
           t.outcome.rows AS rows, t.outcome.rescued AS rescued, t.outcome.bad AS bad,
           t.outcome.error AS error, coalesce(t.attempts, 0) AS attempts,
           t.outcome.generation AS generation, t.outcome.batch AS batch, t.updated_at
    FROM found AS f FULL JOIN told AS t ON t.path = f.path AND t.version = f.version
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
        (layer, table.name): f"SELECT * FROM {scan(table)}"  # noqa: S608
        for layer in LAYERS
        for table in _tables_in(places.lake(config) / layer)
    }
    ledgers = {
        ("ledger", ledger.name): _LEDGER.format(
            discovered=scan(ledger / "discovered"),
            events=scan(ledger / "events"),
            outcomes=_OUTCOMES,
        )
        for ledger in _folders_in(state / "ledger")
    }
    parked = {
        (kind, layer.name): " UNION ALL BY NAME ".join(
            f"SELECT {text(f'{layer.name}.{table.name}')} AS table_name, * "  # noqa: S608
            f"FROM {scan(table)}"
            for table in _tables_in(layer)
        )
        for kind in ("quarantine", "held")
        for layer in _folders_in(state / kind)
        if any(_tables_in(layer))
    }
    metrics = {
        ("metrics", name): query
        for name, folder in (("batches", state / "metrics"), ("quality", state / "metrics/quality"))
        if (query := _together(folder))
    }
    return {**tables, **ledgers, **parked, **metrics}


def rows_of(answer: duckdb.DuckDBPyConnection | duckdb.DuckDBPyRelation) -> list[Row]:
    """The rows of an answer. Through Arrow: DuckDB's own way wants pytz for time zones."""
    table = answer.to_arrow_table()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def create(duck: duckdb.DuckDBPyConnection, found: Mapping[tuple[str, str], str]) -> None:
    """Makes the views. DuckDB reads a table's log for each, so make those that are needed."""
    for (schema, view), query in found.items():
        duck.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        duck.execute(f'CREATE VIEW "{schema}"."{view}" AS {query}')


def _together(folder: Path) -> str:
    """All tables of all layers below a folder as one; empty where there is none."""
    return " UNION ALL BY NAME ".join(
        f"SELECT * FROM {scan(table)}"  # noqa: S608
        for layer in LAYERS
        for table in _tables_in(folder / layer)
    )


def scan(table: Path) -> str:
    """The SQL that stands for a Delta table."""
    return f"delta_scan({text(str(table))})"


def text(value: str) -> str:
    """A text as SQL has it."""
    return "'" + value.replace("'", "''") + "'"


def _tables_in(folder: Path) -> Iterator[Path]:
    return (f for f in _folders_in(folder) if (f / "_delta_log").is_dir())


def _folders_in(folder: Path) -> Iterator[Path]:
    return (f for f in sorted(folder.glob("*")) if f.is_dir() and _NAME.fullmatch(f.name))
