"""`medallion stop`: ask the pipeline's running queries to end after their batch."""

from __future__ import annotations

import getpass
import socket
import time
from typing import Annotated

import typer

from medallion_jobs.cli.options import Given, with_config
from medallion_jobs.errors import TransientError

_POLL_SECONDS = 0.2


@with_config
def stop(
    *,
    given: Given,
    wait: Annotated[
        int, typer.Option(help="Seconds to wait for them to end; 0 does not wait.", min=0)
    ] = 60,
) -> None:
    """Ask the pipeline's running queries to end after their batch."""
    from medallion_jobs.checkpoint import QueryFolder, lock
    from medallion_jobs.lake import paths
    from medallion_jobs.lake.paths import TablePaths

    pipeline = given.pipeline
    query_folders = [QueryFolder.of(TablePaths(pipeline, ref)) for ref in paths.sources(pipeline)]
    running = [query_folder for query_folder in query_folders if lock.is_running(query_folder.lock)]
    if not running:
        typer.echo("nothing is running", err=True)
        return
    for query_folder in running:
        query_folder.stop.write_text(
            f"asked by {getpass.getuser()}@{socket.gethostname()} with `medallion stop`\n",
            encoding="utf-8",
        )
    typer.echo(
        "asked to stop: " + ", ".join(str(query_folder.ref) for query_folder in running), err=True
    )
    deadline = time.monotonic() + wait
    while remaining := [
        query_folder for query_folder in running if lock.is_running(query_folder.lock)
    ]:
        if time.monotonic() >= deadline:
            if wait == 0:
                return
            names = ", ".join(str(query_folder.ref) for query_folder in remaining)
            raise TransientError(
                f"still running after {wait} s: {names}",
                code="still_running",
                next_step="`medallion status` shows which processes run them",
            )
        time.sleep(_POLL_SECONDS)
    typer.echo("stopped", err=True)
