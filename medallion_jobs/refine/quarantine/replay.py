"""Replays of a silver table: rows from its quarantine put back, and missed lookups mended."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from medallion_jobs.checkpoint import Lock, QueryFolder, manifest, reset
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.engine import session
from medallion_jobs.errors import UsageError
from medallion_jobs.lake import paths, tables
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.quarantine.lookup_backfill import LookupBackfill, lookups_of
from medallion_jobs.refine.quarantine.redrive import Redrive


@dataclass(frozen=True)
class Mended:
    """What a replay of missed lookups came to.

    Attributes:
        rows: rows that are put right, or could be.
        begun_anew: queries that read the table, which changed under them: each makes its own
            table anew at its next start.
    """

    rows: int
    begun_anew: Sequence[TableRef]


def quarantined(
    config: Pipeline, ref: TableRef, ids: Sequence[str], changes: Mapping[str, str], *, write: bool
) -> Mapping[str, int]:
    """Sends rows of a table's quarantine on their way again, by today's config.

    Args:
        changes: columns of the row as it was, with the SQL that they are set to.
        write: do it; otherwise only tell what would become of the rows.

    Returns:
        Rows by what became of them; only those that are `good` leave the quarantine.

    Raises:
        UsageError: the table has never been written, or a row has no such column.
        LockHeld: the table's query runs.
    """
    home, generation = _home(config, ref)
    with Lock(home.lock, str(ref)):
        spark = session.build(config, short=True)
        refinery = Refinery(config, ref)
        redrive = Redrive(
            refinery=refinery,
            parked_rows=refinery.quarantine,
            app_id=f"{home.checkpoint(generation).app_id}/replayed",
            generation=generation,
            how="replayed",
            run_id=_run_id(),
            changes=changes,
        )
        there = redrive.open(spark)
        if there is None or not ids:
            return {}
        wanted = spark.createDataFrame([(one,) for one in ids], "id string")
        chosen = there.join(wanted, "id", "left_semi")
        return redrive.send(spark, chosen) if write else redrive.try_out(spark, chosen)


def missed(config: Pipeline, ref: TableRef, dimension: TableRef, *, write: bool) -> Mended:
    """Puts right what lookups into a dimension have missed, in the table itself.

    Raises:
        UsageError: the table has no such lookup, was never written, or its rows do not hold
            what the lookup needs.
        LockHeld: its query runs, or one that reads the table.
    """
    home, generation = _home(config, ref)
    refinery = Refinery(config, ref)
    found = lookups_of(refinery, dimension)
    if not found:
        raise UsageError(
            f"{ref} has no lookup in {dimension} "
            "that leaves a row with nulls or the unknown member",
            untouched="nothing was written",
            next_step="this has: " + (", ".join(_with_lookups(config)) or "no table"),
        )
    # Gold in incremental mode follows what is mended.
    readers = tuple(one for one in paths.readers(config, ref) if not _follows(config, one))
    with _locked(config, [ref, *readers]):
        spark = session.build(config, short=True)
        mends = [LookupBackfill(refinery, place, spark) for place in found]
        counts = [mend.count() for mend in mends]
        if not write or not any(counts):
            return Mended(sum(counts), readers if any(counts) else ())
        # Readers first: cut off in between, none goes on over a table that has changed.
        for reader in reversed(readers):
            plan = reset.plan(
                QueryFolder.of(config.state_path, reader),
                config.table_path(reader),
                config.pipeline,
            )
            plan.carry_out(f"missed lookups in {dimension} were mended in {ref}")
        app_id = f"{home.checkpoint(generation).app_id}/mended"
        return Mended(sum(one.write(app_id, _run_id()) for one in mends), readers)


def tables_looking_into(config: Pipeline, dimension: TableRef) -> list[TableRef]:
    """The silver tables that have a lookup in a dimension which can be mended."""
    refs = [TableRef("silver", name) for name in config.silver]
    return [ref for ref in refs if lookups_of(Refinery(config, ref), dimension)]


def _follows(config: Pipeline, reader: TableRef) -> bool:
    return reader.layer == "gold" and config.gold[reader.name].mode == "incremental"


def _with_lookups(config: Pipeline) -> Iterator[str]:
    for name, table in config.silver.items():
        for dimension in dict.fromkeys(lookup.table for lookup in table.lookups):
            if lookups_of(Refinery(config, TableRef("silver", name)), dimension):
                yield f"silver.{name} in {dimension}"


def _home(config: Pipeline, ref: TableRef) -> tuple[QueryFolder, int]:
    home = QueryFolder.of(config.state_path, ref)
    recorded = manifest.read(home)
    if recorded is None or tables.snapshot(config.table_path(ref)) is None:
        raise UsageError(
            f"{ref} has never been written",
            untouched="nothing was written",
            next_step="medallion run silver",
        )
    return home, recorded.current.number


@contextmanager
def _locked(config: Pipeline, refs: Sequence[TableRef]) -> Iterator[None]:
    with ExitStack() as held:
        for ref in refs:
            held.enter_context(Lock(QueryFolder.of(config.state_path, ref).lock, str(ref)))
        yield


def _run_id() -> str:
    return uuid.uuid4().hex[:12]
