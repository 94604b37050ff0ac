"""Writes dimensions as Delta tables with delta-rs, which needs no JVM."""

from __future__ import annotations

import errno
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from deltalake.exceptions import CommitFailedError, DeltaError

from medallion_jobs.errors import TransientError, UsageError
from medallion_jobs.generator.feed import Dimension
from medallion_jobs.generator.made import MARK
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import is_delta, open_delta, write_first


def seed(table: Location, dimension: Dimension) -> int:
    """Creates the table, or adds the rows whose keys it lacks; safe to repeat.

    Existing rows stay as they are, even if somebody has changed them. If nothing is missing,
    the table gets no new version.

    Args:
        table: the Delta table's folder; created if it is missing.
        dimension: the wanted rows.

    Returns:
        The number of rows that were added.

    Raises:
        TransientError: another writer was faster; nothing was added.
        UsageError: the table cannot be read or written; nothing was added.
    """
    try:
        if not is_delta(table) and _create(table, dimension.rows):
            return int(dimension.rows.num_rows)
        # An insert-only MERGE, not an append: if two run at once, one of them fails. Two appends
        # would both succeed, and each key would be in the table twice.
        merged = (
            open_delta(table)
            .merge(
                dimension.rows,
                predicate=f"existing.{dimension.key} = wanted.{dimension.key}",
                source_alias="wanted",
                target_alias="existing",
            )
            .when_not_matched_insert(
                {column: f"wanted.{column}" for column in dimension.rows.column_names}
            )
            .execute()
        )
        return int(merged["num_target_rows_inserted"])
    except CommitFailedError as error:
        raise TransientError(
            f"another writer changed {table} while {dimension.name} were being seeded",
            code="seeded_by_another",
            untouched=f"this run added nothing to {table} and wrote no files",
            next_step="run the same command again",
        ) from error
    except (DeltaError, OSError) as error:
        raise UsageError(
            f"{dimension.name} could not be seeded at {table}: "
            # delta-rs adds its own stack below the first line.
            f"{str(error).strip().splitlines()[0]}",
            code="seeding_failed",
            untouched=f"{table}; no files were written",
            next_step="fix the table, or set another storage.root, and generate again",
        ) from error


def _create(table: Location, rows: pa.Table) -> bool:
    """Creates the table; False if it already exists.

    On a disk it is created in a temporary folder, which is then renamed. Of two calls at the
    same time, both could create the table, with each row twice, but only one can rename its
    folder. In an object store, only one of them can write the first entry of the log.
    """
    if not isinstance(table, Path):
        try:
            write_first(table, rows, MARK)
        except DeltaError:
            if is_delta(table):
                return False
            raise
        return True
    table.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{table.name}.", dir=table.parent) as beside:
        made = Path(beside) / table.name
        write_first(made, rows, MARK)
        try:
            made.rename(table)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
    return True
