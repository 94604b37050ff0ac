"""Reset: a new generation of a query's state. Nothing is deleted.

What a new generation means differs by layer. Bronze takes up the ledger again and loads
only what the table does not hold. Silver and gold read their source from its beginning and
replace the table's rows in their first batch, so whatever reads them has to begin anew too.
"""

from __future__ import annotations

from dataclasses import dataclass

from medallion_jobs.checkpoint import manifest as manifests
from medallion_jobs.checkpoint.folder import QueryFolder
from medallion_jobs.checkpoint.manifest import Manifest
from medallion_jobs.errors import Refused
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.storage import Location


@dataclass(frozen=True)
class Reset:
    """One query's reset: what it would do, and how to do it.

    Attributes:
        before: the current generation; 0 where there is none.
        after: the generation that is to be opened.
    """

    home: QueryFolder
    before: int
    after: int
    pipeline: str
    _kept: Manifest | None

    @property
    def effect(self) -> str:
        """What the next start will do, in words."""
        if self.home.ref.layer == "bronze":
            return "goes through the ledger again and loads only files that the table lacks"
        return "makes the table anew from the beginning of its source"

    def carry_out(self, reason: str) -> None:
        """Opens the generation. The caller holds the query's lock."""
        kept = self._kept or manifests.lost(self.home, self.before, self.pipeline)
        manifests.write(self.home, kept.opening(self.after, reason))


def plan(home: QueryFolder, table: Location, pipeline: str = "") -> Reset:
    """What resetting the query that writes `table` would do; reads only."""
    kept = _manifest_if_readable(home)
    before = max([kept.current.number if kept else 0, *home.generations])
    after = max(before, 1) + 1
    # Where manifest and checkpoints are gone, the table still tells which numbers were used:
    # with one of those, Delta would drop the first batches as written before.
    target = snapshot(table)
    while target and target.txn(home.checkpoint(after).app_id) >= 0:
        after += 1
    return Reset(home, before, after, pipeline, kept)


def _manifest_if_readable(home: QueryFolder) -> Manifest | None:
    """A manifest that cannot be read is what a reset may be there to mend."""
    try:
        return manifests.read(home)
    except Refused:
        return None
