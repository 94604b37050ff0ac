"""Selects the tables to verify, and audits those of bronze and silver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import duckdb

from medallion_jobs.config import Pipeline, Selection, TableRef
from medallion_jobs.errors import MedallionError, UsageError
from medallion_jobs.lake import paths
from medallion_jobs.report.lake_views import connect
from medallion_jobs.report.verify import bronze, silver, topics
from medallion_jobs.report.verify.check import Audit


@dataclass(frozen=True)
class Chosen:
    """The tables to verify, each after its sources."""

    layers: tuple[TableRef, ...]
    gold: tuple[TableRef, ...]


def selected(config: Pipeline, selection: Selection, *, layers: bool) -> Chosen:
    """The selected tables to verify.

    Args:
        layers: also those of bronze and silver.

    Raises:
        UsageError: it selects no table, or no gold table without `layers`.
    """
    tables = selection.of(config)
    gold = tuple(ref for ref in tables if ref.layer == "gold")
    if not gold and not layers:
        raise UsageError(
            f"none of the selected tables is a gold table: {', '.join(map(str, tables))}",
            code="not_a_gold_table",
            untouched="nothing was compared",
            next_step="to compare their row counts, add --layers",
        )
    return Chosen(tuple(ref for ref in tables if layers and ref.layer != "gold"), gold)


def chosen(config: Pipeline, table: str | None, *, layers: bool) -> Chosen:
    """The tables to verify.

    Args:
        table: the name of one table; None selects all.
        layers: also selects bronze and silver; with one gold table, only its sources.

    Raises:
        UsageError: no such table, or a bronze or silver table without `layers`.
    """
    files = [TableRef("bronze", name) for name in config.bronze]
    rows = [TableRef("silver", name) for name in config.silver_in_order()]
    groups = [TableRef("gold", name) for name in config.gold]
    if table is None and not groups and not layers:
        raise UsageError(
            f"pipeline {config.pipeline} has no gold table",
            code="no_gold_table",
            next_step="to verify bronze and silver: medallion verify --layers",
        )
    if table is None:
        return Chosen((*files, *rows) if layers else (), tuple(groups))
    known = {str(ref): ref for ref in (*files, *rows, *groups)}
    if table not in known:
        raise UsageError(
            f"pipeline {config.pipeline} has no table {table}",
            code="unknown_table",
            next_step="one of: " + ", ".join(known),
        )
    ref = known[table]
    if ref.layer == "gold":
        return Chosen(_upstream(config, ref) if layers else (), (ref,))
    if not layers:
        raise UsageError(
            f"{table} is not a gold table, so it cannot be computed again",
            code="not_a_gold_table",
            untouched="nothing was compared",
            next_step=f"to compare its row counts: medallion verify {table} --layers",
        )
    return Chosen((ref,), ())


def _upstream(config: Pipeline, ref: TableRef) -> tuple[TableRef, ...]:
    """The direct and indirect sources of a table, the first one first."""
    if ref.layer == "bronze":
        return ()
    source = (config.silver if ref.layer == "silver" else config.gold)[ref.name].from_
    return (*_upstream(config, source), source)


def _audit_of(
    config: Pipeline, ref: TableRef
) -> Callable[[duckdb.DuckDBPyConnection, Pipeline, str, int], Audit]:
    if ref.layer == "silver":
        return silver.audit
    return topics.audit if ref.name in config.kafka_sources else bronze.audit


def audits(
    config: Pipeline, tables: tuple[TableRef, ...], show: int
) -> Iterator[Audit | MedallionError]:
    """The audit of each bronze and silver table, or the error that prevents it.

    Args:
        show: the maximum number of mismatches per check.
    """
    with connect(paths.lake(config)) as duck:
        for ref in tables:
            audit = _audit_of(config, ref)
            try:
                yield audit(duck, config, ref.name, show)
            except MedallionError as error:
                yield error
            except duckdb.Error as error:
                yield UsageError(
                    f"{ref} cannot be verified, because it cannot be read: {error}",
                    code="cannot_verify_unreadable",
                    untouched="nothing was compared",
                    next_step="restore the missing files, or rebuild the table: "
                    f'`medallion checkpoint reset {ref} --reason "…" --yes`',
                )
