"""`medallion checkpoint rollback`: back to the generation before."""

from __future__ import annotations

from typing import Annotated

import typer

from medallion_jobs.cli.options import Given, YesOption, duration, recorded, with_config
from medallion_jobs.errors import UsageError


@with_config
def rollback(
    table: Annotated[str, typer.Argument(help="The table, such as silver.orders.")],
    *,
    reason: Annotated[str, typer.Option(help="The reason; it is kept in the manifest.")],
    wait: Annotated[
        str, typer.Option(help="How long to wait for runs of the table to end.", metavar="10m")
    ] = "10m",
    yes: YesOption = False,
    given: Given,
) -> None:
    """Go back to the generation before a rebuild or a reset: to its rows and its checkpoint."""
    from medallion_jobs import rebuild
    from medallion_jobs.engine import session

    if not reason.strip():
        raise UsageError(
            "--reason is empty: give a reason for those who read the manifest later",
            code="reason_is_empty",
        )
    pipeline, patience = given.pipeline, duration(wait, "--wait").total_seconds()
    (ref,) = rebuild.chosen(pipeline, [table], downstream=False)
    work = rebuild.Rollback(pipeline, ref)
    work.refuse_impossible()
    number, version = work.goal
    typer.echo(
        f"{ref}: gets the rows of version {version}, and goes on from the checkpoint of generation "
        f"v{number}"
    )
    for reader in rebuild.stale_readers(pipeline, ref):
        typer.echo(
            f"  {reader} reads it and cannot go on: its next start is refused; then: "
            f'medallion rebuild {reader} --reason "…" --yes'
        )
    if not yes:
        typer.echo("nothing was changed; add --yes to do it", err=True)
        return
    with recorded("checkpoint rollback", given) as recorder:
        recorder.config(lambda: given.loaded)
        recorder.covers([ref])
        work.carry_out(reason, session.build(pipeline), patience=patience)
    typer.echo(f"{ref}: is at generation v{number} again", err=True)
