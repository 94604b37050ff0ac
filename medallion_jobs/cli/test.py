"""`medallion test`: cases of rows that go in, and of the rows that must come out."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import Given, with_config

if TYPE_CHECKING:
    from medallion_jobs.testing.cases.running import Result

_NO_TERMINAL = 10_000


@with_config
def test(
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files of cases, or folders; unset, `tests` beside the config.",
            metavar="FILE|FOLDER",
        ),
    ] = None,
    *,
    given: Given,
    wanted: Annotated[
        list[str] | None,
        typer.Option(
            "-k",
            help="Only cases with this in their name, or that match it; repeatable.",
            metavar="TEXT",
        ),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Write what came into the cases that differ.")
    ] = False,
    from_run: Annotated[
        str | None,
        typer.Option(help="Make a case of rows that this run wrote.", metavar="RUN_ID"),
    ] = None,
    rows: Annotated[
        int, typer.Option(help="With --from-run: the most rows of each table.", min=1, metavar="N")
    ] = 20,
) -> None:
    """Run the cases of a pipeline: given rows, and the rows that its tables must then have.

    Each case has a lake of its own in a temporary folder; all share one Spark session. Exit
    codes: 0 all are right, 1 a case differs, 2 a file of cases or a config has mistakes.
    """
    from medallion_jobs.testing.cases import discovery, files, running, updating

    if from_run is not None:
        _of_run(given, from_run, rows, places)
        return
    found = discovery.in_places(places or [_folder(given)])
    cases = files.read(found, env=given.env, overrides=given.overrides, wanted=wanted or ())
    results: list[Result] = []
    last = None
    for case in cases:
        if case.file != last:
            typer.echo(str(case.file))
            last = case.file
        result = running.run(case)
        results.append(result)
        _print(result)
    _sum_up(results)
    if update:
        for file in updating.update(results):
            typer.echo(f"written: {file}")
    elif not all(result.is_ok for result in results):
        raise typer.Exit(1)


def _folder(given: Given) -> Path:
    beside = given.file.parent / "tests"
    return beside if beside.is_dir() else Path("tests")


def _print(result: Result) -> None:
    from medallion_jobs.testing.cases.report import lines

    mark = "ok  " if result.is_ok else typer.style("FAIL", fg=typer.colors.RED)
    typer.echo(f"  {mark}  {result.case.name}  ({result.seconds:.1f} s)")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _NO_TERMINAL
    for line in lines(result, width - 8):
        typer.echo(f"        {line}")


def _sum_up(results: list[Result]) -> None:
    from medallion_jobs.errors import UsageError

    if not results:
        raise UsageError(
            "no case has such a name",
            code="no_cases",
            untouched="nothing was run",
            next_step="without -k, all cases run",
        )
    failed = sum(not result.is_ok for result in results)
    seconds = sum(result.seconds for result in results)
    cases = "1 case" if len(results) == 1 else f"{len(results)} cases"
    typer.echo(f"{cases}: {len(results) - failed} ok, {failed} failed, in {seconds:.1f} s")


def _of_run(given: Given, run_id: str, rows: int, places: list[Path] | None) -> None:
    """Writes a file with one case of a run, and fills in what its rows come to."""
    from medallion_jobs.testing.cases import files, recorded, running, updating

    place = places[0] if places else given.file.parent / "tests"
    file = place if place.suffix else place / f"run_{run_id}.yaml"
    recorded.write(given.pipeline, given.file, run_id, rows, file)
    (case,) = files.read([file], env=given.env, overrides=given.overrides)
    result = running.run(case)
    updating.update([result])
    _print(result)
    typer.echo(f"written: {file}")
    if result.error:
        raise typer.Exit(1)
