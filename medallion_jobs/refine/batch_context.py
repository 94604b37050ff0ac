"""The inputs of a batch besides its rows, recorded in the commit that the batch makes.

Rows are parked after the commit. If the process dies in between, the batch runs again with the
recorded context, and so parks exactly the rows that the commit left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from medallion_jobs.config import SilverTable
from medallion_jobs.lake.tables import Commit
from medallion_jobs.refine.write.snapshot import Decisions


@dataclass(frozen=True)
class BatchContext:
    """The inputs of one batch besides its rows.

    Attributes:
        moment: when the batch started: the `now` of every rule.
        versions: the version of each dimension, by `layer.name`.
        newest: the newest event time in the table before the batch; None without a watermark
            or without rows.
        logic: a digest of the table's config.
        before: the version of the table before the batch.
        decisions: which dumps of the batch are applied; only for `write: snapshot`.
    """

    moment: datetime
    versions: Mapping[str, int]
    newest: datetime | None
    logic: str
    before: int
    decisions: Decisions | None = None

    @property
    def notes(self) -> dict[str, Any]:
        """The part that a commit records, as JSON values."""
        dumps = {"dumps": asdict(self.decisions)} if self.decisions else {}
        return {
            "moment": self.moment.isoformat(),
            "lookups": dict(self.versions),
            "newest": self.newest.isoformat() if self.newest else None,
            "logic": self.logic,
            **dumps,
        }

    @classmethod
    def of(cls, commit: Commit) -> BatchContext:
        """The context that a commit recorded."""
        notes = commit.user_metadata
        newest = notes["newest"]
        return cls(
            moment=datetime.fromisoformat(notes["moment"]),
            versions=notes["lookups"],
            newest=datetime.fromisoformat(newest) if newest else None,
            logic=notes["logic"],
            before=commit.version - 1,
            decisions=Decisions(**notes["dumps"]) if "dumps" in notes else None,
        )

    def too_late(self, delay: timedelta) -> datetime | None:
        """The watermark: rows before it are late. None while the table has no row."""
        return self.newest - delay if self.newest else None


def config_digest(table: SilverTable) -> str:
    """A digest that changes with every option that affects a table's rows."""
    # Without defaults: a new option in a later release must not change the digest.
    options = table.model_dump_json(exclude={"layout", "on_all_aside"}, exclude_defaults=True)
    return hashlib.sha256(options.encode()).hexdigest()[:16]
