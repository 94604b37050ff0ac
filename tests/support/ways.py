"""A lake with every way to write a table, and its rows as DuckDB reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from support.own import OwnLake

CONFIG = """
pipeline: ways
bronze:
  way_rows:
    source:
      format: json
      schema: "id int, name string, city string, op string, at int"
silver:
  way_append:
    from: bronze.way_rows
    dedupe: {keys: [id, at]}
    expect:
      named: {not_null: [name], otherwise: quarantine}
    layout: {partition_by: [city]}
    select: [id, name, city, at]
  way_upsert:
    from: bronze.way_rows
    write: upsert
    keys: [id]
    sequence: at
    deletes: {when: op = 'D', how: hard}
    layout: {properties: {delta.enableDeletionVectors: "true"}}
    select: [id, name, city, at]
  way_scd2:
    from: bronze.way_rows
    write: scd2
    keys: [id]
    sequence: at
    deletes: {when: op = 'D', how: soft}
    surrogate_key: row_key
    select: [id, name, city, at]
  way_applied:
    from: bronze.way_rows
    apply_changes:
      keys: [id]
      sequence_by: at
      apply_as_deletes: op = 'D'
      column_list: [id, name, city]
    layout: {cluster_by: [id]}
  way_versions:
    from: bronze.way_rows
    apply_changes:
      keys: [id]
      sequence_by: at
      apply_as_deletes: op = 'D'
      column_list: [id, name, city]
      stored_as_scd_type: 2
gold:
  way_cities:
    from: silver.way_append
    group_by: [city]
    measures: {rows: count(*), newest: max(at)}
    mode: complete
  way_people:
    from: silver.way_upsert
    group_by: [city]
    measures: {people: count(*)}
    mode: incremental
"""
TABLES = (
    *("silver.way_append", "silver.way_upsert", "silver.way_scd2", "silver.way_applied"),
    *("silver.way_versions", "gold.way_cities", "gold.way_people"),
)
# Some of them, for tests that run often: keys, deletes, parked rows, and a table that reads it.
FEW = """
pipeline: ways
bronze:
  way_rows:
    source:
      format: json
      schema: "id int, name string, city string, op string, at int"
silver:
  way_upsert:
    from: bronze.way_rows
    write: upsert
    keys: [id]
    sequence: at
    deletes: {when: op = 'D', how: hard}
    expect:
      known: {check: city <> 'Bern' OR city IS NULL, otherwise: quarantine}
    select: [id, name, city, at]
gold:
  way_counts:
    from: silver.way_upsert
    group_by: [city]
    measures: {people: count(*)}
    mode: incremental
"""
FEW_TABLES = ("silver.way_upsert", "gold.way_counts")
# A table with a change log beside it.
LOGGED = """
pipeline: ways
bronze:
  way_rows:
    source:
      format: json
      schema: "id int, name string, city string, op string, at int"
silver:
  way_applied:
    from: bronze.way_rows
    apply_changes:
      keys: [id]
      sequence_by: at
      apply_as_deletes: op = 'D'
      column_list: [id, name, city]
"""
LOGGED_TABLES = ("silver.way_applied",)
# Changes that come in order, then some that are late or repeated, then some after a delete.
PARTS: tuple[tuple[tuple[Any, ...], ...], ...] = (
    ((1, "Ada", "Rome", "U", 1), (2, "Bob", "Nice", "U", 1), (3, "Cyd", "Bern", "U", 1)),
    ((1, "Ada", "Oslo", "U", 5), (2, None, None, "D", 4), (1, "Ada", "Bern", "U", 3)),
    ((2, "Bob", "Oslo", "U", 3), (1, "Ada", "Oslo", "U", 5), (4, "Dan", "Nice", "U", 2)),
    ((2, "Bob", "Rome", "U", 6), (3, None, None, "D", 7), (5, None, "Rome", "U", 1)),
)


def made(folder: Path, config: str = CONFIG) -> OwnLake:
    """A lake whose tables were written in two batches."""
    lake = OwnLake.of(folder, config)
    for part in (0, 1):
        land(lake, part)
        lake.run()
    return lake


def land(lake: OwnLake, part: int) -> None:
    names = ("id", "name", "city", "op", "at")
    rows = [dict(zip(names, row, strict=True)) for row in PARTS[part]]
    lake.land("way_rows", f"part-{part}.json", *rows, at=part * 10)


def rows(lake: OwnLake, tables: Sequence[str] = TABLES) -> dict[str, list[str]]:
    """The rows of each table, in an order of their own."""
    return {table: rows_of(lake.path(table)) for table in tables}


def rows_of(path: Path) -> list[str]:
    with duckdb.connect() as duck:
        duck.execute("LOAD delta")
        found = duck.sql(f"SELECT * FROM delta_scan('{path}')").to_arrow_table().to_pylist()
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in found)
