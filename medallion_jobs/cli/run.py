"""`medallion run`: the streaming queries of a pipeline, once or continuously."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import ExcludeOption, Given, SelectOption, recorded, with_config
from medallion_jobs.errors import MedallionError, UsageError

if TYPE_CHECKING:
    from medallion_jobs.config import Loaded, Pipeline, Selection
    from medallion_jobs.engine.stream import Stream
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
    from medallion_jobs.config import Selection

    layer, select, exclude = chosen
    selection = Selection(select, exclude)
    pipeline = recorder.config(lambda: _loaded(given, layer, selection)).pipeline

    from medallion_jobs.engine.runner import run as run_streams
    from medallion_jobs.observe.console import shown

    streams = _streams(pipeline, layer, selection)
    seconds = pipeline.trigger.interval.total_seconds() if continuous else None
    with shown(how) as emit:
        run_streams(
            pipeline, streams, emit, continuous=seconds, log_level=log_level, recorder=recorder
        )


def _loaded(given: Given, layer: Layers, selection: Selection) -> Loaded:
    """The config; of sinks that are loaded, with their logins."""
    has_sinks = layer in (Layers.GOLD, Layers.ALL) and (
        not selection or any(table.layer == "gold" for table in selection.of(given.pipeline))
    )
    return given.loaded_with_logins if has_sinks else given.loaded


def _streams(pipeline: Pipeline, layer: Layers, selection: Selection) -> list[Stream]:
    from medallion_jobs import bronze, gold, silver

    jobs: dict[str, Callable[[Pipeline], Sequence[Stream]]] = {
        "bronze": bronze.streams,
        "silver": silver.streams,
        "gold": gold.streams,
    }
    wanted = list(jobs) if layer is Layers.ALL else [layer.value]
    selected = selection.of(pipeline)
    streams: list[Stream] = [
        stream for name in wanted for stream in jobs[name](pipeline) if stream.claim.ref in selected
    ]
    if not streams:
        which = "table" if layer is Layers.ALL else f"{layer.value} table"
        among = " among the selected ones" if selection else ""
        raise UsageError(
            f"pipeline {pipeline.pipeline} has no {which}{among}", code="layer_is_empty"
        )
    return streams
