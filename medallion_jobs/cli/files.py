"""`medallion files`: what became of each file, without a JVM."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Annotated

import typer

from medallion_jobs.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    EnvOption,
    JsonOption,
    SetOption,
)
from medallion_jobs.cli.output import Format, print_rows
from medallion_jobs.errors import UsageError

STATES = ("DISCOVERED", "COMMITTED", "QUARANTINED", "MISSING", "SKIPPED")


def files(
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
    path: Annotated[
        str | None, typer.Option(help="Only paths with this text, or like it where it has a *.")
    ] = None,
    summary: Annotated[bool, typer.Option("--summary", help="Counts by state.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the ledger: every file that was seen, its rows, and what became of it."""
    from medallion_jobs.config import load  # noqa: PLC0415
    from medallion_jobs.report import files as report  # noqa: PLC0415

    if state and state.upper() not in STATES:
        raise UsageError(f"--state {state}: there is {', '.join(STATES)}")
    pipeline = load(config, env, overrides or ()).pipeline
    wanted = report.Wanted(state, _moment(since) if since else None, path)
    form = Format.JSON if as_json else Format.TABLE
    if summary:
        print_rows(report.SUMMARY_COLUMNS, report.summary(pipeline, wanted), form)
    else:
        print_rows(report.COLUMNS, report.files(pipeline, wanted), form)


def _moment(text: str) -> datetime:
    from medallion_jobs.config.units import parse_time  # noqa: PLC0415

    try:
        span: timedelta | None = parse_time(text)
    except ValueError:
        span = None
    if span is not None:
        return datetime.now(timezone.utc) - span
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise UsageError(f"--since {text} is neither a time such as 2h nor a moment") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
