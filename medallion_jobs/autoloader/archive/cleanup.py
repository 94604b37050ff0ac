"""Moves or deletes files whose rows are in bronze, after a retention time.

A file is recorded as ARCHIVING, compared with the ledger once more, deleted or moved, and
recorded as ARCHIVED. The next run finds in the ledger what was interrupted, and continues.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import duckdb
from deltalake.exceptions import DeltaError

from medallion_jobs.autoloader.archive import neighbours, registrations
from medallion_jobs.autoloader.archive.file_actions import FileActions
from medallion_jobs.autoloader.archive.file_location import (
    AWS,
    FileLocation,
    LeftError,
    fixed_part,
    is_cleanable,
    location_of,
)
from medallion_jobs.autoloader.archive.kept_in_part import kept_in_part
from medallion_jobs.autoloader.archive.local_files import LocalFileActions
from medallion_jobs.autoloader.archive.objects import ObjectActions
from medallion_jobs.autoloader.file_entry import FileEntry
from medallion_jobs.autoloader.ledger.tables import State
from medallion_jobs.config import TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.lake import paths
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.storage import Location, ObjectPath, is_below, location

if TYPE_CHECKING:
    from medallion_jobs.config import Pipeline

# Files recorded as ARCHIVING together, and the most that may get stuck in that state.
GROUP = 1000
_LEAST_FOR_DELETE = timedelta(days=7)
_STOPS_CLEANING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_DELETED, _WAS_GONE = "deleted", "gone already"
_IN_PART = "quarantine has a record of them only in part"


class CleanableLedger(Protocol):
    """The methods of `Ledger` that cleaning needs; they are described there."""

    def committed_until(self, moment: datetime) -> list[FileEntry]: ...
    def in_state(self, state: State) -> list[FileEntry]: ...
    def note(self, files: Sequence[FileEntry], state: State, error: str | None = None) -> None: ...


@dataclass
class Cleaned:
    """What one call of `Cleaner.clean` did.

    Attributes:
        left: due files that had to stay; the remarks give the reasons.
        waiting: due files that this call did not reach.
        failed: those of `left` that the file system or the store failed to look at, move or delete.
        goes_on: whether cleaning may continue with more files.
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
            f"{len(files)} file(s) {why}: {', '.join(files[:3])}{' …' if files[3:] else ''}"
            for why, files in self._reasons.items()
        ]

    def leave(self, file: FileEntry, why: Exception | str) -> None:
        reason = f"kept, {why.strerror if isinstance(why, OSError) else why}"
        self._reasons.setdefault(reason, []).append(file.path)
        self.left += 1
        if isinstance(why, OSError):
            self.failed += 1
            self.goes_on &= self.failed < GROUP and why.errno not in _STOPS_CLEANING

    def count(self, outcome: str, files: Sequence[FileEntry]) -> None:
        for file in files:
            if outcome == _WAS_GONE:
                self._reasons.setdefault(outcome, []).append(file.path)
            else:
                self.deleted += outcome == _DELETED
                self.moved += outcome != _DELETED
                self.bytes += file.size


def check(config: Pipeline, table: str) -> None:
    """Raises UsageError if a bronze table's `clean_source` is impossible or would do harm."""
    source, key = config.file_sources[table], f"bronze.{table}.source.clean_source"
    clean = source.clean_source
    if clean.mode != "off" and source.register_as_reader is False:
        # A root without its registration may be one that is not mounted.
        what = "a table with `clean_source` registers in the folders that it cleans"
        raise _refused(f"bronze.{table}.source.register_as_reader", what, "true, or leave it out")
    roots, to = config.landing_paths(table), clean.move_to[0] if clean.move_to else ""
    far = [root for root in roots if not is_cleanable(root)]
    if far and clean.mode != "off":
        what = f"only local files and s3a:// objects can be cleaned, not {far[0]}"
        raise _refused(f"{key}.mode", what, "off")
    if clean.mode == "delete" and clean.retention < _LEAST_FOR_DELETE and not clean.force:
        what = "files would be deleted less than 7 days after they were read"
        raise _refused(f"{key}.retention", what, f"7d or more, or {key}.force to true")
    if clean.mode == "move":
        _check_target(config, f"{key}.move_to", to, roots)


def _check_target(config: Pipeline, key: str, to: str, roots: Sequence[str]) -> None:
    in_store = any("://" in root for root in roots)
    if not to or not is_cleanable(to) or (fixed_part(to) != (location(to, AWS) or Path(to))):
        raise _refused(key, f"`{to}` is not a local or s3a:// folder", "such a folder")
    if any(("://" in root) != ("://" in to) for root in roots):
        what = f"`{to}` is in another file system than the landing folders"
        raise _refused(key, what, "an s3a:// folder" if in_store else "a local folder")
    target = _resolved(fixed_part(to))
    all_roots = [root for name in config.file_sources for root in config.landing_paths(name)]
    for other in (*map(fixed_part, filter(is_cleanable, all_roots)), paths.lake(config)):
        folder = _resolved(other)
        if is_below(target, folder) or is_below(folder, target):
            what = f"{to} and {other} overlap; moved files would be read again"
            raise _refused(key, what, "a separate folder")


def _resolved(place: Location) -> Location:
    return place.resolve() if isinstance(place, Path) else place


def _refused(key: str, what: str, instead: str) -> UsageError:
    return UsageError(
        f"{key}: {what}",
        code="cannot_clean_source",
        untouched="all files",
        next_step=f"set {key} to {instead}",
    )


class Cleaner:
    """Cleans the landing folders of one bronze table; raises UsageError as `check` does.

    One call looks at up to `most` files. Files that had to stay are checked again after all others.
    """

    def __init__(
        self, config: Pipeline, table: str, ledger: CleanableLedger, *, most: int = 10_000
    ) -> None:
        check(config, table)
        self._config = config
        self._settings = clean = config.file_sources[table].clean_source
        self._store = config.store
        to = clean.move_to[0] if clean.mode == "move" and clean.move_to else None
        self._move_to = to and (location(to, self._store) or Path(to))
        self._files = LocalFileActions(self._move_to if isinstance(self._move_to, Path) else None)
        self._objects = ObjectActions(
            self._move_to if isinstance(self._move_to, ObjectPath) else None
        )
        roots = {fixed_part(root, self._store) for root in config.landing_paths(table)}
        # A folder comes before its parents.
        self._roots = sorted(roots, key=str, reverse=True)
        places = TablePaths(config, TableRef("bronze", table))
        self._me, self._quarantine = registrations.Reader.of(places), places.quarantine
        self._ledger, self._most = ledger, most
        self._after: FileEntry | None = None

    def clean(self, now: datetime) -> Cleaned:
        """Finishes what an earlier run started, then cleans due files, oldest first."""
        done = Cleaned()
        if self._settings.mode == "off":
            return done
        started = self._cleanable(self._ledger.in_state(State.ARCHIVING), done)
        if done.goes_on:
            self._perform(started, done, resumed=True)
        if done.goes_on:
            until = now - self._settings.retention
            due = self._next(self._ledger.committed_until(until), done)
            files = iter(self._cleanable(due, done).items())
            while done.goes_on and (group := dict(itertools.islice(files, GROUP))):
                self._ledger.note(list(group), State.ARCHIVING)
                self._perform(group, done)
        return done

    def _next(self, due: Sequence[FileEntry], done: Cleaned) -> Sequence[FileEntry]:
        ordered = sorted(due)
        later = [file for file in ordered if self._after is None or file > self._after] or ordered
        done.waiting = max(len(later) - self._most, 0)
        self._after = later[self._most - 1] if done.waiting else None
        return later[: self._most]

    def _cleanable(
        self, files: Iterable[FileEntry], done: Cleaned
    ) -> dict[FileEntry, FileLocation]:
        """The files that may be cleaned, or already are, with locations; the others stay."""
        unsure = {root: why for root in self._roots if (why := self._why_unmounted(root))}
        located: dict[FileEntry, FileLocation] = {}
        existing: dict[FileEntry, Location] = {}
        for file in files:
            try:
                place = location_of(file, self._roots)
                if place.root in unsure:
                    raise unsure[place.root]
                if self._actions(place).exists(place, file):
                    existing[file] = place.folder
                located[file] = place
            except (LeftError, OSError) as why:
                done.leave(file, why)
                if not done.goes_on:
                    break
        if existing:
            readers = neighbours.readers_of_config(self._config)
            others = [each for each in readers if each.reader.ledger != self._me.ledger]
            blocked = neighbours.blocked(existing, self._me, self._store, others)
            blocked |= self._in_part(existing)
            for file, reason in blocked.items():
                done.leave(file, reason)
                del located[file]
        return located

    def _in_part(self, files: Iterable[FileEntry]) -> dict[FileEntry, str]:
        """The files whose bytes are not all in bronze and in quarantine, with the reason."""
        try:
            in_part = kept_in_part(self._quarantine)
        except (DeltaError, OSError, duckdb.Error) as error:
            return dict.fromkeys(
                files, f"quarantine cannot be read: {' '.join(str(error).split())}"
            )
        return {file: _IN_PART for file in files if file.key in in_part}

    def _why_unmounted(self, root: Location) -> Exception | None:
        """Why the files below a root may be missing only because it is not mounted; or None."""
        try:
            if registrations.is_registered(root, self._me):
                return None
        except OSError as why:
            return why
        return LeftError(f"{self._me} is not registered in {root}; is it mounted?")

    def _perform(
        self, files: Mapping[FileEntry, FileLocation], done: Cleaned, *, resumed: bool = False
    ) -> None:
        outcomes: dict[str, list[FileEntry]] = {}
        for file, place in files.items():
            try:
                outcomes.setdefault(self._clean(file, place, resumed=resumed), []).append(file)
            except (LeftError, OSError) as why:
                done.leave(file, why)
                if not done.goes_on:
                    break
        for outcome, group in outcomes.items():
            self._ledger.note(group, State.ARCHIVED, outcome)
            done.count(outcome, group)

    def _clean(self, file: FileEntry, place: FileLocation, *, resumed: bool) -> str:
        """Deletes or moves a file; returns the outcome for the ledger."""
        actions = self._actions(place)
        if self._move_to is None:
            # If an interrupted run had started with a missing file, that run deleted it.
            return _DELETED if actions.delete(place, file) or resumed else _WAS_GONE
        number = actions.move(place, file)
        if number is None and resumed:
            number = actions.moved_before(place, file)
        return _WAS_GONE if number is None else self._moved(place, number)

    def _actions(self, place: FileLocation) -> FileActions:
        return self._objects if isinstance(place.root, ObjectPath) else self._files

    def _moved(self, place: FileLocation, number: int) -> str:
        # The same text for as many files as possible: each different text costs a commit.
        added = f", .{number} added" if number else ""
        return f"moved to {self._move_to} (path below {place.root} kept{added})"
