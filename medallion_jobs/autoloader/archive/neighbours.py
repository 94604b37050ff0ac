"""Who has yet to read a file that is to be cleaned: registered readers, and those of the config.

A file stays as long as one of them has not read its current content.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from medallion_jobs.autoloader.archive import registrations
from medallion_jobs.autoloader.archive.file_location import AWS, is_cleanable
from medallion_jobs.autoloader.archive.registrations import Reader, near
from medallion_jobs.autoloader.discovery.patterns import Root, roots_of
from medallion_jobs.autoloader.file_entry import FileEntry, to_path
from medallion_jobs.autoloader.ledger import tables as ledger_tables
from medallion_jobs.autoloader.ledger.tables import State
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.storage import S3, Location, location
from medallion_jobs.storage.delta import open_delta

_READ = (State.COMMITTED, State.ARCHIVING, State.ARCHIVED)


@dataclass(frozen=True)
class ConfigReader:
    """A bronze table of the same config, which needs no registration.

    Attributes:
        roots: the patterns of folders that it reads, with links in their fixed parts resolved.
        recursive: whether it reads files at any depth.
    """

    reader: Reader
    roots: tuple[Root, ...]
    recursive: bool

    def may_list(self, folder: Location, name: str) -> bool:
        """Whether it lists a file of a folder, which has no links in it."""
        path = f"{str(folder).rstrip('/')}/{name}"
        return any(root.holds(path, recursive=self.recursive) for root in self.roots)


def readers_of_config(config: Pipeline) -> list[ConfigReader]:
    """The bronze tables of a config that read files which can be cleaned, in all their slots."""
    return [
        ConfigReader(
            replace(Reader.of(places), way_out=_finish(places)),
            tuple(_roots(config.landing_paths(name))),
            source.recursive,
        )
        for name, source in config.file_sources.items()
        for slot in paths.slots(config)
        if (places := TablePaths(config, TableRef("bronze", name), slot)).is_live
        or places.ledger.exists()
    ]


def withdraw(places: TablePaths, *, dry_run: bool = False) -> list[str]:
    """Removes the registrations of a table that does not register, as earlier versions made them.

    Returns:
        A remark on each. It stays if it is unset whether the table registers, and a reader of
        another config, who may clean, is registered near it.
    """
    config, name = places.config, places.ref.name
    known = {each.reader.ledger for each in readers_of_config(config)}
    is_sure = config.file_sources[name].register_as_reader is False
    remarks = (
        registrations.withdraw(
            root,
            Reader.of(places),
            config.store,
            unless_near=lambda other: not is_sure and other.ledger not in known,
            dry_run=dry_run,
        )
        for root in config.landing_paths(name)
    )
    return [remark for remark in remarks if remark]


def withdraw_all(config: Pipeline, *, dry_run: bool) -> list[str]:
    """The same for every table of a config that does not register."""
    return [
        remark
        for name, source in config.file_sources.items()
        if not source.registers
        for slot in paths.slots(config)
        for remark in withdraw(TablePaths(config, TableRef("bronze", name), slot), dry_run=dry_run)
    ]


def _finish(places: TablePaths) -> str:
    if places.is_live:
        return f"run {places}, or take it out of the config if it is no longer used"
    return f"it is built in slot {places.slot}; if that is no longer used: delete {places.state}"


def _roots(patterns: Iterable[str]) -> Iterator[Root]:
    for pattern in filter(is_cleanable, patterns):
        for root in roots_of(pattern):
            base = root.base if "://" in root.base else os.path.realpath(root.base)
            yield replace(root, base=base)


def blocked(
    files: Mapping[FileEntry, Location],
    me: Reader,
    store: S3 = AWS,
    of_config: Sequence[ConfigReader] = (),
) -> dict[FileEntry, str]:
    """The files that another reader has not read, each with the reason and a way out.

    Args:
        files: each with its folder; readers registered in its parent folders count too.
        of_config: the readers that the config names; their registrations are not needed.
    """
    known = {me.ledger, *(each.reader.ledger for each in of_config)}
    registered = {
        folder: [reader for reader in near(folder, me) if reader.ledger not in known]
        for folder in set(files.values())
    }
    asked: dict[Reader, list[FileEntry]] = {}
    for file, folder in files.items():
        name = to_path(file.path).rpartition("/")[2]
        named = (each.reader for each in of_config if each.may_list(folder, name))
        for reader in (*registered[folder], *named):
            if reader.may_take(name):
                asked.setdefault(reader, []).append(file)
    return {
        file: f"{why}; {reader.way_out}"
        for reader, theirs in asked.items()
        for file, why in _unread(reader, theirs, store)
    }


def _unread(
    reader: Reader, files: Collection[FileEntry], store: S3
) -> Iterator[tuple[FileEntry, str]]:
    why = f"{reader} has not read their current content"
    states: Mapping[str, State] = {}
    if not reader.ledger:
        why = f"the registration of {reader} cannot be read"
    else:
        try:
            ledger = location(reader.ledger, store) or Path(reader.ledger)
            # A table of the config may have never run.
            states = states_of(ledger, files) if reader.file or ledger.exists() else {}
        except (DeltaError, OSError, ValueError, pa.ArrowException) as error:
            cause = " ".join(str(error).split())
            why = f"the ledger of {reader} cannot be read, {reader.ledger}: {cause}"
    return ((file, why) for file in files if states.get(file.path) not in _READ)


def states_of(ledger: Location, files: Collection[FileEntry]) -> Mapping[str, State]:
    """By path, the states of `files` in a ledger.

    Left out are files whose newest event has another size or time, and files that wait to be
    read, for the first time or again.

    Raises:
        DeltaError, OSError, ValueError, pyarrow.ArrowException: there is no ledger, or it
            cannot be read.
    """
    asked = {file.path: (file.size, file.modified_us) for file in files}
    columns = ["path", "size", "modified", "version", "state", "updated_at"]
    events = ledger_tables.in_order(_rows_of(asked, ledger / "events", columns))
    newest = {file.path: (file, state, at) for file, state, at in events}
    admitted = _rows_of(asked, ledger / "discovered", ["path", "discovered_at"])
    waiting = {
        path
        for path, at in zip(*(column.to_pylist() for column in admitted.columns), strict=True)
        if path in newest and at > newest[path][2]
    }
    return {
        path: state
        for path, (file, state, _) in newest.items()
        if path not in waiting and (file.size, file.modified_us) == asked[path]
    }


def _rows_of(files: Collection[str], table: Location, columns: list[str]) -> pa.Table:
    wanted = pc.field("path").isin(pa.array(list(files), pa.string()))
    return open_delta(table).to_pyarrow_dataset().to_table(columns=columns, filter=wanted)
