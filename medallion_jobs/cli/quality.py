"""`medallion quality`: what the rules of tables have said, without a JVM."""

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


def quality(
    table: Annotated[
        str | None, typer.Argument(help="As silver.NAME; unset, all tables that have rules.")
    ] = None,
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    env: EnvOption = None,
    overrides: SetOption = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only batches written since.", metavar="2h|2026-01-31|2026-01-31T12:00"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show each rule of a table: rows judged, rows that broke it, and when last."""
    from medallion_jobs.config import load  # noqa: PLC0415
    from medallion_jobs.report import quality as report  # noqa: PLC0415

    moment = _moment(since) if since else None
    rows = report.quality(load(config, env, overrides or ()).pipeline, table, moment)
    if as_json:
        print_rows(report.COLUMNS, rows, Format.JSON)
        return
    columns = ("table", "rule", "check", "otherwise", "batches", "rows", "broken", "share")
    print_rows(
        (*columns, "last batch", "last broken"),
        [(*row[:7], _percent(row[7]), *row[8:]) for row in rows],
    )


def _percent(share: object) -> str | None:
    return f"{share:.2%}" if isinstance(share, float) else None


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
