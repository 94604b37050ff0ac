"""`medallion config`: the effective values, what set them, and the schema for editors."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from medallion_jobs.cli.options import Given, JsonOption, with_config
from medallion_jobs.cli.output import print_text
from medallion_jobs.config import Setting, json_schema
from medallion_jobs.config.reference import markdown_tables
from medallion_jobs.config.secrecy import on_one_line

app = typer.Typer(no_args_is_help=True, help="Show the config and its JSON Schema.")


@app.command()
@with_config
def show(
    given: Given,
    origin: Annotated[
        bool, typer.Option("--origin", help="Also print which layer set each value.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print each effective value by its dotted path; placeholders stay unresolved."""
    settings = given.loaded.settings
    if as_json:
        _print_json(settings, origin)
    elif sys.stdout.isatty():
        _print_lines(settings, origin)
    else:
        _print_aligned(settings, origin)


@app.command()
def schema(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the keys as Markdown tables instead.")
    ] = False,
) -> None:
    """Print the JSON Schema of a pipeline file; conf/pipeline.schema.json is this output."""
    if markdown:
        typer.echo(markdown_tables(), nl=False)
    else:
        typer.echo(json.dumps(json_schema(), indent=2))


def _rows(settings: tuple[Setting, ...], origin: bool) -> list[tuple[str, ...]]:
    # The value comes last: it may be long, and no column has to be aligned after it.
    return [
        (
            setting.path,
            *([str(setting.origin)] if origin else []),
            on_one_line(setting.value, at_most=None),
        )
        for setting in settings
    ]


def _print_json(settings: tuple[Setting, ...], origin: bool) -> None:
    values = {
        setting.path: {"value": setting.value, "origin": str(setting.origin)}
        if origin
        else setting.value
        for setting in settings
    }
    typer.echo(json.dumps(values, indent=2))


def _print_aligned(settings: tuple[Setting, ...], origin: bool) -> None:
    rows = _rows(settings, origin)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def _print_lines(settings: tuple[Setting, ...], origin: bool) -> None:
    for key, *layer, value in _rows(settings, origin):
        set_by = f"  ({layer[0]})" if layer else ""
        print_text(f"{key}: {value}{set_by}")
