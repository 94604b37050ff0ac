"""Checks the saved queries of a config against the columns of its tables; reads no row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake import Schema

from medallion_jobs.config import LAYERS, ConfigError, Loaded, Origin, Problem, TableRef
from medallion_jobs.config.problems import nearest
from medallion_jobs.report.query import names
from medallion_jobs.storage.duck import connect, name

_NAMED = re.compile(r'"(\w+)"|Name (\w+) ')


def check(loaded: Loaded, schemas: Mapping[TableRef, str], next_step: str) -> None:
    """Raises ConfigError for the queries that DuckDB refuses; see `mistakes`."""
    if loaded.pipeline.queries and (problems := list(mistakes(loaded, schemas))):
        raise ConfigError(problems, next_step=next_step)


def mistakes(loaded: Loaded, schemas: Mapping[TableRef, str]) -> Iterator[Problem]:
    """The queries that DuckDB refuses, each with its line.

    Leaves out those that read other tables than the pipeline's.

    Args:
        schemas: the columns of the pipeline's tables, in Spark's JSON form.
    """
    tables = {
        ref: empty for ref, schema in schemas.items() if (empty := _empty(schema)) is not None
    }
    known = {(ref.layer.casefold(), ref.name.casefold()) for ref in tables}
    layers = {*LAYERS, "ledger", "quarantine", "held", "metrics"}
    with connect(Path()) as duck:
        duck.execute("SET TimeZone = 'UTC'")
        for ref, rows in tables.items():
            duck.register(f"rows of {ref}", rows)
            duck.execute(f"CREATE SCHEMA IF NOT EXISTS {name(ref.layer)}")
            table = f"{name(ref.layer)}.{name(ref.name)}"
            duck.execute(f"CREATE TABLE {table} AS FROM {name(f'rows of {ref}')}")
        duck.execute("SET enable_external_access = false")
        for query, saved in loaded.pipeline.queries.items():
            if {key for key in names(saved.sql) if key[0] in layers} <= known:
                try:
                    duck.execute(f"EXPLAIN {saved.sql}")
                except duckdb.Error as error:
                    yield _problem(loaded, f"queries.{query}", saved.sql, str(error))


def _empty(schema: str) -> pa.Table | None:
    """A table without rows; None if it has a type that only Spark has."""
    try:
        return pa.schema(Schema.from_json(schema).to_arrow()).empty_table()
    except ValueError:
        return None


def _problem(loaded: Loaded, path: str, sql: str, message: str) -> Problem:
    what, *more = message.partition("\n\n")[0].splitlines()
    candidates = re.findall(r'"([^"]+)"', " ".join(more))
    named = _NAMED.search(what)
    word = next(filter(None, named.groups()), "") if named else ""
    start = sql.find(word) if word else -1
    # Written as SQL alone, or as a mapping with a description.
    origin = loaded.origins.get(f"{path}.sql") or loaded.origins.get(path, Origin("config"))
    at = (start, start + len(word)) if start >= 0 else None
    return Problem(origin, path, what, sql, "", nearest(word, candidates), at)
