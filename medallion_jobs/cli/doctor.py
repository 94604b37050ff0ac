"""`medallion doctor`: what is wrong with the lake or this machine, without a JVM."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated

import typer

from medallion_jobs.cli.options import Given, JsonOption, with_config
from medallion_jobs.cli.output import print_text


@with_config
def doctor(
    *,
    given: Given,
    fix: Annotated[
        bool, typer.Option("--fix", help="Do what is safe whatever happened, and say what.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Find what keeps a run from starting, lost rows, broken logs, leftovers; exit 1 on errors.

    It takes no lock, and changes nothing without --fix.
    """
    from medallion_jobs import bronze, gold, silver
    from medallion_jobs.observe.events import counted
    from medallion_jobs.report.doctor.examination import examine, repaired
    from medallion_jobs.report.doctor.finding import ERROR

    pipeline = given.pipeline
    streams = [*bronze.streams(pipeline), *silver.streams(pipeline), *gold.streams(pipeline)]
    found = [repaired(one) if fix else one for one in examine(pipeline, streams)]
    if as_json:
        names = ("code", "severity", "where", "what", "fix", "fixed")
        typer.echo(json.dumps([{n: getattr(one, n) for n in names} for one in found], indent=2))
    else:
        for one in found:
            label, indent = f"{one.severity + ':':<9}", " " * 9
            print_text(f"{one.where}: {one.what} [{one.code}]", first=label, others=indent)
            if one.fixed or one.fix:
                print_text(
                    "fixed" if one.fixed else f"next: {one.fix}", first=indent, others=indent
                )
        counts = Counter(one.severity for one in found)
        listed = ", ".join(counted(count, severity) for severity, count in counts.items())
        typer.echo(listed or "nothing is wrong", err=True)
    if any(one.severity == ERROR and not one.fixed for one in found):
        raise typer.Exit(1)
