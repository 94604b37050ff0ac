"""DuckDB, able to read what lies at a location, offline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
from duckdb_extensions import import_extension

from medallion_jobs.storage.location import Location
from medallion_jobs.storage.objects import ObjectPath


@contextmanager
def connect(at: Location, *, delta: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that reads files at a location, and in the same store.

    Args:
        delta: Delta tables, too.
    """
    wanted = [*(["delta"] if delta else []), *(["httpfs"] if isinstance(at, ObjectPath) else [])]
    for extension in wanted:
        import_extension(extension)
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as duck:
        for extension in wanted:
            duck.execute(f"LOAD {extension}")
        if isinstance(at, ObjectPath):
            _admit(duck, at)
        yield duck


def name(of: str) -> str:
    """A name to the letter, as DuckDB's SQL has it."""
    return '"' + of.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text, as DuckDB's SQL has it."""
    return "'" + value.replace("'", "''") + "'"


def _admit(duck: duckdb.DuckDBPyConnection, at: ObjectPath) -> None:
    """Tells how the store is reached. A secret takes no bound values, so they are quoted."""
    said = {"SCOPE": f"s3://{at.bucket}", **at.store.duckdb_secret}
    parts = ", ".join(f"{key} {text(value)}" for key, value in said.items())
    duck.execute(f"CREATE SECRET lake (TYPE s3, {parts})")
