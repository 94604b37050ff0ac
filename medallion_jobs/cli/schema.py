"""`medallion schema`: current and past schemas of bronze tables, without a JVM."""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import Given, JsonOption, with_config
from medallion_jobs.cli.output import print_rows, shows_times, time_text
from medallion_jobs.cli.promote import bronze_table, promote
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from medallion_jobs.autoloader.schemas.registry import Version

app = typer.Typer(
    no_args_is_help=True, help="The schemas of bronze tables: every version, and promotions."
)

app.command()(promote)

HISTORY_COLUMNS = ("version", "at", "why", "columns", "generation", "batch", "file", "changes")
SHOW_COLUMNS = ("path", "type")


class SchemaFormat(str, Enum):
    """How a schema is printed."""

    DDL = "ddl"
    JSON = "json"
    TABLE = "table"


TableArgument = Annotated[
    str | None, typer.Argument(help="The bronze table; optional if there is only one.")
]


@app.command()
@with_config
@shows_times
def show(
    table: TableArgument = None,
    *,
    given: Given,
    version: Annotated[
        int | None, typer.Option("--version", help="The version; default: the newest.")
    ] = None,
    form: Annotated[
        SchemaFormat,
        typer.Option("--format", help="DDL, Spark's JSON, or one line per leaf column."),
    ] = SchemaFormat.DDL,
) -> None:
    """Print the schema with which a table's files are read."""
    from medallion_jobs.autoloader.schemas import registry

    name, versions = _versions(given, table)
    shown = _version(name, versions, len(versions) if version is None else version)
    typer.echo(f"{name}, version {shown.version}: {shown.why}, {time_text(shown.at)}", err=True)
    if form is SchemaFormat.DDL:
        typer.echo(",\n".join(registry.columns_text(shown.schema)))
    elif form is SchemaFormat.JSON:
        typer.echo(json.dumps(shown.schema, indent=2, ensure_ascii=False))
    else:
        print_rows(SHOW_COLUMNS, registry.leaves(shown.schema))


@app.command()
@with_config
def diff(
    table: TableArgument = None,
    old: Annotated[int | None, typer.Argument(metavar="[A]", help="From this version.")] = None,
    new: Annotated[int | None, typer.Argument(metavar="[B]", help="To this version.")] = None,
    *,
    given: Given,
    as_json: JsonOption = False,
) -> None:
    """Print the changes between two versions; default: the last two."""
    from medallion_jobs.autoloader.schemas import registry

    if table is not None and table.isdecimal():  # no table name begins with a digit
        if new is not None:
            raise UsageError(
                f"schema diff {table} {old} {new}: expected a table and at most two versions",
                code="too_many_versions",
            )
        old, new, table = int(table), old, None
    name, versions = _versions(given, table)
    to = _version(name, versions, len(versions) if new is None else new)
    since = _version(name, versions, max(to.version - 1, 1) if old is None else old)
    changes = registry.changes(since.schema, to.schema)
    if as_json:
        difference = {"from": since.version, "to": to.version, "changes": changes}
        typer.echo(json.dumps(difference, indent=2, ensure_ascii=False))
        return
    typer.echo(f"{name}, version {since.version} to {to.version}", err=True)
    for line in changes:
        typer.echo(line)
    if not changes:
        typer.echo("no change", err=True)


@app.command()
@with_config
@shows_times
def history(
    table: TableArgument = None,
    *,
    given: Given,
    as_json: JsonOption = False,
) -> None:
    """Show every version: when and why it was added, by which batch and file."""
    _, versions = _versions(given, table)
    rows = [
        (
            version.version,
            version.at,
            version.why,
            len(version.schema["fields"]),
            version.generation,
            version.batch,
            version.file,
            version.changes if as_json else "; ".join(version.changes) or None,
        )
        for version in versions
    ]
    print_rows(HISTORY_COLUMNS, rows, as_json=as_json)


def _versions(given: Given, table: str | None) -> tuple[str, list[Version]]:
    """The name of a table, such as `bronze.sales`, and all its versions, at least one."""
    from medallion_jobs.autoloader.schemas.registry import Registry
    from medallion_jobs.config import TableRef
    from medallion_jobs.lake.paths import TablePaths

    pipeline = given.pipeline
    name = bronze_table(pipeline, table)
    folder = TablePaths(pipeline, TableRef("bronze", name)).schemas
    versions = Registry(folder).history()
    if not versions:
        raise UsageError(
            f"bronze.{name} has not run yet: there is no schema in {folder}",
            code="no_schema_yet",
            next_step="medallion run",
        )
    return f"bronze.{name}", versions


def _version(name: str, versions: list[Version], number: int) -> Version:
    if not 1 <= number <= len(versions):
        known = f"versions 1 to {len(versions)}" if len(versions) > 1 else "only version 1"
        raise UsageError(
            f"{name} has no version {number} of its schema; it has {known}",
            code="unknown_schema_version",
            next_step=f"medallion schema history {name}",
        )
    return versions[number - 1]
