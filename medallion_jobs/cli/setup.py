"""`medallion setup`: makes what a run needs besides Python's packages."""

from __future__ import annotations

import typer


def setup() -> None:
    """Find a Java, fetch Delta's jars, and make the archive of classes for quick starts.

    What is there is checked and kept. Without this, the first run does it.
    """
    from medallion_jobs.runtime import delta_jars, find_java
    from medallion_jobs.runtime.cache import from_home
    from medallion_jobs.runtime.class_archive import ClassArchive

    java = find_java()
    typer.echo(f"java           {java.how}")
    jars = delta_jars(report=lambda line: typer.echo(f"jars           {line}"))
    typer.echo(f"jars           {len(jars)} in {from_home(jars[0].parent)} (checked)")
    archive = ClassArchive(java)
    archive.make(lambda line: typer.echo(f"class archive  {line}"))
    typer.echo(f"class archive  in {from_home(archive.file.parent)} (checked)")
