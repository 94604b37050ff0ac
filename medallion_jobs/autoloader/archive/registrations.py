"""The readers of a landing folder, as far as a table that cleans it can know them.

A table that cleans its source registers in it, and so does one with `register_as_reader`:

    <folder>/.medallion/readers/<pipeline>.<table>.reader

The folder is a root without its pattern. The name is hidden, and ends like no data: others read
the folder, too. Registrations of earlier versions, `_medallion/readers/*.json`, are still read.
The other tables of the same config need none (`neighbours`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path

from medallion_jobs.autoloader.archive.file_location import AWS, fixed_part, is_cleanable
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.storage import S3, Location, put

# Python and Hadoop differ on these characters; a filter that has one may match any file.
_UNSURE = re.compile(r"[\[{\\]")
# Folders of registrations, with the ending of the files in them: today's, and an older one.
_NOW, _BEFORE = (".medallion", ".reader"), ("_medallion", ".json")


@dataclass(frozen=True)
class Reader:
    """A bronze table that reads a landing folder.

    Attributes:
        ledger: absolute folder of its ledger; empty if its registration cannot be read.
        storage: absolute folder of its lake.
        path_glob_filter: pattern of the file names that it reads; None for all.
        file: path of its registration; empty if it has none.
        way_out: what to do if the reader is not used any more and keeps files from being cleaned.
    """

    pipeline: str
    table: str
    ledger: str
    storage: str
    path_glob_filter: str | None = None
    registered_at: str = ""
    file: str = ""
    way_out: str = ""

    @classmethod
    def of(cls, table: TablePaths) -> Reader:
        """The reader for a bronze table; does not register it. Each slot is a reader of its own."""
        config, name = table.config, table.ref.name
        return cls(
            pipeline=config.pipeline,
            table=name,
            ledger=str(table.ledger),
            storage=str(paths.lake(config)),
            path_glob_filter=config.file_sources[name].path_glob_filter,
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
    cannot be cleaned, nothing is registered. A registration of an earlier version is removed.
    """
    if not is_cleanable(root):
        return None
    base = fixed_part(root, store)
    folder = _folder(base)
    unknown = "others that clean this folder do not know of this reader"
    if _is_linked(folder):
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
    with suppress(OSError):
        _remove(base, _own(base, me, _BEFORE))
    return None


def withdraw(
    root: str,
    me: Reader,
    store: S3 = AWS,
    *,
    unless_near: Callable[[Reader], bool],
    dry_run: bool = False,
) -> str | None:
    """Removes the registrations of a table that does not register any more.

    Args:
        unless_near: leave them if such a reader is registered in the folder or above it, which
            may clean, and would no longer know of this one.

    Returns:
        A remark on what was done; None if there was no registration.
    """
    if not is_cleanable(root):
        return None
    base = fixed_part(root, store)
    own = registered(root, me, store)
    if not own:
        return None
    here = f"{me} {{}} registered in {base}"
    if other := next(filter(unless_near, near(base, me)), None):
        return (
            f"{here.format('stays')}, since {other} may clean it; set register_as_reader "
            "to true if so, else to false"
        )
    if not dry_run:
        try:
            _remove(base, own)
        except OSError as error:
            return f"{here.format('stays')}, {own[0]} cannot be removed: {error.strerror}"
    gone = here.format("would no longer be" if dry_run else "is no longer")
    return f"{gone}; if another pipeline cleans files there, set register_as_reader to true"


def registered(root: str, me: Reader, store: S3 = AWS) -> list[Location]:
    """The registrations of a reader in a landing folder."""
    if not is_cleanable(root):
        return []
    base = fixed_part(root, store)
    return [*_own(base, me, _NOW), *_own(base, me, _BEFORE)]


def is_registered(root: Location, me: Reader) -> bool:
    """Whether a reader is registered in a landing folder, given without its pattern.

    Raises:
        OSError: the folder cannot be read, so it is not known.
    """
    return any(
        (reader := _read(file)) is not None and reader.ledger == me.ledger
        for kind in (_NOW, _BEFORE)
        for file in _files(root, kind)
    )


def others(root: str, me: Reader, store: S3 = AWS) -> list[Reader]:
    """The other readers that are registered in a landing folder, by name.

    A registration that cannot be read counts as a reader without a ledger.
    """
    return [reader for reader in _all(fixed_part(root, store)) if reader.ledger != me.ledger]


def near(folder: Location, me: Reader) -> list[Reader]:
    """The other readers that are registered in a folder, or above it."""
    above = (folder, *folder.parents)
    return [reader for each in above for reader in _all(each) if reader.ledger != me.ledger]


def _folder(root: Location, kind: tuple[str, str] = _NOW) -> Location:
    return root / kind[0] / "readers"


def _is_linked(folder: Location) -> bool:
    return isinstance(folder, Path) and (folder.is_symlink() or folder.parent.is_symlink())


def _all(root: Location) -> list[Reader]:
    readers = []
    for kind in (_NOW, _BEFORE):
        try:
            readers += [_read(file) or _unknown(file) for file in _files(root, kind)]
        except OSError:
            readers.append(_unknown(_folder(root, kind)))
    return readers


def _files(root: Location, kind: tuple[str, str]) -> list[Location]:
    """The registrations of one kind in a folder; raises OSError if it cannot be read."""
    folder = _folder(root, kind)
    try:
        names = [file.name for file in folder.iterdir() if file.name.endswith(kind[1])]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(folder / name for name in names if not name.startswith("."))


def _own(base: Location, me: Reader, kind: tuple[str, str]) -> list[Location]:
    """The registrations of a reader of one kind; none in a folder that is a link."""
    if _is_linked(_folder(base, kind)):
        return []
    with suppress(OSError):
        return [
            file
            for file in _files(base, kind)
            if (reader := _read(file)) is not None and reader.ledger == me.ledger
        ]
    return []


def _remove(base: Location, files: Sequence[Location]) -> None:
    """Removes registrations, and their folders once they are empty; raises OSError."""
    for file in files:
        file.unlink(missing_ok=True)
    for folder in {file.parent for file in files}:
        for each in (folder, folder.parent):
            if isinstance(each, Path) and each != base and not any(each.iterdir()):
                each.rmdir()


def _own_file(folder: Location, me: Reader) -> Location:
    """The file for a reader; tables of the same name in two lakes have different files."""
    file = folder / f"{me}{_NOW[1]}"
    old = _read(file)
    if old is None or old.ledger == me.ledger:
        return file
    digest = hashlib.sha256(os.fsencode(me.ledger)).hexdigest()[:8]
    return folder / f"{me}.{digest}{_NOW[1]}"


def _content(reader: Reader) -> dict[str, object]:
    ours = ("registered_at", "file", "way_out")
    return {key: value for key, value in asdict(reader).items() if key not in ours}


def _read(file: Location) -> Reader | None:
    """A registration; None if there is none, or if it is not valid."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        names = [field.name for field in fields(Reader) if field.name in content]
        known = {name: content[name] for name in names}
        reader = Reader(**{**known, "file": str(file), "way_out": _delete(file)})
    except (OSError, ValueError, TypeError):
        return None
    texts = (reader.pipeline, reader.table, reader.path_glob_filter or "", reader.ledger)
    return reader if all(isinstance(text, str) for text in texts) and reader.ledger else None


def _unknown(file: Location) -> Reader:
    pipeline, _, table = file.stem.partition(".")
    return Reader(pipeline, table, ledger="", storage="", file=str(file), way_out=_delete(file))


def _delete(file: Location) -> str:
    return f"if it is no longer used: delete {file}"
