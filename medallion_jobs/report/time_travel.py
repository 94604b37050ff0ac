"""Time travel: tables at a version, or as of a timestamp."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

from deltalake.exceptions import DeltaError

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Snapshot, commits, snapshot
from medallion_jobs.report.lake_views import scan
from medallion_jobs.storage import Location, below, is_below

_LOG_FILE = re.compile(r"\d{20}\.json")


@dataclass(frozen=True)
class TimeTravel:
    """Which versions a query reads; by default the newest.

    Attributes:
        versions: by table.
        only: the version of the only table that the query names.
        as_of: the timestamp for all other tables.
    """

    versions: Mapping[TableRef, int] = field(default_factory=dict)
    only: int | None = None
    as_of: datetime | None = None

    def of(self, config: Pipeline, named: Collection[TableRef]) -> Reading:
        """The versions for a query that names these tables.

        Raises:
            UsageError: a version is given for a table that the query does not name, or for the
                only table when it names several.
        """
        versions = dict(self.versions)
        if unnamed := [table for table in versions if table not in named]:
            raise UsageError(
                f"a version is given for {unnamed[0]}, which the query does not name",
                code="version_of_unnamed_table",
                next_step=f"tables in the query: {_listed(named)}",
            )
        if self.only is not None:
            if len(named) != 1:
                raise UsageError(
                    f"--version {self.only} needs a query that names one table",
                    code="version_needs_one_table",
                    next_step=f"use --version TABLE={self.only}; the query names {_listed(named)}",
                )
            versions[next(iter(named))] = self.only
        pinned = {TablePaths(config, table).data: version for table, version in versions.items()}
        return Reading(config, pinned, self.as_of)


class NotWrittenYet(UsageError):
    """A table did not exist yet at the requested time."""


@dataclass
class Reading:
    """The scan of each table in a query's SQL; records the versions that are read.

    Attributes:
        versions: by folder, the versions other than the newest.
        as_of: the timestamp for tables without a version; None for the newest.
    """

    config: Pipeline
    versions: dict[Location, int]
    as_of: datetime | None

    def __call__(self, table: Location) -> str:
        """SQL that scans a table.

        A table of the engine that did not exist yet is read as an empty one.

        Raises:
            NotWrittenYet: the table did not exist yet.
            UsageError: the table has no such version, or no longer.
        """
        version = self.versions.get(table)
        if version is not None:
            _require(self.name(table), table, version)
            return scan(table, version)
        if self.as_of is None:
            return scan(table)
        try:
            version = version_at(self.name(table), table, self.as_of)
        except NotWrittenYet:
            if not is_below(table, self.config.state_path):
                raise
            return f"(SELECT * FROM {scan(table)} WHERE false)"  # noqa: S608
        self.versions[table] = version
        return scan(table, version)

    def name(self, table: Location) -> str:
        """A table's name in messages."""
        return ".".join(below(table, self.config.state_path.parent).parts)


def version_at(name: str, table: Location, timestamp: datetime) -> int:
    """The version of a table at a timestamp: the newest that was committed by then.

    Like Delta, this assumes that timestamps grow with the versions.

    Raises:
        NotWrittenYet: the table was created later.
        UsageError: the log does not reach back to the timestamp.
    """
    newest = _snapshot(name, table)
    log = table / "_delta_log"
    oldest = min(int(f.stem) for f in log.iterdir() if _LOG_FILE.fullmatch(f.name))
    low, high = oldest, newest.version
    if timestamp < (first := _written(table, oldest)):
        when = f"{first:%Y-%m-%d %H:%M:%S} UTC"
        if oldest == 0:
            raise NotWrittenYet(
                f"{name} did not exist yet: it was created at {when}", code="table_did_not_exist"
            )
        raise UsageError(
            f"the log of {name} starts at {when}, with version {oldest}", code="version_before_log"
        )
    while low < high:
        middle = (low + high + 1) // 2
        if _written(table, middle) <= timestamp:
            low = middle
        else:
            high = middle - 1
    _require(name, table, low)
    return low


def _written(table: Location, version: int) -> datetime:
    commit = next(commits(table, version))
    at_ms = commit.info.get("inCommitTimestamp", commit.at_ms)
    if at_ms:
        return datetime.fromtimestamp(int(at_ms) / 1000, timezone.utc)
    log_file = table / "_delta_log" / f"{version:020}.json"
    return datetime.fromtimestamp(log_file.stat().st_mtime, timezone.utc)


def _require(name: str, table: Location, version: int) -> None:
    newest = _snapshot(name, table).version
    if version > newest:
        raise UsageError(
            f"{name} has no version {version}; the newest is {newest}", code="unknown_version"
        )
    if not _log_has(table, version):
        raise UsageError(
            f"{name} can no longer be read at version {version}: that part of its log was removed",
            code="version_removed",
            next_step=f"use a later version; the newest is {newest}",
        )


def _log_has(table: Location, version: int) -> bool:
    try:
        return snapshot(table, version) is not None
    except DeltaError:
        return False


def _snapshot(name: str, table: Location) -> Snapshot:
    newest = snapshot(table)
    if newest is None:
        raise UsageError(f"{name} has no version yet", code="no_version_yet")
    return newest


def _listed(tables: Collection[TableRef]) -> str:
    return ", ".join(map(str, sorted(tables))) or "none"
