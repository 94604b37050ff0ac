"""The folder of a query's state.

<storage.root>/_medallion/checkpoints/<layer>/<table>/
    manifest.json   every generation, and why it was opened
    lock            the process that runs the query now
    stop            exists if the query is asked to end after its batch
    rebuild.json    only in the slot `rebuild`: how far a rebuild of the table is
    rebuild.lock    the process that rebuilds the table now
    v1/ v2/ …       a Structured Streaming checkpoint for each generation
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from medallion_jobs.config import TableRef
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.storage import Location

_BATCH = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Checkpoint:
    """The Structured Streaming checkpoint folder of one generation.

    Attributes:
        app_id: the application id of this generation's Delta transactions. It includes the
            generation, because batch numbers restart at 0 with each.
    """

    path: Location
    app_id: str

    @property
    def table(self) -> str:
        """The table that the query writes."""
        return self.app_id.partition("/")[0]

    @property
    def latest_offsets(self) -> int:
        """The newest batch that was planned, or -1."""
        return _latest(self.path / "offsets")

    @property
    def latest_commits(self) -> int:
        """The newest batch that Spark committed, or -1."""
        return _latest(self.path / "commits")

    def offset(self, batch: int) -> str:
        """The source's end offset of `batch`, as the JSON that Spark wrote."""
        text = (self.path / "offsets" / str(batch)).read_text(encoding="utf-8")
        return text.rstrip("\n").split("\n")[-1]

    def remove_leftovers(self) -> list[Location]:
        """Deletes temporary files of a first batch that was interrupted.

        Spark never starts on a checkpoint that has files but no batches
        (STATE_STORE_CHECKPOINT_LOCATION_NOT_EMPTY), which is what a kill between writing
        `offsets/.0.<uuid>.tmp` and its rename leaves. Removes nothing once a batch is planned.

        Returns:
            The deleted files.
        """
        if self.latest_offsets >= 0 or self.latest_commits >= 0:
            return []
        leftovers = [p for p in self.path.rglob("*.tmp*") if p.is_file()]
        for leftover in leftovers:
            leftover.unlink()
        return leftovers


@dataclass(frozen=True)
class QueryFolder:
    """The folder with all state of a query that writes `ref`."""

    ref: TableRef
    path: Location

    @classmethod
    def of(cls, paths: TablePaths) -> QueryFolder:
        """The folder of the query that writes the table at `paths`."""
        return cls(paths.ref, paths.checkpoints)

    @property
    def manifest(self) -> Location:
        return self.path / "manifest.json"

    @property
    def lock(self) -> Location:
        return self.path / "lock"

    @property
    def stop(self) -> Location:
        return self.path / "stop"

    @property
    def rebuild_lock(self) -> Location:
        return self.path / "rebuild.lock"

    @property
    def generations(self) -> list[int]:
        """The generations that have a checkpoint folder, whatever the manifest says."""
        names = (folder.name.removeprefix("v") for folder in self.path.glob("v*"))
        return sorted(int(name) for name in names if name.isdecimal())

    def checkpoint(self, generation: int) -> Checkpoint:
        return Checkpoint(self.path / f"v{generation}", f"{self.ref}/v{generation}")


def rebuilds(table: str) -> str:
    """The application id of the transactions that number the rebuilds of a table."""
    return f"{table}/rebuilt"


def _latest(folder: Location) -> int:
    return max(_batches(folder), default=-1)


def _batches(folder: Location) -> Iterator[int]:
    if folder.is_dir():
        for file in folder.iterdir():
            if _BATCH.fullmatch(file.name):
                yield int(file.name)
