"""`medallion validate`: checks a config against the lake, then with Spark."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from medallion_jobs.cli.options import Given, JsonOption, with_config
from medallion_jobs.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql.types import StructType

    from medallion_jobs.config import TableRef
    from medallion_jobs.plan import Plan


@with_config
def validate(
    *,
    given: Given,
    as_json: JsonOption = False,
) -> None:
    """Check a config: keys and values, what a run would refuse, then every SQL expression."""

    # Mistakes in keys and values are reported at once, before a JVM starts.
    loaded = given.loaded

    from medallion_jobs import validation
    from medallion_jobs.engine import session
    from medallion_jobs.lake import paths
    from medallion_jobs.plan import plan, refusals

    refused = _refused(plan(loaded.pipeline))
    spark = session.build(loaded.pipeline, short=True)
    tables = validation.check(spark, loaded)
    # What only Spark knows: the types of expressions.
    late = list(refusals.by_types(loaded.pipeline, tables))
    for error in late:
        typer.echo(f"a run would be refused: {error}", err=True)
    if as_json:
        typer.echo(json.dumps({str(ref): s.jsonValue()["fields"] for ref, s in tables.items()}))
    else:
        _print(tables, paths.sources(loaded.pipeline))
        for problem in loaded.unresolved:
            typer.echo(f"a load needs {problem.path}: {problem.what}", err=True)
    if refused or late:
        raise Refused(
            f"{given.file} has no mistake in itself, but a run of it would be refused; the "
            "reasons are above",
            code="run_would_be_refused",
            untouched="nothing was started or written",
            next_step="change the config, or what is there: `medallion plan` shows all tables, "
            "and the commands",
        )
    if not as_json:
        typer.echo(f"{given.file} is valid", err=True)


def _refused(found: Plan) -> bool:
    """Prints why a run would be refused, before a JVM starts; returns whether it would."""
    # Without a lake, such as where a config is only checked, tables of others may be missing.
    start = "a first run needs" if found.is_first else "a run would be refused"
    for table in found.tables:
        for refusal in table.refusals:
            typer.echo(f"{start}: {table.table}: {refusal.what}", err=True)
            typer.echo(f"  next: {refusal.next_step}", err=True)
    return not found.is_first and any(table.refusals for table in found.tables)


def _print(tables: Mapping[TableRef, StructType], all_tables: Iterable[TableRef]) -> None:
    for ref, schema in tables.items():
        columns = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in schema)
        typer.echo(f"{ref}: {columns}")
    for ref in all_tables:
        if ref not in tables:
            typer.echo(f"{ref}: not checked: columns are inferred when the first files are read")
