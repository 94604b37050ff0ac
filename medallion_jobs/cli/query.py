"""`medallion query`: SQL over the tables, by DuckDB, without a JVM."""

from __future__ import annotations

from typing import Annotated

import typer

from medallion_jobs.cli.options import DEFAULT_CONFIG, ConfigOption, EnvOption, SetOption
from medallion_jobs.cli.output import Format, print_rows


def query(
    sql: Annotated[str, typer.Argument(help="Such as: SELECT * FROM gold.sales_by_region_day")],
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    env: EnvOption = None,
    overrides: SetOption = None,
    form: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Run SQL over bronze.*, silver.*, gold.*, ledger.* and quarantine.*."""
    from medallion_jobs.config import load  # noqa: PLC0415
    from medallion_jobs.report.query import run  # noqa: PLC0415

    columns, rows = run(load(config, env, overrides or ()).pipeline, sql)
    print_rows(columns, rows, Format.JSON if as_json else form)
