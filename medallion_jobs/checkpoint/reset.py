"""Reset: opens a new generation of a query's state. Deletes nothing.

The effect depends on the layer. Bronze reads the ledger or the topics again and loads only what
the table lacks. Silver and gold read their source from the start and replace all rows of the table,
so the queries that read them must be reset too.
"""

from __future__ import annotations

from dataclasses import dataclass

from medallion_jobs.checkpoint import manifest as manifests
from medallion_jobs.checkpoint.folder import QueryFolder, rebuilds
from medallion_jobs.checkpoint.manifest import Manifest
from medallion_jobs.errors import Refused
from medallion_jobs.lake.tables import snapshot
from medallion_jobs.storage import Location


@dataclass(frozen=True)
class Reset:
    """A planned reset of one query.

    Attributes:
        before: the current generation; 0 if there is none.
        after: the generation to open.
        reads_topics: whether its source is Kafka.
    """

    query_folder: QueryFolder
    before: int
    after: int
    pipeline: str
    _kept: Manifest | None
    reads_topics: bool = False
    _rebuild: int = -1

    @property
    def effect(self) -> str:
        """What the next start does, for the user."""
        if self.query_folder.ref.layer == "bronze":
            what = "messages" if self.reads_topics else "files"
            again = "its topics" if self.reads_topics else "the ledger"
            return f"reads {again} again and loads only {what} that the table lacks"
        return "rebuilds the table from the start of its source"

    def carry_out(self, reason: str) -> None:
        """Opens the new generation. The caller holds the query's lock."""
        kept = self._kept or manifests.lost(self.query_folder, self.before, self.pipeline)
        manifests.write(self.query_folder, kept.opening(self.after, reason, rebuild=self._rebuild))


def plan(
    query_folder: QueryFolder,
    table: Location,
    pipeline: str = "",
    *,
    reads_topics: bool = False,
) -> Reset:
    """Plans a reset of the query that writes `table`; changes nothing.

    Args:
        reads_topics: whether its source is Kafka.
    """
    kept = _manifest_if_readable(query_folder)
    known = [generation.number for generation in kept.generations] if kept else []
    before = max([0, *known, *query_folder.generations])
    after = max(before, 1) + 1
    # If manifest and checkpoints are gone, the table's log still has the used numbers. With one
    # of those, Delta would skip the first batches as already written.
    target = snapshot(table)
    while target and target.txn(query_folder.checkpoint(after).app_id) >= 0:
        after += 1
    rebuild = target.txn(rebuilds(str(query_folder.ref))) if target else -1
    return Reset(query_folder, before, after, pipeline, kept, reads_topics, rebuild)


def _manifest_if_readable(query_folder: QueryFolder) -> Manifest | None:
    """The manifest; None if it is missing or unreadable, which a reset can repair."""
    try:
        return manifests.read(query_folder)
    except Refused:
        return None
