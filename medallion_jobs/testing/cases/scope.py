"""Which tables of a pipeline a case runs: those it expects something of, and what they read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.config.selection import readers, reads
from medallion_jobs.testing.cases.model import Step


@dataclass(frozen=True)
class Scope:
    """The tables of a case.

    Attributes:
        run: the tables whose jobs run, each after those that it reads.
        empty: bronze tables that are read and that the case gives nothing for.
        outside: tables that are read, by one that reads them, and that only the case can give.
    """

    run: Sequence[TableRef]
    empty: Sequence[TableRef]
    outside: Sequence[tuple[TableRef, TableRef]]


def of(config: Pipeline, steps: Iterable[Step]) -> Scope:
    """The tables of a case with these steps. A given table is what it is: its job does not run."""
    steps = tuple(steps)
    graph = reads(config)
    every = [given for step in steps for given in step.given]
    landed = {given.table for given in every if given.is_landed}
    given = {one.table for one in every} - landed
    wanted = {expected.target.table for step in steps for expected in step.expect}
    needed = wanted or readers(graph, given | landed) | landed
    for table in reversed(list(graph)):
        if table in needed and table not in given:
            needed = needed | set(graph[table])
    waiting = [table for table in graph if table in needed and table not in given]
    return Scope(
        run=[table for table in waiting if table.layer != "bronze" or table in landed],
        empty=[table for table in waiting if table.layer == "bronze" and table not in landed],
        outside=[
            (read, table)
            for table in waiting
            if table.layer == "silver"
            for read in dict.fromkeys(config.silver[table.name].dimensions)
            if read not in graph and read not in given
        ],
    )
