"""`medallion runs`: what was run, and how it went, without a JVM."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import Given, JsonOption, timestamp, with_config
from medallion_jobs.cli.output import print_rows, print_text, shows_times, time_text

if TYPE_CHECKING:
    from medallion_jobs.runs import Record
    from medallion_jobs.storage import Location

app = typer.Typer(
    help="Show the runs and how they went.", invoke_without_command=True, rich_markup_mode=None
)


@app.callback()
@with_config
@shows_times
def runs(
    context: typer.Context,
    *,
    given: Given,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only those that failed, died or were cut short.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(help="Only those that started since then.", metavar="2d|2026-01-31"),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the runs and how they went, the newest first."""
    if context.invoked_subcommand:
        return
    from medallion_jobs.runs import store

    wanted: list[Record] = []
    for record in store.newest(_state(given), timestamp(since) if since else None):
        if not (failed and record.is_fine):
            wanted.append(record)
        if len(wanted) == limit:
            break
    if as_json:
        typer.echo(json.dumps([one.as_dict() for one in wanted], indent=2, ensure_ascii=False))
        return
    columns = ("run", "command", "outcome", "took", "batches", "rows in", "rows out")
    print_rows(
        (*columns, "quarantined", "held", "tables", "error"),
        [_cells(one) for one in wanted],
        empty="no such run is recorded" if failed or since else "nothing has run yet",
    )


def _cells(record: Record) -> tuple[object, ...]:
    from medallion_jobs.observe.events import format_age

    total = record.total
    return (
        record.run_id,
        record.command,
        record.outcome,
        format_age(record.seconds),
        total.batches,
        total.rows_in,
        total.rows_out,
        total.quarantined,
        total.held,
        len(record.tables) or None,
        record.error_code or None,
    )


@app.command()
@with_config
@shows_times
def show(
    run: Annotated[
        str,
        typer.Argument(help="Its id, or the beginning or end of it; or last.", metavar="RUN"),
    ],
    *,
    given: Given,
    log: Annotated[bool, typer.Option("--log", help="Print its log file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one run: the command, what it did to each table, the error, and the log."""
    from medallion_jobs.runs import store

    state = _state(given)
    record = store.find(state, run)
    if log:
        typer.echo(store.read_log(state, record), nl=False)
    elif as_json:
        typer.echo(json.dumps(record.as_dict(), indent=2, ensure_ascii=False))
    else:
        _print(record)


def _print(record: Record) -> None:
    from medallion_jobs.observe.events import format_age

    versions = (
        f"medallion_jobs {record.version}, Spark {record.spark}, Delta {record.delta}, "
        f"Python {record.python}"
    )
    exit_code = "" if record.exit_code is None else f", exit code {record.exit_code}"
    lines = {
        "run": record.run_id,
        "outcome": record.outcome + exit_code,
        "started": f"{time_text(record.started)}, took {format_age(record.seconds)}",
        "command": record.line,
        "config": f"{record.config}{f' --env {record.env}' if record.env else ''}"
        + (f", digest {record.config_digest}" if record.config_digest else ""),
        "versions": versions,
        "by": f"{record.user} on {record.host}, pid {record.pid}",
        "error": f"{record.error_code}: {record.error}" if record.error_code else "",
        "next": record.next_step,
        "log": record.log,
    }
    for name, text in lines.items():
        if text:
            label, indent = f"{name + ':':<10}", " " * 10
            for place, part in enumerate(text.split("\n")):
                print_text(part, first=indent if place else label, others=indent)
    if record.tables:
        typer.echo("")
        columns = ("table", "outcome", "batches", "files", "rows in", "rows out", "rescued")
        print_rows(
            (*columns, "quarantined", "held", "dropped", "filtered", "repeated", "error"),
            [
                (
                    *(one.table, one.outcome, one.batches, one.files, one.rows_in, one.rows_out),
                    *(one.rescued, one.quarantined, one.held, one.dropped, one.filtered),
                    *(one.repeated, one.error_code or None),
                )
                for one in record.tables
            ],
        )


def _state(given: Given) -> Location:
    """Where the records lie: also of a config with mistakes, as they are records of them."""
    from medallion_jobs.config import ConfigError, outline

    try:
        return given.pipeline.state_path
    except ConfigError:
        root = outline(given.file, given.env, given.overrides).root
        if root is None:
            raise
        return root / "_medallion"
