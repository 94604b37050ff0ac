"""Opens and creates Delta tables with delta-rs, without a JVM."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

from medallion_jobs.storage.location import Location
from medallion_jobs.storage.objects import ObjectPath


def open_delta(at: Location, version: int | None = None) -> DeltaTable:
    """The Delta table at a location.

    Args:
        version: the version to open; the newest if None.

    Raises:
        deltalake.exceptions.TableNotFoundError: there is no table.
    """
    uri, options = _for_delta_rs(at)
    try:
        return DeltaTable(uri, version=version, storage_options=options)
    except OSError as error:
        if isinstance(at, ObjectPath):
            # This raises the store's own error, which is shorter than the one of delta-rs.
            at.is_dir()
        raise error


def create_delta(
    at: Location, schema: pa.Schema, configuration: Mapping[str, str | None] | None = None
) -> DeltaTable:
    """The Delta table at a location, created if it does not exist."""
    uri, options = _for_delta_rs(at)
    return DeltaTable.create(
        uri, schema, mode="ignore", configuration=configuration, storage_options=options
    )


def is_delta(at: Location) -> bool:
    """Whether there is a Delta table at a location."""
    uri, options = _for_delta_rs(at)
    return DeltaTable.is_deltatable(str(uri), storage_options=options)


def write_first(at: Location, rows: pa.Table, metadata: Mapping[str, str]) -> None:
    """Creates a Delta table with rows, in one commit.

    Args:
        metadata: added to the commit's `commitInfo`.

    Raises:
        deltalake.exceptions.DeltaError: the table exists already.
    """
    uri, options = _for_delta_rs(at)
    properties = CommitProperties(custom_metadata=dict(metadata))
    write_deltalake(uri, rows, commit_properties=properties, storage_options=options)


def _for_delta_rs(at: Location) -> tuple[str | Path, dict[str, str] | None]:
    if isinstance(at, ObjectPath):
        return at.uri, at.store.delta_options
    return at, None
