"""`medallion status`: the status of each query, without a JVM."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import typer

from medallion_jobs.cli.options import ExcludeOption, Given, JsonOption, SelectOption, with_config
from medallion_jobs.cli.output import print_rows, print_text, shows_times, time_text

if TYPE_CHECKING:
    from medallion_jobs.report.status import Status


@with_config
@shows_times
def status(
    *,
    given: Given,
    select: SelectOption = None,
    exclude: ExcludeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show each table's rows, last batch and run, broken and quarantined rows, backlog and lock."""
    from medallion_jobs.config import Selection
    from medallion_jobs.observe.events import counted, format_age
    from medallion_jobs.report.status import status as statuses

    selection = Selection(select or (), exclude or ())
    # Orphaned tables are in no selection.
    found = statuses(given.pipeline, selection.of(given.pipeline) if selection else None)
    if as_json:
        records = [{**asdict(query), "state": query.state} for query in found]
        typer.echo(json.dumps(records, default=str, indent=2))
        return
    has_messages = any(query.messages is not None for query in found)
    has_held = any(query.held_rows is not None for query in found)
    columns = (
        "table",
        "state",
        "rows",
        *(("messages",) if has_messages else ()),
        "generation",
        "batch",
        "written",
        "age",
        "took",
        "last run",
        "broken",
        "quarantined",
        *(("held",) if has_held else ()),
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
                None if query.age_seconds is None else format_age(query.age_seconds),
                None if query.batch_seconds is None else f"{query.batch_seconds:.1f} s",
                _last_run(query),
                query.broken,
                query.quarantined_rows,
                *((query.held_rows,) if has_held else ()),
                query.behind,
                _waiting(query),
                None
                if query.oldest_waiting_seconds is None
                else format_age(query.oldest_waiting_seconds),
                f"pid {query.holder['pid']} on {query.holder['host']} since "
                f"{time_text(str(query.holder['since']))}"
                if query.holder
                else None,
            )
            for query in found
        ],
    )
    for line in dict.fromkeys(filter(None, (_failed_run(query, found) for query in found))):
        print_text(line)
    for query in found:
        if query.files_aside:
            files = counted(query.files_aside, "file")
            print_text(
                f"put aside: {query.table}: {files} could not be read, such as "
                f"{query.aside_example}; see: medallion files --state quarantined"
            )
        if query.behind_unknown:
            print_text(f"backlog unknown: {query.table}: {query.behind_unknown}")
        if query.rebuild:
            print_text(f"rebuild: {query.table}: {query.rebuild}")
        if query.warning:
            print_text(f"warning: {query.table}: batch {query.batch}: {query.warning}")
        if query.old_rows:
            parts = ", ".join(query.old_rows)
            print_text(
                f"old logic: {query.table}: rows before batch {max(query.old_rows.values())} keep "
                f"an older form of {parts}; see: medallion plan"
            )
        if query.is_orphaned:
            print_text(
                f"orphaned: {query.table}: the config does not name it any more; to take it away: "
                f"medallion drop {query.table}"
            )


def _waiting(query: Status) -> str | None:
    from medallion_jobs.observe.events import counted, format_bytes

    if query.files_waiting is None:
        return None
    return f"{counted(query.files_waiting, 'file')}, {format_bytes(query.bytes_waiting or 0)}"


def _failed_run(query: Status, found: Sequence[Status]) -> str | None:
    """The error of its newest run, with all tables that it ended; None if there was none."""
    if not query.last_code:
        return None

    def ended(one: Status) -> tuple[object, ...]:
        return one.last_run, one.last_outcome, one.last_error

    tables = ", ".join(one.table for one in found if ended(one) == ended(query))
    error = (query.last_error or "").strip().partition("\n")[0]
    return (
        f"last run: {tables}: {_last_run(query)}: {error}; "
        f"see: medallion runs show {query.last_run}"
    )


def _last_run(query: Status) -> str | None:
    """How its newest run ended, such as `failed 3 h ago: batch_failed`."""
    from medallion_jobs.observe.events import format_age

    if query.last_outcome in (None, "running") or query.last_at is None:
        return query.last_outcome
    ago = format_age((datetime.now(timezone.utc) - query.last_at).total_seconds())
    return f"{query.last_outcome} {ago} ago" + (f": {query.last_code}" if query.last_code else "")
