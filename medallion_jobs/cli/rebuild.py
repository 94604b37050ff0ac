"""`medallion rebuild`: compute a table again beside the live one, then swap it in."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import Given, YesOption, with_config
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medallion_jobs.config import Pipeline, TableRef
    from medallion_jobs.rebuild import Plan


@with_config
def rebuild(
    tables: Annotated[
        list[str], typer.Argument(help="Silver and gold tables, or all.", metavar="TABLE...")
    ],
    *,
    reason: Annotated[
        str, typer.Option(help="The reason; it is kept in the manifest and in metrics.rebuilds.")
    ] = "",
    downstream: Annotated[
        bool, typer.Option("--downstream", help="Then rebuild the tables that read them, too.")
    ] = False,
    wait: Annotated[
        str,
        typer.Option(help="How long to wait for runs of these tables to end.", metavar="10m"),
    ] = "10m",
    abandon: Annotated[
        bool, typer.Option("--abandon", help="Remove a rebuild that was not finished.")
    ] = False,
    yes: YesOption = False,
    given: Given,
) -> None:
    """Compute tables again beside the live ones, and swap each in by one commit.

    Readers see the old rows or the new ones, never a part. Typed again after an interruption, the
    command goes on where it was.
    """
    from medallion_jobs import rebuild as rebuilds
    from medallion_jobs.rebuild import plan_of

    pipeline = given.pipeline
    chosen = rebuilds.chosen(pipeline, tables, downstream=downstream)
    if abandon:
        _abandon(pipeline, chosen)
        return
    if not reason.strip():
        raise UsageError(
            "--reason is missing: give a reason for those who read the history later",
            code="reason_is_empty",
            untouched="nothing was changed",
        )
    patience = _seconds(wait)
    plans = [plan_of(pipeline, ref) for ref in chosen]
    # A command that was interrupted goes on with what it has not done.
    open_plans = [plan for plan in plans if plan.under_way] or plans
    for plan in open_plans:
        _show(plan, [one.table for one in plans])
    if not yes:
        typer.echo("nothing was changed; add --yes to do it", err=True)
        return
    _carry_out(pipeline, [plan.table for plan in open_plans], reason, patience)


def _carry_out(
    pipeline: Pipeline, chosen: Sequence[TableRef], reason: str, patience: float
) -> None:
    from contextlib import ExitStack

    from medallion_jobs.engine import session
    from medallion_jobs.observe.console import shown
    from medallion_jobs.rebuild import Rebuild

    work = [Rebuild(pipeline, ref) for ref in chosen]
    with ExitStack() as held:
        for one in work:
            held.enter_context(one.lock())
        for one in work:
            one.begin(reason)
        spark = session.build(pipeline)
        emit = held.enter_context(shown("live" if sys.stderr.isatty() else "lines"))
        for one in work:
            # Its source may have been rebuilt by now.
            one.begin(reason)
            one.build(spark, emit)
            done = one.swap(spark, emit, patience=patience)
            typer.echo(f"{one.ref}: rebuilt, as generation v{done.after}")


def _show(plan: Plan, chosen: Sequence[TableRef]) -> None:
    from medallion_jobs.observe.events import counted, format_age, format_bytes

    about = ""
    if plan.seconds is not None:
        about = f", about {format_age(plan.seconds)} by the last batches"
    typer.echo(
        f"{plan.table}: reads {counted(plan.source_rows, 'row')} of {plan.source} "
        f"({counted(plan.source_files, 'file')}, {format_bytes(plan.source_bytes)}){about}; "
        f"then replaces its {counted(plan.rows, 'row')} by one commit"
    )
    if plan.under_way:
        typer.echo(
            f"  goes on with the rebuild that {plan.under_way.by} began at "
            f"{plan.under_way.started_at:%Y-%m-%d %H:%M} UTC ({plan.under_way.phase})"
        )
    if plan.holder:
        typer.echo(f"  is running, and must end before the swap: {plan.holder}")
    for reader in plan.stale:
        if reader not in chosen:
            typer.echo(
                f"  {reader} reads it and cannot go on: its next start is refused; add "
                f'--downstream, or later: medallion rebuild {reader} --reason "…" --yes'
            )


def _abandon(pipeline: Pipeline, chosen: Sequence[TableRef]) -> None:
    from medallion_jobs import rebuild as rebuilds

    for ref in chosen:
        if rebuilds.abandon(pipeline, ref):
            typer.echo(f"{ref}: its rebuild was removed; the live table is as it was")
        else:
            typer.echo(f"{ref}: no rebuild is under way")


def _seconds(text: str) -> float:
    from medallion_jobs.config.units import parse_time

    try:
        return parse_time(text).total_seconds()
    except ValueError as error:
        raise UsageError(
            f"--wait {text} is not a duration such as 10m or 2h", code="invalid_duration"
        ) from error
