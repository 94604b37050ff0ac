"""One load of one gold table into one database, from the checks to the commit."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from medallion_jobs.config import Jdbc, TableRef
from medallion_jobs.errors import DataError
from medallion_jobs.lake import tables
from medallion_jobs.sinks.postgres import changed, control, shape, staging
from medallion_jobs.sinks.postgres.columns import Stored, stored
from medallion_jobs.sinks.postgres.connection import Connection, connected
from medallion_jobs.sinks.postgres.control import LastLoad
from medallion_jobs.sinks.postgres.faults import DatabaseError, Place
from medallion_jobs.sinks.postgres.names import Target
from medallion_jobs.sinks.postgres.shape import Change
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from medallion_jobs.lake.tables import Snapshot

Way = Literal["none", "whole", "changes"]
# A changed row costs about as much as three rows of a whole load, because it is searched for
# first. Most are in the feed twice: before and after the change.
_MAX_SHARE = 0.5
_LOCK_TIMEOUT = "60s"


@dataclass(frozen=True)
class Loaded:
    """The result of a load.

    Attributes:
        way: none: the database has the version already; whole: all rows; changes: only these.
        inserted, removed: how many rows were inserted and, with changes, deleted.
        remarks: further remarks for the user.
    """

    table: str
    sink: str
    version: int
    way: Way
    inserted: int = 0
    removed: int = 0
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join((f"{self.sink}: {self._summary()}", *self.remarks))

    def _summary(self) -> str:
        if self.way == "none":
            return f"has version {self.version} already"
        if self.way == "whole":
            return f"{self.inserted:,} rows of version {self.version} loaded"
        return (
            f"version {self.version} loaded, {self.inserted:,} rows inserted and "
            f"{self.removed:,} deleted"
        )


@dataclass(frozen=True)
class Transfer:
    """A gold table and the table in the database that it is loaded into.

    Attributes:
        keys: the columns that identify a row.
    """

    ref: TableRef
    path: Location
    keys: tuple[str, ...]
    sink: Jdbc

    @cached_property
    def target(self) -> Target:
        return Target(self.sink.schema_, self.sink.table or self.ref.name)

    @property
    def place(self) -> Place:
        """How errors name the tables."""
        return Place(str(self.ref), self.sink.name, str(self.target))

    def check(self, spark: SparkSession, *, rebuilt: bool) -> None:
        """Checks that a load can start: the database, privileges, columns and types.

        Args:
            rebuilt: leave out columns and types, which the next batch may change.

        Raises:
            DatabaseError: the database refused something or cannot be reached.
            UsageError: something has to be fixed first.
        """
        snapshot = None if rebuilt else tables.snapshot(self.path)
        columns = None
        if snapshot:
            rows = changed.at_version(spark, self.path, snapshot.version)
            columns = stored(rows.schema, self.place)
        with connected(spark, self.sink) as connection:
            shape.check_schema(connection, self.target, self.place)
            control.make(connection, self.target)
            last = control.read(connection, self.target)
            if columns:
                self.change_needed(connection, columns, last)

    def run(self, spark: SparkSession, *, whole: bool) -> Loaded:
        """Loads the table's newest version, unless the database has it.

        Args:
            whole: load all rows, whatever the database has.

        Raises:
            DatabaseError: the database refused something or cannot be reached; the load has
                no effect.
            UsageError: something has to be fixed first.
            DataError: the database has a newer version than the gold table.
        """
        with connected(spark, self.sink) as connection:
            shape.check_schema(connection, self.target, self.place)
            control.make(connection, self.target)
            self._begin(connection)
            last = control.read(connection, self.target)
            # Read after the lock: another load may have finished while this one waited for it.
            snapshot = tables.snapshot(self.path)
            if snapshot is None or (not whole and self._has(last, snapshot)):
                version = snapshot.version if snapshot else -1
                return Loaded(str(self.ref), self.sink.name, version, "none")
            return _Load(self, spark, connection, snapshot, last).run(whole=whole)

    def _begin(self, connection: Connection) -> None:
        connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        # This connection is idle while Spark writes over its own connections.
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        control.lock(connection, f"medallion {self.target}")

    def _has(self, last: LastLoad | None, snapshot: Snapshot) -> bool:
        if last is None or last.delta_id != snapshot.id:
            return False
        if last.version > snapshot.version:
            raise DataError(
                f"{self.place}: version {last.version} is loaded, and {self.ref} has only "
                f"{snapshot.version}: an older state of the lake was restored",
                code="sink_is_newer",
                untouched="nothing was loaded",
                next_step=f"medallion load {self.ref} --whole, to load it as it is",
            )
        return last.version == snapshot.version

    def change_needed(
        self, connection: Connection, columns: Sequence[Stored], last: LastLoad | None
    ) -> Change:
        """The changes that the database's table needs for these columns.

        Raises:
            UsageError: something has to be fixed first.
        """
        existing = shape.has(connection, self.target, self.place)
        if existing is None:
            server = shape.server_version(connection)
            return shape.creation(self.target, columns, self.keys, server)
        if last is None:
            shape.check_no_foreign_rows(connection, self.target, self.place)
        may_add = self.sink.new_columns == "add"
        return shape.drift(self.target, columns, existing, self.place, may_add=may_add)


@dataclass(frozen=True)
class _Load:
    """A load that has the lock: no other load of this table is running."""

    transfer: Transfer
    spark: SparkSession
    connection: Connection
    snapshot: Snapshot
    last: LastLoad | None

    def run(self, *, whole: bool) -> Loaded:
        transfer, target, load = self.transfer, self.transfer.target, secrets.randbits(62)
        if not whole and self._is_as_loaded:
            return self._record_only()
        columns = stored(self._newest.schema, transfer.place)
        change = transfer.change_needed(self.connection, columns, self.last)
        # Committed by another connection: Spark's connections have to see the table.
        with connected(self.spark, transfer.sink) as other:
            staging.make(other, target, columns, transfer.place)
        changes = None if whole else self._changes(columns)
        rows = changes if changes is not None else self._newest.select(*_crossing(columns))
        staging.fill(rows, transfer.sink, target, load)

        if control.read(self.connection, target, locked=True) != self.last:
            raise DatabaseError("40001", "another program changed medallion_loads during the load")
        for statement in change.statements:
            self.connection.execute(statement)
        if changes is None:
            removed, inserted = 0, staging.swap(self.connection, target, columns, load)
        else:
            keys = transfer.keys
            removed, inserted = staging.apply(self.connection, target, columns, keys, load)
        staging.drop(self.connection, target)
        names = tuple(column.name for column in columns)
        self._record(names)
        return Loaded(
            table=str(transfer.ref),
            sink=transfer.sink.name,
            version=self.snapshot.version,
            way="whole" if changes is None else "changes",
            inserted=inserted,
            removed=removed,
            remarks=self._remarks(change, names),
        )

    @property
    def _is_as_loaded(self) -> bool:
        """Whether no row changed since the last load, as after OPTIMIZE."""
        last = self.last
        if last is None or last.delta_id != self.snapshot.id:
            return False
        return changed.none_changed(self.transfer.path, last.version, self.snapshot.version)

    def _record_only(self) -> Loaded:
        assert self.last  # checked by `_is_as_loaded`
        self._record(self.last.columns)
        return Loaded(
            str(self.transfer.ref), self.transfer.sink.name, self.snapshot.version, "none"
        )

    def _record(self, names: tuple[str, ...]) -> None:
        done = LastLoad(self.snapshot.id, self.snapshot.version, names)
        control.write(self.connection, self.transfer.target, done, self._run_id)
        self.connection.commit()

    @cached_property
    def _newest(self) -> DataFrame:
        return changed.at_version(self.spark, self.transfer.path, self.snapshot.version)

    def _changes(self, columns: Sequence[Stored]) -> DataFrame | None:
        """The changes since the last load; None if the whole table has to be loaded."""
        transfer, last = self.transfer, self.last
        if last is None or last.delta_id != self.snapshot.id or not transfer.keys:
            return None
        if set(last.columns) != {column.name for column in columns}:
            return None
        feed = changed.feed(self.spark, transfer.path, last.version, self.snapshot.version)
        if feed is not None:
            is_small = feed.count() <= self.snapshot.rows * _MAX_SHARE
            return changed.net(feed, columns, transfer.keys) if is_small else None
        old = changed.old_version(self.spark, transfer.path, last.version)
        if old is None or old.schema != self._newest.schema:
            return None
        return changed.between(old, self._newest, columns, transfer.keys)

    @property
    def _run_id(self) -> str:
        """The id of the run that wrote the version, from its commit; empty if unknown."""
        commit = next(tables.commits(self.transfer.path, self.snapshot.version), None)
        return str(commit.user_metadata.get("run", "")) if commit else ""

    def _remarks(self, change: Change, names: Sequence[str]) -> tuple[str, ...]:
        missing = [name for name in (self.last.columns if self.last else ()) if name not in names]
        new = change.added
        return (
            *([f"columns added: {', '.join(new)}"] if new else []),
            *([f"no longer in gold, null in every row: {', '.join(missing)}"] if missing else []),
        )


def _crossing(columns: Sequence[Stored]) -> list[Column]:
    return [column.crossing for column in columns]
