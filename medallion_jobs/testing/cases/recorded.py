"""Makes a case of rows that a run wrote to bronze, and of the dimensions that they look up."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltalake.exceptions import DeltaError
from pyspark.sql.types import StructField, StructType
from ruamel.yaml.comments import CommentedMap

from medallion_jobs.config import Lookup, Pipeline, TableRef
from medallion_jobs.config.selection import readers, reads
from medallion_jobs.errors import DataError, UsageError
from medallion_jobs.lake import paths, tables
from medallion_jobs.lake.columns import LOAD_TIMES, RESCUED, RESERVED
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables.sql import quoted, type_text
from medallion_jobs.masking import masked
from medallion_jobs.report.lake_views import connect, scan
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import open_delta
from medallion_jobs.testing.cases import given_columns, updating
from medallion_jobs.testing.cases.values import plain

Cells = Mapping[str, Any]


@dataclass(frozen=True)
class _Rows:
    """Rows of a table as the lake has them."""

    table: TableRef
    rows: list[dict[str, Any]]
    columns: StructType


def write(config: Pipeline, config_file: Path, run_id: str, most: int, file: Path) -> None:
    """Writes a file with one case, which expects nothing yet.

    Args:
        most: rows of each bronze table.
        file: it must not exist.

    Raises:
        UsageError: the file exists, or the run wrote no row to bronze.
        DataError: the rows of the run are not there any more.
    """
    if file.exists():
        raise UsageError(
            f"{file} exists already",
            code="case_file_exists",
            untouched="nothing was run or written",
            next_step=f"name another one: medallion test --from-run {run_id} FILE",
        )
    bronze = [
        found for name in config.bronze if (found := _of_run(config, name, run_id, most)).rows
    ]
    if not bronze:
        raise UsageError(
            f"run {run_id} wrote no row to a bronze table of {config.pipeline}",
            code="run_without_rows",
            untouched="nothing was run or written",
            next_step="`medallion runs` lists the runs, with the rows that they wrote",
        )
    dimensions = list(_dimensions(config, bronze))
    given = {found.table for found in dimensions}
    graph = reads(config)
    run_here = [used for table, used in graph.items() if table not in given]
    read = [found for found in bronze if any(found.table in used for used in run_here)]
    named = os.path.relpath(config_file, file.parent)
    document = _document(config, named, run_id, read, dimensions)
    file.parent.mkdir(parents=True, exist_ok=True)
    updating.written(file, updating.round_trip(""), document)


def _of_run(config: Pipeline, name: str, run_id: str, most: int) -> _Rows:
    """The first rows that a run wrote to a bronze table."""
    table = TableRef("bronze", name)
    path = TablePaths(config, table).data
    snapshot = tables.snapshot(path)
    columns = StructType.fromJson(snapshot.schema) if snapshot else StructType()
    rows: list[dict[str, Any]] = []
    for commit in _commits_of(path, snapshot.version if snapshot else -1, run_id):
        added = {file.path.name for file in commit.added}
        try:
            data = open_delta(path, version=commit.version).to_pyarrow_dataset()
            for fragment in data.get_fragments():
                if Path(fragment.path).name in added and len(rows) < most:
                    head = fragment.scanner(schema=data.schema).head(most - len(rows))
                    rows += head.to_pylist()
        except (DeltaError, OSError) as error:
            raise DataError(
                f"the rows that run {run_id} wrote to {table} cannot be read: {error}",
                code="run_rows_gone",
                untouched="nothing was run or written",
                next_step="take a newer run: old files of a table are removed by `maintain`",
            ) from error
    return _Rows(table, rows, columns)


def _commits_of(path: Location, newest: int, run_id: str) -> Iterator[tables.Commit]:
    """The commits by which a run wrote rows, oldest first."""
    found = list[tables.Commit]()
    for version in range(newest, -1, -1):
        commit = next(tables.commits(path, version), None)
        by = str(commit.user_metadata.get("run", "")) if commit else ""
        if commit is None or (found and by not in ("", run_id)):
            break  # one run at a time writes a table
        if by == run_id and commit.added:
            found.append(commit)
    return reversed(found)


def _dimensions(config: Pipeline, bronze: Iterable[_Rows]) -> Iterator[_Rows]:
    """The rows of dimensions that the rows of bronze look up, as they are now."""
    known = {found.table: found for found in bronze}
    downstream = readers(reads(config), known)
    wanted: dict[TableRef, list[tuple[Lookup, TableRef]]] = {}
    others: set[TableRef] = set()
    for name in config.silver_in_order():
        table = config.silver[name]
        if TableRef("silver", name) in downstream:
            for lookup in table.lookups:
                wanted.setdefault(lookup.table, []).append((lookup, table.from_))
            others |= set(table.dimensions) - {lookup.table for lookup in table.lookups}
    for ref in (*wanted, *sorted(others - set(wanted))):
        path = TablePaths(config, ref).data
        snapshot = tables.snapshot(path)
        if snapshot is None:
            continue
        schema = StructType.fromJson(snapshot.schema)
        conditions = [
            condition
            for lookup, source in wanted.get(ref, ())
            if (condition := _matches(lookup, known.get(source))) is not None
        ]
        yield _Rows(ref, _selected(config, path, schema, conditions), schema)


def _matches(lookup: Lookup, source: _Rows | None) -> str | None:
    """SQL that is true of the rows with the keys of the rows of bronze; None: keys are computed."""
    parts = []
    for key, name in lookup.on.items():
        if source is None or name not in source.columns.names:
            return None
        values = {str(row[name]) for row in source.rows if row.get(name) is not None}
        listed = ", ".join("'" + value.replace("'", "''") + "'" for value in sorted(values))
        named = '"' + key.replace('"', '""') + '"'
        parts.append(f"CAST({named} AS VARCHAR) IN ({listed})" if listed else "false")
    return " AND ".join(parts)


_MOST_OF_DIMENSION = 1_000


def _selected(
    config: Pipeline, path: Location, schema: StructType, conditions: list[str]
) -> list[dict[str, Any]]:
    where = " OR ".join(f"({condition})" for condition in conditions) or "true"
    with connect(paths.lake(config)) as duck:
        found = duck.execute(
            f"SELECT * FROM {scan(path)} WHERE {where} LIMIT {_MOST_OF_DIMENSION}"  # noqa: S608
        ).to_arrow_table()
    return [{name: row[name] for name in schema.names} for row in found.to_pylist()]


def _document(
    config: Pipeline, config_file: str, run_id: str, bronze: list[_Rows], dimensions: list[_Rows]
) -> CommentedMap:
    times = [row[t] for found in bronze for row in found.rows for t in LOAD_TIMES if row.get(t)]
    at = max(times)
    given = CommentedMap()
    for found in (*bronze, *dimensions):
        given[str(found.table)] = _given(config, found, at)
    count = sum(len(found.rows) for found in bronze)
    case = CommentedMap(
        at=at.isoformat().replace("+00:00", "Z"),
        given=given,
    )
    name = f"{count} {'row' if count == 1 else 'rows'} of run {run_id}"
    root = CommentedMap(config=config_file, cases=CommentedMap({name: case}))
    root.yaml_set_start_comment(
        f"Made by `medallion test --from-run {run_id}`: rows that the run wrote to bronze, and\n"
        "dimensions as they were when this was made. They are rows of the lake: look for personal\n"
        "data before you commit them."
    )
    return root


def _given(config: Pipeline, found: _Rows, at: Any) -> Any:
    is_bronze = found.table.layer == "bronze"
    kept = [field for field in found.columns if not is_bronze or _is_kept(config, field.name)]
    rows = []
    for row in found.rows:
        cells = {f.name: _masked(plain(row.get(f.name), f.dataType)) for f in kept}
        rows.append({name: value for name, value in cells.items() if value is not None})
        for load_time in LOAD_TIMES:
            if is_bronze and row.get(load_time) not in (None, at):
                rows[-1][load_time] = row[load_time].isoformat().replace("+00:00", "Z")
    listed = updating.rows_of(rows)
    if is_bronze and given_columns.of_bronze(config, found.table.name, ()) is not None:
        return listed
    return CommentedMap(schema=_ddl(f for f in kept if f.name not in RESERVED), rows=listed)


def _is_kept(config: Pipeline, name: str) -> bool:
    """Whether a column of bronze is written: of technical ones, only what the config names."""
    if name not in RESERVED or name == RESCUED:
        return True
    named = json.dumps([t.model_dump(mode="json", by_alias=True) for t in config.silver.values()])
    return name not in LOAD_TIMES and name in named


def _ddl(fields: Iterable[StructField]) -> str:
    return ", ".join(f"{quoted(f.name)} {type_text(f.dataType.jsonValue())}" for f in fields)


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return masked(value) if isinstance(value, str) else value
