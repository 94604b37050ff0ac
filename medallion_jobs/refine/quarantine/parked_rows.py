"""Sidings: rows that could not go on, kept as they were, and called again exactly once.

A silver table has two, each written by its query alone: quarantine, whose rows a person calls;
and held, whose rows wait for the key of a dimension.

A row stays where it is. That it has left is a claim (`claims`), written before the commit that
takes the row in, and true once that commit is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
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

from medallion_jobs.lake import paths, tables
from medallion_jobs.lake.tables import Txn
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.refine.quarantine import releases
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from medallion_jobs.config import Pipeline, TableRef

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
# What a caller may leave out: the type of the row, what it waits for, its file.
_OPTIONAL = ("shape", "waits_for", "file")
# Data files, of rows or of claims, and claims that may gather before `tidy` does its work: to
# read so many is little beside a batch.
_MOST_FILES = 100
_MOST_CLAIMS = 20_000

# How a row leaves: into the table, or, the last two, for quarantine or for good.
How = Literal["released", "replayed", "quarantined", "dropped"]


@dataclass(frozen=True)
class ParkedRows:
    """One table's rows of one kind. Who writes holds the lock of the table's query.

    Attributes:
        name: the kind, which is part of its transactions' id.
        about: what it holds, for whoever reads the description of its table.
    """

    path: Location
    name: str
    about: str

    @classmethod
    def quarantine(cls, config: Pipeline, table: TableRef) -> ParkedRows:
        path = paths.quarantine(config, table)
        return cls(path, "quarantine", f"Rows that broke a rule of {table}")

    @classmethod
    def held(cls, config: Pipeline, table: TableRef) -> ParkedRows:
        path = paths.held(config, table)
        return cls(path, "held", f"Rows of {table} that wait for a dimension's key")

    def put(self, rows: DataFrame, txn: Txn, generation: int, moment: datetime) -> int:
        """Parks rows, once a transaction.

        Args:
            rows: with `row`, `rules` and `reasons`, and where there are any
                `waits_for`, `file`, and `since` for those that were parked before. Each gets
                an id of its own.
            txn: the batch's own, of the target table.
            moment: the batch's.

        Returns:
            Rows that were parked by this call, or by an attempt before it.
        """
        tables.create(rows.sparkSession, self.path, ROWS, comment=self.about)
        own = self._own(txn)
        if not self.has(txn):
            tables.append(_shaped(rows, txn, generation, moment), self.path, own)
        return tables.rows_written(self.path, own)

    def has(self, txn: Txn) -> bool:
        """Whether the rows of this batch were put."""
        there = tables.snapshot(self.path)
        own = self._own(txn)
        return there is not None and there.txn(own.app_id) >= own.batch

    def _own(self, txn: Txn) -> Txn:
        return replace(txn, app_id=f"{txn.app_id}/{self.name}")

    def claim(
        self,
        spark: SparkSession,
        ids: DataFrame,
        *,
        app_id: str,
        number: int,
        how: How,
        run_id: str,
    ) -> int:
        """Says that rows leave with transaction `number` of `app_id` in the target table.

        To be called before that transaction, and never after it. What an attempt that was cut
        off has claimed for it, or for a later one, is taken back.

        Args:
            ids: with a column `id`, each row once.

        Returns:
            Rows claimed.
        """
        self.withdraw(app_id=app_id, number=number)
        self._say(ids, app_id, number, how, run_id)
        return self._claims(spark).where(_names(app_id, number)).count()

    def leave(self, ids: DataFrame, *, how: How, run_id: str) -> None:
        """Says that rows leave now, with no transaction of the target table.

        Args:
            ids: with a column `id`, each row once.
        """
        self._say(ids, releases.AT_ONCE, 0, how, run_id)

    def _say(self, ids: DataFrame, app_id: str, number: int, how: How, run_id: str) -> None:
        releases.ensure(self.path)
        ids.select(
            "id",
            F.lit(app_id).alias("app_id"),
            F.lit(number).cast("bigint").alias("number"),
            F.lit(how).alias("how"),
            F.lit(run_id).alias("run_id"),
            F.lit(datetime.now(timezone.utc)).alias("at"),
            F.lit(None).cast("string").alias("reason"),
        ).write.format("delta").mode("append").save(str(paths.claims(self.path)))

    def move(
        self, rows: DataFrame, to: ParkedRows, txn: Txn, generation: int, moment: datetime
    ) -> None:
        """Parks rows of this siding in another one instead, under the ids that they have.

        Cut off in between, they are in both: to be taken through `without` before.

        Args:
            rows: as for `put`, with their `id`.
            txn: of the run; its batch number is not looked at.
        """
        tables.create(rows.sparkSession, to.path, ROWS, comment=to.about)
        there = tables.snapshot(to.path)
        app_id = f"{txn.app_id}/{self.name}/{to.name}"
        own = replace(txn, app_id=app_id, batch=there.txn(app_id) + 1 if there else 0)
        kept = _shaped(rows, txn, generation, moment, ids=col("id"))
        tables.append(kept, to.path, own)
        self.leave(rows.select("id"), how="quarantined", run_id=txn.run_id)

    def without(self, spark: SparkSession, rows: DataFrame, other: ParkedRows) -> DataFrame:
        """Rows of this siding, but for those that a `move` cut off has put into the other.

        These leave now.
        """
        if tables.snapshot(other.path) is None:
            return rows
        there = other._rows(spark).select("id")
        both = rows.join(there, "id", "left_semi").select("id")
        if not both.isEmpty():
            self.leave(both, how="quarantined", run_id="")
        return rows.join(there, "id", "left_anti")

    def withdraw(self, *, app_id: str, number: int) -> None:
        """Takes back what a cut-off attempt at this transaction has claimed; starts no Spark job.

        For a batch that lets no row out: were its attempt's claims to stay, they would count
        with its commit.
        """
        releases.withdraw(self.path, app_id, number)

    def open(
        self, spark: SparkSession, *, generation: int, committed: Callable[[str], int]
    ) -> DataFrame | None:
        """Rows that have not left by now; None when none were ever put.

        Those of another generation are not among them: a query that begins anew reads them
        in its source again.

        Args:
            committed: the target table's newest transaction of an application id, or -1.
        """
        if tables.snapshot(self.path) is None:
            return None
        return self._without(spark, generation, releases.that_count(self.path, committed))

    def claimed(self, spark: SparkSession, app_id: str, number: int) -> DataFrame | None:
        """Rows that leave with this very transaction, for a batch that is computed again.

        None where no row has ever left.
        """
        if tables.snapshot(paths.claims(self.path)) is None:
            return None
        mine = self._claims(spark).where(_names(app_id, number))
        return self._rows(spark).join(mine, "id", "left_semi")

    def tidy(
        self, spark: SparkSession, *, generation: int, committed: Callable[[str], int]
    ) -> bool:
        """Removes rows that have left, and those of older generations, once there are many.

        What left with the newest transaction stays: its batch may have to be computed again.
        Not for quarantine, where one may want to see what became of a row.

        Returns:
            Whether there was enough of it to do.
        """
        if not self._is_untidy():
            return False
        gone = releases.that_count(self.path, committed, before=True)
        left = self._without(spark, generation, gone)
        left.write.format("delta").mode("overwrite").save(str(self.path))
        if gone:
            releases.forget(self.path, gone)
        return True

    def _is_untidy(self) -> bool:
        rows, claimed = (tables.snapshot(path) for path in (self.path, paths.claims(self.path)))
        return (rows is not None and rows.files >= _MOST_FILES) or (
            claimed is not None and (claimed.files >= _MOST_FILES or claimed.rows >= _MOST_CLAIMS)
        )

    def _without(self, spark: SparkSession, generation: int, gone: str) -> DataFrame:
        rows = self._rows(spark).where(col("generation") == generation)
        return rows.join(self._claims(spark).where(gone), "id", "left_anti") if gone else rows

    def _rows(self, spark: SparkSession) -> DataFrame:
        return _as_it_is(spark, self.path)

    def _claims(self, spark: SparkSession) -> DataFrame:
        return _as_it_is(spark, paths.claims(self.path))


def _as_it_is(spark: SparkSession, path: Location) -> DataFrame:
    """A table's newest version: this one, also where the frame is computed after another."""
    there = tables.snapshot(path)
    reader = spark.read.format("delta")
    return (reader.option("versionAsOf", there.version) if there else reader).load(str(path))


def _names(app_id: str, number: int) -> Column:
    return (col("app_id") == app_id) & (col("number") == number)


def _shaped(
    rows: DataFrame, txn: Txn, generation: int, moment: datetime, ids: Column | None = None
) -> DataFrame:
    """Rows as they are kept."""
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
