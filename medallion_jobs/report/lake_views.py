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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from medallion_jobs.config import LAYERS, Pipeline
from medallion_jobs.config.names import IDENTIFIER_PATTERN
from medallion_jobs.lake import paths
from medallion_jobs.lake.tables import Snapshot
from medallion_jobs.storage import Location, children, uri
from medallion_jobs.storage import duck as engine
from medallion_jobs.storage.duck import name, text

# A folder of any other name is none of ours, and cannot break out of its quotes.
_NAME = re.compile(IDENTIFIER_PATTERN)

Row = tuple[object, ...]
Scan = Callable[[Location], str]

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
def connect(at: Location) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can scan the Delta tables at a location and beside it, offline."""
    with engine.connect(at, delta=True) as duck:
        duck.execute("SET TimeZone = 'UTC'")
        yield duck


@dataclass(frozen=True)
class View:
    """A name that people know, and the Delta tables behind it.

    Attributes:
        tables: their folders.
        query: SQL, given for each of them the SQL that stands for it.
    """

    tables: tuple[Location, ...]
    query: Callable[..., str]

    def sql(self, how: Scan | None = None) -> str:
        """The SQL that reads it; `how` says what stands for a table, unset its newest version."""
        return self.query(*map(how or scan, self.tables))


def catalog(config: Pipeline) -> dict[tuple[str, str], View]:
    """Every name that there is, as schema and view."""
    state = config.state_path
    tables: dict[tuple[str, str], View] = {
        (layer, table.name): View((table,), _all_of)
        for layer in LAYERS
        for table in _tables_in(paths.lake(config) / layer)
    }
    ledgers = {
        ("ledger", ledger.name): View((ledger / "discovered", ledger / "events"), _ledger)
        for ledger in _folders_in(state / "ledger")
    }
    parked = {
        (kind, layer.name): _together(
            [
                (table, f"{text(f'{layer.name}.{table.name}')} AS table_name, ")
                for table in _tables_in(layer)
            ]
        )
        for kind in ("quarantine", "held")
        for layer in _folders_in(state / kind)
    }
    metrics = {
        ("metrics", name): _together(
            [(table, "") for layer in LAYERS for table in _tables_in(folder / layer)]
        )
        for name, folder in (("batches", state / "metrics"), ("quality", state / "metrics/quality"))
    }
    found = {**tables, **ledgers, **parked, **metrics}
    return {key: view for key, view in found.items() if view.tables}


def views(config: Pipeline) -> dict[tuple[str, str], str]:
    """The names of all tables, as schema and view, with the SQL that reads them as they are."""
    return {key: view.sql() for key, view in catalog(config).items()}


def rows_of(answer: duckdb.DuckDBPyConnection | duckdb.DuckDBPyRelation) -> list[Row]:
    """The rows of an answer. Through Arrow: DuckDB's own way wants pytz for time zones."""
    table = answer.to_arrow_table()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def create(duck: duckdb.DuckDBPyConnection, found: Mapping[tuple[str, str], str]) -> None:
    """Makes the views. DuckDB reads a table's log for each, so make those that are needed."""
    for (schema, view), query in found.items():
        duck.execute(f"CREATE SCHEMA IF NOT EXISTS {name(schema)}")
        duck.execute(f"CREATE VIEW {name(schema)}.{name(view)} AS {query}")


def _all_of(table: str) -> str:
    return f"SELECT * FROM {table}"  # noqa: S608


def _ledger(discovered: str, events: str) -> str:
    return _LEDGER.format(discovered=discovered, events=events, outcomes=_OUTCOMES)


def _together(tables: list[tuple[Location, str]]) -> View:
    """Tables as one, each with what comes before its own columns."""

    def union(*scans: str) -> str:
        return " UNION ALL BY NAME ".join(
            f"SELECT {before}* FROM {table}"  # noqa: S608
            for (_, before), table in zip(tables, scans, strict=True)
        )

    return View(tuple(table for table, _ in tables), union)


def scan(table: Location, version: int | None = None) -> str:
    """The SQL that stands for a Delta table, at its newest or the named version.

    DuckDB reads tables with deletion vectors, which delta-rs refuses.
    """
    at = "" if version is None else f", version={version}"
    return f"delta_scan({text(uri(table))}{at})"


def rows_in(table: Snapshot, duck: duckdb.DuckDBPyConnection) -> int:
    """Rows that are there; what deletion vectors take away, the log's statistics still count."""
    if not table.has_deletion_vectors:
        return table.rows
    sql = f"SELECT count(*) FROM {scan(table.path, table.version)}"  # noqa: S608 (quoted)
    found = duck.execute(sql).fetchone()
    return int(found[0]) if found else 0


def _tables_in(folder: Location) -> Iterator[Location]:
    return (f for f in _folders_in(folder) if (f / "_delta_log").is_dir())


def _folders_in(folder: Location) -> Iterator[Location]:
    return (f for f in children(folder) if f.is_dir() and _NAME.fullmatch(f.name))
