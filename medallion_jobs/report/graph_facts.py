"""The live state of a graph's tables: rows, version and last write."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import duckdb

from medallion_jobs.config import Pipeline
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Snapshot, commits, snapshot
from medallion_jobs.report.graph import Graph
from medallion_jobs.report.lake_views import connect, rows_in


def live(config: Pipeline, drawn: Graph) -> Graph:
    """The graph, with `facts` for each table of the lake."""
    tables = {
        node.id: snapshot(TablePaths(config, node.table).data) for node in drawn.nodes if node.table
    }
    with connect(config.state_path) as duck:
        facts = {node_id: _facts(duck, table) for node_id, table in tables.items()}
    nodes = tuple(replace(node, facts=facts.get(node.id, ())) for node in drawn.nodes)
    return replace(drawn, nodes=nodes)


def _facts(duck: duckdb.DuckDBPyConnection, table: Snapshot | None) -> tuple[str, ...]:
    if table is None:
        return ("does not exist yet",)
    rows = rows_in(table, duck)
    count = "1 row" if rows == 1 else f"{rows:,} rows"
    last = next(commits(table.path, table.version), None)
    if last is None:
        return (f"{count}, version {table.version}",)
    at = datetime.fromtimestamp(last.at_ms / 1000, timezone.utc)
    return f"{count}, version {table.version}", f"written {at:%Y-%m-%d %H:%M} UTC"
