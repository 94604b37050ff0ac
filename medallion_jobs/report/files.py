"""The state of each file that a bronze table has found, from the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from medallion_jobs.config import Pipeline
from medallion_jobs.lake import paths
from medallion_jobs.report.lake_views import connect, rows_of, views

COLUMNS = (
    "table_name",
    "path",
    "version",
    "state",
    "size",
    "rows",
    "rescued",
    "bad",
    "attempts",
    "batch",
    "generation",
    "modified",
    "first_seen",
    "last_seen",
    "updated_at",
    "error",
)
# States of files that gave no row to bronze, so that they can be read again. Besides, files
# that are COMMITTED and gave only bad records.
RETRYABLE = ("QUARANTINED", "MISSING", "SKIPPED")
COMMITTED = "COMMITTED"
SUMMARY_COLUMNS = ("table_name", "state", "files", "bytes", "rows", "rescued", "bad")


@dataclass(frozen=True)
class Wanted:
    """Which files to report; None selects all.

    Attributes:
        state: one of the ledger's states, in any letter case.
        since: files that were found, for the first time or again, at this time or later.
        path: a text that the path contains, or a pattern with `*`.
    """

    state: str | None = None
    since: datetime | None = None
    path: str | None = None


@dataclass(frozen=True)
class Matched:
    """A file and its state.

    Attributes:
        is_newest: whether no newer version of the path was found.
    """

    table: str
    path: str
    version: int
    state: str
    size: int
    modified: datetime
    rows: int
    bad: int
    error: str | None
    is_newest: bool

    @property
    def is_retryable(self) -> bool:
        """Whether it can be read again; an older version no longer exists."""
        return self.is_newest and (self.state in RETRYABLE or self.is_all_bad)

    @property
    def is_all_bad(self) -> bool:
        """Whether it was read, and all of its records are in quarantine."""
        return self.state == COMMITTED and self.rows == 0 and self.bad > 0


def files(config: Pipeline, wanted: Wanted) -> list[tuple[object, ...]]:
    """One row per file, with `COLUMNS`, oldest first."""
    return _select(config, wanted, ", ".join(COLUMNS), "ORDER BY first_seen, path, version")


def summary(config: Pipeline, wanted: Wanted) -> list[tuple[object, ...]]:
    """One row per table and state, with `SUMMARY_COLUMNS`."""
    return _select(
        config,
        wanted,
        "table_name, state, count(*), sum(size)::BIGINT, coalesce(sum(rows), 0)::BIGINT, "
        "coalesce(sum(rescued), 0)::BIGINT, coalesce(sum(bad), 0)::BIGINT",
        "GROUP BY table_name, state ORDER BY table_name, state",
    )


def matched(config: Pipeline, wanted: Wanted) -> list[Matched]:
    """The wanted files, oldest first."""
    columns = (
        "table_name, path, version, state, size, modified, coalesce(rows, 0), coalesce(bad, 0), "
        "error, is_newest"
    )
    rows = _select(config, wanted, columns, "ORDER BY first_seen, path, version")
    return [Matched(*row) for row in rows]  # type: ignore[arg-type]


def _select(config: Pipeline, wanted: Wanted, columns: str, rest: str) -> list[tuple[object, ...]]:
    conditions, values = _conditions(wanted)
    ledgers = [
        f"SELECT 'bronze.{name}' AS table_name, *, "  # noqa: S608
        f"version = max(version) OVER (PARTITION BY path) AS is_newest FROM ({query})"
        for (schema, name), query in views(config).items()
        if schema == "ledger" and name in config.bronze
    ]
    if not ledgers:
        return []
    query = f"SELECT {columns} FROM ({' UNION ALL '.join(ledgers)})"  # noqa: S608
    with connect(paths.lake(config)) as duck:
        return rows_of(duck.execute(f"{query} WHERE {conditions} {rest}", values))


def _conditions(wanted: Wanted) -> tuple[str, Sequence[object]]:
    conditions, values = ["true"], list[object]()
    if wanted.state is not None:
        conditions.append("state = ?")
        values.append(wanted.state.upper())
    if wanted.since is not None:
        conditions.append("last_seen >= ?")
        values.append(wanted.since)
    if wanted.path is not None:
        conditions.append("path GLOB ?" if "*" in wanted.path else "contains(path, ?)")
        values.append(wanted.path)
    return " AND ".join(conditions), values
