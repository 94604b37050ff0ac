"""Parked rows: rows that are not in their table yet, kept unchanged and released exactly once.

A silver table has two sets of them, which only its own query writes: quarantine, from which you
replay rows, and hold, whose rows wait for the key of a dimension.

A parked row is not deleted when it leaves. A release (`releases`) records that it has left: it
is written before the commit that adds the row to the table, and takes effect with that commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from medallion_jobs import clock
from medallion_jobs.lake import paths, tables
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import Txn
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine.quarantine import releases
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_WAIT = StructType([StructField("lookup", StringType()), StructField("key", StringType())])
ROWS = StructType(
    [
        StructField("id", StringType(), nullable=False),
        StructField("row", StringType(), nullable=False),
        StructField("shape", StringType()),
        StructField("rules", ArrayType(StringType()), nullable=False),
        StructField("reasons", ArrayType(StringType()), nullable=False),
        StructField("waits_for", ArrayType(_WAIT)),
        StructField("file", StringType()),
        StructField("generation", IntegerType(), nullable=False),
        StructField("batch", LongType(), nullable=False),
        StructField("run_id", StringType(), nullable=False),
        StructField("parked_at", TimestampType(), nullable=False),
        StructField("since", TimestampType(), nullable=False),
    ]
)
# Columns that a caller may omit: the type of the row, what it waits for, its file.
_OPTIONAL = ("shape", "waits_for", "file")
# How many data files, of rows or of releases, and how many releases there may be before `tidy`
# cleans up: reading as many costs little beside a batch.
_MAX_FILES = 100
_MAX_RELEASES = 20_000

# How a row leaves: into the table (the first two), into quarantine, or for good.
How = Literal["released", "replayed", "quarantined", "dropped"]


@dataclass(frozen=True)
class ParkedRows:
    """The parked rows of one table and kind. Writers must hold the lock of the table's query.

    Attributes:
        name: the kind, a part of the application id of its transactions.
        about: the comment of its Delta table.
    """

    path: Location
    name: str
    about: str

    @classmethod
    def quarantine(cls, table: TablePaths) -> ParkedRows:
        return cls(table.quarantine, "quarantine", f"Rows that broke a rule of {table.ref}")

    @classmethod
    def held(cls, table: TablePaths) -> ParkedRows:
        return cls(table.held, "held", f"Rows of {table.ref} that wait for a dimension's key")

    def put(self, rows: DataFrame, txn: Txn, generation: int, moment: datetime) -> int:
        """Parks rows, once for each transaction.

        Args:
            rows: with `row`, `rules` and `reasons`; optional are `waits_for`, `file`, and
                `since` of rows that were parked before. Each row gets a new id.
            txn: the batch's transaction in the target table.
            moment: when the batch started.

        Returns:
            How many rows this call, or an earlier attempt, has parked.
        """
        tables.create(rows.sparkSession, self.path, ROWS, comment=self.about)
        own = self._own(txn)
        if not self.has(txn):
            tables.append(_shaped(rows, txn, generation, moment), self.path, own)
        return tables.rows_written(self.path, own)

    def has(self, txn: Txn) -> bool:
        """Whether the rows of this batch are parked."""
        snapshot = tables.snapshot(self.path)
        own = self._own(txn)
        return snapshot is not None and snapshot.txn(own.app_id) >= own.batch

    def _own(self, txn: Txn) -> Txn:
        return replace(txn, app_id=f"{txn.app_id}/{self.name}")

    def release(
        self,
        spark: SparkSession,
        ids: DataFrame,
        *,
        app_id: str,
        number: int,
        how: How,
        run_id: str,
    ) -> int:
        """Releases rows with transaction `number` of `app_id` in the target table.

        Call it before that transaction, never after it. Releases that an interrupted attempt
        wrote for this transaction or a later one are withdrawn.

        Args:
            ids: with a column `id`, each row once.

        Returns:
            How many rows are released.
        """
        self.withdraw(app_id=app_id, number=number)
        self._append(ids, app_id, number, how, run_id)
        return self._releases(spark).where(_is_of(app_id, number)).count()

    def release_now(self, ids: DataFrame, *, how: How, run_id: str) -> None:
        """Releases rows at once, without a transaction of the target table.

        Args:
            ids: with a column `id`, each row once.
        """
        self._append(ids, releases.AT_ONCE, 0, how, run_id)

    def _append(self, ids: DataFrame, app_id: str, number: int, how: How, run_id: str) -> None:
        releases.ensure(self.path)
        ids.select(
            "id",
            F.lit(app_id).alias("app_id"),
            F.lit(number).cast("bigint").alias("number"),
            F.lit(how).alias("how"),
            F.lit(run_id).alias("run_id"),
            F.lit(clock.now()).alias("at"),
            F.lit(None).cast("string").alias("reason"),
        ).write.format("delta").mode("append").save(str(paths.releases(self.path)))

    def move(
        self, rows: DataFrame, to: ParkedRows, txn: Txn, generation: int, moment: datetime
    ) -> None:
        """Moves rows to other parked rows; they keep their ids.

        If the process dies in between, the rows are in both: filter with `without` before.

        Args:
            rows: as for `put`, with their `id`.
            txn: a transaction of the run; its batch number is ignored.
        """
        tables.create(rows.sparkSession, to.path, ROWS, comment=to.about)
        snapshot = tables.snapshot(to.path)
        app_id = f"{txn.app_id}/{self.name}/{to.name}"
        own = replace(txn, app_id=app_id, batch=snapshot.txn(app_id) + 1 if snapshot else 0)
        kept = _shaped(rows, txn, generation, moment, ids=col("id"))
        tables.append(kept, to.path, own)
        self.release_now(rows.select("id"), how="quarantined", run_id=txn.run_id)

    def without(self, spark: SparkSession, rows: DataFrame, other: ParkedRows) -> DataFrame:
        """The rows, except those that an interrupted `move` has already put into `other`.

        The excepted rows are released.
        """
        if tables.snapshot(other.path) is None:
            return rows
        moved = other._rows(spark).select("id")
        both = rows.join(moved, "id", "left_semi").select("id")
        if not both.isEmpty():
            self.release_now(both, how="quarantined", run_id="")
        return rows.join(moved, "id", "left_anti")

    def withdraw(self, *, app_id: str, number: int) -> None:
        """Withdraws the releases that an interrupted attempt wrote; starts no Spark job.

        To be called before a commit that releases no row: with that commit, the releases left by
        an interrupted attempt would become valid.
        """
        releases.withdraw(self.path, app_id, number)

    def open(
        self, spark: SparkSession, *, generation: int, committed: Callable[[str], int]
    ) -> DataFrame | None:
        """The rows that are still parked; None if no row was ever parked.

        Rows of other generations are left out: a query that starts over reads them from its
        source again.

        Args:
            committed: gives the target table's newest transaction of an application id, or -1.
        """
        if tables.snapshot(self.path) is None:
            return None
        return self._without(spark, generation, releases.effective(self.path, committed))

    def released(self, spark: SparkSession, app_id: str, number: int) -> DataFrame | None:
        """The rows released with this transaction, for a batch that is computed again.

        None if no row was ever released.
        """
        if tables.snapshot(paths.releases(self.path)) is None:
            return None
        released = self._releases(spark).where(_is_of(app_id, number))
        return self._rows(spark).join(released, "id", "left_semi")

    def tidy(
        self, spark: SparkSession, *, generation: int, committed: Callable[[str], int]
    ) -> bool:
        """Deletes released rows, and rows of older generations, once there are many.

        Rows released with the newest transaction stay: their batch may be computed again.
        Not for quarantine, where you may want to see what happened to a row.

        Returns:
            Whether anything was deleted.
        """
        if not self._is_untidy():
            return False
        gone = releases.effective(self.path, committed, before=True)
        rows = self._without(spark, generation, gone)
        rows.write.format("delta").mode("overwrite").save(str(self.path))
        if gone:
            releases.delete(self.path, gone)
        return True

    def _is_untidy(self) -> bool:
        rows, released = (tables.snapshot(path) for path in (self.path, paths.releases(self.path)))
        return (rows is not None and rows.files >= _MAX_FILES) or (
            released is not None
            and (released.files >= _MAX_FILES or released.rows >= _MAX_RELEASES)
        )

    def _without(self, spark: SparkSession, generation: int, gone: str) -> DataFrame:
        rows = self._rows(spark).where(col("generation") == generation)
        return rows.join(self._releases(spark).where(gone), "id", "left_anti") if gone else rows

    def _rows(self, spark: SparkSession) -> DataFrame:
        return _newest_version(spark, self.path)

    def _releases(self, spark: SparkSession) -> DataFrame:
        return _newest_version(spark, paths.releases(self.path))


def _newest_version(spark: SparkSession, path: Location) -> DataFrame:
    """A table at its newest version, pinned: later commits do not change the frame."""
    snapshot = tables.snapshot(path)
    reader = spark.read.format("delta")
    return (reader.option("versionAsOf", snapshot.version) if snapshot else reader).load(str(path))


def _is_of(app_id: str, number: int) -> Column:
    return (col("app_id") == app_id) & (col("number") == number)


def _shaped(
    rows: DataFrame, txn: Txn, generation: int, moment: datetime, ids: Column | None = None
) -> DataFrame:
    """Rows with the columns of the table `ROWS`."""
    at = F.lit(moment)
    given = {name: col(name) for name in rows.columns}
    kept = {
        **{name: F.lit(None) for name in _OPTIONAL},
        **given,
        "id": F.expr("uuid()") if ids is None else ids,
        "generation": F.lit(generation),
        "batch": F.lit(txn.batch),
        "run_id": F.lit(txn.run_id),
        "parked_at": at,
        "since": F.coalesce(given.get("since", at), at),
    }
    return rows.select(*[kept[f.name].cast(f.dataType).alias(f.name) for f in ROWS])
