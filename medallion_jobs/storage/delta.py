"""Delta tables at a location, by delta-rs: no JVM."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

from medallion_jobs.storage.location import Location
from medallion_jobs.storage.objects import ObjectPath


def open_delta(at: Location, version: int | None = None) -> DeltaTable:
    """The Delta table at a location, by delta-rs.

    Raises:
        deltalake.exceptions.TableNotFoundError: there is none.
    """
    place, options = _as_delta_rs_takes_it(at)
    try:
        return DeltaTable(place, version=version, storage_options=options)
    except OSError as error:
        if isinstance(at, ObjectPath):
            # What delta-rs says of a store takes a screen; the store itself says it in a line.
            at.is_dir()
        raise error


def create_delta(
    at: Location, schema: pa.Schema, configuration: Mapping[str, str | None] | None = None
) -> DeltaTable:
    """The Delta table at a location, made where there is none."""
    place, options = _as_delta_rs_takes_it(at)
    return DeltaTable.create(
        place, schema, mode="ignore", configuration=configuration, storage_options=options
    )


def is_delta(at: Location) -> bool:
    """Whether there is a Delta table."""
    place, options = _as_delta_rs_takes_it(at)
    return DeltaTable.is_deltatable(str(place), storage_options=options)


def write_first(at: Location, rows: pa.Table, said: Mapping[str, str]) -> None:
    """Makes a Delta table of rows, by one commit that says something of itself.

    Raises:
        deltalake.exceptions.DeltaError: there is one.
    """
    place, options = _as_delta_rs_takes_it(at)
    noted = CommitProperties(custom_metadata=dict(said))
    write_deltalake(place, rows, commit_properties=noted, storage_options=options)


def _as_delta_rs_takes_it(at: Location) -> tuple[str | Path, dict[str, str] | None]:
    if isinstance(at, ObjectPath):
        return at.uri, at.store.delta_options
    return at, None
