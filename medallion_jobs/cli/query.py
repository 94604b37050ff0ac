"""`medallion query`: SQL over the tables with DuckDB, without a JVM."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from enum import Enum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from medallion_jobs.cli.options import Given, OutOption, timestamp, with_config
from medallion_jobs.cli.output import opened, print_rows, shows_times
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline
    from medallion_jobs.report.query import Answer
    from medallion_jobs.report.time_travel import TimeTravel

_ROWS_OF_TABLE = 1_000


class Form(str, Enum):
    """The output format."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    ARROW = "arrow"


@with_config
@shows_times
def query(
    sql: Annotated[
        str | None, typer.Argument(help="Such as: SELECT * FROM gold.sales_by_region_day")
    ] = None,
    *,
    given: Given,
    saved: Annotated[
        str | None,
        typer.Option("--saved", "-s", help="Run a query from the config.", metavar="NAME"),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the config's queries.")] = False,
    form: Annotated[
        Form | None,
        typer.Option(
            "--format", "-f", help="The format; default: by the suffix of --out, else table."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    out: OutOption = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help=f"Maximum number of rows; default: all, {_ROWS_OF_TABLE:,} in a table.",
        ),
    ] = None,
    version: Annotated[
        list[str] | None,
        typer.Option(help="Read an older version; repeatable.", metavar="[TABLE=]N"),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(help="Read all tables as of a timestamp, or a duration ago.", metavar="TIME"),
    ] = None,
) -> None:
    """Run SQL over bronze.*, silver.*, gold.*, ledger.* and quarantine.*."""
    if [sql is not None, saved is not None, listed].count(True) != 1:
        raise typer.BadParameter("give one of: SQL, --saved NAME, --list")

    form = Form.JSON if as_json else form or _form_of(out)
    pipeline = given.pipeline
    if listed:
        _list(pipeline, form)
        return
    from medallion_jobs.report import query as report

    text = report.saved(pipeline, saved).sql if saved is not None else sql or ""
    time_travel = _time_travel(version or (), as_of)
    if out is None and form in (Form.PARQUET, Form.ARROW) and sys.stdout.isatty():
        raise UsageError(
            f"{form.value} cannot be written to a terminal",
            code="format_not_for_terminal",
            untouched="nothing was read",
            next_step="give --out FILE, or redirect the output with > or |",
        )
    with report.answer_to(pipeline, text, time_travel) as answer:
        for table, number in answer.versions.items():
            typer.echo(f"{table} at version {number}", err=True)
        for name in answer.orphaned:
            typer.echo(f"{name} is orphaned: the config does not name it any more", err=True)
        _write(answer, form, out, limit)


def _form_of(out: Path | None) -> Form:
    ending = out.suffix.lower().removeprefix(".") if out else ""
    return next((form for form in Form if form.value == ending), Form.TABLE)


def _time_travel(versions: list[str] | tuple[()], as_of: str | None) -> TimeTravel:
    from medallion_jobs.config import TableRef
    from medallion_jobs.report.time_travel import TimeTravel

    of_tables, of_only_table = {}, None
    for version in versions:
        table, _, number = version.rpartition("=")
        try:
            if table:
                of_tables[TableRef.parse(table)] = int(number)
            else:
                of_only_table = int(number)
        except ValueError as error:
            raise UsageError(
                f"--version {version} is neither N nor TABLE=N, such as gold.user_summary=12",
                code="invalid_version_option",
            ) from error
    as_of_time = timestamp(as_of, "--as-of") if as_of is not None else None
    return TimeTravel(of_tables, of_only_table, as_of_time)


def _list(pipeline: Pipeline, form: Form) -> None:
    if form not in (Form.TABLE, Form.CSV, Form.JSON):
        raise UsageError(
            f"--list cannot write {form.value}; use table, csv or json", code="format_not_for_list"
        )
    queries = pipeline.queries.items()
    if form is not Form.TABLE:
        import pyarrow as pa

        from medallion_jobs.report.formats import WRITERS

        fields = ("name", "description", "sql")
        schema = pa.schema([(field, pa.string()) for field in fields])
        rows = [{"name": name, **query.model_dump(include={*fields})} for name, query in queries]
        with opened(None) as sink:
            WRITERS[form.value](schema, [pa.RecordBatch.from_pylist(rows, schema)], sink)
    elif queries:
        print_rows(("name", "description"), [(name, q.description) for name, q in queries])
    else:
        typer.echo("the config has no `queries`", err=True)


def _write(answer: Answer, form: Form, out: Path | None, limit: int | None) -> None:
    with opened(out) as sink:
        if form is Form.TABLE:
            _print_table(answer, sink, limit or _ROWS_OF_TABLE)
            return
        from medallion_jobs.report.arrow import first
        from medallion_jobs.report.formats import WRITERS

        batches = first(answer.batches, limit) if limit else answer.batches
        WRITERS[form.value](answer.batches.schema, batches, sink)


def _print_table(answer: Answer, sink: BinaryIO, limit: int) -> None:
    import json
    from itertools import islice

    from medallion_jobs.observe.events import counted
    from medallion_jobs.report.formats import as_json

    def cell(value: object) -> object:
        nested = isinstance(value, dict | list)
        return json.dumps(as_json(value), ensure_ascii=False) if nested else value

    rows = [tuple(map(cell, row)) for row in islice(answer.rows(), limit + 1)]
    if sink is sys.stdout.buffer:
        print_rows(answer.columns, rows[:limit])
    else:
        text = TextIOWrapper(sink, encoding="utf-8")
        with redirect_stdout(text):
            print_rows(answer.columns, rows[:limit])
        text.detach()
    if len(rows) > limit:
        more = "--limit N shows more, --format csv shows all"
        typer.echo(f"only the first {counted(limit, 'row')}; {more}", err=True)
