"""The Delta logs of all tables: entries that are missing or empty.

A last entry that is gone leaves no gap: its checksum shows it, where the writer made one, and the
start checks find it by the query's transactions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from medallion_jobs.config import LAYERS, Pipeline
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.report.doctor.finding import ERROR, Finding
from medallion_jobs.storage import Location, children

_ENTRY = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.\d{10}\.\d{10})?(?:\.[0-9a-f-]{36})?\.\w+")
_CHECKSUM = re.compile(r"(\d{20})\.crc")
_AT_ONCE = 16


def tables(config: Pipeline) -> dict[str, Location]:
    """Every Delta table of a lake, by its name or, of an engine's table, by its folder."""
    state = config.state_path
    found = {
        f"{layer}.{folder.name}": folder
        for layer in LAYERS
        for folder in children(paths.lake(config) / layer)
    }
    for ref in paths.sources(config):
        places = TablePaths(config, ref)
        own = (places.discovered, places.events) if ref.layer == "bronze" else ()
        parked = (places.quarantine, places.held)
        kept = (places.tombstones, places.changes, places.metrics, places.rule_metrics)
        releases = tuple(paths.releases(one) for one in parked)
        for folder in (*own, *parked, *releases, *kept):
            found[str(folder).removeprefix(f"{state}/")] = folder
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        has_log = list(pool.map(lambda folder: (folder / "_delta_log").is_dir(), found.values()))
    return {
        name: at for (name, at), is_table in zip(found.items(), has_log, strict=True) if is_table
    }


def findings(config: Pipeline) -> Iterator[Finding]:
    """The tables whose log is not whole."""
    known = tables(config)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for name, what in zip(known, pool.map(_fault, known.values()), strict=True):
            if what:
                code, text = what
                fix = "restore the file from a backup"
                if name.partition(".")[0] in LAYERS:
                    fix += f', or rebuild: `medallion checkpoint reset {name} --reason "…" --yes`'
                yield Finding(code, ERROR, name, text, fix)


def _fault(table: Location) -> tuple[str, str] | None:
    """The code and the text of what is wrong with a table's log; None if nothing is."""
    log = table / "_delta_log"
    names = [file.name for file in children(log)]
    entries = _versions(names, _ENTRY)
    start = max(_versions(names, _CHECKPOINT), default=-1)
    after = sorted(version for version in entries if version > start)
    for expected, version in enumerate(after, start + 1):
        if version != expected:
            missing = f"{expected:020}.json"
            return "log_entry_missing", f"entry {missing} of its log is missing: {log}"
    newest = max([start, *after])
    if (promised := max(_versions(names, _CHECKSUM), default=-1)) > newest:
        missing = f"{newest + 1:020}.json"
        return (
            "log_entry_missing",
            f"entry {missing} of its log is missing, but the checksum of version {promised} is "
            f"there: {log}",
        )
    if newest < 0:
        return "log_empty", f"its log has no entry: {log}"
    for version in after:
        file = log / entries[version]
        if file.stat().st_size == 0:
            return "log_entry_empty", f"entry {file.name} of its log is empty: {log}"
    return None


def _versions(names: list[str], pattern: re.Pattern[str]) -> Mapping[int, str]:
    return {int(found[1]): name for name in names if (found := pattern.fullmatch(name))}
