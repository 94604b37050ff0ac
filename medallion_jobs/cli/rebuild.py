"""`medallion rebuild`: compute a table again beside the live one, then swap it in."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import (
    Given,
    JsonOption,
    YesOption,
    duration,
    recorded,
    timestamp,
    with_config,
)
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from medallion_jobs.config import Pipeline, TableRef
    from medallion_jobs.rebuild import Comparison, Plan, Wanted
    from medallion_jobs.runs import Recorder


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
    file: Annotated[
        str | None,
        typer.Option(help="Only rows of files whose path has this text, or fits a pattern with *."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only rows loaded since: a timestamp, or a duration ago.", metavar="T"),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only rows loaded before, as --since.", metavar="T")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(help="Only rows of this condition over unchanged columns.", metavar="SQL"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compute, and show which rows would change.")
    ] = False,
    sample: Annotated[
        int, typer.Option(help="With --dry-run: how many of these rows to show.", min=0)
    ] = 10,
    wait: Annotated[
        str,
        typer.Option(help="How long to wait for runs of these tables to end.", metavar="10m"),
    ] = "10m",
    abandon: Annotated[
        bool, typer.Option("--abandon", help="Remove a rebuild that was not finished.")
    ] = False,
    as_json: JsonOption = False,
    yes: YesOption = False,
    given: Given,
) -> None:
    """Compute tables again beside the live ones, and swap each in by one commit.

    Readers see the old rows or the new ones, never a part. Typed again after an interruption, the
    command goes on where it was.
    """
    from medallion_jobs import rebuild as rebuilds

    pipeline = given.pipeline
    named = rebuilds.chosen(pipeline, tables, downstream=False)
    chosen = rebuilds.chosen(pipeline, tables, downstream=downstream)
    if abandon:
        _abandon(pipeline, chosen)
        return
    wanted = rebuilds.Wanted(
        file=file,
        since=timestamp(since) if since else None,
        until=timestamp(until, "--until") if until else None,
        where=where,
    )
    if not wanted.is_all:
        for ref in named:
            rebuilds.refuse_parts(pipeline, ref)
    if dry_run:
        _try_out(pipeline, named, wanted, sample, as_json=as_json)
        return
    if not reason.strip():
        raise UsageError(
            "--reason is missing: give a reason for those who read the history later",
            code="reason_is_empty",
            untouched="nothing was changed",
        )
    patience = duration(wait, "--wait").total_seconds()
    plans = [rebuilds.plan_of(pipeline, ref) for ref in chosen]
    # A command that was interrupted goes on with what it has not done.
    begun = [plan.under_way for plan in plans if plan.under_way]
    done = {name for journal in begun if journal.reason == reason for name in journal.together}
    left = [plan for plan in plans if plan.under_way or str(plan.table) not in done]
    in_part = {plan.table for plan in left if plan.under_way and plan.under_way.part}
    in_part |= set() if wanted.is_all else {*named} & {plan.table for plan in left}
    if as_json:
        typer.echo(json.dumps([asdict(plan) for plan in left], default=str, indent=2))
    else:
        for plan in plans:
            if plan not in left:
                typer.echo(f"{plan.table}: was done before the interruption")
        for plan in left:
            _show(plan, chosen, in_part=plan.table in in_part)
    if not yes:
        typer.echo("nothing was changed; add --yes to do it", err=True)
        return
    work = [plan.table for plan in left if plan.table not in in_part]
    parts = dict.fromkeys(in_part, wanted)
    with recorded("rebuild", given) as recorder:
        recorder.config(lambda: given.loaded)
        recorder.covers([*parts, *work])
        _carry_out(pipeline, parts, work, reason, patience=patience, recorder=recorder)


def _carry_out(
    pipeline: Pipeline,
    parts: Mapping[TableRef, Wanted],
    whole: Sequence[TableRef],
    reason: str,
    *,
    patience: float,
    recorder: Recorder,
) -> None:
    from medallion_jobs.engine import session
    from medallion_jobs.observe.console import shown
    from medallion_jobs.rebuild import Rebuild, carry_out

    with ExitStack() as held:
        work = [Rebuild(pipeline, ref) for ref in whole]
        for one in [*(Rebuild(pipeline, ref) for ref in parts), *work]:
            held.enter_context(one.lock())
        for one in work:
            one.begin(reason, [*parts, *whole])
        spark = session.build(pipeline)
        show = held.enter_context(shown("live" if sys.stderr.isatty() else "lines"))
        emit = recorder.listening(show)
        for ref, wanted in parts.items():
            carry_out(pipeline, ref, wanted, reason, spark, patience=patience)
            typer.echo(f"{ref}: the part was rebuilt", err=True)
        for one in work:
            # Its source may have been rebuilt by now.
            one.begin(reason)
            one.build(spark, emit)
            done = one.swap(spark, emit, patience=patience)
            typer.echo(f"{one.ref}: rebuilt, as generation v{done.after}", err=True)


def _try_out(
    pipeline: Pipeline, named: Sequence[TableRef], wanted: Wanted, sample: int, *, as_json: bool
) -> None:
    from medallion_jobs.engine import session
    from medallion_jobs.observe.console import shown
    from medallion_jobs.rebuild import PartRebuild, Rebuild, identity
    from medallion_jobs.rebuild.compare import compare

    told: dict[str, Comparison] = {}
    with shown("live" if sys.stderr.isatty() else "lines") as emit:
        for ref in named:
            if wanted.is_all:
                work = Rebuild(pipeline, ref)
                with work.lock():
                    work.begin("")
                    spark = session.build(pipeline)
                    work.build(spark, emit)
                    told[str(ref)] = work.compared(spark, sample)
            else:
                spark = session.build(pipeline)
                part = PartRebuild(pipeline, ref, wanted, spark)
                rows = part.old_rows(), part.new_rows()
                told[str(ref)] = compare(*rows, identity(pipeline, ref, spark), sample)
    if as_json:
        typer.echo(json.dumps({table: asdict(found) for table, found in told.items()}, indent=2))
        return
    for table, found in told.items():
        _show_changes(table, found)
        if wanted.is_all:
            typer.echo(
                f"the live table is as it was; to swap it in: medallion rebuild {table} --reason "
                f'"…" --yes; to throw it away: medallion rebuild {table} --abandon',
                err=True,
            )


def _show_changes(table: str, found: Comparison) -> None:
    typer.echo(
        f"{table}: {found.changed:,} rows change, {found.added:,} are added, "
        f"{found.removed:,} are removed"
    )
    for row in found.sample:
        which = ", ".join(f"{name}={value}" for name, value in row.identity.items())
        values = ", ".join(f"{name}: {old} -> {new}" for name, (old, new) in row.values.items())
        typer.echo(f"  {row.what}  {which}  {values}")


def _show(plan: Plan, chosen: Sequence[TableRef], *, in_part: bool) -> None:
    from medallion_jobs.observe.events import counted, format_age, format_bytes

    about = ""
    if plan.seconds is not None and not in_part:
        about = f", about {format_age(plan.seconds)} by the last batches"
    reads = "a part of" if in_part else counted(plan.source_rows, "row") + " of"
    replaces = "those rows of it" if in_part else f"its {counted(plan.rows, 'row')}"
    typer.echo(
        f"{plan.table}: reads {reads} {plan.source} ({counted(plan.source_files, 'file')}, "
        f"{format_bytes(plan.source_bytes)}){about}; then replaces {replaces} by one commit"
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
