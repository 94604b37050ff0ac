"""`medallion schema promote`: values that stand in `_rescued_data` get a column."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import (
    Given,
    JsonOption,
    YesOption,
    duration,
    recorded,
    with_config,
)
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline
    from medallion_jobs.rebuild import Promotion


@with_config
def promote(
    table: Annotated[str, typer.Argument(help="The bronze table.")],
    columns: Annotated[
        list[str],
        typer.Argument(
            help="Paths as in hints, each with its type; without one, as in the config or string.",
            metavar="COLUMN[:TYPE]...",
        ),
    ],
    *,
    given: Given,
    reason: Annotated[
        str, typer.Option(help="The reason; it is kept in the commit and in metrics.rebuilds.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count the rows; so without --yes.")
    ] = False,
    wait: Annotated[
        str, typer.Option(help="How long to wait for a run of the table to end.", metavar="10m")
    ] = "10m",
    as_json: JsonOption = False,
    yes: YesOption = False,
) -> None:
    """Give a table columns for values in `_rescued_data`, in earlier rows too, by one commit.

    A column that is there gets the wanted type, and the values that did not fit the old one.
    No source file is read.
    """
    from medallion_jobs.autoloader.schemas import hints
    from medallion_jobs.config import TableRef
    from medallion_jobs.engine import session
    from medallion_jobs.observe.events import counted
    from medallion_jobs.rebuild import Promotion

    pipeline = given.pipeline
    name = bronze_table(pipeline, table)
    wanted = dict(map(hints.named, columns))
    acts = yes and not dry_run
    if acts and not reason.strip():
        raise UsageError(
            "--reason is missing: give a reason for those who read the history later",
            code="reason_is_empty",
            untouched="nothing was changed",
        )
    patience = duration(wait, "--wait").total_seconds()
    with recorded("schema promote", given, changes=acts) as recorder:
        recorder.config(lambda: given.loaded)
        recorder.covers([TableRef("bronze", name)])
        work = Promotion(pipeline, name, wanted, session.build(pipeline))
        if acts:
            files = work.carry_out(reason, patience=patience)
        else:
            work.check()
        if as_json:
            each = zip(work.columns, work.counts, strict=True)
            told = {one.name: {"type": one.gets.simpleString(), **asdict(n)} for one, n in each}
            typer.echo(json.dumps(told, indent=2))
        else:
            _show(work)
        if acts:
            done = f"{work.ref}: {counted(files, 'data file')} written again, by one commit"
            typer.echo(done, err=True)
        else:
            typer.echo("nothing was changed; add --yes to do it", err=True)


def _show(work: Promotion) -> None:
    from medallion_jobs.observe.events import counted

    for one, n in zip(work.columns, work.counts, strict=True):
        was = "new" if one.has is None else one.has.simpleString()
        gets = one.gets.simpleString()
        typer.echo(f"{work.ref}: {one.name}: {was if was != gets else 'as it is'} -> {gets}")
        typer.echo(f"  {counted(n.filled, 'row')} of {n.rescued:,} get a value from _rescued_data")
        if n.unfit:
            typer.echo(f"  {counted(n.unfit, 'row')}: the text does not fit as a whole, and stays")
        if n.put_back:
            typer.echo(
                f"  {counted(n.put_back, 'row')}: the text in the column does not fit, and goes "
                "into _rescued_data"
            )
        if one.is_retyped and gets == "string":
            typer.echo(f"  values of the column are written as {was} is, not as in the files")
    for reader in work.readers:
        typer.echo(
            f"  {reader} has its rows as they were; to bring them up: medallion rebuild {reader} "
            '--downstream --reason "…"'
        )


def bronze_table(pipeline: Pipeline, table: str | None) -> str:
    """The name of a bronze table of files; None is the only one.

    Raises:
        UsageError: there is no such table, or it has no recorded schemas.
    """
    if table is None and len(pipeline.file_sources) == 1:
        return next(iter(pipeline.file_sources))
    name = (table or "").removeprefix("bronze.")
    if name in pipeline.kafka_sources:
        raise UsageError(
            f"bronze.{name} reads Kafka topics, and has no history of its schema",
            code="no_schema_of_topics",
            next_step="docs/kafka.md lists the columns",
        )
    if name in pipeline.file_sources:
        return name
    known = ", ".join(f"bronze.{name}" for name in pipeline.file_sources)
    if table is None:
        count = len(pipeline.file_sources)
        what = f"pipeline {pipeline.pipeline} has {count or 'no'} bronze tables of files"
        what += ": name one" if count else ""
    else:
        what = f"pipeline {pipeline.pipeline} has no bronze table {table}"
    raise UsageError(what, code="unknown_table", next_step=f"one of: {known}" if known else "")
