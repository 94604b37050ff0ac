"""Finds the files to read: by listing folders, or from a manifest."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from medallion_jobs.autoloader.discovery import manifest, patterns
from medallion_jobs.autoloader.discovery.listing import Walk
from medallion_jobs.autoloader.discovery.patterns import Root
from medallion_jobs.autoloader.discovery.settled_files import Settling
from medallion_jobs.autoloader.discovery.state import Folders, Memory, Positions, options_of
from medallion_jobs.autoloader.discovery.stores import LocalStore, Store, is_local_path, store_for
from medallion_jobs.autoloader.file_entry import FileEntry, is_local, to_path
from medallion_jobs.config import FileSource
from medallion_jobs.errors import UsageError
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Scan:
    """The result of one scan of the source.

    Attributes:
        files: every wanted file of each folder that may have changed, each once; the ledger
            decides which of them are new.
        folders_listed: number of folders that were listed; the others cannot have changed.
        seconds: how long the scan took.
        unsettled: number of files that may still be written; a later scan returns them.
        is_whole: whether every folder was listed.
        complaints: wrong lines of a manifest, and landing folders that do not exist.
        remember: call it when the files have been admitted to the ledger; later scans, also
            in later processes, then skip unchanged folders.
    """

    files: list[FileEntry]
    folders_listed: int
    seconds: float
    unsettled: int
    is_whole: bool
    complaints: list[str]
    remember: Callable[[], None]


class Discovery:
    """Finds the files of one source.

    Args:
        roots: folders or patterns of folders, as paths or URIs.
        state: the folder for this source's discovery state.
        spark_of: returns the Spark session; called only if a root or the manifest is not
            local.

    Raises:
        UsageError: an invalid pattern.
    """

    def __init__(
        self,
        roots: Sequence[str],
        source: FileSource,
        state: Location,
        spark_of: Callable[[], SparkSession],
    ) -> None:
        self._roots = [_normal(root) for root in roots]
        self._source = source
        self._spark_of = spark_of
        self._memory = Memory(state, options_of(self._roots, source))
        self._settling = Settling(LocalStore(), source.min_age.total_seconds())
        self._reported_missing: set[str] = set()
        try:
            self._name = patterns.compiled(source.path_glob_filter or "*")
            for root in self._roots:
                _ = [expanded.levels for expanded in patterns.roots_of(root)]
        except ValueError as error:
            raise UsageError(
                f"invalid pattern: {error}",
                code="invalid_path_pattern",
                untouched="nothing was started",
                next_step="fix the source's path or path_glob_filter; a `\\` takes the character "
                "after it literally",
            ) from None

    def check(self) -> None:
        """Raises UsageError if no landing folder exists, or the manifest folder does not."""
        if not any(self._exists(root) for root in self._roots):
            raise _no_folder(*map(patterns.fixed_parent, self._roots))
        if self._manifest:
            manifest.check(self._manifest, self._store(self._manifest))

    def scan(self, *, patience: bool, everything: bool = False) -> Scan:
        """Looks for files.

        Args:
            patience: wait for files that may still be written, `min_age` at most.
            everything: list every folder, changed or not.

        Raises:
            UsageError: the folders or the manifest do not exist, or may not be read.
        """
        began, now = time.monotonic(), time.time()
        self.check()
        kept = self._memory.folders
        due = everything or not 0 <= now - kept.whole_at < self._interval
        named, complaints, positions = self._news()
        complaints += self._missing_roots()
        folders, walks, unsettled = kept, [], 0
        found: dict[str, FileEntry] = {file.path: file for file in named}
        if due or kept.unfinished or not self._manifest:
            walks = self._walk(whole=due)
            files, unsettled = self._settle(walks, patience=patience)
            found.update((file.path, file) for file in files)
            folders = Folders(
                trees={walk.key: walk.tree for walk in walks},
                whole_at=now if due else kept.whole_at,
                unfinished=bool(self._manifest and unsettled),
            )
        return Scan(
            files=list(found.values()),
            folders_listed=sum(walk.listed for walk in walks),
            seconds=time.monotonic() - began,
            unsettled=unsettled,
            is_whole=bool(walks) and not any(walk.skipped for walk in walks),
            complaints=complaints,
            remember=lambda: self._memory.save(folders, positions),
        )

    @property
    def _interval(self) -> float:
        return self._source.backfill_interval.total_seconds()

    @property
    def _manifest(self) -> str | None:
        folders = self._source.manifest
        return folders[0] if folders and self._source.discovery == "manifest" else None

    def _walk(self, *, whole: bool) -> list[Walk]:
        # Overwriting a file does not change the times of its folder.
        whole = whole or (self._source.on_changed_file != "ignore" and not self._manifest)
        known = {} if whole else self._memory.folders.trees
        return [
            Walk(
                root, store, self._is_wanted, self._source.recursive, known.get(root.key, {})
            ).run()
            for store, root in self._expanded()
        ]

    def _settle(self, walks: Sequence[Walk], *, patience: bool) -> tuple[list[FileEntry], int]:
        """The wanted files that are complete, and the number of files that may not be."""
        found = (file for walk in walks for files in walk.files.values() for file in files)
        settled = self._settling.sort(found, patience=patience)
        unsettled = {file.path for file in settled.unsettled}
        for walk in walks if unsettled else ():
            for below, files in walk.files.items():
                if any(file.path in unsettled for file in files):
                    walk.forget(below)
        # Only now: while a file is being copied, its modification time is not final.
        return list(filter(self._is_wanted_at, settled.files)), len(unsettled)

    def _news(self) -> tuple[list[FileEntry], list[str], Positions]:
        """The files that a manifest names, complaints about its lines, and read positions."""
        if not self._manifest:
            return [], [], self._memory.positions
        store = self._store(self._manifest)
        news = manifest.news(self._manifest, store, self._memory.positions)
        files, complaints = [], news.complaints
        roots = [root for _, root in self._expanded()]
        for where, named in news.named:
            path = to_path(named.path)
            own = [root for root in roots if root.holds(path, recursive=self._source.recursive)]
            if not own:
                complaints.append(f"{where}: {path} is outside the source's path")
            elif self._is_wanted(path.rpartition("/")[2]) and not all(r.hides(path) for r in own):
                try:
                    file = manifest.found_by(
                        named,
                        self._store(named.path),
                        verified=self._source.on_changed_file != "ignore",
                    )
                except ValueError as error:
                    complaints.append(f"{where}: {error}")
                else:
                    files += [file] if self._is_wanted_at(file) else []
        return files, complaints, Positions(news.positions)

    def _expanded(self) -> list[tuple[Store, Root]]:
        return [(self._store(text), root) for text in self._roots for root in self._roots_of(text)]

    def _roots_of(self, text: str) -> list[Root]:
        """The roots of a path. A folder of exactly this name exists: it is not a pattern."""
        literal = not patterns.has_magic(text) or self._store(text).is_folder(text)
        return [Root(text)] if literal else patterns.roots_of(text)

    def _exists(self, root: str) -> bool:
        store = self._store(root)
        parent = patterns.fixed_parent(root)
        return store.is_folder(root) or (parent != root and store.is_folder(parent))

    def _missing_roots(self) -> list[str]:
        """Complaints about landing folders that do not exist, each reported once."""
        missing = {root for root in self._roots if not self._exists(root)}
        new = sorted(missing - self._reported_missing)
        self._reported_missing = missing
        return [f"there is no landing folder {patterns.fixed_parent(root)}" for root in new]

    def _store(self, uri_or_path: str) -> Store:
        return store_for(uri_or_path, self._spark_of)

    def _is_wanted(self, name: str) -> bool:
        return bool(self._name.fullmatch(name))

    def _is_wanted_at(self, file: FileEntry) -> bool:
        bounded = self._source.modified_after or self._source.modified_before
        return not bounded or self._source.is_wanted_at(
            _EPOCH + timedelta(microseconds=file.modified_us)
        )


def _normal(root: str) -> str:
    if not is_local_path(root):
        return root.rstrip("/")
    path = to_path(root) if is_local(root) else root
    # `abspath` keeps two leading slashes, as POSIX does; Java and Spark do not.
    return os.path.abspath("/" + path.lstrip("/") if path.startswith("/") else path)  # noqa: PTH100 (keeps links)


def _no_folder(*folders: str) -> UsageError:
    return UsageError(
        f"there is no landing folder {', '.join(folders)}",
        code="no_landing_folder",
        untouched="nothing was started",
        next_step="create it, or fill it with `medallion generate`",
    )
