"""What could not go on to a table, and what became of it, read without a JVM.

Silver's quarantine holds rows, each with an id. Bronze's holds lines, whose id is computed:
lines that are alike in everything have one, and are dismissed together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from medallion_jobs.checkpoint import QueryFolder, manifest
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.lake import paths
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.report.lake_views import Row, connect, rows_of, scan
from medallion_jobs.storage.duck import text

SUMMARY_COLUMNS = (
    "table_name",
    "rule",
    "open",
    "replayed",
    "dismissed",
    "superseded",
    "first",
    "last",
)
COLUMNS = ("id", "rules", "reasons", "file", "batch", "run_id", "time", "row")
# What an export reads at a time.
_ROWS_AT_ONCE = 10_000

_LINES = """
    SELECT md5(concat_ws(chr(31), file, file_version, line, reason, generation, batch)) AS id,
           [reason] AS rules, [reason] AS reasons, file, batch, run_id, load_time AS time,
           line AS row, false AS superseded
    FROM {rows}
"""
# A reset makes the table anew from its whole source: older rows were read again since.
_ROWS = """
    SELECT id, rules, reasons, file, batch, run_id, parked_at AS time, row,
           generation <> {generation} AS superseded
    FROM {rows}
"""
_NONE = """
    SELECT '' AS id, [''] AS rules, [''] AS reasons, '' AS file, 0::BIGINT AS batch, '' AS run_id,
           now() AS time, '' AS row, false AS superseded
    WHERE false
"""
_STATES = """
    SELECT r.*, CASE WHEN c.how = 'dismissed' THEN 'dismissed'
                     WHEN c.how IS NOT NULL THEN 'replayed'
                     WHEN r.superseded THEN 'superseded' ELSE 'open' END AS state
    FROM ({rows}) r LEFT JOIN ({claims}) c ON c.id = r.id
"""
_NO_CLAIMS = "SELECT '' AS id, '' AS how WHERE false"
_CLAIMS = "SELECT id, min(how) AS how FROM {claims} WHERE {count} GROUP BY id"


@dataclass(frozen=True)
class Wanted:
    """Which open rows to tell of; None stands for all.

    Attributes:
        since: put into quarantine then or later.
        ids: of these alone.
    """

    rule: str | None = None
    since: datetime | None = None
    ids: Sequence[str] | None = None


def tables(config: Pipeline) -> list[TableRef]:
    """The tables that can have a quarantine."""
    return [ref for ref in paths.sources(config) if ref.layer != "gold"]


def exists(config: Pipeline, table: TableRef) -> bool:
    """Whether anything was ever put into the table's quarantine."""
    return (paths.quarantine(config, table) / "_delta_log").is_dir()


def summary(config: Pipeline, wanted: Sequence[TableRef]) -> list[Row]:
    """One row a table and rule, `SUMMARY_COLUMNS`; a row counts under each rule that it broke."""
    states = ("open", "replayed", "dismissed", "superseded")
    counts = ", ".join(f"count(*) FILTER (WHERE state = '{state}')" for state in states)
    told = list[Row]()
    with connect(paths.lake(config)) as duck:
        for table in wanted:
            told += rows_of(
                duck.execute(
                    f"SELECT ?, rule, {counts}, min(time), max(time) "  # noqa: S608
                    f"FROM (SELECT unnest(rules) AS rule, * FROM ({_states(duck, config, table)})) "
                    "GROUP BY rule ORDER BY rule",
                    [str(table)],
                )
            )
    return told


def rules(config: Pipeline, table: TableRef) -> list[str]:
    """The rules that rows in the table's quarantine have broken."""
    return [str(row[1]) for row in summary(config, [table])]


def rows(config: Pipeline, table: TableRef, wanted: Wanted, limit: int) -> list[Row]:
    """Open rows, `COLUMNS`, the newest first."""
    with _open(config, table, wanted, f"ORDER BY time DESC, id LIMIT {limit}") as answer:
        return rows_of(answer)


def ids(config: Pipeline, table: TableRef, wanted: Wanted) -> list[str]:
    """The ids of open rows."""
    with _open(config, table, wanted, "") as answer:
        return list(dict.fromkeys(str(row[0]) for row in rows_of(answer)))


@contextmanager
def reader(config: Pipeline, table: TableRef, wanted: Wanted) -> Iterator[pa.RecordBatchReader]:
    """Open rows, `COLUMNS`, the oldest first, some at a time."""
    with _open(config, table, wanted, "ORDER BY time, id") as answer:
        yield answer.to_arrow_reader(_ROWS_AT_ONCE)


@contextmanager
def _open(
    config: Pipeline, table: TableRef, wanted: Wanted, rest: str
) -> Iterator[duckdb.DuckDBPyConnection]:
    conditions, values = ["state = 'open'"], list[object]()
    for condition, value in (
        ("list_contains(rules, ?)", wanted.rule),
        ("time >= ?", wanted.since),
        ("list_contains(?, id)", wanted.ids),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    with connect(paths.lake(config)) as duck:
        yield duck.execute(
            f"SELECT {', '.join(COLUMNS)} FROM ({_states(duck, config, table)}) "  # noqa: S608
            f"WHERE {' AND '.join(conditions)} {rest}",
            values,
        )


def _states(duck: duckdb.DuckDBPyConnection, config: Pipeline, table: TableRef) -> str:
    """SQL for all rows of a quarantine, with the state of each."""
    path = paths.quarantine(config, table)
    if not exists(config, table):
        parked = _NONE
    elif table.layer == "bronze":
        parked = _LINES.format(rows=scan(path))
    else:
        kept = manifest.read(QueryFolder.of(config.state_path, table))
        generation = kept.current.number if kept else "generation"
        parked = _ROWS.format(rows=scan(path), generation=generation)
    return _STATES.format(rows=parked, claims=_claims(duck, config, table))


def _claims(duck: duckdb.DuckDBPyConnection, config: Pipeline, table: TableRef) -> str:
    """SQL for the claims that count: each id, and how it left.

    One that names a transaction counts once the table has that; one that names none, at once.
    """
    path = paths.releases(paths.quarantine(config, table))
    if snapshot(path) is None:
        return _NO_CLAIMS
    target = snapshot(config.table_path(table))
    named = rows_of(duck.execute(f"SELECT DISTINCT app_id FROM {scan(path)}"))  # noqa: S608
    committed = {str(one): target.txn(str(one)) for (one,) in named if one and target}
    count = ["app_id = ''"] + [
        f"(app_id = {text(app_id)} AND number <= {number})" for app_id, number in committed.items()
    ]
    return _CLAIMS.format(claims=scan(path), count=" OR ".join(count))
