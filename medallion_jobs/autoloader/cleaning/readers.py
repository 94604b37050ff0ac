"""Who else reads a landing folder: each bronze table leaves its name there.

    <folder>/_medallion/readers/<pipeline>.<table>.json

The folder is a root without its pattern. No listing looks below `_medallion`. Whoever cleans
the folder asks the ledgers of the others first: what one of them has not read yet, stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from medallion_jobs import places
from medallion_jobs.autoloader.books import tables as ledger_tables
from medallion_jobs.autoloader.books.tables import State
from medallion_jobs.autoloader.found import Found, is_local, to_path
from medallion_jobs.storage import put

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline

_READ = (State.COMMITTED, State.ARCHIVING, State.ARCHIVED)
_PATTERN = re.compile(r"[*?\[{\\]")
# Of these Python and Hadoop think differently; a name filter with them may take any file.
_UNSURE = re.compile(r"[\[{\\]")


@dataclass(frozen=True)
class Reader:
    """A bronze table that reads a landing folder.

    Attributes:
        ledger: absolute folder of its ledger; empty where its registration does not tell.
        storage: absolute folder of its lake.
        path_glob_filter: the names of files that it takes; None for all.
        file: its registration; empty while it has none.
    """

    pipeline: str
    table: str
    ledger: str
    storage: str
    path_glob_filter: str | None = None
    registered_at: str = ""
    file: str = ""

    @classmethod
    def of(cls, config: Pipeline, table: str) -> Reader:
        """A bronze table of a pipeline, not registered yet."""
        return cls(
            pipeline=config.pipeline,
            table=table,
            ledger=str(places.ledger(config, table)),
            storage=str(places.lake(config)),
            path_glob_filter=config.bronze[table].source.path_glob_filter,
        )

    def __str__(self) -> str:
        return f"{self.pipeline}.{self.table}"

    def may_take(self, name: str) -> bool:
        """Whether it may read a file of this name; False only where that is certain."""
        wanted = self.path_glob_filter
        return wanted is None or bool(_UNSURE.search(wanted)) or fnmatchcase(name, wanted)


def fixed_part(root: str) -> Path:
    """The folder of a root up to its first name that is a pattern.

    >>> fixed_part("/data/2026-*/sales")
    PosixPath('/data')
    """
    path = Path(root)
    names = path.parts
    plain = next((n for n, name in enumerate(names) if _PATTERN.search(name)), len(names))
    return Path(*names[:plain])


class LeftError(Exception):
    """A file must stay where it is; the text says why."""


@dataclass(frozen=True)
class Spot:
    """Where a file lies: below a root, in folders, by its name."""

    root: Path
    folders: tuple[str, ...]
    name: str


def spot(file: Found, roots: Sequence[Path]) -> Spot:
    """Where a file lies below the first of the roots, given without patterns, that holds it.

    Raises:
        LeftError: below none of them.
    """
    path = to_path(file.path) if is_local(file.path) else ""
    for root in roots:
        for spelled in (str(root), os.path.realpath(root)):
            above = spelled.rstrip("/") + "/"
            names = path.removeprefix(above).split("/")
            if path.startswith(above) and not {"", ".", ".."} & set(names):
                return Spot(root, tuple(names[:-1]), names[-1])
    raise LeftError("outside the landing folders")


@contextmanager
def opened(root: Path, folders: Sequence[str], *, make: bool = False) -> Iterator[int | None]:
    """A folder's descriptor, step by step from its root; None when there is no such folder.

    Raises:
        LeftError: one of the folders is a symbolic link, or none at all.
    """
    if make:
        root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder: int | None = None
        try:
            for name in (str(root), *folders):
                if make and folder is not None:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=folder)
                flags = os.O_DIRECTORY | (0 if folder is None else os.O_NOFOLLOW)
                folder = os.open(name, flags, dir_fd=folder)
                stack.callback(os.close, folder)
        except FileNotFoundError:
            folder = None
        except NotADirectoryError:
            raise LeftError("behind a symbolic link, or what is no folder") from None
        yield folder


def register(root: str, me: Reader) -> str | None:
    """Leaves my name in a landing folder; None, or a remark on why that was not possible.

    The file is written whole or not at all, and only when it would say something else. In
    other file systems nobody cleans and nobody registers.
    """
    if "://" in root:
        return None
    folder = _folder(fixed_part(root))
    unknown = "whoever else cleans this folder cannot know of this reader"
    if folder.is_symlink() or folder.parent.is_symlink():
        return f"{me} is not registered in {folder}, a symbolic link: {unknown}"
    try:
        fixed_part(root).stat()
        file = _own_file(folder, me)
        old = _read(file)
        if old is None or _said(old) != _said(me):
            said = {**_said(me), "registered_at": datetime.now(timezone.utc).isoformat()}
            put(file, (json.dumps(said, indent=2) + "\n").encode())
    except OSError as error:
        return f"{me} is not registered in {folder} ({error.strerror}): {unknown}"
    return None


def is_registered(root: Path, me: Reader) -> bool:
    """Whether a landing folder, given without its pattern, has my name."""
    return any(one.ledger == me.ledger for one in _all(root))


def others(root: str, me: Reader) -> list[Reader]:
    """The other readers that are registered in a landing folder, by name.

    A registration that cannot be read is a reader whose ledger nobody knows.
    """
    return [one for one in _all(fixed_part(root)) if one.ledger != me.ledger]


def states_of(ledger: Path, files: Collection[Found]) -> Mapping[str, State]:
    """By path, the state that a ledger gives to those of `files` that it knows as they are.

    A path whose newest event is about another content (size or time) is left out, and so
    is one that waits to be read, for the first time or again.

    Raises:
        DeltaError, OSError, ValueError, pyarrow.ArrowException: there is no ledger, or it
            cannot be read.
    """
    asked = {file.path: (file.size, file.modified_us) for file in files}
    columns = ["path", "size", "modified", "version", "state", "updated_at"]
    events = ledger_tables.in_order(_about(asked, ledger / "events", columns))
    newest = {file.path: (file, state, at) for file, state, at in events}
    admitted = _about(asked, ledger / "discovered", ["path", "discovered_at"])
    wait = {
        path
        for path, at in zip(*(column.to_pylist() for column in admitted.columns), strict=True)
        if path in newest and at > newest[path][2]
    }
    return {
        path: state
        for path, (file, state, _) in newest.items()
        if path not in wait and (file.size, file.modified_us) == asked[path]
    }


def _about(paths: Collection[str], table: Path, columns: list[str]) -> pa.Table:
    wanted = ds.field("path").isin(pa.array(list(paths), pa.string()))
    return DeltaTable(table).to_pyarrow_dataset().to_table(columns=columns, filter=wanted)


def blocked(files: Mapping[Found, Path], me: Reader) -> dict[Found, str]:
    """Of `files`, those that another reader has not read: why, and what to do if that is wrong.

    Args:
        files: each with its folder; readers of the folders above count, too.
    """
    near = {folder: _near(folder, me) for folder in set(files.values())}
    asked: dict[Reader, list[Found]] = {}
    for file, folder in files.items():
        for reader in near[folder]:
            if reader.may_take(Path(to_path(file.path)).name):
                asked.setdefault(reader, []).append(file)
    return {
        file: f"{why}; if it is no longer used: delete {reader.file}"
        for reader, theirs in asked.items()
        for file, why in _unread(reader, theirs)
    }


def _unread(reader: Reader, files: Collection[Found]) -> Iterator[tuple[Found, str]]:
    why = f"{reader} has not read them as they are"
    states: Mapping[str, State] = {}
    if not reader.ledger:
        why = f"the registration of {reader} cannot be read"
    else:
        try:
            states = states_of(Path(reader.ledger), files)
        except (DeltaError, OSError, ValueError, pa.ArrowException) as error:
            said = " ".join(str(error).split())
            why = f"the ledger of {reader} cannot be read, {reader.ledger}: {said}"
    return ((file, why) for file in files if states.get(file.path) not in _READ)


def _near(folder: Path, me: Reader) -> list[Reader]:
    above = (folder, *folder.parents)
    return [one for each in above for one in _all(each) if one.ledger != me.ledger]


def _folder(root: Path) -> Path:
    return root / "_medallion" / "readers"


def _all(root: Path) -> list[Reader]:
    folder = _folder(root)
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".json")]  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        return [_unknown(folder)]
    files = sorted(folder / name for name in names if not name.startswith("."))
    return [_read(file) or _unknown(file) for file in files]


def _own_file(folder: Path, me: Reader) -> Path:
    """My file, beside that of a table of the same name in another lake."""
    file = folder / f"{me}.json"
    old = _read(file)
    if old is None or old.ledger == me.ledger:
        return file
    return folder / f"{me}.{hashlib.sha256(os.fsencode(me.ledger)).hexdigest()[:8]}.json"


def _said(reader: Reader) -> dict[str, object]:
    return {k: v for k, v in asdict(reader).items() if k not in ("registered_at", "file")}


def _read(file: Path) -> Reader | None:
    """A registration; None where there is none, or none that could be understood."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        known = {one.name: said[one.name] for one in fields(Reader) if one.name in said}
        reader = Reader(**{**known, "file": str(file)})
    except (OSError, ValueError, TypeError):
        return None
    texts = (reader.pipeline, reader.table, reader.path_glob_filter or "", reader.ledger)
    return reader if all(isinstance(one, str) for one in texts) and reader.ledger else None


def _unknown(file: Path) -> Reader:
    pipeline, _, table = file.stem.partition(".")
    return Reader(pipeline=pipeline, table=table, ledger="", storage="", file=str(file))
