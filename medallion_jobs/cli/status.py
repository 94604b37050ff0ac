"""`medallion status`: the status of each query, without a JVM."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from medallion_jobs.cli.options import ExcludeOption, Given, JsonOption, SelectOption, with_config
from medallion_jobs.cli.output import print_rows


@with_config
def status(
    *,
    given: Given,
    select: SelectOption = None,
    exclude: ExcludeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show each table's rows, last batch, broken rules, backlog, waiting files and lock."""
    from medallion_jobs.config import Selection
    from medallion_jobs.observe.events import counted, format_age, format_bytes
    from medallion_jobs.report.status import status as statuses

    selected = Selection(select or (), exclude or ()).of(given.pipeline)
    found = statuses(given.pipeline, selected)
    if as_json:
        records = [{**asdict(query), "state": query.state} for query in found]
        typer.echo(json.dumps(records, default=str, indent=2))
        return
    has_messages = any(query.messages is not None for query in found)
    columns = (
        "table",
        "state",
        "rows",
        *(("messages",) if has_messages else ()),
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
                query.table,
                query.state,
                query.rows,
                *((query.messages,) if has_messages else ()),
                f"v{query.generation}" if query.generation else None,
                query.batch,
                query.batch_at,
                None if query.batch_seconds is None else f"{query.batch_seconds:.1f} s",
                query.broken,
                query.behind,
                None
                if query.files_waiting is None
                else f"{query.files_waiting:,} files, {format_bytes(query.bytes_waiting or 0)}",
                None
                if query.oldest_waiting_seconds is None
                else format_age(query.oldest_waiting_seconds),
                f"pid {query.holder['pid']} on {query.holder['host']} since {query.holder['since']}"
                if query.holder
                else None,
            )
            for query in found
        ],
    )
    for query in found:
        if query.files_aside:
            files = counted(query.files_aside, "file")
            typer.echo(
                f"put aside: {query.table}: {files} could not be read, such as "
                f"{query.aside_example}; see: medallion files --state quarantined"
            )
        if query.behind_unknown:
            typer.echo(f"backlog unknown: {query.table}: {query.behind_unknown}")
        if query.rebuild:
            typer.echo(f"rebuild: {query.table}: {query.rebuild}")
        if query.warning:
            typer.echo(f"warning: {query.table}: batch {query.batch}: {query.warning}")
        if query.old_rows:
            parts = ", ".join(query.old_rows)
            typer.echo(
                f"old logic: {query.table}: rows before batch {max(query.old_rows.values())} keep "
                f"an older form of {parts}; see: medallion plan"
            )
        if query.is_orphaned:
            typer.echo(
                f"orphaned: {query.table}: the config does not name it any more; to take it away: "
                f"medallion drop {query.table}"
            )
