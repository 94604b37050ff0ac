"""What keeps queries from starting, and rows that are not where they should be."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from deltalake.exceptions import DeltaError

from medallion_jobs.checkpoint import lock, start_checks
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.engine.stream import Stream
from medallion_jobs.errors import MedallionError
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.masking import masked
from medallion_jobs.report.doctor.finding import ERROR, NOTE, WARNING, Finding
from medallion_jobs.report.verify import lake


def findings(
    config: Pipeline, streams: Sequence[Stream], unreadable: Collection[str]
) -> Iterator[Finding]:
    """The start checks of all queries, and the balance of the rows of bronze and silver.

    Args:
        unreadable: tables with a broken log; what reads them is left out.
    """
    made = {stream.claim.target_path for stream in streams}
    for stream in streams:
        claim = stream.claim
        if str(claim.ref) in unreadable or str(claim.reads) in unreadable:
            continue
        holder = lock.read(claim.query_folder.lock)
        if holder and holder["alive"]:
            what = f"its query runs, so its start checks were left out: {lock.describe(holder)}"
            yield Finding("query_running", NOTE, str(claim.ref), what)
            continue
        if holder:
            what = f"its last run died: {lock.describe(holder)}"
            yield Finding("query_died", NOTE, str(claim.ref), what, "run again to continue")
        try:
            stream.preflight(made)
            refused = list(start_checks.findings(claim))
        except MedallionError as error:
            yield _of(error, str(claim.ref), ERROR)
        except DeltaError as error:
            yield _unreadable(str(claim.ref), error)
        else:
            yield from (_of(one, str(claim.ref), ERROR) for one in refused)
    yield from _unaccounted(config, unreadable)


def _unreadable(where: str, error: DeltaError) -> Finding:
    first = masked(str(error)).partition("\n")[0]
    what = f"it, or what its query reads or keeps, cannot be read: {first}"
    return Finding("table_unreadable", ERROR, where, what, "restore its files from a backup")


def _unaccounted(config: Pipeline, unreadable: Collection[str]) -> Iterator[Finding]:
    chosen = lake.chosen(config, None, layers=True).layers
    try:
        refs = tuple(ref for ref in chosen if _is_readable(config, ref, unreadable))
        audits = list(lake.audits(config, refs, show=1)) if refs else []
    except DeltaError as error:
        yield _unreadable("bronze and silver", error)
        return
    for found in audits:
        if isinstance(found, MedallionError):
            yield _of(found, "", WARNING)
            continue
        for check in found.checks:
            if not check.is_right:
                what = (
                    f"{check.what}: should be {check.expected:,} by {found.of}, and is "
                    f"{check.found:,}"
                )
                fix = f"medallion verify {found.table} --layers shows where"
                yield Finding("rows_unaccounted", ERROR, found.table, what, fix)


def _is_readable(config: Pipeline, ref: TableRef, unreadable: Collection[str]) -> bool:
    if unreadable:  # an audit reads several tables: of the engine, too
        return False
    return snapshot(TablePaths(config, ref).data) is not None


def _of(error: MedallionError, where: str, severity: str) -> Finding:
    return Finding(error.code, severity, where, error.what, error.next_step)
