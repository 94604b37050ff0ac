"""The journal of a rebuild: how far it is, in the slot where the new table is built.

    waiting     its turn comes after other tables of the same command
    building    the new table is computed; the live one is as it was, and its query may run
    swapping    the live table takes over the rows, then its query the new checkpoint
    swapped     all is done; the slot is about to be removed

Only in `swapping` do a table and its checkpoint not belong together: until the rebuild is gone on
with, its query and those that read it are refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from medallion_jobs.checkpoint.folder import QueryFolder
from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import Refused
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.storage import Location, put

# The slot in which tables are rebuilt.
SLOT = "rebuild"

Phase = Literal["waiting", "building", "swapping", "swapped"]


class Journal(BaseModel):
    """A rebuild of one table that is not finished.

    Attributes:
        by: who began it, as USER@HOST.
        before: the generation of the live query when the rebuild began.
        after: the generation that the rebuild opens.
        config_before, config_after: digests of the logic of these two.
        number: the number of the rebuild among those of the table; from `swapping` on.
        rows_before: rows of the live table; from `swapping` on.
        part: the condition of the rows that are rebuilt; None for a whole table.
        together: all tables of the command that began it: those without a journal are done.
        goes_back: whether it is no rebuild, but goes back to an earlier generation.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    phase: Phase
    reason: str
    by: str
    started_at: datetime
    before: int
    after: int
    config_before: str
    config_after: str
    number: int = -1
    rows_before: int = -1
    part: str | None = None
    together: tuple[str, ...] = ()
    goes_back: bool = False

    @property
    def command(self) -> str:
        """What to type to go on with it."""
        command = "checkpoint rollback" if self.goes_back else "rebuild"
        return f'medallion {command} {self.table} --reason "…" --yes'

    def entering(self, phase: Phase, **known: int) -> Journal:
        """A copy in another phase."""
        return self.model_copy(update={"phase": phase, **known})


def file_of(config: Pipeline, ref: TableRef) -> Location:
    """Where the journal of a table's rebuild lies."""
    return QueryFolder.of(TablePaths(config, ref, SLOT)).path / "rebuild.json"


def read(config: Pipeline, ref: TableRef) -> Journal | None:
    """The journal of a table's rebuild; None if none is under way."""
    try:
        return Journal.model_validate_json(file_of(config, ref).read_bytes())
    except FileNotFoundError:
        return None


def write(config: Pipeline, ref: TableRef, journal: Journal) -> None:
    put(file_of(config, ref), (journal.model_dump_json(indent=2) + "\n").encode())


def refuse_half_swapped(config: Pipeline, ref: TableRef, *, what: str) -> None:
    """Refuses to use a table whose rebuild was interrupted while it took the table over.

    Args:
        what: what does not happen, such as `silver.orders was not started`.

    Raises:
        Refused: it was.
    """
    journal = read(config, ref)
    if journal and journal.phase == "swapping":
        raise Refused(
            f"{what}: a {'rollback' if journal.goes_back else 'rebuild'} of {ref}, begun by "
            f"{journal.by} at {journal.started_at:%Y-%m-%d %H:%M} UTC, was interrupted while it "
            "replaced the table",
            code="rebuild_interrupted",
            untouched="the table: readers see the old rows or the new ones, all of them",
            next_step=f"go on with it: `{journal.command}`",
        )
