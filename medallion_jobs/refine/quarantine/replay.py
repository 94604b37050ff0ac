"""Replays of a silver table: of rows in quarantine, and of lookups that found no match."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from medallion_jobs.checkpoint import Lock, QueryFolder, journal, manifest, reset
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.engine import session
from medallion_jobs.errors import UsageError
from medallion_jobs.lake import paths, tables
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.quarantine.lookup_backfill import LookupBackfill, lookups_of
from medallion_jobs.refine.quarantine.redrive import Outcomes, Redrive


@dataclass(frozen=True)
class Replayed:
    """The result of a lookup backfill.

    Attributes:
        rows: how many rows were backfilled, or could be.
        restarted: queries that read the table: each rebuilds its own table at its next start,
            because rows it has already read have changed.
    """

    rows: int
    restarted: Sequence[TableRef]


def quarantined(
    config: Pipeline, ref: TableRef, ids: Sequence[str], changes: Mapping[str, str], *, write: bool
) -> Outcomes:
    """Replays rows of a table's quarantine with the current config.

    Args:
        changes: columns of the parked row, with the SQL that they are set to.
        write: write the rows; if false, only their outcomes are counted.

    Returns:
        What became of them; only `good` rows leave the quarantine.

    Raises:
        UsageError: the table was never written, or the rows lack a column of `changes`.
        LockHeld: the table's query is running.
    """
    if not ids:
        return Outcomes()
    query_folder, generation = _query_folder(config, ref)
    with Lock(query_folder.lock, str(ref)):
        spark = session.build(config, short=True)
        refinery = Refinery(config, ref)
        redrive = Redrive(
            refinery=refinery,
            parked_rows=refinery.quarantine,
            app_id=f"{query_folder.checkpoint(generation).app_id}/replayed",
            generation=generation,
            how="replayed",
            run_id=_run_id(),
            changes=changes,
        )
        parked = redrive.open(spark)
        if parked is None:
            return Outcomes()
        wanted = spark.createDataFrame([(row_id,) for row_id in ids], "id string")
        chosen = parked.join(wanted, "id", "left_semi")
        useless = redrive.without_effect(spark, chosen) if changes else ()
        found = redrive.send(spark, chosen) if write else redrive.try_out(spark, chosen)
        return replace(found, without_effect=useless)


def missed(config: Pipeline, ref: TableRef, dimension: TableRef, *, write: bool) -> Replayed:
    """Backfills the misses of lookups into a dimension, in the target table itself.

    Args:
        write: change the rows; if false, they are only counted.

    Raises:
        UsageError: the table has no such lookup, was never written, or its rows lack columns
            that the lookup needs.
        LockHeld: its query, or one that reads the table, is running.
    """
    query_folder, generation = _query_folder(config, ref)
    refinery = Refinery(config, ref)
    found = lookups_of(refinery, dimension)
    if not found:
        raise UsageError(
            f"{ref} has no lookup in {dimension} "
            "that leaves a row with nulls or the unknown member",
            code="no_lookup_to_backfill",
            untouched="nothing was written",
            next_step="these lookups do: " + (", ".join(_with_lookups(config)) or "no table"),
        )
    # Gold in incremental mode follows the backfilled rows.
    readers = tuple(
        reader for reader in paths.readers(config, ref) if not _follows_changes(config, reader)
    )
    with _locked(config, [ref, *readers]):
        spark = session.build(config, short=True)
        backfills = [LookupBackfill(refinery, place, spark) for place in found]
        counts = [backfill.count() for backfill in backfills]
        if not write or not any(counts):
            return Replayed(sum(counts), readers if any(counts) else ())
        # Readers first: after a crash in between, none continues over a changed table.
        for reader in reversed(readers):
            places = TablePaths(config, reader)
            plan = reset.plan(QueryFolder.of(places), places.data, config.pipeline)
            plan.carry_out(f"missed lookups in {dimension} were backfilled in {ref}")
        # The word is stored in the table's log, so it stays.
        app_id = f"{query_folder.checkpoint(generation).app_id}/mended"
        return Replayed(sum(backfill.write(app_id, _run_id()) for backfill in backfills), readers)


def tables_looking_into(config: Pipeline, dimension: TableRef) -> list[TableRef]:
    """The silver tables with a lookup into a dimension that can be backfilled."""
    refs = [TableRef("silver", name) for name in config.silver]
    return [ref for ref in refs if lookups_of(Refinery(config, ref), dimension)]


def _follows_changes(config: Pipeline, reader: TableRef) -> bool:
    return reader.layer == "gold" and config.gold[reader.name].mode == "incremental"


def _with_lookups(config: Pipeline) -> Iterator[str]:
    for name, table in config.silver.items():
        for dimension in dict.fromkeys(lookup.table for lookup in table.lookups):
            if lookups_of(Refinery(config, TableRef("silver", name)), dimension):
                yield f"silver.{name} in {dimension}"


def _query_folder(config: Pipeline, ref: TableRef) -> tuple[QueryFolder, int]:
    journal.refuse_half_swapped(config, ref, what="nothing was replayed")
    table = TablePaths(config, ref)
    query_folder = QueryFolder.of(table)
    recorded = manifest.read(query_folder)
    if recorded is None or tables.snapshot(table.data) is None:
        raise UsageError(
            f"{ref} has never been written",
            code="table_never_written",
            untouched="nothing was written",
            next_step="medallion run silver",
        )
    return query_folder, recorded.current.number


@contextmanager
def _locked(config: Pipeline, refs: Sequence[TableRef]) -> Iterator[None]:
    with ExitStack() as held:
        for ref in refs:
            query_folder = QueryFolder.of(TablePaths(config, ref))
            held.enter_context(Lock(query_folder.lock, str(ref)))
        yield


def _run_id() -> str:
    return uuid.uuid4().hex[:12]
