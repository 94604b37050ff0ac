"""Quarantined rows and their states, read without a JVM.

Silver's quarantine holds rows, each with an id. Bronze's holds lines, or messages of Kafka, whose
id is computed: identical lines share one id, and are dismissed together.
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
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.refine.quarantine import releases
from medallion_jobs.report import bad_lines
from medallion_jobs.report.lake_views import Row, connect, rows_of, scan

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
# How many rows an export reads at a time.
_ROWS_AT_ONCE = 10_000

# All of a record, also beyond the first characters, which are in `line`.
_WHOLE_LINE = "coalesce(try(decode(bytes)), line)"
_LINES = """
    SELECT md5(concat_ws(chr(31), file, file_version, line, reason, generation, batch)) AS id,
           [reason] AS rules, [reason] AS reasons, file, batch, run_id, load_time AS time,
           {row} AS row, {superseded} AS superseded
    FROM {rows}
"""
# A message of Kafka: where it was, and all of it. What is not UTF-8 is in base64.
_MESSAGES = """
    SELECT md5(concat_ws(chr(31), topic, "partition", "offset", generation, batch)) AS id,
           [reason] AS rules, [reason] AS reasons,
           concat('topic ', topic, ', partition ', "partition", ', offset ', "offset") AS file,
           batch, run_id, load_time AS time,
           to_json({{'topic': topic, 'partition': "partition", 'offset': "offset",
                     'timestamp': "timestamp", 'key': "key", 'key_base64': key_base64,
                     'value': "value", 'value_base64': value_base64,
                     'headers': list_transform(
                         headers, lambda h: {{'key': h."key", 'value_base64': to_base64(h."value")}}
                     )}})::VARCHAR AS row, false AS superseded
    FROM {rows}
"""
# A reset of silver rebuilds the table from its whole source, so older rows were read again.
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
    FROM ({rows}) r LEFT JOIN ({releases}) c ON c.id = r.id
"""
_NO_RELEASES = "SELECT '' AS id, '' AS how WHERE false"
_RELEASES = "SELECT id, min(how) AS how FROM {releases} WHERE {counting} GROUP BY id"


@dataclass(frozen=True)
class Wanted:
    """Which open rows to report; None selects all.

    Attributes:
        rule: only rows that broke this rule; for bronze, with this reason.
        since: only rows quarantined at this time or later.
        ids: only rows with these ids.
    """

    rule: str | None = None
    since: datetime | None = None
    ids: Sequence[str] | None = None


def tables(config: Pipeline) -> list[TableRef]:
    """The tables that can have a quarantine."""
    return [ref for ref in paths.sources(config) if ref.layer != "gold"]


def exists(config: Pipeline, table: TableRef) -> bool:
    """Whether anything was ever put into the table's quarantine."""
    return (TablePaths(config, table).quarantine / "_delta_log").is_dir()


def summary(config: Pipeline, wanted: Sequence[TableRef]) -> list[Row]:
    """One row per table and rule, with `SUMMARY_COLUMNS`; a row counts for each rule it broke."""
    states = ("open", "replayed", "dismissed", "superseded")
    counts = ", ".join(f"count(*) FILTER (WHERE state = '{state}')" for state in states)
    counted = list[Row]()
    with connect(paths.lake(config)) as duck:
        for table in wanted:
            counted += rows_of(
                duck.execute(
                    f"SELECT ?, rule, {counts}, min(time), max(time) "  # noqa: S608
                    f"FROM (SELECT unnest(rules) AS rule, * FROM ({_states(config, table)})) "
                    "GROUP BY rule ORDER BY rule",
                    [str(table)],
                )
            )
    return counted


def open_rows(duck: duckdb.DuckDBPyConnection, config: Pipeline, table: TableRef) -> int:
    """The number of rows in a table's quarantine that were neither replayed nor dismissed."""
    found = duck.execute(
        f"SELECT count(*) FROM ({_states(config, table)}) WHERE state = 'open'"  # noqa: S608
    ).fetchone()
    return int(found[0]) if found else 0


def rules(config: Pipeline, table: TableRef) -> list[str]:
    """The rules that rows in the table's quarantine have broken."""
    return [str(row[1]) for row in summary(config, [table])]


def rows(config: Pipeline, table: TableRef, wanted: Wanted, limit: int) -> list[Row]:
    """Open rows with `COLUMNS`, newest first."""
    with _open(config, table, wanted, f"ORDER BY time DESC, id LIMIT {limit}") as answer:
        return rows_of(answer)


def ids(config: Pipeline, table: TableRef, wanted: Wanted) -> list[str]:
    """The ids of open rows."""
    with _open(config, table, wanted, "") as answer:
        return list(dict.fromkeys(str(row[0]) for row in rows_of(answer)))


@contextmanager
def reader(config: Pipeline, table: TableRef, wanted: Wanted) -> Iterator[pa.RecordBatchReader]:
    """Open rows with `COLUMNS`, whole, oldest first, read in batches."""
    with _open(config, table, wanted, "ORDER BY time, id", whole=True) as answer:
        yield answer.to_arrow_reader(_ROWS_AT_ONCE)


@contextmanager
def _open(
    config: Pipeline, table: TableRef, wanted: Wanted, rest: str, *, whole: bool = False
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
            f"SELECT {', '.join(COLUMNS)} FROM ({_states(config, table, whole=whole)}) "  # noqa: S608
            f"WHERE {' AND '.join(conditions)} {rest}",
            values,
        )


def _states(config: Pipeline, table: TableRef, *, whole: bool = False) -> str:
    """SQL of all rows of a quarantine, each with its state."""
    places = TablePaths(config, table)
    path = places.quarantine
    if not exists(config, table):
        parked = _NONE
    elif table.name in config.kafka_sources and table.layer == "bronze":
        parked = _MESSAGES.format(rows=scan(path))
    elif table.layer == "bronze":
        found = snapshot(path)
        has_bytes = found is not None and "bytes" in found.columns
        parked = _LINES.format(
            row=_WHOLE_LINE if whole and has_bytes else "line",
            rows=bad_lines.with_readings(places),
            superseded=bad_lines.superseded(config, table.name),
        )
    else:
        recorded = manifest.read(QueryFolder.of(places))
        generation = recorded.current.number if recorded else "generation"
        parked = _ROWS.format(rows=scan(path), generation=generation)
    return _STATES.format(rows=parked, releases=_releases(places))


def _releases(table: TablePaths) -> str:
    """SQL of the releases of a table's quarantine that are in effect."""
    target = snapshot(table.data)
    counting = releases.effective(
        table.quarantine, lambda app_id: target.txn(app_id) if target else -1
    )
    if not counting:
        return _NO_RELEASES
    return _RELEASES.format(releases=scan(paths.releases(table.quarantine)), counting=counting)
