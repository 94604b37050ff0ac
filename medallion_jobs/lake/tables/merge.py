"""MERGE into a Delta table, once for each transaction.

Delta takes the transaction of a MERGE from the session, not from options. A MERGE whose
transaction the table has is skipped; one that changes nothing still commits its transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medallion_jobs.errors import UsageError
from medallion_jobs.lake.tables.delta_log import commit_of, snapshot
from medallion_jobs.lake.tables.sql import column
from medallion_jobs.lake.tables.write import Txn, is_ours
from medallion_jobs.storage import Location

if TYPE_CHECKING:
    from delta.tables import DeltaMergeBuilder
    from pyspark.sql import Column, DataFrame, SparkSession

TARGET, SOURCE = "target", "source"

_CONF = {
    "txnAppId": "spark.databricks.delta.write.txnAppId",
    "txnVersion": "spark.databricks.delta.write.txnVersion",
    "userMetadata": "spark.databricks.delta.commitInfo.userMetadata",
}


@dataclass(frozen=True)
class Changes:
    """What a transaction did to a table's rows, by Delta's own count.

    Attributes:
        written: whether the call that returns this did it; else an earlier run.
    """

    written: bool
    inserted: int
    updated: int
    deleted: int


def merge(
    source: DataFrame,
    path: Location,
    txn: Txn,
    on: str | Column,
    clauses: Callable[[DeltaMergeBuilder], DeltaMergeBuilder],
) -> Changes:
    """Merges rows in, in one commit.

    Args:
        on: what is true of a row of `target` and its row of `source`.
        clauses: adds what becomes of rows that match and of those that do not.

    Raises:
        UsageError: see `refuse_unmergeable`.
    """
    from delta.tables import DeltaTable  # noqa: PLC0415 (imports pyspark)

    there = snapshot(path)
    if there and there.properties.get("delta.enableChangeDataFeed") == "true":
        refuse_unmergeable(f"{path.parent.name}.{path.name}", there.columns)
    spark = source.sparkSession
    table = DeltaTable.forPath(spark, str(path)).alias(TARGET)
    builder = clauses(table.merge(source.alias(SOURCE), on))
    with with_conf(spark, {_CONF[key]: value for key, value in txn.options.items()}):
        builder.execute()
    return changes(path, txn)


def refuse_unmergeable(name: str, columns: Iterable[str]) -> None:
    """Raises UsageError where Delta cannot merge rows into a table with a change feed.

    Delta puts the columns of the feed between backticks, and doubles none of a name's own.

    Args:
        name: how messages call the table.
    """
    if wrong := [column(one) for one in columns if "`" in one]:
        raise UsageError(
            f"{name} has a change feed, by which gold follows it, and a name with a backtick: "
            f"{', '.join(wrong)}; Delta cannot change rows of such a table",
            untouched="nothing was written",
            next_step="name it otherwise, by `columns` and `select` or `schema` of the table; or "
            "follow no changes of it: no `mode: incremental` in gold",
        )


def changes(path: Location, txn: Txn) -> Changes:
    """What a transaction did, from the table's log; an append only inserts."""
    commit = commit_of(path, txn.app_id, txn.batch)
    metrics = commit.info.get("operationMetrics", {}) if commit else {}
    counts = [
        int(metrics.get(f"numTargetRows{what}", 0)) for what in ("Inserted", "Updated", "Deleted")
    ]
    if commit and commit.info.get("operation") != "MERGE":
        counts[0] = commit.rows
    return Changes(is_ours(path, txn), *counts)


@contextmanager
def with_conf(spark: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """A session's settings for as long as the block runs; then they are as they were."""
    before = {key: spark.conf.get(key, None) for key in settings}
    try:
        for key, value in settings.items():
            spark.conf.set(key, value)
        yield
    finally:
        for key, old in before.items():
            if old is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, old)
