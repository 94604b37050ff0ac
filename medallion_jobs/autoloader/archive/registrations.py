"""The readers of a landing folder: each bronze table registers itself in it.

    <folder>/_medallion/readers/<pipeline>.<table>.json

The folder is a root without its pattern. No listing looks below `_medallion`. Before a file is
cleaned, the ledgers of the other readers are checked: if one has not read it yet, it stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake.exceptions import DeltaError

from medallion_jobs.autoloader.archive.file_location import AWS, fixed_part, is_cleanable
from medallion_jobs.autoloader.file_entry import FileEntry, to_path
from medallion_jobs.autoloader.ledger import tables as ledger_tables
from medallion_jobs.autoloader.ledger.tables import State
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.storage import S3, Location, location, put
from medallion_jobs.storage.delta import open_delta

_READ = (State.COMMITTED, State.ARCHIVING, State.ARCHIVED)
# Python and Hadoop differ on these characters; a filter that has one may match any file.
_UNSURE = re.compile(r"[\[{\\]")


@dataclass(frozen=True)
class Reader:
    """A bronze table that reads a landing folder.

    Attributes:
        ledger: absolute folder of its ledger; empty if its registration cannot be read.
        storage: absolute folder of its lake.
        path_glob_filter: pattern of the file names that it reads; None for all.
        file: path of its registration; empty if it has none.
    """

    pipeline: str
    table: str
    ledger: str
    storage: str
    path_glob_filter: str | None = None
    registered_at: str = ""
    file: str = ""

    @classmethod
    def of(cls, table: TablePaths) -> Reader:
        """The reader for a bronze table; does not register it. Each slot is a reader of its own."""
        config, name = table.config, table.ref.name
        return cls(
            pipeline=config.pipeline,
            table=name,
            ledger=str(table.ledger),
            storage=str(paths.lake(config)),
            path_glob_filter=config.bronze[name].source.path_glob_filter,
        )

    def __str__(self) -> str:
        return f"{self.pipeline}.{self.table}"

    def may_take(self, name: str) -> bool:
        """Whether it may read a file of this name; False only if it certainly does not."""
        wanted = self.path_glob_filter
        return wanted is None or bool(_UNSURE.search(wanted)) or fnmatchcase(name, wanted)


def register(root: str, me: Reader, store: S3 = AWS) -> str | None:
    """Registers a reader in a landing folder; None, or a remark on why it was not possible.

    The file is written atomically, and only if its content changes. In file systems that
    cannot be cleaned, nothing is registered.
    """
    if not is_cleanable(root):
        return None
    base = fixed_part(root, store)
    folder = _folder(base)
    unknown = "others that clean this folder do not know of this reader"
    if isinstance(folder, Path) and (folder.is_symlink() or folder.parent.is_symlink()):
        return f"{me} is not registered in {folder}, a symbolic link: {unknown}"
    try:
        if isinstance(base, Path):
            base.stat()
        file = _own_file(folder, me)
        old = _read(file)
        if old is None or _content(old) != _content(me):
            new = {**_content(me), "registered_at": datetime.now(timezone.utc).isoformat()}
            put(file, (json.dumps(new, indent=2) + "\n").encode())
    except OSError as error:
        return f"{me} is not registered in {folder} ({error.strerror}): {unknown}"
    return None


def is_registered(root: Location, me: Reader) -> bool:
    """Whether a reader is registered in a landing folder, given without its pattern."""
    return any(reader.ledger == me.ledger for reader in _all(root))


def others(root: str, me: Reader, store: S3 = AWS) -> list[Reader]:
    """The other readers that are registered in a landing folder, by name.

    A registration that cannot be read counts as a reader without a ledger.
    """
    return [reader for reader in _all(fixed_part(root, store)) if reader.ledger != me.ledger]


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
    wanted = ds.field("path").isin(pa.array(list(files), pa.string()))
    return open_delta(table).to_pyarrow_dataset().to_table(columns=columns, filter=wanted)


def blocked(
    files: Mapping[FileEntry, Location], me: Reader, store: S3 = AWS
) -> dict[FileEntry, str]:
    """The files that another reader has not read, each with the reason and a way out.

    Args:
        files: each with its folder; readers of its parent folders count too.
    """
    near = {folder: _near(folder, me) for folder in set(files.values())}
    asked: dict[Reader, list[FileEntry]] = {}
    for file, folder in files.items():
        for reader in near[folder]:
            if reader.may_take(to_path(file.path).rpartition("/")[2]):
                asked.setdefault(reader, []).append(file)
    return {
        file: f"{why}; if it is no longer used: delete {reader.file}"
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
            states = states_of(ledger, files)
        except (DeltaError, OSError, ValueError, pa.ArrowException) as error:
            cause = " ".join(str(error).split())
            why = f"the ledger of {reader} cannot be read, {reader.ledger}: {cause}"
    return ((file, why) for file in files if states.get(file.path) not in _READ)


def _near(folder: Location, me: Reader) -> list[Reader]:
    above = (folder, *folder.parents)
    return [reader for each in above for reader in _all(each) if reader.ledger != me.ledger]


def _folder(root: Location) -> Location:
    return root / "_medallion" / "readers"


def _all(root: Location) -> list[Reader]:
    folder = _folder(root)
    try:
        names = [file.name for file in folder.iterdir() if file.name.endswith(".json")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        return [_unknown(folder)]
    files = sorted(folder / name for name in names if not name.startswith("."))
    return [_read(file) or _unknown(file) for file in files]


def _own_file(folder: Location, me: Reader) -> Location:
    """The file for a reader; tables of the same name in two lakes have different files."""
    file = folder / f"{me}.json"
    old = _read(file)
    if old is None or old.ledger == me.ledger:
        return file
    return folder / f"{me}.{hashlib.sha256(os.fsencode(me.ledger)).hexdigest()[:8]}.json"


def _content(reader: Reader) -> dict[str, object]:
    return {k: v for k, v in asdict(reader).items() if k not in ("registered_at", "file")}


def _read(file: Location) -> Reader | None:
    """A registration; None if there is none, or if it is not valid."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        names = [field.name for field in fields(Reader) if field.name in content]
        known = {name: content[name] for name in names}
        reader = Reader(**{**known, "file": str(file)})
    except (OSError, ValueError, TypeError):
        return None
    texts = (reader.pipeline, reader.table, reader.path_glob_filter or "", reader.ledger)
    return reader if all(isinstance(text, str) for text in texts) and reader.ledger else None


def _unknown(file: Location) -> Reader:
    pipeline, _, table = file.stem.partition(".")
    return Reader(pipeline=pipeline, table=table, ledger="", storage="", file=str(file))
