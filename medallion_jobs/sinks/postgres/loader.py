"""Loads a gold table into its databases, for a run and for `medallion load`."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from medallion_jobs.config import Pipeline, TableRef
from medallion_jobs.engine.failures import root_cause
from medallion_jobs.errors import DataError
from medallion_jobs.lake import tables
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.sinks.postgres import changed
from medallion_jobs.sinks.postgres.columns import stored
from medallion_jobs.sinks.postgres.faults import DatabaseError, explained
from medallion_jobs.sinks.postgres.transfer import Loaded, Transfer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StructType

_Result = TypeVar("_Result")
_LONGEST_WAIT_SECONDS = 30.0


class Loader:
    """Loads one gold table into each database that its config names."""

    def __init__(self, config: Pipeline, ref: TableRef) -> None:
        table = config.gold[ref.name]
        # Of a session, only the start is a key; the end is a value.
        period = table.period.columns[:1] if table.period else ()
        keys = (*(table.group_by or ()), *period)
        path = TablePaths(config, ref).data
        self._ref = ref
        self._transfers = tuple(Transfer(ref, path, keys, sink.jdbc) for sink in table.sinks)

    def check(self, spark: SparkSession, *, rebuilt: bool = False) -> None:
        """Checks that each database can be reached and can take the table.

        Args:
            rebuilt: the next batch rebuilds the table, so its columns now are not checked.

        Raises:
            UsageError: a login, privileges, a name, a column or a type is wrong.
            TransientError: a database cannot be reached after all `attempts`.
        """
        for transfer in self._transfers:
            self._retried(spark, transfer, partial(transfer.check, spark, rebuilt=rebuilt))

    def check_columns(self, schema: StructType) -> None:
        """Checks that each database can store a table with this schema; asks none of them.

        Raises:
            UsageError: it has no type for a column.
        """
        for transfer in self._transfers:
            stored(schema, transfer.place)

    def catch_up(self, spark: SparkSession) -> str | None:
        """Loads the table's newest version into each database that does not have it.

        Returns:
            A remark for the user; None if nothing had to be loaded.

        Raises:
            MedallionError: as `load`.
        """
        done = [loaded for loaded in self.load(spark) if loaded.way != "none"]
        return "; ".join(map(str, done)) or None

    def load(self, spark: SparkSession, *, whole: bool = False) -> list[Loaded]:
        """Loads the table's newest version into each database.

        Args:
            whole: load all rows, even if the version is loaded already.

        Raises:
            TransientError: a database failed at each attempt.
            UsageError: something is wrong in the config or the database.
            DataError: the database refuses a row, or has a newer version than the lake.
        """
        return [
            self._retried(spark, transfer, partial(transfer.run, spark, whole=whole))
            for transfer in self._transfers
        ]

    def _retried(
        self, spark: SparkSession, transfer: Transfer, work: Callable[[], _Result]
    ) -> _Result:
        """The result of `work`, retried while the database fails with a passing error."""
        attempt = 1
        while True:
            try:
                return work()
            except DatabaseError as error:
                if not error.is_passing or attempt >= transfer.sink.attempts:
                    _refuse_nul(spark, transfer, error)
                    raise explained(error, transfer.place, attempt) from None
            except (Py4JJavaError, PySparkException) as error:
                raise DataError(
                    f"{transfer.place}: its rows could not be read: {root_cause(error)}",
                    code="sink_table_unreadable",
                    untouched="the gold table, and the database's",
                    next_step=f"fix what it names; then medallion load {self._ref}",
                ) from error
            time.sleep(min(2.0 ** (attempt - 1), _LONGEST_WAIT_SECONDS))
            attempt += 1


def _refuse_nul(spark: SparkSession, transfer: Transfer, error: DatabaseError) -> None:
    """Raises DataError with the row's key if the error is about a NUL character."""
    snapshot = tables.snapshot(transfer.path)
    if not error.is_about_nul or snapshot is None:
        return
    rows = changed.at_version(spark, transfer.path, snapshot.version)
    texts = [column for column in stored(rows.schema, transfer.place) if column.has_text]
    for column in texts:
        found = rows.select(*map(col, transfer.keys), column.crossing)
        row = found.where(column.with_nul).drop(column.staged_name).first()
        if row is not None:
            key = ", ".join(f"{name}={value!r}" for name, value in row.asDict().items())
            raise DataError(
                f"{transfer.place}: column {column.name} holds a NUL character, which PostgreSQL "
                f"cannot store, in the row of {key or 'no key'}",
                code="sink_nul_character",
                untouched="the gold table, and the database's, which is as the last load left it",
                next_step="remove it in silver, for example by "
                f"translate({column.name}, '\\0', ''); then medallion load {transfer.ref}",
            )
