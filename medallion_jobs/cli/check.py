"""`medallion check`: whether the last runs were fine, as an exit code, without a JVM."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Annotated

import typer

from medallion_jobs.cli.options import (
    ExcludeOption,
    Given,
    JsonOption,
    SelectOption,
    duration,
    with_config,
)
from medallion_jobs.cli.output import print_rows, print_text
from medallion_jobs.errors import UsageError


@with_config
def check(
    *,
    given: Given,
    max_age: Annotated[
        str | None,
        typer.Option(
            help="How long ago a run last ended well for a table, or wrote it.", metavar="26h"
        ),
    ] = None,
    max_quarantine: Annotated[
        str | None,
        typer.Option(
            help="Quarantined rows of the runs in that time (of the last run, without --max-age), "
            "as a share of the rows read, or as a number.",
            metavar="1%|100",
        ),
    ] = None,
    max_held: Annotated[
        int | None, typer.Option(min=0, help="Rows that wait for a dimension's key.")
    ] = None,
    select: SelectOption = None,
    exclude: ExcludeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that the last runs were fine: exit 0 if they were, 1 if not; names what is not."""
    from medallion_jobs.config import Selection
    from medallion_jobs.observe.events import format_age
    from medallion_jobs.report.check import Limits
    from medallion_jobs.report.check import check as checked

    share, rows = _share_or_rows(max_quarantine)
    age = duration(max_age, "--max-age") if max_age else None
    selected = Selection(select or (), exclude or ()).of(given.pipeline)
    found = checked(given.pipeline, Limits(age, share, rows, max_held), selected)
    is_fine = not any(one.problems for one in found)
    if as_json:
        records = [{**asdict(one), "fine": not one.problems} for one in found]
        typer.echo(json.dumps({"fine": is_fine, "tables": records}, indent=2))
    else:
        print_rows(
            ("table", "result", "last run", "age", "read", "quarantined", "held"),
            [
                (
                    one.table,
                    "not fine" if one.problems else "fine",
                    one.last_outcome,
                    None if one.age_seconds is None else format_age(one.age_seconds),
                    *(one.read, one.quarantined, one.held),
                )
                for one in found
            ],
        )
        for one in found:
            for problem in one.problems:
                print_text(f"not fine: {one.table}: {problem}")
    if not is_fine:
        raise typer.Exit(1)


def _share_or_rows(text: str | None) -> tuple[float | None, int | None]:
    """The limit as a share, or else as a number of rows."""
    if text is None:
        return None, None
    if re.fullmatch(r"\d+(\.\d+)?%", text):
        return float(text[:-1]) / 100, None
    if re.fullmatch(r"\d+", text):
        return None, int(text)
    raise UsageError(
        f"--max-quarantine {text} is neither a share such as 1% nor a number of rows such as 100",
        code="invalid_limit",
    )
