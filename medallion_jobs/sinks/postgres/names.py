"""Names as they stand in PostgreSQL's SQL, and the names of what a load makes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from medallion_jobs.config.sinks import LONGEST_NAME

CONTROL = "medallion_loads"


def quoted(name: str) -> str:
    """A name to the letter."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Target:
    """A table of the database, and what a load has beside it."""

    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def sql(self) -> str:
        """The table."""
        return self._of(self.table)

    @property
    def staging(self) -> str:
        """Where rows wait for the transaction that takes them over."""
        return self._of(_joined(self.table, "staging"))

    @property
    def index(self) -> str:
        """The index on the keys; it lies in the table's schema."""
        return quoted(_joined(self.table, "keys"))

    @property
    def control(self) -> str:
        """The table of which version was loaded."""
        return self._of(CONTROL)

    def _of(self, name: str) -> str:
        return f"{quoted(self.schema)}.{quoted(name)}"


def _joined(name: str, end: str) -> str:
    """`name__end`; of a name that is too long for it, the first letters and a digest."""
    whole = f"{name}__{end}"
    if len(whole) <= LONGEST_NAME:
        return whole
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: LONGEST_NAME - len(end) - 15]}_{digest}__{end}"
