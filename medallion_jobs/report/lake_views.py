"""All tables of a lake as DuckDB views.

bronze.x, silver.x, gold.x    the tables
ledger.x                      every file of bronze.x with its state
quarantine.bronze             quarantined rows or lines of all tables of a layer
held.silver                   rows that wait for a dimension's key
metrics.batches               a row for each batch of every query
metrics.quality               a row for each batch and rule of every table
metrics.rebuilds              a row for each rebuild of a table
metrics.runs                  a row for each run
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
from medallion_jobs.report.runs import view_sql
from medallion_jobs.runs import history
from medallion_jobs.storage import Location, children, uri
from medallion_jobs.storage import duck as engine
from medallion_jobs.storage.duck import name, text

# A folder with another name is not a table of ours. These names are also safe to quote.
_NAME = re.compile(IDENTIFIER_PATTERN)

Row = tuple[object, ...]
Scan = Callable[[Location], str]

# Events with the outcome of a file in a batch; the other events are about its archiving.
_OUTCOMES = "('COMMITTED', 'QUARANTINED', 'MISSING', 'SKIPPED')"

# The newest event of a file is its state. It is DISCOVERED before its first event, and again after
# it was found again or is to be retried. A file whose rows are in bronze keeps its state; one with
# nothing but bad records may be retried. A file that existed before the first run and is not wanted
# has an event, but was never discovered.
_LEDGER = """
    WITH reported AS (
        SELECT path, version, max_by(state, updated_at) AS state,
               count(*) FILTER (WHERE state IN {outcomes} AND batch IS NOT NULL) AS attempts,
               max_by(size, updated_at) AS size, max_by(modified, updated_at) AS modified,
               max_by(
                   {{'rows': rows, 'rescued': rescued, 'bad': bad, 'error': error,
                    'generation': generation, 'batch': batch}}, updated_at
               ) FILTER (WHERE state IN {outcomes}) AS outcome,
               min(updated_at) AS first_reported, max(updated_at) AS updated_at
        FROM {events} GROUP BY path, version
    ), found AS (
        SELECT path, version, max_by(size, discovered_at) AS size,
               max_by(modified, discovered_at) AS modified,
               min(discovered_at) AS first_seen, max(discovered_at) AS last_seen
        FROM {discovered} GROUP BY path, version
    )
    SELECT coalesce(f.path, r.path) AS path, coalesce(f.version, r.version) AS version,
           coalesce(f.size, r.size) AS size, coalesce(f.modified, r.modified) AS modified,
           coalesce(f.first_seen, r.first_reported) AS first_seen,
           coalesce(f.last_seen, r.first_reported) AS last_seen,
           CASE WHEN r.state IS NULL OR (
               f.last_seen > r.updated_at AND (
                   r.state IN ('QUARANTINED', 'MISSING', 'SKIPPED')
                   OR (r.state = 'COMMITTED' AND r.outcome.rows = 0)
               )
           ) THEN 'DISCOVERED' ELSE r.state END AS state,
           r.outcome.rows AS rows, r.outcome.rescued AS rescued, r.outcome.bad AS bad,
           r.outcome.error AS error, coalesce(r.attempts, 0) AS attempts,
           r.outcome.generation AS generation, r.outcome.batch AS batch, r.updated_at
    FROM found AS f FULL JOIN reported AS r ON r.path = f.path AND r.version = f.version
"""


@contextmanager
def connect(at: Location) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can scan Delta tables at a location and next to it, offline."""
    with engine.connect(at, delta=True) as duck:
        duck.execute("SET TimeZone = 'UTC'")
        yield duck


@dataclass(frozen=True)
class View:
    """A view and the Delta tables behind it.

    Attributes:
        tables: the folders of the tables.
        query: returns the view's SQL, given the SQL of a scan for each table.
    """

    tables: tuple[Location, ...]
    query: Callable[..., str]

    def sql(self, table_scan: Scan | None = None) -> str:
        """The view's SQL; `table_scan` gives the scan of a table, by default its newest version."""
        return self.query(*map(table_scan or scan, self.tables))


def catalog(config: Pipeline) -> dict[tuple[str, str], View]:
    """Every view, by its schema and name."""
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
        (kind, layer.name): _union(
            [
                (table, f"{text(f'{layer.name}.{table.name}')} AS table_name, ")
                for table in _tables_in(layer)
            ]
        )
        for kind in ("quarantine", "held")
        for layer in _folders_in(state / kind)
    }
    metrics = {
        ("metrics", name): _union(
            [(table, "") for layer in LAYERS for table in _tables_in(folder / layer)]
        )
        for name, folder in (("batches", state / "metrics"), ("quality", state / "metrics/quality"))
    }
    rebuilds = paths.rebuilds(config)
    if (rebuilds / "_delta_log").is_dir():
        metrics["metrics", "rebuilds"] = View((rebuilds,), _all_of)
    found = {**tables, **ledgers, **parked, **metrics}
    found = {key: view for key, view in found.items() if view.tables}
    return {**found, **({("metrics", "runs"): _runs(state)} if (state / "runs").exists() else {})}


def views(config: Pipeline) -> dict[tuple[str, str], str]:
    """SQL of the newest version of every view, by its schema and name."""
    return {key: view.sql() for key, view in catalog(config).items()}


def rows_of(answer: duckdb.DuckDBPyConnection | duckdb.DuckDBPyRelation) -> list[Row]:
    """All rows of a result. Read through Arrow: DuckDB's own conversion needs pytz."""
    table = answer.to_arrow_table()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def create(duck: duckdb.DuckDBPyConnection, found: Mapping[tuple[str, str], str]) -> None:
    """Creates views. DuckDB reads the Delta log for each, so pass only those that are needed."""
    for (schema, view), query in found.items():
        duck.execute(f"CREATE SCHEMA IF NOT EXISTS {name(schema)}")
        duck.execute(f"CREATE VIEW {name(schema)}.{name(view)} AS {query}")


def _all_of(table: str) -> str:
    return f"SELECT * FROM {table}"  # noqa: S608


def _ledger(discovered: str, events: str) -> str:
    return _LEDGER.format(discovered=discovered, events=events, outcomes=_OUTCOMES)


def _runs(state: Location) -> View:
    """The records of runs: those in their table, and the newest, which are files."""
    table = history.folder(state)
    if not (table / "_delta_log").is_dir():
        return View((), lambda: view_sql(state))

    def both(older: str) -> str:
        newer = (
            f"SELECT * FROM ({view_sql(state)}) WHERE run_id NOT IN (SELECT run_id FROM {older})"  # noqa: S608
        )
        return f"SELECT * FROM {older} UNION ALL BY NAME {newer}"  # noqa: S608

    return View((table,), both)


def _union(tables: list[tuple[Location, str]]) -> View:
    """A union of tables; each with the SQL of columns that go before its own."""

    def union(*scans: str) -> str:
        return " UNION ALL BY NAME ".join(
            f"SELECT {before}* FROM {table}"  # noqa: S608
            for (_, before), table in zip(tables, scans, strict=True)
        )

    return View(tuple(table for table, _ in tables), union)


def scan(table: Location, version: int | None = None) -> str:
    """SQL that scans a Delta table at a version, by default the newest.

    DuckDB reads tables with deletion vectors, which delta-rs refuses.
    """
    at = "" if version is None else f", version={version}"
    return f"delta_scan({text(uri(table))}{at})"


def rows_in(table: Snapshot, duck: duckdb.DuckDBPyConnection) -> int:
    """The number of rows. The log's statistics also count rows removed by deletion vectors."""
    if not table.has_deletion_vectors:
        return table.rows
    sql = f"SELECT count(*) FROM {scan(table.path, table.version)}"  # noqa: S608 (quoted)
    found = duck.execute(sql).fetchone()
    return int(found[0]) if found else 0


def _tables_in(folder: Location) -> Iterator[Location]:
    return (f for f in _folders_in(folder) if (f / "_delta_log").is_dir())


def _folders_in(folder: Location) -> Iterator[Location]:
    return (f for f in children(folder) if f.is_dir() and _NAME.fullmatch(f.name))
