"""`medallion quarantine`: show, export and dismiss quarantined rows, without a JVM."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import (
    Given,
    JsonOption,
    YesOption,
    table_named,
    timestamp,
    with_config,
)
from medallion_jobs.cli.output import print_rows, shows_times
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from medallion_jobs.config import Pipeline, TableRef
    from medallion_jobs.report.lake_views import Row
    from medallion_jobs.report.quarantine import Wanted

app = typer.Typer(no_args_is_help=True, help="Rows and lines that were rejected, and why.")

TableArgument = Annotated[str, typer.Argument(help="The table, such as silver.sales.")]
RuleOption = Annotated[
    str | None, typer.Option(help="Only rows that broke this rule; for bronze, with this reason.")
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        help="Only rows quarantined since then.", metavar="2h|2026-01-31|2026-01-31T12:00"
    ),
]
IdsOption = Annotated[list[str] | None, typer.Option("--id", help="Only this row; repeatable.")]

_NOTHING = "nothing is quarantined"


class Form(str, Enum):
    """The file format of an export."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


@app.command("list")
@with_config
@shows_times
def list_rules(
    table: Annotated[str | None, typer.Argument(help="Only this table.")] = None,
    *,
    given: Given,
    as_json: JsonOption = False,
) -> None:
    """Count rows by table and rule: open, replayed, dismissed, superseded by a reset."""
    from medallion_jobs.report import quarantine as report

    pipeline = given.pipeline
    wanted = [table_of(pipeline, table)] if table is not None else report.tables(pipeline)
    rows = report.summary(pipeline, wanted)
    _print(report.SUMMARY_COLUMNS, rows, as_json=as_json)


@app.command()
@with_config
@shows_times
def show(
    table: TableArgument,
    *,
    given: Given,
    rule: RuleOption = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of rows, newest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show open rows: the reason, file, batch, run and the original row."""
    from medallion_jobs.report import quarantine as report

    pipeline, ref, wanted = _selected(given, table, rule, since)
    rows = report.rows(pipeline, ref, wanted, limit)
    _print(report.COLUMNS, rows, as_json=as_json)


@app.command()
@with_config
def export(
    table: TableArgument,
    *,
    to: Annotated[Path, typer.Option(help="The file to write.", metavar="FILE")],
    given: Given,
    rule: RuleOption = None,
    since: SinceOption = None,
    form: Annotated[
        Form, typer.Option("--format", "-f", help="json: the original rows, one per line.")
    ] = Form.JSON,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Write open rows to a file, to fix and land again."""
    from medallion_jobs.observe.events import counted
    from medallion_jobs.report import quarantine as report
    from medallion_jobs.report.atomic_file import open_atomically
    from medallion_jobs.report.formats import WRITERS_OF_QUARANTINE

    pipeline, ref, wanted = _selected(given, table, rule, since)
    if to.exists() and not force:
        raise UsageError(
            f"{to} already exists",
            code="file_exists",
            untouched="the file",
            next_step="add --force to replace it",
        )
    counts: list[int] = []
    with report.reader(pipeline, ref, wanted) as rows, open_atomically(to) as out:
        WRITERS_OF_QUARANTINE[form.value](rows.schema, _counted(rows, counts), out)
    typer.echo(f"{counted(sum(counts), 'row')} written to {to}; all stay in quarantine", err=True)


def _counted(batches: Iterable[pa.RecordBatch], counts: list[int]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        counts.append(batch.num_rows)
        yield batch


@app.command()
@with_config
def dismiss(
    table: TableArgument,
    *,
    reason: Annotated[str, typer.Option(help="Why they are dismissed; the reason is kept.")],
    given: Given,
    rule: RuleOption = None,
    since: SinceOption = None,
    ids: IdsOption = None,
    yes: YesOption = False,
) -> None:
    """Mark open rows as dismissed. They stay in the quarantine; nothing is deleted."""
    from medallion_jobs.checkpoint import Lock, QueryFolder
    from medallion_jobs.lake.paths import TablePaths
    from medallion_jobs.observe.events import counted
    from medallion_jobs.refine.quarantine import releases

    if not reason.strip():
        raise UsageError(
            "--reason is empty: give a reason for those who read it later", code="reason_is_empty"
        )
    pipeline, ref, wanted = _selected(given, table, rule, since, ids)
    if not yes:
        dismissed = _ids(pipeline, ref, wanted)
        typer.echo(
            f"{counted(len(dismissed), 'row')}; nothing was changed; add --yes to do it", err=True
        )
        return
    paths = TablePaths(pipeline, ref)
    with Lock(QueryFolder.of(paths).lock, str(ref)):
        dismissed = _ids(pipeline, ref, wanted)
        if dismissed:
            releases.dismiss(paths.quarantine, dismissed, reason, uuid.uuid4().hex[:12])
    typer.echo(f"dismissed: {counted(len(dismissed), 'row')}", err=True)


def _ids(pipeline: Pipeline, ref: TableRef, wanted: Wanted) -> list[str]:
    """The ids of open rows.

    Raises:
        UsageError: a requested id is not among them.
    """
    from medallion_jobs.report import quarantine as report

    found = report.ids(pipeline, ref, wanted)
    if missing := sorted(set(wanted.ids or ()) - set(found)):
        raise UsageError(
            f"the quarantine of {ref} has no open row with the id {', '.join(missing)}",
            code="no_open_row",
            untouched="the quarantine",
            next_step=f"list the ids: `medallion quarantine show {ref}`",
        )
    return found


def _print(columns: Sequence[str], rows: Sequence[Row], *, as_json: bool) -> None:
    if not rows:
        typer.echo(_NOTHING, err=True)
    if rows or as_json:
        print_rows(columns, rows, as_json=as_json)


def _selected(
    given: Given, table: str, rule: str | None, since: str | None, ids: list[str] | None = None
) -> tuple[Pipeline, TableRef, Wanted]:
    """The pipeline, the table and its rows that a command line names."""
    pipeline = given.pipeline
    ref = table_of(pipeline, table)
    return pipeline, ref, wanted_of(pipeline, ref, rule, since, ids)


def table_of(pipeline: Pipeline, name: str) -> TableRef:
    """The table of that name.

    Raises:
        UsageError: no such table, or it cannot have a quarantine.
    """
    from medallion_jobs.report import quarantine as report

    missing = f"pipeline {pipeline.pipeline} has no quarantine for {name}"
    return table_named(name, report.tables(pipeline), missing)


def wanted_of(
    pipeline: Pipeline,
    table: TableRef,
    rule: str | None,
    since: str | None,
    ids: list[str] | None = None,
) -> Wanted:
    """The rows that the options select.

    Raises:
        UsageError: no quarantined row broke the rule, or `since` is not a timestamp.
    """
    from medallion_jobs.report import quarantine as report

    if rule is not None and rule not in (known := report.rules(pipeline, table)):
        raise UsageError(
            f"no row in the quarantine of {table} broke rule {rule}",
            code="no_row_of_rule",
            next_step=f"one of: {', '.join(known)}" if known else _NOTHING,
        )
    return report.Wanted(rule, timestamp(since) if since else None, ids or None)
