"""Reset: a new generation of a query's state. Nothing is deleted.

What a new generation means differs by layer. Bronze takes up the ledger again and loads
only what the table does not hold. Silver and gold read their source from its beginning and
replace the table's rows in their first batch, so whatever reads them has to begin anew too.
"""

from __future__ import annotations

from dataclasses import dataclass

from medallion_jobs.checkpoint import manifest as manifests
from medallion_jobs.checkpoint.home import Home
from medallion_jobs.checkpoint.manifest import Manifest
from medallion_jobs.errors import Refused


@dataclass(frozen=True)
class Reset:
    """One query's reset: what it would do, and how to do it.

    Attributes:
        before: the current generation; 0 where there is none.
        after: the generation that is to be opened.
    """

    home: Home
    before: int
    after: int
    _kept: Manifest | None

    @property
    def effect(self) -> str:
        """What the next start will do, in words."""
        if self.home.ref.layer == "bronze":
            return "goes through the ledger again and loads only files that the table lacks"
        return "reads its source from the beginning; its first batch replaces the table's rows"

    def carry_out(self, reason: str) -> None:
        """Opens the generation. The caller holds the query's lock."""
        kept = self._kept or manifests.lost(self.home, self.before)
        manifests.write(self.home, kept.opening(self.after, reason))


def plan(home: Home) -> Reset:
    """What resetting this query would do; reads only."""
    kept = _manifest_if_readable(home)
    before = max([kept.current.number if kept else 0, *_folders(home)])
    return Reset(home, before, max(before, 1) + 1, kept)


def _manifest_if_readable(home: Home) -> Manifest | None:
    """A manifest that cannot be read is what a reset may be there to mend."""
    try:
        return manifests.read(home)
    except Refused:
        return None


def _folders(home: Home) -> list[int]:
    """Generations whose checkpoint lies there, whatever the manifest says."""
    names = (folder.name.removeprefix("v") for folder in home.path.glob("v*"))
    return [int(name) for name in names if name.isdigit()]
