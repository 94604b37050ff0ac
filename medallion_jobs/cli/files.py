"""`medallion files`: the state of each file, and retries, without a JVM."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import Given, JsonOption, YesOption, timestamp, with_config
from medallion_jobs.cli.output import print_rows, shows_times
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from medallion_jobs.autoloader import FileEntry
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
    str | None, typer.Option(help="Only paths that contain this text, or match it if it has a *.")
]


@app.callback()
@with_config
@shows_times
def files(
    context: typer.Context,
    *,
    given: Given,
    state: Annotated[
        str | None, typer.Option(help="Only files in this state.", metavar="|".join(STATES))
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only files found since then.", metavar="2h|2026-01-31|2026-01-31T12:00"),
    ] = None,
    path: PathOption = None,
    summary: Annotated[bool, typer.Option("--summary", help="Only counts by state.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the ledger: every file that was found, its rows and its state."""
    from medallion_jobs.report import files as report

    if context.invoked_subcommand:
        _refuse_options_before(context, context.invoked_subcommand)
        return
    if state and state.upper() not in STATES:
        raise UsageError(
            f"--state {state} is not one of {', '.join(STATES)}", code="invalid_file_state"
        )
    pipeline = given.pipeline
    wanted = report.Wanted(state, timestamp(since) if since else None, path)
    if summary:
        print_rows(report.SUMMARY_COLUMNS, report.summary(pipeline, wanted), as_json=as_json)
    else:
        found = report.files(pipeline, wanted)
        print_rows(report.COLUMNS, found, as_json=as_json, empty=_no_files(pipeline))


@app.command()
@with_config
def retry(
    *,
    given: Given,
    state: Annotated[
        str | None,
        typer.Option(
            help="Only files in this state.", metavar="QUARANTINED|MISSING|SKIPPED|COMMITTED"
        ),
    ] = None,
    path: PathOption = None,
    yes: YesOption = False,
) -> None:
    """Make the next run read files again that gave no row to bronze.

    These include files that were read and gave nothing but bad records (state COMMITTED): what
    quarantine has of them is superseded by what the next batch finds.

    Safe while the query runs: the ledger is append-only, and a running query reads the files
    with its next batch. Files whose rows are in bronze are never read again.
    """
    from medallion_jobs.observe.events import counted
    from medallion_jobs.report import files as report

    _check_retryable(state, report.RETRYABLE)
    pipeline = given.pipeline
    matched = report.matched(pipeline, report.Wanted(state, path=path))
    retried = [file for file in matched if file.is_retryable]
    skipped = Counter(_skip_reason(file) for file in matched if not file.is_retryable)
    if (path or state) and skipped and not retried:
        option = f"--path {path}" if path else f"--state {state}"
        raise UsageError(
            f"{option} matches no file that can be read again: "
            + ", ".join(f"{count:,} {reason}" for reason, count in skipped.items()),
            code="no_file_to_retry",
            untouched="the ledger",
        )
    print_rows(
        ("table", "path", "version", "state", "error"),
        [(file.table, file.path, file.version, file.state, file.error) for file in retried],
    )
    for reason, count in skipped.items() if path else ():
        typer.echo(f"skipped: {count:,} {reason}", err=True)
    if yes:
        _retry(pipeline, retried)
    typer.echo(
        f"to be read by the next batches: {counted(len(retried), 'file')}; next: medallion run"
        if yes
        else f"{counted(len(retried), 'file')}; nothing was changed; add --yes to do it",
        err=True,
    )


def _no_files(pipeline: Pipeline) -> str:
    from medallion_jobs.config import TableRef
    from medallion_jobs.lake.paths import TablePaths

    ledgers = (TablePaths(pipeline, TableRef("bronze", n)).discovered for n in pipeline.bronze)
    if any(ledger.exists() for ledger in ledgers):
        return "no such file"
    return "bronze has never run, so no file was looked for yet; next: medallion run"


def _refuse_options_before(context: typer.Context, command: str) -> None:
    sources = (context.get_parameter_source(name) for name in context.params)
    if any(source and source.name == "COMMANDLINE" for source in sources):
        raise UsageError(
            f"options come after the command: medallion files {command} …",
            code="options_before_command",
        )


def _check_retryable(state: str | None, retryable: Sequence[str]) -> None:
    if state is None or state.upper() in (*retryable, "COMMITTED"):
        return
    if state.upper() in ("ARCHIVING", "ARCHIVED"):
        raise UsageError(
            f"--state {state}: the records of these files are in bronze or in quarantine, and "
            "the files were moved or deleted",
            code="files_already_loaded",
            untouched="the ledger",
            next_step=f"use one of {', '.join(retryable)}",
        )
    raise UsageError(
        f"--state {state} is not one of {', '.join(retryable)}", code="invalid_file_state"
    )


def _skip_reason(matched: Matched) -> str:
    if not matched.is_newest:
        return "of which a newer version exists"
    if matched.state == "DISCOVERED":
        return "that already waits for its batch"
    if matched.state in ("ARCHIVING", "ARCHIVED"):
        return f"{matched.state}: it was read, and then moved or deleted"
    if matched.rows == 0:
        return f"{matched.state}: it has no records"
    return f"{matched.state}: its rows are in bronze; reading it again would duplicate them"


def _retry(pipeline: Pipeline, retried: Sequence[Matched]) -> None:
    from medallion_jobs.autoloader import Ledger
    from medallion_jobs.config import TableRef
    from medallion_jobs.lake.paths import TablePaths

    for table in sorted({file.table for file in retried}):
        ledger = Ledger(TablePaths(pipeline, TableRef.parse(table)).ledger)
        ledger.retry([_current_entry(file) for file in retried if file.table == table])


def _current_entry(matched: Matched) -> FileEntry:
    """A file with its current size and time: it may have been fixed since it was listed.

    A file that no longer exists keeps those of the ledger; the batch marks it MISSING.
    """
    from medallion_jobs.autoloader import FileEntry, is_local, to_path

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
