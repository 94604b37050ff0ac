"""All checks of a lake and of this machine, one after the other. They start no JVM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from medallion_jobs.config import Pipeline
from medallion_jobs.engine.stream import Stream
from medallion_jobs.report.doctor import leftovers, logs, machine, queries, unnamed
from medallion_jobs.report.doctor.finding import Finding


def examine(config: Pipeline, streams: Sequence[Stream]) -> Iterator[Finding]:
    """Every finding.

    Args:
        streams: the queries of the pipeline.
    """
    yield from machine.findings(config)
    broken = list(logs.findings(config))
    yield from broken
    # Whatever reads a table with a broken log fails, and says less.
    unreadable = {one.where for one in broken}
    yield from queries.findings(config, streams, unreadable)
    yield from unnamed.findings(config)
    yield from leftovers.findings(config)


def repaired(finding: Finding) -> Finding:
    """The finding after its repair, if it has one."""
    if finding.repair is None:
        return finding
    try:
        finding.repair()
    except OSError as error:
        return replace(finding, what=f"{finding.what}; it cannot be fixed: {error.strerror}")
    return replace(finding, fixed="done")
