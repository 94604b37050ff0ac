"""`medallion files`: what became of each file, and files to be read again, without a JVM."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    EnvOption,
    JsonOption,
    SetOption,
    moment,
)
from medallion_jobs.cli.output import Format, print_rows
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from medallion_jobs.autoloader.file_entry import FileEntry
    from medallion_jobs.config import Pipeline
    from medallion_jobs.report.files import Matched

STATES = (
    "DISCOVERED",
    "COMMITTED",
    "QUARANTINED",
    "MISSING",
    "SKIPPED",
    "ARCHIVING",
    "ARCHIVED",
)

app = typer.Typer(invoke_without_command=True)

PathOption = Annotated[
    str | None, typer.Option(help="Only paths with this text, or like it where it has a *.")
]


@app.callback()
def files(
    context: typer.Context,
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    env: EnvOption = None,
    overrides: SetOption = None,
    state: Annotated[
        str | None, typer.Option(help="Only files in this state.", metavar="|".join(STATES))
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only files found since.", metavar="2h|2026-01-31|2026-01-31T12:00"),
    ] = None,
    path: PathOption = None,
    summary: Annotated[bool, typer.Option("--summary", help="Counts by state.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the ledger: every file that was seen, its rows, and what became of it."""
    from medallion_jobs.config import load
    from medallion_jobs.report import files as report

    if context.invoked_subcommand:
        _refuse_options_before(context, context.invoked_subcommand)
        return
    if state and state.upper() not in STATES:
        raise UsageError(f"--state {state}: there is {', '.join(STATES)}")
    pipeline = load(config, env, overrides or ()).pipeline
    wanted = report.Wanted(state, moment(since) if since else None, path)
    form = Format.JSON if as_json else Format.TABLE
    if summary:
        print_rows(report.SUMMARY_COLUMNS, report.summary(pipeline, wanted), form)
    else:
        print_rows(report.COLUMNS, report.files(pipeline, wanted), form)


@app.command()
def retry(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    env: EnvOption = None,
    overrides: SetOption = None,
    state: Annotated[
        str | None,
        typer.Option(help="Only files in this state.", metavar="QUARANTINED|MISSING|SKIPPED"),
    ] = None,
    path: PathOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only show it.")] = False,
) -> None:
    """Have files that gave bronze no row read again by the next run.

    Safe while the query runs: the ledger is only added to, and a running query takes the
    files up with its next batch. Files whose rows are in bronze are never read again.
    """
    from medallion_jobs.config import load
    from medallion_jobs.report import files as report

    _check_retryable(state, report.RETRYABLE)
    pipeline = load(config, env, overrides or ()).pipeline
    matched = report.matched(pipeline, report.Wanted(state, path=path))
    again = [one for one in matched if one.is_retryable]
    left = Counter(_why_left(one) for one in matched if not one.is_retryable)
    if path and left and not again:
        raise UsageError(
            f"--path {path} names no file that can be read again: "
            + ", ".join(f"{count:,} {why}" for why, count in left.items()),
            untouched="the ledger",
        )
    print_rows(
        ("table", "path", "version", "state", "error"),
        [(one.table, one.path, one.version, one.state, one.error) for one in again],
    )
    for why, count in left.items() if path else ():
        typer.echo(f"left alone: {count:,} {why}", err=True)
    if yes:
        _readmit(pipeline, again)
    typer.echo(
        f"{len(again):,} files go to the next batches; next: medallion run"
        if yes
        else f"{len(again):,} files; nothing was changed; add --yes to do it",
        err=True,
    )


def _refuse_options_before(context: typer.Context, command: str) -> None:
    sources = (context.get_parameter_source(name) for name in context.params)
    if any(source and source.name == "COMMANDLINE" for source in sources):
        raise UsageError(f"options go after the command: medallion files {command} …")


def _check_retryable(state: str | None, retryable: Sequence[str]) -> None:
    if state is None or state.upper() in retryable:
        return
    if state.upper() in STATES and state.upper() != "DISCOVERED":
        raise UsageError(
            f"--state {state}: the rows of these files are in bronze, and to read them again "
            "would double them",
            untouched="the ledger",
            next_step=f"there is {', '.join(retryable)}",
        )
    raise UsageError(f"--state {state}: there is {', '.join(retryable)}")


def _why_left(matched: Matched) -> str:
    if not matched.is_newest:
        return "of which a newer version was seen"
    if matched.state == "DISCOVERED":
        return "that waits for its batch already"
    return f"{matched.state}: its rows are in bronze, and to read it again would double them"


def _readmit(pipeline: Pipeline, again: Sequence[Matched]) -> None:
    from medallion_jobs.autoloader.ledger.ledger import Ledger
    from medallion_jobs.lake import paths

    for table in sorted({one.table for one in again}):
        ledger = Ledger(paths.ledger(pipeline, table.removeprefix("bronze.")))
        ledger.retry([_as_it_is(one) for one in again if one.table == table])


def _as_it_is(matched: Matched) -> FileEntry:
    """A file with its size and time of now: it may have been mended since it was listed.

    One that is not there keeps those of the ledger; the batch will find it MISSING.
    """
    from medallion_jobs.autoloader.file_entry import FileEntry, is_local, to_path

    if is_local(matched.path):
        try:
            stat = os.stat(to_path(matched.path))  # noqa: PTH116 (a name need not be UTF-8)
            return FileEntry(stat.st_mtime_ns // 1000, matched.path, stat.st_size, matched.version)
        except FileNotFoundError:
            pass
    modified = matched.modified - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return FileEntry(
        modified // timedelta(microseconds=1), matched.path, matched.size, matched.version
    )
