"""`medallion generate`: synthetic files for the landing folders, and dimension tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import Given, JsonOption, utc_timestamp, with_config
from medallion_jobs.errors import UsageError
from medallion_jobs.storage import Location, below, is_below

if TYPE_CHECKING:
    from medallion_jobs.generator import FileCounts, Plan, Summary

DEFAULT_FILES = 10


@with_config
def generate(
    *,
    given: Given,
    files: Annotated[
        int | None,
        typer.Option(
            help="Number of files, at most; 0 only seeds the dimensions. "
            f"Default: {DEFAULT_FILES}, or no limit with --duration.",
        ),
    ] = None,
    rows: Annotated[int, typer.Option(help="Events per file.")] = 1000,
    seed: Annotated[
        int | None,
        typer.Option(help="The same seed and --now give the same files. Default: random."),
    ] = None,
    now: Annotated[
        str | None,
        typer.Option(
            help="The time that the events precede, UTC. Default: the current time.",
            metavar="YYYY-MM-DDTHH:MM:SSZ",
        ),
    ] = None,
    customers: Annotated[
        int, typer.Option(help="Number of customers or users; for sales, 15 or more.")
    ] = 15,
    dirty: Annotated[float, typer.Option(help="Share of dirty lines, 0 to 1.")] = 0.0,
    new_column_from: Annotated[
        int | None, typer.Option(help="Number of the first file with a new column.", metavar="N")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Lines per second. Default: as fast as possible.")
    ] = None,
    duration: Annotated[
        str | None, typer.Option(help="How long to run, with --rate.", metavar="30s|5m|2h")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Generate synthetic data: files for the landing folders, and dimension tables."""
    # Imported here, so that other commands do not load pyarrow and delta-rs.
    from medallion_jobs.config import TableRef
    from medallion_jobs.generator import (
        Plan,
        draw_seed,
        feed_for,
        stopping_on_signals,
    )
    from medallion_jobs.generator import generate as write_files
    from medallion_jobs.generator import seed as seed_dimension
    from medallion_jobs.lake.paths import TablePaths
    from medallion_jobs.observe.events import counted

    pipeline = given.pipeline
    feed = feed_for(pipeline.pipeline)
    missing = [table for table in feed.tables if table not in pipeline.file_sources]
    if missing:
        raise UsageError(
            f"{given.file} has no bronze.{missing[0]}, a table that reads generated files",
            code="no_table_to_generate",
            untouched="nothing was written",
            next_step=f"add bronze.{missing[0]} to {given.file}",
        )
    seconds = _seconds(duration)
    plan = Plan(
        seed=draw_seed() if seed is None else seed,
        now=_timestamp(now),
        files=DEFAULT_FILES if files is None and seconds is None else files,
        rows=rows,
        customers=customers,
        dirty=dirty,
        new_column_from=new_column_from,
        rate=rate,
        duration=seconds,
    )
    landing = {table: pipeline.landing_path(table) for table in feed.tables}

    tables = {
        TableRef("silver", dimension.name): dimension
        for dimension in feed.dimensions(plan.customers)
    }
    added = {
        str(table): seed_dimension(TablePaths(pipeline, table).data, dimension)
        for table, dimension in tables.items()
    }
    if added:
        lines = (f"{counted(number, 'row')} added to {name}" for name, number in added.items())
        counts = ", ".join(lines)
        _print(f"dimensions: {counts}")

    with stopping_on_signals() as wait, _progress(plan) as advance:
        summary = write_files(
            feed,
            plan,
            landing=landing,
            summaries=pipeline.landing_root / "_generated",
            on_file=advance,
            wait=wait,
        )
    if as_json:
        typer.echo(summary.to_json(), nl=False)
    _report(summary, landing.values(), given.option)


def _report(summary: Summary, landing: Iterable[Location], config_option: str) -> None:
    from medallion_jobs.observe.events import counted

    totals, plan = summary.totals, summary.plan
    if plan.files == 0:
        _print(f"wrote no files, as asked; next: medallion generate{config_option}")
        return
    late = f", at most {summary.behind_seconds:.2f} s late" if plan.rate else ""
    _print(
        f"seed {plan.seed}, now {plan.now:%Y-%m-%dT%H:%M:%SZ}: "
        f"{summary.rows_per_second:,} rows/s{late}"
    )
    if summary.numbers < plan.file_count:
        reason = "stopped as asked" if summary.stopped else "could not keep up with --rate"
        _print(f"{reason} after {summary.numbers} of {plan.file_count} files")
    if totals["already_there"]:
        there = counted(totals["already_there"], "file")
        _print(f"{there} already existed; left alone")
    written = [file for file in summary.files if not file.already_there]
    lines = sum(file.lines for file in written)
    spoiled = lines - sum(file.counts["clean"] for file in written)
    folders = ", ".join(str(_short(folder)) for folder in landing)
    _print(
        f"wrote {counted(len(written), 'file')}, {counted(lines, 'line')} "
        f"({spoiled:,} dirty) to {folders}; "
        f"next: medallion run{config_option}"
    )


@contextmanager
def _progress(plan: Plan) -> Iterator[Callable[[FileCounts], None]]:
    """A progress bar over the files on stderr, in a terminal only."""
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    with bar:
        task = bar.add_task("generating", total=plan.file_count)
        # A file of events may come with files of dimensions.
        yield lambda file: bar.update(task, completed=file.number)


def _print(line: str) -> None:
    typer.echo(line, err=True)


def _short(path: Location) -> object:
    folder = Path.cwd()
    return below(path, folder) if is_below(path, folder) else path


def _timestamp(text: str | None) -> datetime:
    if text is None:
        return datetime.now(timezone.utc).replace(microsecond=0)
    try:
        return utc_timestamp(text)
    except ValueError as error:
        raise UsageError(
            f"--now {text} is not a timestamp such as 2026-01-31T12:00:00Z",
            code="invalid_timestamp",
            untouched="nothing was written",
        ) from error


def _seconds(text: str | None) -> float | None:
    from medallion_jobs.config.units import parse_time

    try:
        return None if text is None else parse_time(text).total_seconds()
    except ValueError as error:
        raise UsageError(
            f"--duration {text} is not a duration such as 30s, 5m or 2h",
            code="invalid_duration",
            untouched="nothing was written",
        ) from error
