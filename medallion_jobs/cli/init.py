"""`medallion init`: a new project, with a config that is proposed from files."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Template(str, Enum):
    """The pipelines that come with the package."""

    SALES = "sales"
    APP_EVENTS = "app_events"
    IOT_SALES = "iot_sales"
    TRANSACTIONS = "transactions"
    ORDERS_CDC = "orders_cdc"


def init(
    name: Annotated[
        str | None,
        typer.Argument(help="Folder of the project; unset, the current one.", show_default=False),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="With --from: more files or folders.", metavar="FILES"),
    ] = None,
    *,
    from_: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            help="A folder, or a file, to propose a pipeline for; repeatable. It is only read.",
            metavar="FOLDER|FILE",
        ),
    ] = None,
    template: Annotated[
        Template | None, typer.Option("--template", help="Begin with one of these pipelines.")
    ] = None,
) -> None:
    """Make a project: a config, proposed from files, a test, a README."""
    from medallion_jobs.project import folder as projects

    if template and from_:
        raise UsageError(
            "--from and --template each give a config",
            code="from_and_template",
            untouched="nothing was written",
            next_step="leave one of them out",
        )
    if files and not from_:
        raise UsageError(
            f"{files[0]}: one project at a time",
            code="too_many_names",
            untouched="nothing was written",
            next_step=f"medallion init {name} --from {' '.join(map(str, files))}",
        )
    given = [*(from_ or ()), *(files or ())]
    if from_ and name and Path(name).is_file():
        given.append(Path(name))  # `--from *.csv`: the shell gives more words
        name = None
    folder, pipeline = projects.path_of(name)
    table = "gold.events_by_day"
    notes: list[str] = []
    if from_:
        config, table, notes = _proposed(pipeline, given, folder)
    elif template:
        config, pipeline = projects.template(template.value), template.value
        table = _last_table(config)
    else:
        config = projects.empty(pipeline)
    written = projects.create(folder, pipeline, config, table)
    for file in written:
        typer.echo(file, err=True)
    for note in notes:
        typer.echo(note, err=True)
    first = "medallion generate && " if template and template != Template.ORDERS_CDC else ""
    typer.echo(f"next: {projects.enter(folder)}{first}medallion run", err=True)


def _proposed(pipeline: str, given: Sequence[Path], folder: Path) -> tuple[str, str, list[str]]:
    """A config for files, the last table in it, and what the user should know of it."""
    from medallion_jobs.project import proposal, tables

    found = tables.found_in(given)
    _refuse_overlap(folder, [table.folder for table in found.tables])
    config = proposal.pipeline(pipeline, found.tables, folder)
    notes = [
        f"{table.name}: {table.count:,} {table.samples[0].format} "
        f"{'file' if table.count == 1 else 'files'} in {table.folder}"
        for table in found.tables
    ]
    if found.left_out:
        shown = ", ".join(map(str, found.left_out[:3]))
        more = f" and {len(found.left_out) - 3} more" if len(found.left_out) > 3 else ""  # noqa: PLR2004
        notes.append(f"no table reads {shown}{more}: their format is not known")
    return config, _last_table(config), notes


def _refuse_overlap(project: Path, read: Sequence[Path]) -> None:
    """Refuses a lake in a folder of files: the next run would read its own tables.

    Raises:
        UsageError: it would be in one.
    """
    lake = project / "lake"
    for folder in read:
        if lake.is_relative_to(folder) or folder.is_relative_to(lake):
            raise UsageError(
                f"the project's tables, in {lake}, would be among the files in {folder}",
                code="project_among_files",
                untouched="nothing was written",
                next_step=f"make the project elsewhere: medallion init {folder.parent / 'NAME'} "
                f"--from {folder}",
            )


def _last_table(config: str) -> str:
    """The last table of a config, by layer and name."""
    from medallion_jobs.config import yaml_text

    root, _ = yaml_text.parse(config, "the proposal")
    layers = root.value if root is not None and isinstance(root.value, dict) else {}
    layer = next(name for name in ("gold", "silver", "bronze") if name in layers)
    names = layers[layer].value
    return f"{layer}.{list(names)[-1]}" if isinstance(names, dict) else layer
