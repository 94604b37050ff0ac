"""Reads the log of a Delta table without a JVM."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from medallion_jobs.errors import DataError
from medallion_jobs.masking import masked
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import open_delta

# Operations of Delta for Spark and of delta-rs that change no rows. `CREATE TABLE AS SELECT` is
# not among them, nor are those that drop or rename a column.
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
    """A version of a table, from its log.

    Attributes:
        id: the Delta table id, set when the table was created.
        version: the version's number.
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
        """Whether rows may be marked as deleted; the log's statistics still count them."""
        return self.properties.get("delta.enableDeletionVectors") == "true"

    @property
    def description(self) -> str:
        """The table's comment."""
        return str(self._table.metadata().description or "")

    @property
    def partitions(self) -> list[str]:
        """The names of the columns that the table is partitioned by."""
        return list(self._table.metadata().partition_columns)

    @property
    def columns(self) -> list[str]:
        """The names of the table's columns, in its order."""
        return [field.name for field in self._table.schema().fields]

    @property
    def schema(self) -> dict[str, Any]:
        """The table's columns, in the JSON form that Spark and Delta share."""
        schema: dict[str, Any] = json.loads(self._table.schema().to_json())
        return schema

    @property
    def bytes(self) -> int:
        """The size of the table's data files."""
        files = pa.table(self._table.get_add_actions(flatten=True))
        return sum(files.column("size_bytes").to_pylist())

    @cached_property
    def file_rows(self) -> list[int | None]:
        """Rows of each data file, in the order in which Spark's Delta source reads a snapshot.

        None for a file whose writer kept no statistics.
        """
        table = open_delta(self.path, self.version)
        files = pa.table(table.get_add_actions(flatten=True))
        files = files.sort_by([("modification_time", "ascending"), ("path", "ascending")])
        counts: list[int | None] = files.column("num_records").to_pylist()
        return counts

    @property
    def data_files(self) -> set[Location]:
        """The table's data files."""
        files = pa.table(open_delta(self.path, self.version).get_add_actions())
        return {self.path / unquote(name) for name in files.column("path").to_pylist()}

    @property
    def files(self) -> int:
        """Data files in the table."""
        return len(self.file_rows)

    @property
    def rows(self) -> int:
        """Rows in the table's files, from the statistics in its log."""
        return sum(count or 0 for count in self.file_rows)


def snapshot(path: Location, version: int | None = None) -> Snapshot | None:
    """The table at `path`, at the given version or the newest; None if there is no table.

    Raises:
        DataError: its log cannot be read: an entry is missing or damaged.
        DeltaError: it does not have the given version.
    """
    try:
        table = open_delta(path, version)
    except TableNotFoundError:
        return None
    except DeltaError as error:
        if version is not None:
            raise
        first = masked(str(error)).partition("\n")[0]
        raise DataError(
            f"the log of the Delta table {path} cannot be read: {first}",
            code="table_unreadable",
            untouched="nothing was read or written",
            next_step="`medallion doctor` names the file of the log; restore it from a backup",
        ) from error
    return Snapshot(path, str(table.metadata().id), table.version(), table)


@dataclass(frozen=True)
class Added:
    """A data file that a commit added; `rows` is None if its writer kept no statistics."""

    path: Location
    rows: int | None


@dataclass(frozen=True)
class Commit:
    """One commit of a table, from its log file.

    Attributes:
        at_ms: when it was written, in milliseconds since 1970.
        added: the data files that it added.
        removed: the data files that it removed, or of which it removed rows.
        feed: the files of its change data feed.
        info: the writer's `commitInfo`.
        txns: the transactions in it: application id to version.
    """

    version: int
    at_ms: int
    added: tuple[Added, ...]
    info: Mapping[str, Any]
    txns: Mapping[str, int]
    removed: tuple[Location, ...] = ()
    feed: tuple[Location, ...] = ()

    def __str__(self) -> str:
        """Which operation, when, and by whom, for messages."""
        operation = self.info.get("operation", "an unknown operation")
        at = datetime.fromtimestamp(self.at_ms / 1000, timezone.utc)
        by = self.info.get("userName") or self.info.get("engineInfo") or "an unknown program"
        return f"{operation} in version {self.version}, {at:%Y-%m-%d %H:%M:%S} UTC, by {by}"

    @property
    def may_add_rows(self) -> bool:
        """Whether it may have added rows, besides changing or removing some."""
        operation, metrics = self.info.get("operation"), self.info.get("operationMetrics", {})
        if operation == "MERGE":
            # The names of Delta for Spark and of delta-rs.
            names = ("numTargetRowsInserted", "num_target_rows_inserted")
            return next((int(metrics[name]) for name in names if name in metrics), 1) > 0
        return operation not in ("DELETE", "UPDATE")

    @property
    def user_metadata(self) -> Mapping[str, Any]:
        """The writer's `userMetadata`; empty if there is none."""
        metadata = json.loads(self.info.get("userMetadata") or "{}")
        return metadata if isinstance(metadata, dict) else {}

    @property
    def may_change_rows(self) -> bool:
        """Whether it may have changed rows; maintenance such as OPTIMIZE changes none."""
        return self.info.get("operation") not in _ROWS_STAY

    @property
    def rows(self) -> int:
        """Rows that the commit wrote, from the writer's metrics."""
        return int(self.info.get("operationMetrics", {}).get("numOutputRows", 0))


def commits(path: Location, since: int) -> Iterator[Commit]:
    """A table's commits from version `since` on, oldest first.

    Opens the log files by name instead of listing them: a log may have a month of commits.
    """
    version = since
    while commit := _read_commit(path, version):
        yield commit
        version += 1


def has_log_since(path: Location, version: int) -> bool:
    """Whether the log still has all commits from `version` on; Delta cleans up old ones."""
    table = snapshot(path)
    return table is None or version > table.version or _log_file(path, version).exists()


def commit_of(path: Location, app_id: str, batch: int) -> Commit | None:
    """The commit by which `app_id` wrote `batch`, or None."""
    table = snapshot(path)
    version = table.version if table else -1
    while version >= 0 and (commit := _read_commit(path, version)):
        written = commit.txns.get(app_id)
        if written is not None and written <= batch:
            return commit if written == batch else None
        version -= 1
    return None


def _log_file(path: Location, version: int) -> Location:
    return path / "_delta_log" / f"{version:020}.json"


def entry(path: Location, version: int) -> list[str] | None:
    """The lines of a log entry, each an action as JSON; None if the log lacks the version.

    Does not use `splitlines`: statistics and file names may contain Unicode line ends such as
    U+0085 and U+2028, which JSON need not escape.
    """
    try:
        text = _log_file(path, version).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return [line for line in text.split("\n") if line]


def actions(path: Location, version: int) -> list[dict[str, Any]] | None:
    """The actions of a log entry (Delta protocol, "Actions"); None if the log lacks it."""
    lines = entry(path, version)
    return None if lines is None else [json.loads(line) for line in lines]


def _read_commit(path: Location, version: int) -> Commit | None:
    """The commit of a version; None if the log lacks it."""
    found = actions(path, version)
    if found is None:
        return None
    added: list[Added] = []
    removed: list[Location] = []
    feed: list[Location] = []
    info: dict[str, Any] = {}
    txns: dict[str, int] = {}
    for action in found:
        # A compaction also adds files, but no rows.
        if (add := action.get("add")) and add.get("dataChange", True):
            rows = json.loads(add.get("stats") or "{}").get("numRecords")
            added.append(Added(path / unquote(add["path"]), rows))
        elif (remove := action.get("remove")) and remove.get("dataChange", True):
            removed.append(path / unquote(remove["path"]))
        elif cdc := action.get("cdc"):
            feed.append(path / unquote(cdc["path"]))
        elif txn := action.get("txn"):
            txns[txn["appId"]] = txn["version"]
        elif commit_info := action.get("commitInfo"):
            info = commit_info
    return Commit(
        version=version,
        at_ms=int(info.get("timestamp", 0)),
        added=tuple(added),
        info=info,
        txns=txns,
        removed=tuple(removed),
        feed=tuple(feed),
    )
