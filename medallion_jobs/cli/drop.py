"""`medallion drop`: take away tables that the config does not name any more."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import Given, YesOption, table_named, with_config
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline, TableRef


@with_config
def drop(
    tables: Annotated[
        list[str], typer.Argument(help="Such as silver.old_orders.", metavar="TABLE...")
    ],
    *,
    yes: YesOption = False,
    given: Given,
) -> None:
    """Take away tables that the config does not name any more, with all that is kept for them.

    They are moved into the trash below the state folder; `maintain` removes them there after its
    --older-than.
    """
    from medallion_jobs.checkpoint import Lock, QueryFolder
    from medallion_jobs.lake.paths import TablePaths
    from medallion_jobs.lake.tables import snapshot
    from medallion_jobs.maintenance import trash
    from medallion_jobs.observe.events import counted

    pipeline = given.pipeline
    refs = [_orphan(pipeline, name) for name in tables]
    with ExitStack() as held:
        for ref in refs:
            folder = QueryFolder.of(TablePaths(pipeline, ref))
            held.enter_context(Lock(folder.lock, str(ref)))
        for ref in refs:
            table = snapshot(TablePaths(pipeline, ref).data)
            typer.echo(f"{ref}: {counted(table.rows if table else 0, 'row')}")
            for place in trash.contents(pipeline, ref):
                typer.echo(f"  {place}")
            if yes:
                typer.echo(f"{ref}: moved to {trash.drop(pipeline, ref)}", err=True)
    if not yes:
        typer.echo("nothing was changed; add --yes to do it", err=True)


def _orphan(pipeline: Pipeline, name: str) -> TableRef:
    from medallion_jobs.checkpoint import orphans
    from medallion_jobs.lake import paths

    named = {str(ref): ref for ref in paths.sources(pipeline)}
    if name in named:
        raise UsageError(
            f"{name} is a table of the config: the next run would write it again",
            code="table_in_config",
            untouched="nothing was changed",
            next_step="take it out of the config first; to compute it again: "
            f'`medallion rebuild {name} --reason "…"`',
        )
    found = orphans(pipeline)
    ref = table_named(
        name,
        found,
        f"pipeline {pipeline.pipeline} has written no table {name} that its config does not name",
        untouched="nothing was changed",
    )
    if readers := _readers(pipeline, ref):
        raise UsageError(
            f"{name} is still read, by {', '.join(readers)}",
            code="table_still_read",
            untouched="nothing was changed",
            next_step="take it out of their `lookups` and `expect` first",
        )
    return ref


def _readers(pipeline: Pipeline, ref: TableRef) -> list[str]:
    silver = [
        f"silver.{name}"
        for name, table in pipeline.silver.items()
        if ref in (table.from_, *table.dimensions)
    ]
    return [*silver, *(f"gold.{n}" for n, table in pipeline.gold.items() if table.from_ == ref)]
