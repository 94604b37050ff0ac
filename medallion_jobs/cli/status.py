"""`medallion status`: how each query stands, without a JVM."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from medallion_jobs.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    EnvOption,
    JsonOption,
    SetOption,
)
from medallion_jobs.cli.output import print_rows


def status(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    env: EnvOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show each table's rows, last batch, broken rules, backlog, waiting files and lock."""
    from medallion_jobs.config import load
    from medallion_jobs.observe.events import format_age, format_bytes
    from medallion_jobs.report.status import status as statuses

    found = statuses(load(config, env, overrides or ()).pipeline)
    if as_json:
        records = [{**asdict(one), "state": one.state} for one in found]
        typer.echo(json.dumps(records, default=str, indent=2))
        return
    columns = (
        "table",
        "state",
        "rows",
        "generation",
        "batch",
        "written",
        "took",
        "broken",
        "backlog",
        "waiting",
        "oldest",
        "held by",
    )
    print_rows(
        columns,
        [
            (
                one.table,
                one.state,
                one.rows,
                f"v{one.generation}" if one.generation else None,
                one.batch,
                one.batch_at,
                None if one.batch_seconds is None else f"{one.batch_seconds:.1f} s",
                one.broken,
                one.behind,
                None
                if one.files_waiting is None
                else f"{one.files_waiting:,} files, {format_bytes(one.bytes_waiting or 0)}",
                None
                if one.oldest_waiting_seconds is None
                else format_age(one.oldest_waiting_seconds),
                f"pid {one.holder['pid']} on {one.holder['host']} since {one.holder['since']}"
                if one.holder
                else None,
            )
            for one in found
        ],
    )
    for one in found:
        if one.warning:
            typer.echo(f"warning: {one.table}: batch {one.batch}: {one.warning}")
