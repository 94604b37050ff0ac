"""Lists folders; skips those that cannot have changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from medallion_jobs.autoloader.discovery.patterns import Root
from medallion_jobs.autoloader.discovery.state import Tree
from medallion_jobs.autoloader.discovery.stores import Names, Stamp, Store
from medallion_jobs.autoloader.file_entry import FileEntry

# File systems record the time of a folder's change in steps of up to 2 s (FAT; ext4: 4 ms). A
# name that is added after a listing, but in the same step, does not change that time.
RACY_NS = 2_000_000_000


@dataclass
class Walk:
    """One pass over the folders below a root.

    Attributes:
        known: folders with their last stamps; those with the same stamp now are skipped.
            Empty: all folders are listed.
        files: wanted files of the listed folders, by folder.
        tree: every folder, with its stamp from before it was listed.
        listed, skipped: numbers of folders.
    """

    root: Root
    store: Store
    is_wanted: Names
    recursive: bool
    known: Mapping[str, Stamp | None]
    files: dict[str, list[FileEntry]] = field(default_factory=dict)
    tree: Tree = field(default_factory=dict)
    listed: int = 0
    skipped: int = 0

    @property
    def key(self) -> str:
        return self.root.key

    def run(self) -> Walk:
        """Walks the folders, and returns itself. Folders that disappear are left out.

        Raises:
            UsageError: a folder may not be read.
        """
        base = self.root.base
        # The folder times of another file system that is mounted below are not trusted.
        device = self._device(base) if self.store.has_reliable_stamps(base) else None
        # The loop runs once per folder at each trigger, so it makes as few calls as possible.
        known, stamp_of, inside = self.known, self.store.stamp, base.rstrip("/") + "/"
        children = _children(known)
        pending = [""]
        while pending:
            below = pending.pop()
            stamp = None if device is None else stamp_of(inside + below if below else base)
            if stamp is not None and stamp[0] != device:
                stamp = None
            if stamp is not None and known.get(below) == stamp:
                self.tree[below] = stamp
                if below in children:
                    pending += children[below]
            else:
                pending += self._list(below, stamp)
        self.skipped = len(self.tree) - self.listed
        if device is None:
            self.tree.clear()
        return self

    def forget(self, below: str) -> None:
        """Makes the next walk list a folder again, changed or not."""
        self.tree[below] = None

    def _list(self, below: str, stamp: Stamp | None) -> list[str]:
        began = time.time_ns()
        level = below.count("/") + 1 if below else 0
        found = self.store.list(self._path(below), lambda name: self._takes(level, name))
        if found is None:
            return []
        self.listed += 1
        self.tree[below] = None if stamp is None or began - _newest(stamp) < RACY_NS else stamp
        if found.files:
            self.files[below] = found.files
        if level >= len(self.root.levels) and not self.recursive:
            return []
        inside = below + "/" if below else ""
        return [inside + name for name in found.folders if self.root.fits(level, name)]

    def _takes(self, level: int, name: str) -> bool:
        """Whether a file is wanted: it is in a folder of the root, or matches the pattern."""
        last = len(self.root.levels) - 1
        return level >= last and self.root.fits(level, name) and self.is_wanted(name)

    def _device(self, base: str) -> int | None:
        stamp = self.store.stamp(base)
        return stamp[0] if stamp else None

    def _path(self, below: str) -> str:
        return f"{self.root.base.rstrip('/')}/{below}" if below else self.root.base


def _newest(stamp: Stamp) -> int:
    return max(stamp[2:])


def _children(known: Mapping[str, Stamp | None]) -> dict[str, list[str]]:
    children: dict[str, list[str]] = {}
    for below in known:
        above = below[: max(below.rfind("/"), 0)]
        if not below:
            continue
        if above in children:
            children[above].append(below)
        else:
            children[above] = [below]
    return children
