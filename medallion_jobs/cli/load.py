"""`medallion load`: loads gold tables into their databases, without a run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import Given, JsonOption, recorded, table_named, with_config
from medallion_jobs.cli.output import print_rows
from medallion_jobs.errors import MedallionError, UsageError

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline, TableRef
    from medallion_jobs.sinks.postgres import Loaded

_COLUMNS = ("table", "sink", "version", "way", "inserted", "removed", "remarks")


@with_config
def load(
    table: Annotated[
        str | None,
        typer.Argument(help="A gold table; default: all that have sinks.", metavar="TABLE"),
    ] = None,
    *,
    given: Given,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Load the whole table, even if this version is loaded already."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Load gold tables into their databases if these lack the newest version.

    A run does this after each batch. This command is for a separate schedule, and for a
    database that was unavailable.
    """
    with recorded("load", given) as recorder:
        _load_and_print(
            recorder.config(lambda: given.loaded_with_logins).pipeline,
            table,
            whole=whole,
            as_json=as_json,
        )


def _load_and_print(pipeline: Pipeline, table: str | None, *, whole: bool, as_json: bool) -> None:
    loaded, errors = _load(pipeline, _chosen(pipeline, table), whole=whole)
    rows = [asdict(result) for result in loaded]
    if as_json:
        print_rows(_COLUMNS, [tuple(row.values()) for row in rows], as_json=True)
    elif rows:
        shown = [(*list(row.values())[:-1], "; ".join(row["remarks"])) for row in rows]
        print_rows(_COLUMNS, shown)
    # Every table is tried, even if another one fails; the first failure sets the exit code.
    for error in errors[1:]:
        typer.echo(f"error: {error}", err=True)
    if errors:
        raise errors[0]


def _chosen(pipeline: Pipeline, table: str | None) -> list[TableRef]:
    from medallion_jobs.config import TableRef

    known = [TableRef("gold", name) for name, gold in pipeline.gold.items() if gold.sinks]
    if not known:
        raise UsageError(
            f"no gold table of pipeline {pipeline.pipeline} has a sink",
            code="no_sink",
            next_step="add a database to `sinks` of the gold table, as in docs/warehouse.md",
        )
    missing = f"pipeline {pipeline.pipeline} has no table {table} with a sink"
    return known if table is None else [table_named(table, known, missing)]


def _load(
    pipeline: Pipeline, refs: list[TableRef], *, whole: bool
) -> tuple[list[Loaded], list[MedallionError]]:
    from medallion_jobs.engine import session
    from medallion_jobs.lake import tables
    from medallion_jobs.lake.paths import TablePaths
    from medallion_jobs.sinks.postgres import Loader

    for ref in refs:
        tables.require(str(ref), TablePaths(pipeline, ref).data)
    loaders = [Loader(pipeline, ref) for ref in refs]
    spark = session.build(pipeline, short=True)
    loaded: list[Loaded] = []
    errors: list[MedallionError] = []
    for loader in loaders:
        try:
            loaded += loader.load(spark, whole=whole)
        except MedallionError as error:
            errors.append(error)
    return loaded, errors
