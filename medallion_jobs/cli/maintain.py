"""`medallion maintain`: maintenance of the engine's tables, without a JVM, or of the lake's."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import (
    Given,
    JsonOption,
    duration,
    recorded,
    table_named,
    with_config,
)
from medallion_jobs.cli.output import print_rows
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline, TableRef
    from medallion_jobs.maintenance.upkeep import Upkeep

# Another process may have written a data file that it has not committed yet.
_MINIMUM = timedelta(hours=1)


@with_config
def maintain(
    tables: Annotated[
        list[str] | None,
        typer.Argument(help="With --optimize: only these, due or not.", metavar="[TABLE]..."),
    ] = None,
    *,
    given: Given,
    optimize: Annotated[
        bool,
        typer.Option(
            "--optimize", help="OPTIMIZE and VACUUM the lake's tables instead, with Spark."
        ),
    ] = False,
    older_than: Annotated[
        str, typer.Option(help="Keep data files and log entries newer than this.", metavar="7d")
    ] = "7d",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be done.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compact the ledgers and metrics tables, shorten their logs, remove unused files.

    Checkpoints of earlier generations, and tables that were dropped, are removed after the same
    time; and so are registrations that a table left in its landing folders and no longer needs.

    With --optimize: compact small files of bronze, silver and gold where that is due, and
    remove unused files. A table whose query runs is skipped, and files that a query has yet to
    read are kept.
    """
    from medallion_jobs.autoloader.archive import neighbours
    from medallion_jobs.maintenance import lake, optimizing, trash

    age = _age(older_than)
    if tables and not optimize:
        raise UsageError(
            "table names need --optimize",
            code="tables_need_optimize",
            untouched="nothing was changed",
            next_step=f"medallion maintain --optimize {' '.join(tables)}",
        )
    with recorded("maintain", given, changes=not dry_run) as recorder:
        pipeline = recorder.config(lambda: given.loaded).pipeline
        if optimize:
            named = [_named(pipeline, table) for table in tables or ()]
            done = optimizing.maintain(pipeline, named, age, dry_run=dry_run)
        else:
            done = lake.maintain(pipeline, age, dry_run=dry_run)
            for remark in trash.remove_old(pipeline, age, dry_run=dry_run):
                typer.echo(remark, err=True)
            for remark in neighbours.withdraw_all(pipeline, dry_run=dry_run):
                typer.echo(remark, err=True)
    rows = [asdict(upkeep) for upkeep in done]
    if as_json:
        print_rows(tuple(rows[0]) if rows else (), [tuple(r.values()) for r in rows], as_json=True)
        return
    columns = ("table", "files", "size", "log entries removed", "files removed", "left alone")
    print_rows(columns, [_cells(upkeep) for upkeep in done])
    if dry_run:
        typer.echo("nothing was changed; without --dry-run, files are compacted too", err=True)


def _named(pipeline: Pipeline, name: str) -> TableRef:
    from medallion_jobs.lake import paths

    missing = f"pipeline {pipeline.pipeline} has no table {name}"
    return table_named(name, paths.sources(pipeline), missing, untouched="nothing was changed")


def _cells(upkeep: Upkeep) -> tuple[object, ...]:
    from medallion_jobs.observe.events import format_bytes

    if upkeep.skipped:
        return (
            upkeep.table,
            f"{upkeep.files:,}",
            format_bytes(upkeep.bytes),
            None,
            None,
            upkeep.skipped,
        )
    files, size = f"{upkeep.files:,}", format_bytes(upkeep.bytes)
    if upkeep.files_after is not None and upkeep.bytes_after is not None:
        files += f" -> {upkeep.files_after:,}"
        size += f" -> {format_bytes(upkeep.bytes_after)}"
    return (upkeep.table, files, size, upkeep.log_entries, upkeep.removed, upkeep.kept or None)


def _age(text: str) -> timedelta:
    age = duration(text, "--older-than")
    if age < _MINIMUM:
        raise UsageError(
            f"--older-than {text}: the minimum is 1h, because a newer file may belong to "
            "a commit in progress",
            code="older_than_too_short",
            untouched="nothing was changed",
        )
    return age
