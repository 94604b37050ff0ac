"""DuckDB connections that read files and tables at a location, offline."""

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
        delta: whether it also reads Delta tables.
    """
    wanted = [*(["delta"] if delta else []), *(["httpfs"] if isinstance(at, ObjectPath) else [])]
    for extension in wanted:
        import_extension(extension)
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as duck:
        for extension in wanted:
            duck.execute(f"LOAD {extension}")
        if isinstance(at, ObjectPath):
            _create_secret(duck, at)
        yield duck


def name(of: str) -> str:
    """A name, quoted for DuckDB's SQL."""
    return '"' + of.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text literal for DuckDB's SQL."""
    return "'" + value.replace("'", "''") + "'"


def _create_secret(duck: duckdb.DuckDBPyConnection, at: ObjectPath) -> None:
    """Configures access to the store. CREATE SECRET takes no parameters, so values are quoted."""
    options = {"SCOPE": f"s3://{at.bucket}", **at.store.duckdb_secret}
    parts = ", ".join(f"{key} {text(value)}" for key, value in options.items())
    duck.execute(f"CREATE SECRET lake (TYPE s3, {parts})")
