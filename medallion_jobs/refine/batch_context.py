"""What a batch is computed with beside its rows, pinned in the commit that it makes.

The commit is the decision. What is parked is written after it; if a crash comes between, the
batch is run again, and with the same facts it parks just the rows that it did not write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from medallion_jobs.config import SilverTable
from medallion_jobs.lake.tables import Commit


@dataclass(frozen=True)
class BatchContext:
    """What one batch knows.

    Attributes:
        moment: when the batch began: the `now` of every rule.
        versions: the version of each dimension, by its name.
        newest: the newest moment that the table held before the batch, where the table has a
            watermark and a row.
        logic: a digest of what the table's config says.
        before: the table's version that the batch finds.
    """

    moment: datetime
    versions: Mapping[str, int]
    newest: datetime | None
    logic: str
    before: int

    @property
    def notes(self) -> dict[str, Any]:
        """What a commit says of it."""
        return {
            "moment": self.moment.isoformat(),
            "lookups": dict(self.versions),
            "newest": self.newest.isoformat() if self.newest else None,
            "logic": self.logic,
        }

    @classmethod
    def of(cls, commit: Commit) -> BatchContext:
        """The facts that a commit pins."""
        notes = commit.user_metadata
        newest = notes["newest"]
        return cls(
            moment=datetime.fromisoformat(notes["moment"]),
            versions=notes["lookups"],
            newest=datetime.fromisoformat(newest) if newest else None,
            logic=notes["logic"],
            before=commit.version - 1,
        )

    def too_late(self, delay: timedelta) -> datetime | None:
        """The watermark: a row before it is late; None while there is none."""
        return self.newest - delay if self.newest else None


def config_digest(table: SilverTable) -> str:
    """A digest that changes with what the config says of a table's rows."""
    # Without defaults, so that an option which a later version adds changes no digest.
    said = table.model_dump_json(exclude={"layout", "on_all_aside"}, exclude_defaults=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]
