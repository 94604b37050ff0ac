"""What discovery remembers between runs. Losing it costs time and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from medallion_jobs.autoloader.discovery.stores import Stamp
from medallion_jobs.config import FileSource
from medallion_jobs.storage import Location, put

# The version of the files' format; files of another version are not used.
_FORMAT = 1
_DECIDES = {"recursive", "path_glob_filter", "modified_after", "modified_before", "manifest"}

# By path below a root's base: the stamp of every folder; None if it must be listed again.
Tree = dict[str, Stamp | None]


@dataclass(frozen=True)
class Folders:
    """The folders at the time when all their files were admitted.

    Attributes:
        trees: the folders and their stamps, by root.
        whole_at: when every folder was last listed, in seconds since 1970; 0 for never.
        unfinished: whether files were seen that are not settled yet.
    """

    trees: Mapping[str, Tree] = field(default_factory=dict)
    whole_at: float = 0.0
    unfinished: bool = False


@dataclass(frozen=True)
class Positions:
    """How far each file of a manifest was read.

    Attributes:
        read: bytes and lines, by the file's name.
    """

    read: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def options_of(roots: Sequence[str], source: FileSource) -> dict[str, Any]:
    """The options that decide which files are wanted; with other options, memory is invalid."""
    options = source.model_dump(mode="json", include=_DECIDES)
    return {"format": _FORMAT, "roots": list(roots), **options}


class Memory:
    """Two small files in a source's state folder, valid for these options only."""

    def __init__(self, folder: Location, options: Mapping[str, Any]) -> None:
        self._folder = folder
        self._options = options
        self._folders: Folders | None = None
        self._positions: Positions | None = None

    @property
    def folders(self) -> Folders:
        if self._folders is None:
            content = self._read("folders.json")
            try:
                trees = {root: _tree(tree) for root, tree in content["trees"].items()}
                whole_at, unfinished = float(content["whole_at"]), bool(content["unfinished"])
                self._folders = Folders(trees, whole_at, unfinished)
            except (AttributeError, KeyError, TypeError, ValueError):
                self._folders = Folders()
        return self._folders

    @property
    def positions(self) -> Positions:
        if self._positions is None:
            content = self._read("manifest.json")
            try:
                read = {name: (int(n), int(lines)) for name, (n, lines) in content["read"].items()}
                self._positions = Positions(read)
            except (AttributeError, KeyError, TypeError, ValueError):
                self._positions = Positions()
        return self._positions

    def save(self, folders: Folders, positions: Positions) -> None:
        """Writes what has changed."""
        if folders != self.folders:
            self._write("folders.json", folders)
            self._folders = folders
        if positions != self.positions:
            self._write("manifest.json", positions)
            self._positions = positions

    def _write(self, name: str, kept: Folders | Positions) -> None:
        # All ASCII: JSON's escapes can hold folder names that are not UTF-8.
        text = json.dumps({"options": self._options, "kept": asdict(kept)}, separators=(",", ":"))
        put(self._folder / name, (text + "\n").encode())

    def _read(self, name: str) -> Any:
        """The content written with these options; empty if it cannot be read as JSON."""
        try:
            content = json.loads((self._folder / name).read_bytes())
            return content["kept"] if content["options"] == self._options else {}
        except (FileNotFoundError, ValueError, TypeError, KeyError, RecursionError):
            return {}


def _tree(content: Mapping[str, Sequence[int] | None]) -> Tree:
    tree: Tree = {}
    for below, stamp in content.items():
        if stamp is None:
            tree[below] = None
        else:
            device, inode, changed, modified = map(int, stamp)
            tree[below] = (device, inode, changed, modified)
    return tree
