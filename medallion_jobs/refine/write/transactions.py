"""Holds changes back until all changes of their transaction have arrived.

Debezium marks where a transaction ends, in a topic of its own, with the number of its changes of
each table. Changes of a transaction that is not complete wait in a small table beside the change
log, and so does a mark that comes before its changes. A batch replaces that table before it writes
anything else; if it runs again after a crash, it begins with the version before its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType

from medallion_jobs import clock
from medallion_jobs.errors import DataError
from medallion_jobs.lake import paths, tables
from medallion_jobs.lake.columns import SOURCE_BLOCK, TRANSACTION_ID, TRANSACTION_ORDER
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.observe.events import counted
from medallion_jobs.refine.transform.envelope import transaction_key
from medallion_jobs.refine.write.change_log import ARRIVED, ensure_table
from medallion_jobs.refine.write.keyed_batch import computed
from medallion_jobs.refine.write.versions import CHANGE, DELETE, SEQUENCE, TRUNCATE, UPSERT
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row, SparkSession

# The columns besides those of the change log: the transaction; the place of a change in it; the
# table of the database; with a mark, how many changes of that table the transaction has.
TRANSACTION, ORDER, TABLE, COUNT = "__transaction", "__order", "__table", "__count"
# Kinds of rows besides changes: a row that the table's rules set aside, which has arrived all the
# same; the mark of an end; and one row that says that marks were read at all.
ASIDE, END, MARKED = "aside", "end", "marked"
_CHANGES = (UPSERT, DELETE, TRUNCATE)
_IS_COMPLETE = "is complete"
# A mark without changes: its changes were sent twice, and the mark as well. It waits so long in
# case that they come later.
_LONE_MARK_KEPT = timedelta(days=1)


@dataclass(frozen=True)
class Settled:
    """What became of a batch.

    Attributes:
        changes: those to apply, with the columns of the change log.
        notes: for the user, about changes that wait.
    """

    changes: DataFrame
    notes: tuple[str, ...] = ()


def columns_of(listed: Sequence[str]) -> list[Column]:
    """The columns that a change has besides those of the change log, of a row of the batch.

    Args:
        listed: the tables of the database, as marks name them.
    """
    db, schema, table = (
        F.get_json_object(col(SOURCE_BLOCK), f"$.{part}") for part in ("db", "schema", "table")
    )
    # Databases name a table with its schema, its database, or both.
    names = ([schema, table], [db, table], [db, schema, table])
    forms = [F.concat_ws(".", *parts) for parts in names]
    found = (F.when(reduce(or_, (form == name for form in forms)), F.lit(name)) for name in listed)
    return [
        transaction_key(col(TRANSACTION_ID)).alias(TRANSACTION),
        col(TRANSACTION_ORDER).alias(ORDER),
        F.coalesce(*found).alias(TABLE),
        F.lit(None).cast("bigint").alias(COUNT),
    ]


@dataclass(frozen=True)
class Transactions:
    """The open transactions of a silver table.

    Attributes:
        path: of the table with their changes and marks.
        log_path: of the change log.
        keys: the columns of the key.
    """

    path: Location
    log_path: Location
    keys: tuple[str, ...]

    @staticmethod
    def beside(log_path: Location, keys: tuple[str, ...]) -> Transactions:
        """Those whose changes go to this change log."""
        return Transactions(paths.transactions(log_path), log_path, keys)

    def ensure(self, spark: SparkSession, log: StructType, *, is_rebuild: bool) -> None:
        """Creates the table, or gives it the columns that it lacks.

        Args:
            log: the columns of the change log.
            is_rebuild: the silver table starts empty, and so does this one.
        """
        texts = [StructField(name, StringType()) for name in (TRANSACTION, TABLE)]
        numbers = [StructField(name, LongType()) for name in (ORDER, COUNT)]
        schema = StructType([*log, *texts, *numbers])
        about = "Changes of transactions that have not arrived whole"
        ensure_table(spark, self.path, schema, about, is_rebuild=is_rebuild)

    def settled(self, changes: DataFrame, marks: DataFrame | None, txn: tables.Txn) -> Settled:
        """Takes the changes of complete transactions, and keeps the others for later batches.

        Args:
            changes: of the batch, with `columns_of`.
            marks: of the batch: see `Opening.marks`. None: rows are written that were set aside
                before; only those whose transaction is still open have to wait.
        """
        spark = changes.sparkSession
        txn = tables.Txn(f"{txn.app_id}/transactions", txn.batch, txn.run_id)
        before = self._before(spark, txn)
        of_log = [name for name in changes.columns if name not in _OWN]
        rows = before.unionByName(changes, allowMissingColumns=True)
        if marks is not None:
            rows = rows.unionByName(_as_rows(marks), allowMissingColumns=True)
        known = before.select(TRANSACTION).distinct() if marks is None else None
        with computed(rows) as arrived, computed(_decided(arrived, known)) as decided:
            applied = decided.where(col(CHANGE).isin(*_CHANGES) & col(_IS_COMPLETE))
            waits = decided.where(~col(_IS_COMPLETE)).drop(_IS_COMPLETE)
            found = waits.agg(
                F.count_if(_is_change()).alias("changes"),
                F.count_distinct(F.when(_is_change(), col(TRANSACTION))).alias("transactions"),
                F.count_if(col(CHANGE) == END).alias("ends"),
                F.count_if(col(CHANGE) == MARKED).alias("marked"),
                F.min(F.when(_is_change(), F.unix_seconds(col(ARRIVED)))).alias("since"),
                F.count(F.lit(1)).alias("rows"),
            ).collect()[0]
            if found["ends"]:
                again = self._applied_before(waits).localCheckpoint()
                applied = applied.unionByName(again, allowMissingColumns=True)
                waits = _without(waits, again)
            if found["rows"] or self._has_rows:
                waits = waits.select(*before.columns).dropDuplicates([CHANGE, *_OWN])
                tables.replace(waits, self.path, txn)
            # Of the checkpoint: both frames end with this block.
            applied = applied.select(*of_log).localCheckpoint()
        return Settled(applied, tuple(_notes(found)))

    def _before(self, spark: SparkSession, txn: tables.Txn) -> DataFrame:
        """The table as it was before the batch, also if the batch runs again."""
        reader = spark.read.format("delta")
        if commit := tables.commit_of(self.path, txn.app_id, txn.batch):
            reader = reader.option("versionAsOf", commit.version - 1)
        return reader.load(str(self.path))

    @property
    def _has_rows(self) -> bool:
        stored = tables.snapshot(self.path)
        return bool(stored and stored.rows)

    def _applied_before(self, waits: DataFrame) -> DataFrame:
        """Changes that wait for others of their transaction, but are in the change log.

        After a crash, Debezium sends again what it sent last, from the middle of a transaction on.
        """
        identity = F.struct(*map(col, (*self.keys, SEQUENCE, CHANGE)))
        log = waits.sparkSession.read.format("delta").load(str(self.log_path))
        logged = log.select(identity.alias("logged")).distinct()
        ended = waits.where(col(CHANGE) == END).select(TRANSACTION).distinct()
        candidates = waits.where(_is_change()).join(ended, TRANSACTION, "left_semi")
        return candidates.join(logged, identity.eqNullSafe(col("logged")), "left_semi")


_OWN = (TRANSACTION, ORDER, TABLE, COUNT)


def refuse_unlisted(strangers: int, rows: DataFrame, listed: Sequence[str], name: str) -> None:
    """Raises DataError if changes are of tables that `envelope.tables` does not have.

    Args:
        strangers: how many changes there are.
        rows: the rows of the batch.
        name: of the silver table.
    """
    if not strangers:
        return
    source = [F.get_json_object(col(SOURCE_BLOCK), f"$.{part}") for part in ("schema", "table")]
    known = rows.where(col(TRANSACTION_ID).isNotNull() & columns_of(listed)[2].isNull())
    found = known.select(F.concat_ws(".", *source).alias("table")).distinct().limit(3).collect()
    raise DataError(
        f"{strangers:,} changes for {name} are of {', '.join(row['table'] for row in found)}, and "
        f"`envelope.tables` has {', '.join(listed)}: it is not known when their transactions are "
        "complete",
        code="table_of_change_unknown",
        untouched="nothing of this batch was written",
        next_step=f"add the table to `envelope.tables` of {name}, or leave its changes out by "
        "`where`",
    )


def is_unlisted() -> Column:
    """Whether a change is of a table that is not listed."""
    return col(TRANSACTION).isNotNull() & col(TABLE).isNull()


def _is_change() -> Column:
    return col(CHANGE).isin(*_CHANGES)


def _as_rows(marks: DataFrame) -> DataFrame:
    """The marks of a batch as rows of the table."""
    is_end = col("count").isNotNull()
    own = {TRANSACTION: "transaction", TABLE: "table", COUNT: "count"}
    ends = marks.where(is_end).select(
        F.lit(END).alias(CHANGE), *(col(old).alias(name) for name, old in own.items())
    )
    marked = marks.limit(1).select(F.lit(MARKED).alias(CHANGE))
    rows = ends.unionByName(marked, allowMissingColumns=True)
    return rows.withColumn(ARRIVED, F.lit(clock.now()))


def _decided(rows: DataFrame, known: DataFrame | None) -> DataFrame:
    """The rows, with whether their transaction is complete; true of a change without one.

    Args:
        known: the transactions that are open; changes of all others are complete. None: those
            without a mark are open.
    """
    of_tables = (
        rows.where(col(TRANSACTION).isNotNull())
        .groupBy(col(TRANSACTION), col(TABLE))
        .agg(F.max(col(COUNT)).alias("wanted"), F.count_distinct(col(ORDER)).alias("arrived"))
    )
    is_whole = F.coalesce(col("arrived") >= col("wanted"), F.lit(False))
    whole = of_tables.groupBy(col(TRANSACTION)).agg(F.bool_and(is_whole).alias("whole"))
    if known is not None:
        whole = whole.join(known.withColumn("open", F.lit(True)), TRANSACTION, "left")
        whole = whole.withColumn("whole", col("whole") | col("open").isNull()).drop("open")
    # A null transaction matches nothing.
    rows = rows.join(whole, TRANSACTION, "left")
    is_complete = F.coalesce(col("whole"), col(CHANGE) != MARKED)
    return rows.withColumn(_IS_COMPLETE, is_complete).drop("whole")


def _without(waits: DataFrame, again: DataFrame) -> DataFrame:
    """What waits, without changes that were applied before and marks that nothing waits for."""
    place = F.struct(TRANSACTION, ORDER, TABLE)
    waits = waits.where(~_is_change()).unionByName(
        waits.where(_is_change()).join(
            again.select(place.alias("again")), place.eqNullSafe(col("again")), "left_anti"
        )
    )
    waiting = waits.where(col(CHANGE).isin(*_CHANGES, ASIDE)).select(TRANSACTION).distinct()
    is_old = col(ARRIVED) < F.lit(clock.now() - _LONE_MARK_KEPT)
    lone = waits.where((col(CHANGE) == END) & is_old).join(waiting, TRANSACTION, "left_anti")
    return waits.join(
        lone.select(TRANSACTION, CHANGE).distinct(), [TRANSACTION, CHANGE], "left_anti"
    )


def _notes(found: Row) -> list[str]:
    """What a user has to know of changes that wait."""
    if not found["changes"]:
        return []
    since = datetime.fromtimestamp(found["since"], timezone.utc)
    amount = (
        f"{counted(found['changes'], 'change')} of {counted(found['transactions'], 'transaction')}"
    )
    note = (
        f"not applied until the rest of its transaction is here: {amount}, "
        f"since {since:%Y-%m-%d %H:%M:%S} UTC"
    )
    if not found["marked"]:
        note += (
            "; no mark of a transaction was read so far: does `from` read Debezium's transaction "
            "topic, and does `where` let its messages pass?"
        )
    return [note]
