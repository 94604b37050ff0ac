"""Names in PostgreSQL's SQL, and the names of the tables that a load creates."""

from __future__ import annotations

from dataclasses import dataclass

from medallion_jobs.config.sinks import CONTROL, index_of, staging_of


def quoted(name: str) -> str:
    """The name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Target:
    """A table of the database, and the tables and the index that a load needs for it."""

    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def sql(self) -> str:
        """The table, as a quoted SQL name; so are the others."""
        return self._of(self.table)

    @property
    def staging(self) -> str:
        """The staging table, from which one transaction copies the rows."""
        return self._of(staging_of(self.table))

    @property
    def index(self) -> str:
        """The index on the keys, without a schema: it is in the table's."""
        return quoted(index_of(self.table))

    @property
    def control(self) -> str:
        """The control table, which records the loaded versions."""
        return self._of(CONTROL)

    def _of(self, name: str) -> str:
        return f"{quoted(self.schema)}.{quoted(name)}"
