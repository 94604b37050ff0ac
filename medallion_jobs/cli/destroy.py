"""`medallion destroy`: remove a pipeline's tables, state and generated files."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from medallion_jobs.cli.options import DEFAULT_CONFIG, ConfigOption, EnvOption, SetOption
from medallion_jobs.storage import Location, is_below

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline


def destroy(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only show it.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    env: EnvOption = None,
    overrides: SetOption = None,
) -> None:
    """Remove a pipeline's tables, its state and the files that `generate` made."""
    from medallion_jobs import storage
    from medallion_jobs.checkpoint import Lock, QueryFolder
    from medallion_jobs.config import load
    from medallion_jobs.lake import paths

    pipeline = load(config, env, overrides or ()).pipeline
    homes = [QueryFolder.of(pipeline.state_path, ref) for ref in paths.sources(pipeline)]
    with ExitStack() as held:
        # Refused while something runs; nothing can start while it is under way.
        for home in homes:
            if home.path.exists():
                held.enter_context(Lock(home.lock, str(home.ref)))
        doomed = _doomed(pipeline)
        for path in doomed:
            typer.echo(path)
        if not doomed:
            typer.echo("there is nothing to remove", err=True)
        elif not yes:
            typer.echo("nothing was removed; add --yes to do it", err=True)
        else:
            for path in doomed:
                storage.remove_all(path)
            _prune(pipeline, doomed)
            typer.echo(f"removed {len(doomed)} files and folders", err=True)


def _doomed(pipeline: Pipeline) -> list[Location]:
    """What belongs to this pipeline and is there."""
    from medallion_jobs.checkpoint import QueryFolder
    from medallion_jobs.lake import paths

    doomed = []
    for ref in paths.sources(pipeline):
        doomed += [
            pipeline.table_path(ref),
            paths.quarantine(pipeline, ref),
            paths.held(pipeline, ref),
            paths.tombstones(pipeline, ref),
            paths.quality_metrics(pipeline.state_path, ref),
            paths.metrics(pipeline.state_path, ref),
            QueryFolder.of(pipeline.state_path, ref).path,
        ]
    for name in pipeline.bronze:
        doomed += [paths.ledger(pipeline, name), paths.schemas(pipeline, name)]
        doomed += _registrations(pipeline, name)
    doomed += _generated(pipeline)
    warehouse = paths.warehouse(pipeline)
    if warehouse.exists() and not any(warehouse.iterdir()):
        doomed.append(warehouse)
    return [path for path in doomed if path.exists()]


def _registrations(pipeline: Pipeline, bronze_table: str) -> list[Location]:
    """Where a table has left its name as a reader of landing folders."""
    from medallion_jobs.autoloader.archive.file_location import fixed_part, is_cleanable
    from medallion_jobs.autoloader.archive.registrations import Reader

    me = Reader.of(pipeline, bronze_table)
    roots = filter(is_cleanable, pipeline.landing_paths(bronze_table))
    return [
        file
        for root in roots
        for file in (fixed_part(root, pipeline.store) / "_medallion" / "readers").glob(
            f"{me}*.json"
        )
        if json.loads(file.read_bytes()).get("ledger") == me.ledger
    ]


def _generated(pipeline: Pipeline) -> list[Location]:
    """The files and dimensions that the generator made, by what it noted of them."""
    from medallion_jobs.config import TableRef
    from medallion_jobs.generator import FEEDS, is_made, made_files

    feed = FEEDS.get(pipeline.pipeline)
    if feed is None or not pipeline.bronze.keys() >= set(feed.tables):
        return []
    dimensions = [
        pipeline.table_path(TableRef("silver", dimension.name)) for dimension in feed.dimensions(15)
    ]
    summaries = pipeline.landing_root / "_generated"
    made = [
        file
        for table in feed.tables
        for file in made_files(feed.name, pipeline.landing_path(table), summaries)
    ]
    return [
        *(table for table in dimensions if is_made(table)),
        *dict.fromkeys(made),
    ]


def _prune(pipeline: Pipeline, removed: list[Location]) -> None:
    """Removes the folders that this emptied, up to the roots; others may be empty for a reason."""
    from medallion_jobs.lake import paths

    roots = [paths.lake(pipeline), pipeline.landing_root]
    for path in removed:
        for folder in path.parents:
            if not any(is_below(folder, root) for root in roots):
                break
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()
