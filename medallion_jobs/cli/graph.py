"""`medallion graph`: a pipeline drawn from its config, without a JVM."""

from __future__ import annotations

from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import Given, OutOption, with_config
from medallion_jobs.cli.output import opened

if TYPE_CHECKING:
    from medallion_jobs.report.graph import Graph


class Form(str, Enum):
    """The format of a drawing."""

    MERMAID = "mermaid"
    SVG = "svg"
    HTML = "html"


@with_config
def graph(
    *,
    given: Given,
    form: Annotated[
        Form | None,
        typer.Option(
            "--format", "-f", help="The format; default: by the suffix of --out, else mermaid."
        ),
    ] = None,
    out: OutOption = None,
    live: Annotated[
        bool, typer.Option("--live", help="Add each table's rows, version and last write.")
    ] = False,
) -> None:
    """Draw folders, tables, lookups and sinks, from the config alone."""
    from medallion_jobs.report import graph as report

    pipeline = given.pipeline
    drawn = report.graph(pipeline)
    if live:
        from medallion_jobs.report import graph_facts as lake

        drawn = lake.live(pipeline, drawn)
    text = _drawing(drawn, form or _form_of(out), live=live)
    with opened(out) as sink:
        sink.write(text.encode())


def _form_of(out: Path | None) -> Form:
    ending = out.suffix.lower() if out else ""
    return {".svg": Form.SVG, ".html": Form.HTML, ".htm": Form.HTML}.get(ending, Form.MERMAID)


def _drawing(drawn: Graph, form: Form, *, live: bool) -> str:
    if form is Form.MERMAID:
        from medallion_jobs.report.drawing.mermaid import mermaid

        return mermaid(drawn)
    if form is Form.SVG:
        from medallion_jobs.report.drawing.svg import svg

        return svg(drawn)
    from medallion_jobs.report.drawing.page import page

    return page(drawn, subtitle=_subtitle(drawn, live=live))


def _subtitle(drawn: Graph, *, live: bool) -> str:
    tables = sum(node.table is not None and not node.outside for node in drawn.nodes)
    count = "1 table" if tables == 1 else f"{tables} tables"
    if not live:
        return f"{count}, as configured"
    now = datetime.now(timezone.utc)
    return f"{count}, as they were at {now:%Y-%m-%d %H:%M} UTC"
