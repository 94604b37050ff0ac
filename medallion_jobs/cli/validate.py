"""`medallion validate`: checks a config against the lake, then with Spark."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import Given, JsonOption, with_config
from medallion_jobs.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql.types import StructType

    from medallion_jobs.config import TableRef
    from medallion_jobs.plan import Plan

# The check with Spark lists these as mistakes, each with its line.
_MISTAKES = ("dimension_missing", "dimension_column_missing", "no_landing_folder")


@with_config
def validate(
    *,
    given: Given,
    config_only: Annotated[
        bool,
        typer.Option(
            "--config-only",
            help="Check the config alone: look at no files, and take it that tables of other "
            "pipelines exist.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a config: keys and values, what a run would refuse, then every SQL expression.

    Columns that are inferred are inferred from the files, as a first run would; nothing is
    written.
    """

    # Mistakes in keys and values are reported at once, before a JVM starts.
    loaded = given.loaded

    from medallion_jobs import validation
    from medallion_jobs.engine import session
    from medallion_jobs.lake import paths
    from medallion_jobs.plan import plan, refusals
    from medallion_jobs.report import saved_queries

    refused = _refused(plan(loaded.pipeline))
    if sys.stderr.isatty():
        typer.echo(
            "checking columns and SQL with Spark; it takes some ten seconds to start", err=True
        )
    spark = session.build(loaded.pipeline, short=True)
    again = given.typed("validate") + (" --config-only" if config_only else "")
    next_step = f"fix them, then: {again}"
    tables = validation.check(spark, loaded, config_only=config_only, next_step=next_step)
    saved_queries.check(loaded, {ref: s.json() for ref, s in tables.items()}, next_step)
    # What only Spark knows: the types of expressions.
    late = list(refusals.by_types(loaded.pipeline, tables))
    for error in late:
        typer.echo(f"a run would be refused: {error}", err=True)
    if as_json:
        typer.echo(json.dumps({str(ref): s.jsonValue()["fields"] for ref, s in tables.items()}))
    else:
        _print(tables, paths.sources(loaded.pipeline), config_only=config_only)
        for problem in loaded.unresolved:
            typer.echo(f"a load needs {problem.path}: {problem.what}", err=True)
    if refused or late:
        raise Refused(
            f"{given.file} has no mistake in itself, but a run of it would be refused; the "
            "reasons are above",
            code="run_would_be_refused",
            untouched="nothing was started or written",
            next_step=f"change the config, or what is there: `{given.typed('plan')}` shows all "
            "tables, and the commands",
        )
    if not as_json:
        typer.echo(f"{given.file} is valid", err=True)


def _refused(found: Plan) -> bool:
    """Prints why a run would be refused, before a JVM starts; returns whether it would."""
    # Without a lake, such as where a config is only checked, tables of others may be missing.
    start = "a first run needs" if found.is_first else "a run would be refused"
    refusals = [
        (table.table, refusal)
        for table in found.tables
        for refusal in table.refusals
        if refusal.code not in _MISTAKES
    ]
    for table, refusal in refusals:
        typer.echo(f"{start}: {table}: {refusal.what}", err=True)
        typer.echo(f"  next: {refusal.next_step}", err=True)
    return bool(refusals) and not found.is_first


def _print(
    tables: Mapping[TableRef, StructType], all_tables: Iterable[TableRef], *, config_only: bool
) -> None:
    for ref, schema in tables.items():
        columns = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in schema)
        typer.echo(f"{ref}: {columns}")
    why = "" if config_only else ", and there are no files yet"
    for ref in all_tables:
        if ref in tables:
            continue
        if ref.layer == "bronze":
            typer.echo(f"{ref}: not checked: columns are inferred from files{why}")
        else:
            typer.echo(f"{ref}: SQL parsed, but not checked: columns that it reads are not known")
