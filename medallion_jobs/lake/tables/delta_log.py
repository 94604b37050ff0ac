"""What a Delta table's log says, read without a JVM."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import open_delta

# Operations after which a table has the rows that it had, by whoever writes them: Spark's Delta
# and delta-rs. `CREATE TABLE AS SELECT` is none of them, nor is what drops or renames a column.
_ROWS_STAY = frozenset(
    {
        "ADD COLUMNS",
        "ADD CONSTRAINT",
        "ADD FEATURE",
        "CHANGE COLUMN",
        "CHANGE COLUMNS",
        "CLUSTER BY",
        "COMPUTE STATS",
        "CREATE TABLE",
        "DROP CONSTRAINT",
        "OPTIMIZE",
        "REORG",
        "SET TBLPROPERTIES",
        "UNSET TBLPROPERTIES",
        "UPDATE COLUMN METADATA",
        "UPGRADE PROTOCOL",
        "VACUUM END",
        "VACUUM START",
    }
)


@dataclass(frozen=True)
class Snapshot:
    """A table's newest version as its log tells it.

    Attributes:
        id: the table's own id, made when it was created.
        version: the newest version.
    """

    path: Location
    id: str
    version: int
    _table: DeltaTable

    def txn(self, app_id: str) -> int:
        """The newest batch that `app_id` has written, or -1."""
        version = self._table.transaction_version(app_id)
        return -1 if version is None else version

    @property
    def properties(self) -> Mapping[str, str | None]:
        """The table's properties, `delta.*` and others."""
        return self._table.metadata().configuration

    @property
    def has_deletion_vectors(self) -> bool:
        """Whether rows may be marked as gone; the log's statistics count them all the same."""
        return self.properties.get("delta.enableDeletionVectors") == "true"

    @property
    def columns(self) -> list[str]:
        """The names of the table's columns, in its order."""
        return [field.name for field in self._table.schema().fields]

    @cached_property
    def file_rows(self) -> list[int | None]:
        """Rows of each data file, in the order in which Spark's Delta source reads a snapshot.

        None where its writer kept no statistics.
        """
        table = open_delta(self.path, self.version)
        files = pa.table(table.get_add_actions(flatten=True))
        files = files.sort_by([("modification_time", "ascending"), ("path", "ascending")])
        counts: list[int | None] = files.column("num_records").to_pylist()
        return counts

    @property
    def files(self) -> int:
        """Data files in the table."""
        return len(self.file_rows)

    @property
    def rows(self) -> int:
        """Rows in the table's files, from the statistics in its log."""
        return sum(count or 0 for count in self.file_rows)


def snapshot(path: Location, version: int | None = None) -> Snapshot | None:
    """The table at `path`, at its newest or the named version; None when there is none."""
    try:
        table = open_delta(path, version)
    except TableNotFoundError:
        return None
    return Snapshot(path, str(table.metadata().id), table.version(), table)


@dataclass(frozen=True)
class Added:
    """A data file that a commit added; `rows` is None where its writer kept no statistics."""

    path: Location
    rows: int | None


@dataclass(frozen=True)
class Commit:
    """One version of a table, as its log file has it.

    Attributes:
        at_ms: when it was written, in milliseconds since 1970.
        added: the data files that it added.
        info: what the writer said of the commit and of itself (`commitInfo`).
    """

    version: int
    at_ms: int
    added: tuple[Added, ...]
    info: Mapping[str, Any]
    txns: Mapping[str, int]

    @property
    def said(self) -> Mapping[str, Any]:
        """What the writer noted of itself (`userMetadata`); nothing where it noted nothing."""
        noted = json.loads(self.info.get("userMetadata") or "{}")
        return noted if isinstance(noted, dict) else {}

    @property
    def may_change_rows(self) -> bool:
        """Whether the table may have other rows after it; upkeep changes none."""
        return self.info.get("operation") not in _ROWS_STAY

    @property
    def rows(self) -> int:
        """Rows that the commit wrote, by the writer's own count."""
        return int(self.info.get("operationMetrics", {}).get("numOutputRows", 0))


def commits(path: Location, since: int) -> Iterator[Commit]:
    """A table's commits from version `since` on, oldest first.

    Names are tried, not listed: a log may hold a month of commits.
    """
    version = since
    while commit := _read_commit(path, version):
        yield commit
        version += 1


def has_log_since(path: Location, version: int) -> bool:
    """Whether the log still has all commits from `version` on; old ones are cleaned away."""
    there = snapshot(path)
    return there is None or version > there.version or _log_file(path, version).exists()


def commit_of(path: Location, app_id: str, batch: int) -> Commit | None:
    """The commit by which `app_id` wrote `batch`, or None."""
    there = snapshot(path)
    version = there.version if there else -1
    while version >= 0 and (commit := _read_commit(path, version)):
        written = commit.txns.get(app_id)
        if written is not None and written <= batch:
            return commit if written == batch else None
        version -= 1
    return None


def _log_file(path: Location, version: int) -> Location:
    return path / "_delta_log" / f"{version:020}.json"


def entry(path: Location, version: int) -> list[str] | None:
    """The lines of a log entry, each one action as JSON; None where the log has none.

    Not `splitlines`: statistics and names of files may hold what Unicode takes for the end of a
    line, such as U+0085 and U+2028, which JSON need not escape.
    """
    try:
        text = _log_file(path, version).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return [line for line in text.split("\n") if line]


def actions(path: Location, version: int) -> list[dict[str, Any]] | None:
    """The actions of a log entry (Delta protocol, "Actions"); None where the log has none."""
    lines = entry(path, version)
    return None if lines is None else [json.loads(line) for line in lines]


def _read_commit(path: Location, version: int) -> Commit | None:
    """A commit, or None where the log has none of that number."""
    found = actions(path, version)
    if found is None:
        return None
    added: list[Added] = []
    info: dict[str, Any] = {}
    txns: dict[str, int] = {}
    for action in found:
        # A compaction adds files too, and no row.
        if (add := action.get("add")) and add.get("dataChange", True):
            rows = json.loads(add.get("stats") or "{}").get("numRecords")
            added.append(Added(path / unquote(add["path"]), rows))
        elif txn := action.get("txn"):
            txns[txn["appId"]] = txn["version"]
        elif said := action.get("commitInfo"):
            info = said
    return Commit(
        version=version,
        at_ms=int(info.get("timestamp", 0)),
        added=tuple(added),
        info=info,
        txns=txns,
    )
