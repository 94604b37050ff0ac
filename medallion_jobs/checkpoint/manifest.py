"""The manifest: every generation of a query, what it reads and writes, when and why it opened."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version

from pydantic import BaseModel, ConfigDict, ValidationError

from medallion_jobs import __version__
from medallion_jobs.checkpoint import logic as logics
from medallion_jobs.checkpoint.folder import QueryFolder
from medallion_jobs.checkpoint.logic import Logic, LogicChange, Stale
from medallion_jobs.errors import Refused
from medallion_jobs.storage import put


class Binding(BaseModel):
    """The source, target and logic of a generation.

    Attributes:
        source: the name of its source.
        source_id: the Delta table id of its source.
        target_id: the Delta table id of its target.
        source_rebuilds: the number of the source's newest rebuild; -1 before the first.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    source_id: str
    target_id: str
    logic: Logic
    source_rebuilds: int = -1


class Generation(BaseModel):
    """One checkpoint folder: when, by whom and why it was opened, and its binding.

    Attributes:
        history: how its logic changed while it ran; a new generation starts without.
        rebuild: the number of the table's newest rebuild when it was opened; -1 before the first.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    opened_at: datetime
    opened_by: str
    reason: str
    versions: Mapping[str, str]
    binding: Binding | None = None
    rebuild: int = -1
    history: tuple[LogicChange, ...] = ()

    @property
    def stale(self) -> list[Stale]:
        """The rows that were computed by an older logic than the bound one."""
        return logics.stale(self.history)

    def history_with(self, logic: Logic, batch: int) -> tuple[LogicChange, ...]:
        """The history if a logic holds from a batch on."""
        if self.binding is None:
            return self.history
        now = datetime.now(timezone.utc)
        return logics.recorded(self.history, logics.changes(self.binding.logic, logic), batch, now)


class Manifest(BaseModel):
    """All generations of the query that writes one table; the last one is current."""

    model_config = ConfigDict(frozen=True)

    query: str
    pipeline: str = ""
    generations: tuple[Generation, ...]

    @property
    def current(self) -> Generation:
        return self.generations[-1]

    def opening(self, number: int, reason: str, *, rebuild: int = -1) -> Manifest:
        """A copy of this manifest with one more generation.

        Args:
            rebuild: the number of the table's newest rebuild.
        """
        opened = _new(number, reason).model_copy(update={"rebuild": rebuild})
        return self.model_copy(update={"generations": (*self.generations, opened)})

    def returning(self, earlier: Generation, reason: str, *, rebuild: int) -> Manifest:
        """A copy of this manifest in which an earlier generation is current again.

        Args:
            rebuild: the number of the table's newest rebuild.
        """
        now = _new(earlier.number, reason).model_copy(
            update={"binding": earlier.binding, "history": earlier.history, "rebuild": rebuild}
        )
        return self.model_copy(update={"generations": (*self.generations, now)})

    def binding(self, binding: Binding, batch: int = 0) -> Manifest:
        """A copy of this manifest with a new binding of the current generation.

        Args:
            batch: the first batch that is written under it; what changed is kept in the history.
        """
        history = self.current.history_with(binding.logic, batch)
        bound = self.current.model_copy(
            update={"binding": binding, "versions": _versions(), "history": history}
        )
        return self.model_copy(update={"generations": (*self.generations[:-1], bound)})


def first(query_folder: QueryFolder, pipeline: str = "") -> Manifest:
    """The manifest of a query that never ran."""
    return Manifest(
        query=str(query_folder.ref), pipeline=pipeline, generations=(_new(1, "first start"),)
    )


def lost(query_folder: QueryFolder, newest: int, pipeline: str = "") -> Manifest:
    """A replacement for a lost manifest, with `newest` as its current generation."""
    reason = "its manifest is gone" if newest else "it had no checkpoint"
    return Manifest(
        query=str(query_folder.ref), pipeline=pipeline, generations=(_new(max(newest, 1), reason),)
    )


def read(query_folder: QueryFolder) -> Manifest | None:
    """The manifest of a query, or None when it never ran.

    Raises:
        Refused: the file exists but cannot be read.
    """
    if not query_folder.manifest.exists():
        return None
    try:
        return Manifest.model_validate_json(query_folder.manifest.read_bytes())
    except ValidationError as broken:
        raise Refused(
            f"the manifest of {query_folder.ref} cannot be read: {query_folder.manifest}\n{broken}",
            code="manifest_unreadable",
            untouched="nothing was started",
            next_step=f"restore {query_folder.manifest} from a copy, or move it away and run "
            f'`medallion checkpoint reset {query_folder.ref} --reason "manifest lost"`',
        ) from broken


def write(query_folder: QueryFolder, manifest: Manifest) -> None:
    put(query_folder.manifest, (manifest.model_dump_json(indent=2) + "\n").encode())


def _new(number: int, reason: str) -> Generation:
    return Generation(
        number=number,
        opened_at=datetime.now(timezone.utc),
        opened_by=f"{getpass.getuser()}@{socket.gethostname()}",
        reason=reason,
        versions=_versions(),
    )


def _versions() -> Mapping[str, str]:
    return {
        "spark": version("pyspark"),
        "delta": version("delta-spark"),
        "medallion_jobs": __version__,
    }
