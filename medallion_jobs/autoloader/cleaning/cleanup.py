"""Files whose rows are in bronze are moved away or deleted, after a retention.

A file is noted ARCHIVING, held against the ledger once more, deleted or moved, and noted
ARCHIVED. What was cut off in between is found by the ledger and gone on with.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from medallion_jobs import places
from medallion_jobs.autoloader.books.tables import State
from medallion_jobs.autoloader.cleaning import readers
from medallion_jobs.autoloader.cleaning.readers import LeftError, Spot, fixed_part, opened
from medallion_jobs.autoloader.found import Found
from medallion_jobs.errors import UsageError

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline

# Files noted as ARCHIVING together, and the most that may be stuck in that state.
GROUP = 1000
_BLOCK = 1 << 20
_LEAST_FOR_DELETE = timedelta(days=7)
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}
_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_DELETED, _WAS_GONE = "deleted", "gone already"


class CleanableLedger(Protocol):
    """What cleaning needs of a ledger; the engine's `Ledger` tells more of each."""

    def committed_until(self, moment: datetime) -> list[Found]: ...
    def in_state(self, state: State) -> list[Found]: ...
    def note(self, files: Sequence[Found], state: State, error: str | None = None) -> None: ...


@dataclass
class Cleaned:
    """What one call of `Cleaner.clean` did.

    Attributes:
        left: files that were due and had to stay; the remarks say why.
        waiting: files that are due and that this call did not come to.
        failed: those of `left` that the file system would not move or delete.
        goes_on: whether more files may be begun with.
    """

    moved: int = 0
    deleted: int = 0
    bytes: int = 0
    left: int = 0
    waiting: int = 0
    failed: int = 0
    goes_on: bool = True
    _reasons: dict[str, list[str]] = field(default_factory=dict)

    @property
    def remarks(self) -> list[str]:
        """A sentence for each reason."""
        return [
            f"{len(paths)} file(s) {why}: {', '.join(paths[:3])}{' …' if paths[3:] else ''}"
            for why, paths in self._reasons.items()
        ]

    def leave(self, file: Found, why: Exception | str) -> None:
        reason = f"left, {why.strerror if isinstance(why, OSError) else why}"
        self._reasons.setdefault(reason, []).append(file.path)
        self.left += 1
        if isinstance(why, OSError):
            self.failed += 1
            self.goes_on &= self.failed < GROUP and why.errno not in _HOPELESS

    def count(self, told: str, files: Sequence[Found]) -> None:
        for file in files:
            if told == _WAS_GONE:
                self._reasons.setdefault(told, []).append(file.path)
            else:
                self.deleted += told == _DELETED
                self.moved += told != _DELETED
                self.bytes += file.size


def check(config: Pipeline, table: str) -> None:
    """Raises UsageError when a bronze table's `clean_source` cannot be, or would do harm."""
    clean, key = config.bronze[table].source.clean_source, f"bronze.{table}.source.clean_source"
    far = [root for root in config.landing_paths(table) if "://" in root]
    if far and clean.mode != "off":
        raise _refused(f"{key}.mode", f"only local files can be cleaned, not {far[0]}", "off")
    if clean.mode == "delete" and clean.retention < _LEAST_FOR_DELETE and not clean.force:
        what = "files would be deleted less than 7 days after they were read"
        raise _refused(f"{key}.retention", what, f"7d or more, or {key}.force to true")
    if clean.mode == "move":
        to = clean.move_to[0] if clean.move_to else ""
        if not to or "://" in to or fixed_part(to) != Path(to):
            raise _refused(f"{key}.move_to", f"`{to}` is no local folder", "one")
        roots = [root for name in config.bronze for root in config.landing_paths(name)]
        local = (fixed_part(root) for root in roots if "://" not in root)
        here = Path(to).resolve()
        lake = places.lake(config)
        for other in (*local, *([lake] if isinstance(lake, Path) else [])):
            there = other.resolve()
            if here.is_relative_to(there) or there.is_relative_to(here):
                what = f"{to} and {other} contain one another; moved files would be read again"
                raise _refused(f"{key}.move_to", what, "a folder beside them")


def _refused(key: str, what: str, instead: str) -> UsageError:
    return UsageError(f"{key}: {what}", untouched="no file", next_step=f"set {key} to {instead}")


class Cleaner:
    """Cleans the landing folders of one bronze table; raises UsageError as `check` does.

    One call looks at `most` files. What has to stay is looked at again when all else had its turn.
    """

    def __init__(
        self, config: Pipeline, table: str, ledger: CleanableLedger, *, most: int = 10_000
    ) -> None:
        check(config, table)
        self._settings = clean = config.bronze[table].source.clean_source
        self._move_to = Path(clean.move_to[0]) if clean.mode == "move" and clean.move_to else None
        roots = {fixed_part(root) for root in config.landing_paths(table)}
        self._roots = sorted(roots, reverse=True)  # a folder comes before those around it
        self._me = readers.Reader.of(config, table)
        self._ledger, self._most = ledger, most
        self._after: Found | None = None

    def clean(self, now: datetime) -> Cleaned:
        """Goes on with what was begun, then cleans what is due, oldest first."""
        done = Cleaned()
        if self._settings.mode == "off":
            return done
        begun = self._free(self._ledger.in_state(State.ARCHIVING), done)
        self._perform(begun, done, begun=True)
        if done.goes_on:
            until = now - self._settings.retention
            due = self._next(self._ledger.committed_until(until), done)
            spots = iter(self._free(due, done).items())
            while done.goes_on and (group := dict(itertools.islice(spots, GROUP))):
                self._ledger.note(list(group), State.ARCHIVING)
                self._perform(group, done)
        return done

    def _next(self, due: Sequence[Found], done: Cleaned) -> Sequence[Found]:
        ordered = sorted(due)
        later = [file for file in ordered if self._after is None or file > self._after] or ordered
        done.waiting = max(len(later) - self._most, 0)
        self._after = later[self._most - 1] if done.waiting else None
        return later[: self._most]

    def _free(self, files: Iterable[Found], done: Cleaned) -> dict[Found, Spot]:
        """Those that may be cleaned, or are so already; the others are left."""
        mounted = {root for root in self._roots if readers.is_registered(root, self._me)}
        spots: dict[Found, Spot] = {}
        to_ask: dict[Found, Path] = {}
        for file in files:
            try:
                spot = readers.spot(file, self._roots)
                if spot.root not in mounted:
                    raise LeftError(f"{self._me} is not registered in {spot.root}; is it mounted?")
                with opened(spot.root, spot.folders) as folder:
                    if folder is not None and _is_there(folder, spot.name, file):
                        if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder):
                            raise LeftError("their folder may not be written to")
                        to_ask[file] = Path(os.path.realpath(spot.root), *spot.folders)
                spots[file] = spot
            except (LeftError, OSError) as why:
                done.leave(file, getattr(why, "strerror", str(why)))
        for file, reason in readers.blocked(to_ask, self._me).items():
            done.leave(file, reason)
            del spots[file]
        return spots

    def _perform(self, files: Mapping[Found, Spot], done: Cleaned, *, begun: bool = False) -> None:
        outcomes: dict[str, list[Found]] = {}
        for file, spot in files.items():
            try:
                outcomes.setdefault(self._clean(file, spot, begun=begun), []).append(file)
            except (LeftError, OSError) as why:
                done.leave(file, why)
                if not done.goes_on:
                    break
        for told, group in outcomes.items():
            self._ledger.note(group, State.ARCHIVED, told)
            done.count(told, group)

    def _clean(self, file: Found, spot: Spot, *, begun: bool) -> str:
        """Deletes or moves a file, and tells what became of it."""
        with opened(spot.root, spot.folders) as folder:
            if folder is None or not _is_there(folder, spot.name, file):
                return self._absent(file, spot) if begun else _WAS_GONE
            if self._move_to is None:
                os.unlink(spot.name, dir_fd=folder)
                return _DELETED
            with opened(self._move_to, spot.folders, make=True) as target:
                if target is None:
                    raise LeftError(f"{self._move_to} went away")
                return self._moved(spot, _move(folder, spot.name, file, target))

    def _absent(self, file: Found, spot: Spot) -> str:
        """What became of a file that was begun with and is not there any more."""
        if self._move_to is None:
            return _DELETED
        with opened(self._move_to, spot.folders) as target:
            for number, name in enumerate(_numbered(spot.name)):
                there = None if target is None else _stat(target, name)
                if there is None or _fits(there, file):
                    return self._moved(spot, number) if there else _WAS_GONE
        raise AssertionError("numbers do not end")

    def _moved(self, spot: Spot, number: int) -> str:
        # The same words for as many files as can be: each other text is one more commit.
        added = f", .{number} added" if number else ""
        return f"moved to {self._move_to} (path below {spot.root} kept{added})"


def _is_there(folder: int, name: str, file: Found) -> bool:
    there = _stat(folder, name)
    if there and not _fits(there, file):
        raise LeftError("changed since they were read")
    return there is not None


def _move(folder: int, name: str, file: Found, target: int) -> int:
    """Moves a file, never over another one; gives the number that its name got, or 0."""
    for number, new in enumerate(_numbered(name)):
        with suppress(FileExistsError):
            _copy(folder, name, target, new)
        is_same = _is_same(folder, name, file, target, new)  # now, or since a run before
        if _is_there(folder, name, file) and is_same:
            os.unlink(name, dir_fd=folder)
            return number
    raise AssertionError("numbers do not end")


def _copy(folder: int, name: str, target: int, new: str) -> None:
    """Gives a file a second place: by a link, or in another file system as a whole copy."""
    try:
        os.link(name, new, src_dir_fd=folder, dst_dir_fd=target, follow_symlinks=False)
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    if _stat(target, new):
        raise FileExistsError
    draft = f".medallion-{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}"
    with _open(folder, name) as old, _open(target, draft, os.O_WRONLY | os.O_CREAT) as out:
        out.truncate()
        shutil.copyfileobj(old, out, _BLOCK)
        out.flush()
        seen = os.fstat(old.fileno())
        os.fchmod(out.fileno(), stat.S_IMODE(seen.st_mode))
        os.utime(out.fileno(), ns=(seen.st_atime_ns, seen.st_mtime_ns))
        os.fsync(out.fileno())
    os.rename(draft, new, src_dir_fd=target, dst_dir_fd=target)
    os.fsync(target)


def _is_same(folder: int, name: str, file: Found, target: int, new: str) -> bool:
    """Whether what is at a target is the file itself, or equal to the last byte."""
    here, there = _stat(folder, name), _stat(target, new)
    if here is None or there is None or not _fits(there, file):
        return False
    if os.path.samestat(here, there):
        return True
    with _open(folder, name) as one, _open(target, new) as other:
        return all(block == other.read(_BLOCK) for block in iter(lambda: one.read(_BLOCK), b""))


def _open(folder: int, name: str, flags: int = os.O_RDONLY) -> IO[bytes]:
    opened = os.open(name, flags | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    return os.fdopen(opened, "wb" if flags else "rb")


def _stat(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _fits(there: os.stat_result, file: Found) -> bool:
    seen = (there.st_size, there.st_mtime_ns // 1000)
    return stat.S_ISREG(there.st_mode) and seen == (file.size, file.modified_us)


def _numbered(name: str) -> Iterator[str]:
    return itertools.chain([name], (f"{name}.{number}" for number in itertools.count(1)))
