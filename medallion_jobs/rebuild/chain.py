"""Which tables a rebuild is about, in which order, and which readers it leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medallion_jobs.autoloader import AutoLoader
from medallion_jobs.config import LAYERS, Pipeline, Selection, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.gold import GoldStream
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import LIVE, TablePaths
from medallion_jobs.silver import SilverStream

if TYPE_CHECKING:
    from medallion_jobs.engine.stream import Stream

ALL = "all"


def stream_of(config: Pipeline, ref: TableRef, slot: str = LIVE) -> Stream:
    """The query that writes a table of files, of silver or of gold in a slot."""
    if ref.layer == "bronze":
        return AutoLoader.to_table(config, ref.name, slot)
    kind = SilverStream if ref.layer == "silver" else GoldStream
    return kind(config, ref.name, slot)


def in_order(config: Pipeline) -> list[TableRef]:
    """The silver and gold tables, each after those that it reads or looks up."""
    return [
        *(TableRef("silver", name) for name in config.silver_in_order()),
        *(TableRef("gold", name) for name in config.gold),
    ]


def chosen(config: Pipeline, names: Sequence[str], *, downstream: bool) -> list[TableRef]:
    """The tables of a command, in the order in which they are rebuilt.

    Args:
        names: of tables, `all`, or terms of a selection such as `silver.orders+`.
        downstream: with all that reads them.

    Raises:
        UsageError: there is no such table, or it is one of bronze.
    """
    known = {str(ref): ref for ref in in_order(config)}
    wanted: set[TableRef] = set(known.values()) if ALL in names else set()
    for name in names:
        if name == ALL:
            continue
        if name.removeprefix("bronze.") in config.bronze and name.startswith("bronze."):
            raise UsageError(
                f"{name} is not rebuilt beside itself: its rows come from files or topics, which "
                "may be gone by now, and it is the copy from which all else is rebuilt",
                code="bronze_not_rebuilt",
                untouched="nothing was changed",
                next_step="to read again what it lacks: "
                f'`medallion checkpoint reset {name} --reason "…"`; to read single files again: '
                "`medallion files retry`",
            )
        if set(name) & set("+*,") or name in LAYERS:
            # What a pattern names of bronze stays: see above.
            wanted |= {ref for ref in Selection((name,)).of(config) if ref.layer != "bronze"}
            continue
        if name not in known:
            raise UsageError(
                f"pipeline {config.pipeline} has no table {name} to rebuild",
                code="unknown_table",
                untouched="nothing was changed",
                next_step="one of: " + ", ".join([ALL, *known]),
            )
        wanted.add(known[name])
    if downstream:
        wanted |= {reader for ref in list(wanted) for reader in paths.readers(config, ref)}
    return [ref for ref in known.values() if ref in wanted]


def stale_readers(config: Pipeline, ref: TableRef) -> list[TableRef]:
    """The tables whose queries read `ref` directly, and cannot go on when its rows are replaced.

    Gold in incremental mode goes on: it follows changed and deleted rows.
    """
    path = TablePaths(config, ref).data
    direct = [reader for reader, source in paths.sources(config).items() if source == path]
    return [reader for reader in direct if not _follows(config, reader)]


def _follows(config: Pipeline, reader: TableRef) -> bool:
    return reader.layer == "gold" and config.gold[reader.name].mode == "incremental"
