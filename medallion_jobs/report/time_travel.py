"""Tables as they were: at a version of their own, or at a moment."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

from deltalake.exceptions import DeltaError

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables import Snapshot, commits, snapshot
from medallion_jobs.report.lake_views import scan
from medallion_jobs.storage import Location, below, is_below

_LOG_FILE = re.compile(r"\d{20}\.json")


@dataclass(frozen=True)
class TimeTravel:
    """Which versions a query reads; of a table that is not told of, the newest.

    Attributes:
        versions: by table.
        only: of the one table that the query names.
        as_of: the moment for all other tables.
    """

    versions: Mapping[TableRef, int] = field(default_factory=dict)
    only: int | None = None
    as_of: datetime | None = None

    def of(self, config: Pipeline, named: Collection[TableRef]) -> Reading:
        """How a query that names these tables is to read.

        Raises:
            UsageError: it names none that a version was given for, or several where one is meant.
        """
        versions = dict(self.versions)
        if strange := [table for table in versions if table not in named]:
            raise UsageError(
                f"the query names no table {strange[0]}, for which a version is given",
                next_step=f"tables that it names: {_listed(named)}",
            )
        if self.only is not None:
            if len(named) != 1:
                raise UsageError(
                    f"--version {self.only} is for a query that names one table",
                    next_step=f"give --version TABLE={self.only}; the query names {_listed(named)}",
                )
            versions[next(iter(named))] = self.only
        pinned = {config.table_path(table): version for table, version in versions.items()}
        return Reading(config, pinned, self.as_of)


class NotWrittenYet(UsageError):
    """A table had not been made at that moment."""


@dataclass
class Reading:
    """What stands for each table in a query's SQL; it notes what was read how.

    Attributes:
        versions: by folder, the versions that are not simply the newest.
    """

    config: Pipeline
    versions: dict[Location, int]
    as_of: datetime | None

    def __call__(self, table: Location) -> str:
        """The SQL that stands for a table.

        Raises:
            NotWrittenYet: it had not been made then; an engine's own table had no rows.
            UsageError: it has no such version, or no longer.
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
        """A table as messages call it."""
        return ".".join(below(table, self.config.state_path.parent).parts)


def version_at(name: str, table: Location, moment: datetime) -> int:
    """The version that a table had at a moment: the newest that was written by then.

    Versions are taken to have been written in their order, as Delta itself takes them.

    Raises:
        NotWrittenYet: the table was made later.
        UsageError: the log does not go back so far.
    """
    there = _snapshot(name, table)
    log = table / "_delta_log"
    oldest = min(int(f.stem) for f in log.iterdir() if _LOG_FILE.fullmatch(f.name))
    low, high = oldest, there.version
    if moment < (first := _written(table, oldest)):
        when = f"{first:%Y-%m-%d %H:%M:%S} UTC"
        if oldest == 0:
            raise NotWrittenYet(f"{name} did not exist yet: it was made at {when}")
        raise UsageError(f"the log of {name} goes back to {when} only, version {oldest}")
    while low < high:
        middle = (low + high + 1) // 2
        if _written(table, middle) <= moment:
            low = middle
        else:
            high = middle - 1
    _require(name, table, low)
    return low


def _written(table: Location, version: int) -> datetime:
    commit = next(commits(table, version))
    told = commit.info.get("inCommitTimestamp", commit.at_ms)
    if told:
        return datetime.fromtimestamp(int(told) / 1000, timezone.utc)
    log_file = table / "_delta_log" / f"{version:020}.json"
    return datetime.fromtimestamp(log_file.stat().st_mtime, timezone.utc)


def _require(name: str, table: Location, version: int) -> None:
    newest = _snapshot(name, table).version
    if version > newest:
        raise UsageError(f"{name} has no version {version}; the newest is {newest}")
    if not _log_has(table, version):
        raise UsageError(
            f"{name} can no longer be read at version {version}: that part of its log is gone",
            next_step=f"take a later version; the newest is {newest}",
        )


def _log_has(table: Location, version: int) -> bool:
    try:
        return snapshot(table, version) is not None
    except DeltaError:
        return False


def _snapshot(name: str, table: Location) -> Snapshot:
    there = snapshot(table)
    if there is None:
        raise UsageError(f"{name} has no version yet")
    return there


def _listed(tables: Collection[TableRef]) -> str:
    return ", ".join(map(str, sorted(tables))) or "none"
