"""`medallion checkpoint`: list, show and reset the state of queries."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import Given, JsonOption, YesOption, table_named, with_config
from medallion_jobs.cli.output import print_rows, shows_times
from medallion_jobs.errors import UsageError
from medallion_jobs.masking import masked_json

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline, TableRef

app = typer.Typer(no_args_is_help=True, help="The state of queries: generations of checkpoints.")

TableArgument = Annotated[str, typer.Argument(help="The table, such as gold.sales_by_region_day.")]


@app.command("list")
@with_config
@shows_times
def list_generations(
    *,
    given: Given,
    as_json: JsonOption = False,
) -> None:
    """Show every generation of every query: when and why it was opened, and by whom."""
    from medallion_jobs.checkpoint import QueryFolder, manifest
    from medallion_jobs.lake import paths
    from medallion_jobs.lake.paths import TablePaths

    pipeline = given.pipeline
    columns = ("table", "generation", "current", "opened", "by", "reason", "reads", "batches")
    rows: list[tuple[object, ...]] = []
    for ref in paths.sources(pipeline):
        query_folder = QueryFolder.of(TablePaths(pipeline, ref))
        recorded = manifest.read(query_folder)
        for generation in recorded.generations if recorded else ():
            batches = query_folder.checkpoint(generation.number).latest_commits + 1
            rows.append(
                (
                    str(ref),
                    f"v{generation.number}",
                    recorded is not None and generation is recorded.current,
                    generation.opened_at,
                    generation.opened_by,
                    generation.reason,
                    generation.binding.source if generation.binding else None,
                    batches,
                )
            )
    print_rows(columns, rows, as_json=as_json, empty="no query has run yet; next: medallion run")


@app.command()
@with_config
def show(
    table: TableArgument,
    *,
    given: Given,
) -> None:
    """Print a query's manifest as JSON, with the position of its current checkpoint."""
    from medallion_jobs.checkpoint import QueryFolder, manifest
    from medallion_jobs.lake.paths import TablePaths
    from medallion_jobs.lake.tables import snapshot

    pipeline = given.pipeline
    ref = _query(pipeline, table)
    paths = TablePaths(pipeline, ref)
    query_folder = QueryFolder.of(paths)
    recorded = manifest.read(query_folder)
    if recorded is None:
        raise UsageError(
            f"{ref} never ran: there is no {query_folder.manifest}", code="query_never_ran"
        )
    checkpoint = query_folder.checkpoint(recorded.current.number)
    target = snapshot(paths.data)
    details = recorded.model_dump(mode="json") | {
        "checkpoint": str(checkpoint.path),
        "latest_offsets": checkpoint.latest_offsets,
        "table_txn": target.txn(checkpoint.app_id) if target else None,
        "latest_commits": checkpoint.latest_commits,
    }
    typer.echo(masked_json(details, indent=2))


@app.command()
@with_config
def reset(
    table: TableArgument,
    *,
    reason: Annotated[str, typer.Option(help="The reason; it is kept in the manifest.")],
    yes: YesOption = False,
    given: Given,
) -> None:
    """Open a new generation of a query's state, and of the queries that read its table."""
    from medallion_jobs.checkpoint import Lock, QueryFolder, journal
    from medallion_jobs.checkpoint.reset import plan
    from medallion_jobs.lake import paths
    from medallion_jobs.lake.paths import TablePaths

    if not reason.strip():
        raise UsageError(
            "--reason is empty: give a reason for those who read the manifest later",
            code="reason_is_empty",
        )
    pipeline = given.pipeline
    ref = _query(pipeline, table)
    readers = paths.readers(pipeline, ref)
    reset_readers = (
        readers if ref.layer != "bronze" or _has_lost_rows(pipeline, ref, readers) else []
    )
    to_reset = [TablePaths(pipeline, query) for query in (ref, *reset_readers)]
    query_folders = [QueryFolder.of(table) for table in to_reset]
    with ExitStack() as held:
        for query_folder in query_folders:
            # Without state no run can be active, and a dry run must not create the folder.
            if yes or query_folder.path.exists():
                held.enter_context(Lock(query_folder.lock, str(query_folder.ref)))
        for one in to_reset:
            journal.refuse_half_swapped(pipeline, one.ref, what=f"{one.ref} was not reset")
        plans = [
            plan(
                query_folder,
                table.data,
                pipeline.pipeline,
                reads_topics=table.ref.name in pipeline.kafka_sources,
            )
            for query_folder, table in zip(query_folders, to_reset, strict=True)
        ]
        for change in plans:
            before = f"v{change.before}" if change.before else "none"
            typer.echo(
                f"{change.query_folder.ref}: generation {before} -> v{change.after}; "
                f"the next start {change.effect}"
            )
        # The readers furthest downstream first: if the reset is interrupted, no reader
        # continues over a table that is rebuilt.
        for change in reversed(plans) if yes else ():
            change.carry_out(
                reason if change.query_folder.ref == ref else f"{ref} was reset: {reason}"
            )
    typer.echo(
        "done; nothing was deleted; next: medallion run"
        if yes
        else "nothing was changed; add --yes to do it",
        err=True,
    )


def _has_lost_rows(pipeline: Pipeline, ref: TableRef, readers: list[TableRef]) -> bool:
    """Whether readers have read more of a table than it has now.

    Bronze is append-only and loads what is missing, so its readers can continue after a reset.
    They cannot if the table was removed or lost commits: they would read its rows twice.
    """
    from medallion_jobs.checkpoint import QueryFolder, manifest
    from medallion_jobs.checkpoint.offsets import DeltaOffsets
    from medallion_jobs.lake.paths import TablePaths

    table = DeltaOffsets(TablePaths(pipeline, ref).data)
    for reader in readers:
        query_folder = QueryFolder.of(TablePaths(pipeline, reader))
        recorded = manifest.read(query_folder)
        if recorded and recorded.current.binding:
            bound = recorded.current.binding
            checkpoint = query_folder.checkpoint(recorded.current.number)
            is_lost = table.identity() is None or table.missing(checkpoint)
            if bound.source == str(ref) and is_lost:
                return True
    return False


def _query(pipeline: Pipeline, table: str) -> TableRef:
    from medallion_jobs.lake import paths

    missing = f"pipeline {pipeline.pipeline} has no query that writes {table}"
    return table_named(table, paths.sources(pipeline), missing)
