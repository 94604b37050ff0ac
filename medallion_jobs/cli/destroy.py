"""`medallion destroy`: remove a pipeline's tables, state and generated files."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from medallion_jobs.cli.options import Given, YesOption, with_config
from medallion_jobs.storage import Location, is_below

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline, TableRef
    from medallion_jobs.lake.paths import TablePaths


@with_config
def destroy(
    *,
    yes: YesOption = False,
    given: Given,
) -> None:
    """Remove a pipeline's tables, its state and the files made by `generate`."""
    from medallion_jobs import storage
    from medallion_jobs.checkpoint import Lock, QueryFolder
    from medallion_jobs.lake.paths import TablePaths

    pipeline = given.pipeline
    query_folders = [QueryFolder.of(TablePaths(pipeline, ref)) for ref in _tables(pipeline)]
    with ExitStack() as held:
        # The locks fail while a query runs, and keep queries from starting meanwhile.
        for query_folder in query_folders:
            if query_folder.path.exists():
                held.enter_context(Lock(query_folder.lock, str(query_folder.ref)))
        to_remove = _to_remove(pipeline)
        for path in to_remove:
            typer.echo(path)
        if not to_remove:
            typer.echo("there is nothing to remove", err=True)
        elif not yes:
            typer.echo("nothing was removed; add --yes to do it", err=True)
        else:
            for path in to_remove:
                storage.remove_all(path)
            _prune(pipeline, to_remove)
            typer.echo(f"removed {len(to_remove)} files and folders", err=True)


def _tables(pipeline: Pipeline) -> list[TableRef]:
    """The tables of the pipeline, and those that its config does not name any more."""
    from medallion_jobs.checkpoint import orphans
    from medallion_jobs.lake import paths

    return [*paths.sources(pipeline), *orphans(pipeline)]


def _to_remove(pipeline: Pipeline) -> list[Location]:
    """Existing tables, state and generated files of this pipeline."""
    from medallion_jobs.config import TableRef
    from medallion_jobs.lake import paths
    from medallion_jobs.lake.paths import TablePaths
    from medallion_jobs.maintenance import trash
    from medallion_jobs.runs import store as runs

    to_remove: list[Location] = []
    for ref in _tables(pipeline):
        to_remove += trash.contents(pipeline, ref)
    for name in pipeline.bronze:
        to_remove += _registrations(TablePaths(pipeline, TableRef("bronze", name)))
    to_remove += _generated(pipeline)
    to_remove += runs.files_of(pipeline.state_path, pipeline.pipeline)
    to_remove += _audit(pipeline)
    slots = pipeline.state_path / "slots"
    if isinstance(slots, Path) and not any(path.is_file() for path in slots.rglob("*")):
        to_remove.append(slots)  # the folders of rebuilds that are done
    warehouse = paths.warehouse(pipeline)
    if warehouse.exists() and not any(warehouse.iterdir()):
        to_remove.append(warehouse)
    return [path for path in to_remove if path.exists()]


def _audit(pipeline: Pipeline) -> list[Location]:
    """The audit of rebuilds, unless it has tables of another pipeline."""
    from medallion_jobs.lake import paths
    from medallion_jobs.lake.tables import snapshot
    from medallion_jobs.storage.delta import open_delta

    audit = paths.rebuilds(pipeline)
    if snapshot(audit) is None:
        return []
    rows = open_delta(audit).to_pyarrow_table(columns=["table_name"]).to_pylist()
    own = {str(ref) for ref in _tables(pipeline)}
    return [audit] if {row["table_name"] for row in rows} <= own else []


def _registrations(table: TablePaths) -> list[Location]:
    """Files by which a bronze table is registered as a reader of its landing folders."""
    from medallion_jobs.autoloader.archive.registrations import Reader, registered

    if table.ref.name not in table.config.file_sources:
        return []
    roots = table.config.landing_paths(table.ref.name)
    me = Reader.of(table)
    return [file for root in roots for file in registered(root, me, table.config.store)]


def _generated(pipeline: Pipeline) -> list[Location]:
    """Files and dimension tables that `generate` made, according to its summaries."""
    from medallion_jobs.config import TableRef
    from medallion_jobs.generator import FEEDS, is_made, made_files
    from medallion_jobs.lake.paths import TablePaths

    feed = FEEDS.get(pipeline.pipeline)
    if feed is None or not pipeline.file_sources.keys() >= set(feed.tables):
        return []
    dimensions = [
        TablePaths(pipeline, TableRef("silver", dimension.name)).data
        for dimension in feed.dimensions(15)
    ]
    summaries = pipeline.landing_root / "_generated"
    files = [
        file
        for table in feed.tables
        for file in made_files(feed.name, pipeline.landing_path(table), summaries)
    ]
    return [
        *(table for table in dimensions if is_made(table)),
        *dict.fromkeys(files),
    ]


def _prune(pipeline: Pipeline, removed: list[Location]) -> None:
    """Removes the parent folders that are empty now, up to the roots. Other folders stay."""
    from medallion_jobs.lake import paths

    roots = [paths.lake(pipeline), pipeline.landing_root]
    for path in removed:
        for folder in path.parents:
            if not any(is_below(folder, root) for root in roots):
                break
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()
