"""`medallion validate`: checks a config, with Spark."""

from __future__ import annotations

import json

import typer

from medallion_jobs.cli.options import Given, JsonOption, with_config


@with_config
def validate(
    *,
    given: Given,
    as_json: JsonOption = False,
) -> None:
    """Check a config: keys and values, then every SQL expression and column with Spark."""

    # Mistakes in keys and values are reported at once, before a JVM starts.
    loaded = given.loaded

    from medallion_jobs import validation
    from medallion_jobs.engine import session
    from medallion_jobs.lake import paths

    spark = session.build(loaded.pipeline, short=True)
    tables = validation.check(spark, loaded)
    if as_json:
        typer.echo(json.dumps({str(ref): s.jsonValue()["fields"] for ref, s in tables.items()}))
        return
    for ref, schema in tables.items():
        columns = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in schema)
        typer.echo(f"{ref}: {columns}")
    for ref in paths.sources(loaded.pipeline):
        if ref not in tables:
            typer.echo(f"{ref}: not checked: columns are inferred when the first files are read")
    for problem in loaded.unresolved:
        typer.echo(f"a load needs {problem.path}: {problem.what}", err=True)
    typer.echo(f"{given.file} is valid", err=True)
