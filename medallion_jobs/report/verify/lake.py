"""Which tables of a pipeline are verified, and the accounts of bronze and silver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import MedallionError, UsageError
from medallion_jobs.lake import paths
from medallion_jobs.report.lake_views import connect
from medallion_jobs.report.verify import bronze, silver
from medallion_jobs.report.verify.check import Audit


@dataclass(frozen=True)
class Chosen:
    """The tables to verify, each after those that it is made of."""

    layers: tuple[TableRef, ...]
    gold: tuple[TableRef, ...]


def chosen(config: Pipeline, table: str | None, *, layers: bool) -> Chosen:
    """What to verify, by a table's name; by none, all.

    Args:
        layers: bronze and silver, too; of one gold table, those that it is made of.

    Raises:
        UsageError: no such table, or one that needs `layers`.
    """
    files = [TableRef("bronze", name) for name in config.bronze]
    rows = [TableRef("silver", name) for name in config.silver_in_order()]
    groups = [TableRef("gold", name) for name in config.gold]
    if table is None and not groups and not layers:
        raise UsageError(
            f"pipeline {config.pipeline} has no gold table",
            next_step="to count the rows of the others: medallion verify --layers",
        )
    if table is None:
        return Chosen((*files, *rows) if layers else (), tuple(groups))
    known = {str(ref): ref for ref in (*files, *rows, *groups)}
    if table not in known:
        raise UsageError(
            f"pipeline {config.pipeline} has no table {table}",
            next_step="one of: " + ", ".join(known),
        )
    ref = known[table]
    if ref.layer == "gold":
        return Chosen(_above(config, ref) if layers else (), (ref,))
    if not layers:
        raise UsageError(
            f"{table} is no gold table: there is nothing to compute it from again",
            untouched="nothing was compared",
            next_step=f"to count its rows: medallion verify {table} --layers",
        )
    return Chosen((ref,), ())


def _above(config: Pipeline, ref: TableRef) -> tuple[TableRef, ...]:
    """The tables that a table is made of, from the first."""
    if ref.layer == "bronze":
        return ()
    source = (config.silver if ref.layer == "silver" else config.gold)[ref.name].from_
    return (*_above(config, source), source)


def audits(
    config: Pipeline, tables: tuple[TableRef, ...], show: int
) -> Iterator[Audit | MedallionError]:
    """The account of each table of bronze and silver, or why there can be none.

    Args:
        show: mismatches of a check to name, at most.
    """
    with connect(paths.lake(config)) as duck:
        for ref in tables:
            of = bronze.audit if ref.layer == "bronze" else silver.audit
            try:
                yield of(duck, config, ref.name, show)
            except MedallionError as error:
                yield error
            except duckdb.Error as error:
                yield UsageError(
                    f"{ref} cannot be verified, for it cannot be read: {error}",
                    untouched="nothing was compared",
                    next_step="put back what is gone, or make it anew: "
                    f'`medallion checkpoint reset {ref} --reason "…" --yes`',
                )
