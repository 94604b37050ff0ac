"""One load of one gold table into one database, from the first look to the commit."""

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
# A changed row costs about three rows of a whole load, since it is searched for first, and most
# stand in the feed twice: as they were and as they are.
_FEW = 0.5
_LOCK_TIMEOUT = "60s"


@dataclass(frozen=True)
class Loaded:
    """What a load came to.

    Attributes:
        way: none, since the database has the version already; whole; or only what changed.
        inserted, removed: rows that were put in and, where only changes were, taken out.
        remarks: what a person should know of it.
    """

    table: str
    sink: str
    version: int
    way: Way
    inserted: int = 0
    removed: int = 0
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join((f"{self.sink}: {self._told()}", *self.remarks))

    def _told(self) -> str:
        if self.way == "none":
            return f"has version {self.version} already"
        if self.way == "whole":
            return f"{self.inserted:,} rows of version {self.version} loaded"
        return (
            f"version {self.version} loaded, {self.inserted:,} rows put in and "
            f"{self.removed:,} taken out"
        )


@dataclass(frozen=True)
class Transfer:
    """A gold table and the database's table that it goes to.

    Attributes:
        keys: the columns that tell two rows of it apart.
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
        """What errors call it."""
        return Place(str(self.ref), self.sink.name, str(self.target))

    def check(self, spark: SparkSession) -> None:
        """Raises unless a load could begin: the database, rights, columns and types.

        Raises:
            DatabaseError: the database said no.
            UsageError: something has to be mended first.
        """
        there = tables.snapshot(self.path)
        columns = None
        if there:
            rows = changed.at_version(spark, self.path, there.version)
            columns = stored(rows.schema, self.place)
        with connected(spark, self.sink) as connection:
            shape.check_place(connection, self.target, self.place)
            control.make(connection, self.target)
            last = control.read(connection, self.target)
            if columns:
                self.change_needed(connection, columns, last)

    def run(self, spark: SparkSession, *, whole: bool) -> Loaded:
        """Loads the table's newest version, unless the database has it.

        Args:
            whole: loads all of it, whatever the database has.

        Raises:
            DatabaseError: the database said no; nothing of the load is there.
            UsageError: something has to be mended first.
            DataError: the database has a newer version than there is.
        """
        with connected(spark, self.sink) as connection:
            shape.check_place(connection, self.target, self.place)
            control.make(connection, self.target)
            self._begin(connection)
            last = control.read(connection, self.target)
            # Not before the lock: the version may have been loaded while this waited for it.
            there = tables.snapshot(self.path)
            if there is None or (not whole and self._has(last, there)):
                version = there.version if there else -1
                return Loaded(str(self.ref), self.sink.name, version, "none")
            return _Load(self, spark, connection, there, last).run(whole=whole)

    def _begin(self, connection: Connection) -> None:
        connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        # Spark writes meanwhile, over connections of its own.
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        control.lock(connection, f"medallion {self.target}")

    def _has(self, last: LastLoad | None, there: Snapshot) -> bool:
        if last is None or last.delta_id != there.id:
            return False
        if last.version > there.version:
            raise DataError(
                f"{self.place}: version {last.version} is loaded, and {self.ref} has only "
                f"{there.version}: the lake was set back",
                untouched="nothing was loaded",
                next_step=f"medallion load {self.ref} --whole, to load it as it is",
            )
        return last.version == there.version

    def change_needed(
        self, connection: Connection, columns: Sequence[Stored], last: LastLoad | None
    ) -> Change:
        """What the database's table lacks for these columns.

        Raises:
            UsageError: something has to be mended first.
        """
        there = shape.has(connection, self.target, self.place)
        if there is None:
            server = shape.server_version(connection)
            return shape.creation(self.target, columns, self.keys, server)
        if last is None:
            shape.check_rows_are_ours(connection, self.target, self.place)
        may_add = self.sink.new_columns == "add"
        return shape.drift(self.target, columns, there, self.place, may_add=may_add)


@dataclass(frozen=True)
class _Load:
    """A load that has begun: nobody else loads this table."""

    of: Transfer
    spark: SparkSession
    connection: Connection
    there: Snapshot
    last: LastLoad | None

    def run(self, *, whole: bool) -> Loaded:
        of, target, load = self.of, self.of.target, secrets.randbits(62)
        if not whole and self._is_as_loaded:
            return self._noted_only()
        columns = stored(self._newest.schema, of.place)
        change = of.change_needed(self.connection, columns, self.last)
        # By its own connection: Spark's have to see it.
        with connected(self.spark, of.sink) as beside:
            staging.make(beside, target, columns, of.place)
        changes = None if whole else self._changes(columns)
        rows = changes if changes is not None else self._newest.select(*_crossing(columns))
        staging.fill(rows, of.sink, target, load)

        if control.read(self.connection, target, locked=True) != self.last:
            raise DatabaseError("40001", "another program changed medallion_loads meanwhile")
        for statement in change.statements:
            self.connection.execute(statement)
        if changes is None:
            removed, inserted = 0, staging.swap(self.connection, target, columns, load)
        else:
            removed, inserted = staging.apply(self.connection, target, columns, of.keys, load)
        staging.drop(self.connection, target)
        names = tuple(column.name for column in columns)
        self._note(names)
        return Loaded(
            table=str(of.ref),
            sink=of.sink.name,
            version=self.there.version,
            way="whole" if changes is None else "changes",
            inserted=inserted,
            removed=removed,
            remarks=self._remarks(change, names),
        )

    @property
    def _is_as_loaded(self) -> bool:
        """Whether no row changed since the last load; versions may have come by OPTIMIZE."""
        last = self.last
        if last is None or last.delta_id != self.there.id:
            return False
        return changed.none_changed(self.of.path, last.version, self.there.version)

    def _noted_only(self) -> Loaded:
        assert self.last  # noqa: S101 (`_is_as_loaded` saw to it)
        self._note(self.last.columns)
        return Loaded(str(self.of.ref), self.of.sink.name, self.there.version, "none")

    def _note(self, names: tuple[str, ...]) -> None:
        done = LastLoad(self.there.id, self.there.version, names)
        control.write(self.connection, self.of.target, done, self._run_id)
        self.connection.commit()

    @cached_property
    def _newest(self) -> DataFrame:
        return changed.at_version(self.spark, self.of.path, self.there.version)

    def _changes(self, columns: Sequence[Stored]) -> DataFrame | None:
        """What changed since the last load; None where the whole table is loaded."""
        of, last = self.of, self.last
        if last is None or last.delta_id != self.there.id or not of.keys:
            return None
        if set(last.columns) != {column.name for column in columns}:
            return None
        feed = changed.feed(self.spark, of.path, last.version, self.there.version)
        if feed is not None:
            few = feed.count() <= self.there.rows * _FEW
            return changed.net(feed, columns, of.keys) if few else None
        old = changed.old_version(self.spark, of.path, last.version)
        if old is None or old.schema != self._newest.schema:
            return None
        return changed.between(old, self._newest, columns, of.keys)

    @property
    def _run_id(self) -> str:
        """The run that wrote the version, as its commit tells it."""
        commit = next(tables.commits(self.of.path, self.there.version), None)
        return str(commit.user_metadata.get("run", "")) if commit else ""

    def _remarks(self, change: Change, names: Sequence[str]) -> tuple[str, ...]:
        lost = [name for name in (self.last.columns if self.last else ()) if name not in names]
        new = change.added
        return (
            *([f"new columns there: {', '.join(new)}"] if new else []),
            *([f"no longer in gold, null in every row: {', '.join(lost)}"] if lost else []),
        )


def _crossing(columns: Sequence[Stored]) -> list[Column]:
    return [column.crossing for column in columns]
