"""`medallion quality`: the results of the tables' rules, without a JVM."""

from __future__ import annotations

from typing import Annotated

import typer

from medallion_jobs.cli.options import Given, JsonOption, timestamp, with_config
from medallion_jobs.cli.output import print_rows, shows_times


@with_config
@shows_times
def quality(
    table: Annotated[
        str | None, typer.Argument(help="As silver.NAME; default: all tables that have rules.")
    ] = None,
    *,
    given: Given,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only batches written since then.", metavar="2h|2026-01-31|2026-01-31T12:00"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show for each rule: rows checked, rows that broke it, and when it last broke."""
    from medallion_jobs.report import quality as report

    begin = timestamp(since) if since else None
    rows = report.quality(given.pipeline, table, begin)
    if as_json:
        print_rows(report.COLUMNS, rows, as_json=True)
        return
    columns = ("table", "rule", "check", "otherwise", "batches", "rows", "broken", "share")
    print_rows(
        (*columns, "last batch", "last broken"),
        [(*row[:7], _percent(row[7]), *row[8:]) for row in rows],
    )


def _percent(share: object) -> str | None:
    return f"{share:.2%}" if isinstance(share, float) else None
