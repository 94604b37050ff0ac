"""`medallion run`: the streaming queries of a pipeline, once or continuously."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import ExcludeOption, Given, SelectOption, recorded, with_config
from medallion_jobs.errors import MedallionError, UsageError

if TYPE_CHECKING:
    from medallion_jobs.config import Loaded
    from medallion_jobs.runs import Recorder


class Layers(str, Enum):
    """What to run."""

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"
    ALL = "all"


class Progress(str, Enum):
    """How a run reports its progress."""

    AUTO = "auto"
    LIVE = "live"
    LINES = "lines"
    JSON = "json"


class LogLevel(str, Enum):
    """What Spark logs."""

    FATAL = "fatal"
    ERROR = "error"
    WARN = "warn"
    INFO = "info"


@with_config
def run(
    layer: Annotated[Layers, typer.Argument(help="Which layer.")] = Layers.ALL,
    *,
    given: Given,
    once: Annotated[
        bool, typer.Option("--once", help="Process all available data, then end (the default).")
    ] = False,
    continuous: Annotated[
        bool, typer.Option("--continuous", help="Run until stopped, with a batch at each interval.")
    ] = False,
    interval: Annotated[
        str | None,
        typer.Option(
            help="Time between batches with --continuous; default: trigger.interval.",
            metavar="10s|5m",
        ),
    ] = None,
    progress: Annotated[
        Progress,
        typer.Option(help="auto: live in a terminal, JSON lines on stdout otherwise."),
    ] = Progress.AUTO,
    select: SelectOption = None,
    exclude: ExcludeOption = None,
    log_level: Annotated[
        LogLevel, typer.Option(help="What Spark logs to stderr, besides the progress.")
    ] = LogLevel.FATAL,
) -> None:
    """Run one layer, all layers, or selected tables, in one Spark session.

    A table that fails stops those that read it, and no others.
    """
    if once and continuous:
        raise UsageError(
            "--once and --continuous exclude each other", code="options_exclude_each_other"
        )
    if interval and not continuous:
        raise UsageError("--interval needs --continuous", code="option_needs_another")
    if interval:
        given = replace(given, overrides=(*given.overrides, f"trigger.interval={interval}"))
    default = "live" if sys.stderr.isatty() and sys.stdout.isatty() else "json"
    how = default if progress is Progress.AUTO else progress.value
    chosen = (layer, select or (), exclude or ())
    with recorded("run", given) as recorder:
        try:
            _run(recorder, given, chosen, how, continuous=continuous, log_level=log_level.value)
        except MedallionError as error:
            from medallion_jobs.observe.events import error_as_json

            if how == "json":
                typer.echo(error_as_json(error))
            raise


def _run(
    recorder: Recorder,
    given: Given,
    chosen: tuple[Layers, Sequence[str], Sequence[str]],
    how: str,
    *,
    continuous: bool,
    log_level: str,
) -> None:
    from medallion_jobs.config import LAYERS, Selection

    layer, select, exclude = chosen
    layers = () if layer is Layers.ALL else (layer.value,)
    selection = Selection(select, exclude)

    def loaded() -> Loaded:
        # Sinks that are not loaded need no login.
        loads = selection.loads_sinks(given.pipeline, layers or LAYERS)
        return given.loaded_with_logins if loads else given.loaded

    pipeline = recorder.config(loaded).pipeline

    from medallion_jobs.engine.runner import run as run_streams
    from medallion_jobs.observe.console import shown
    from medallion_jobs.pipeline import streams_of

    streams = streams_of(pipeline, layers, selection)
    seconds = pipeline.trigger.interval.total_seconds() if continuous else None
    with shown(how) as emit:
        run_streams(
            pipeline, streams, emit, continuous=seconds, log_level=log_level, recorder=recorder
        )
