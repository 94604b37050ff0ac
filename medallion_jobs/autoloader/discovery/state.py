"""What discovery remembers from one start to the next. To lose it costs time and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from medallion_jobs.autoloader.discovery.stores import Stamp
from medallion_jobs.config.source import Source
from medallion_jobs.storage import Location, put

# Part of what must be alike for memory to be of use; raised when the format changes.
_FORMAT = 1
_DECIDES = {"recursive", "path_glob_filter", "modified_after", "modified_before", "manifest"}

# Below a root's base, by `/`: every folder, with its stamp where nothing can have been missed.
Tree = dict[str, Stamp | None]


@dataclass(frozen=True)
class Folders:
    """Folders as they were when all that is in them was admitted.

    Attributes:
        trees: by root.
        whole_at: when every folder was last listed, in seconds since 1970; 0 for never.
        unfinished: files were seen since that are not settled yet.
    """

    trees: Mapping[str, Tree] = field(default_factory=dict)
    whole_at: float = 0.0
    unfinished: bool = False


@dataclass(frozen=True)
class Positions:
    """How far each file of a manifest was read.

    Attributes:
        read: by the file's name, bytes and lines.
    """

    read: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def options_of(roots: Sequence[str], source: Source) -> dict[str, Any]:
    """What decides which files are wanted; under other options nothing remembered is of use."""
    told = source.model_dump(mode="json", include=_DECIDES)
    return {"format": _FORMAT, "roots": list(roots), **told}


class Memory:
    """Two small files in a folder of the engine's state, good for these options only."""

    def __init__(self, folder: Location, options: Mapping[str, Any]) -> None:
        self._folder = folder
        self._options = options
        self._folders: Folders | None = None
        self._positions: Positions | None = None

    @property
    def folders(self) -> Folders:
        if self._folders is None:
            told = self._read("folders.json")
            try:
                trees = {root: _tree(tree) for root, tree in told["trees"].items()}
                whole_at, unfinished = float(told["whole_at"]), bool(told["unfinished"])
                self._folders = Folders(trees, whole_at, unfinished)
            except (AttributeError, KeyError, TypeError, ValueError):
                self._folders = Folders()
        return self._folders

    @property
    def positions(self) -> Positions:
        if self._positions is None:
            told = self._read("manifest.json")
            try:
                read = {name: (int(n), int(lines)) for name, (n, lines) in told["read"].items()}
                self._positions = Positions(read)
            except (AttributeError, KeyError, TypeError, ValueError):
                self._positions = Positions()
        return self._positions

    def save(self, folders: Folders, positions: Positions) -> None:
        """Keeps what differs from what was kept before."""
        if folders != self.folders:
            self._write("folders.json", folders)
            self._folders = folders
        if positions != self.positions:
            self._write("manifest.json", positions)
            self._positions = positions

    def _write(self, name: str, kept: Folders | Positions) -> None:
        # All ASCII: a folder's name need not be UTF-8, and JSON's escapes can hold it.
        told = json.dumps({"options": self._options, "kept": asdict(kept)}, separators=(",", ":"))
        put(self._folder / name, (told + "\n").encode())

    def _read(self, name: str) -> Any:
        """What was kept under these options; nothing where it cannot be read as JSON."""
        try:
            told = json.loads((self._folder / name).read_bytes())
            return told["kept"] if told["options"] == self._options else {}
        except (FileNotFoundError, ValueError, TypeError, KeyError, RecursionError):
            return {}


def _tree(told: Mapping[str, Sequence[int] | None]) -> Tree:
    tree: Tree = {}
    for below, stamp in told.items():
        if stamp is None:
            tree[below] = None
        else:
            device, inode, changed, modified = map(int, stamp)
            tree[below] = (device, inode, changed, modified)
    return tree
