"""`medallion plan`: what a run would do with a changed config, without a JVM."""

from __future__ import annotations

from dataclasses import asdict

import typer

from medallion_jobs.cli.options import ExcludeOption, Given, JsonOption, SelectOption, with_config
from medallion_jobs.cli.output import terminal_width

_COLOURS = {
    "refused": typer.colors.RED,
    "old": typer.colors.RED,
    "new": typer.colors.GREEN,
    "command": typer.colors.CYAN,
}


@with_config
def plan(
    *,
    given: Given,
    select: SelectOption = None,
    exclude: ExcludeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a run would do with the tables after a change of the config.

    Exit codes: 0 nothing else to do, 1 rows or tables stay as an older config made them, 2 a run
    would be refused.
    """
    from medallion_jobs.config import Selection
    from medallion_jobs.masking import masked, masked_json
    from medallion_jobs.plan import plan as planned
    from medallion_jobs.plan.text import lines

    selection = Selection(select or (), exclude or ())
    found = planned(given.pipeline)
    if selection:
        found = found.only(selection.of(given.pipeline))
    if as_json:
        typer.echo(masked_json({**asdict(found), "exit_code": found.exit_code}, indent=2))
    else:
        for line in lines(found, terminal_width(), _painted):
            typer.echo(masked(line))
    raise typer.Exit(found.exit_code)


def _painted(text: str, kind: str) -> str:
    if kind == "name":
        return typer.style(text, bold=True)
    colour = _COLOURS.get(kind, None if kind in ("unchanged", "added") else typer.colors.YELLOW)
    return typer.style(text, fg=colour) if colour else text
