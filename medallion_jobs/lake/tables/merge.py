"""MERGE into a Delta table, once for each transaction.

Delta reads the transaction of a MERGE from the session's settings, not from options. It skips a
MERGE whose transaction the table already has; a MERGE without changes still commits its
transaction.
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
    """The row counts of a transaction, from Delta's metrics.

    Attributes:
        written: whether this call committed the transaction; if not, an earlier run did.
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
    """Merges rows into a table, in one commit.

    Args:
        on: the merge condition, over `target` and `source`.
        clauses: adds the WHEN MATCHED and WHEN NOT MATCHED clauses.

    Raises:
        UsageError: see `refuse_unmergeable`.
    """
    from delta.tables import DeltaTable  # noqa: PLC0415 (imports pyspark)

    target = snapshot(path)
    if target and target.properties.get("delta.enableChangeDataFeed") == "true":
        refuse_unmergeable(f"{path.parent.name}.{path.name}", target.columns)
    spark = source.sparkSession
    table = DeltaTable.forPath(spark, str(path)).alias(TARGET)
    builder = clauses(table.merge(source.alias(SOURCE), on))
    with with_conf(spark, {_CONF[key]: value for key, value in txn.options.items()}):
        builder.execute()
    return changes(path, txn)


def refuse_unmergeable(name: str, columns: Iterable[str]) -> None:
    """Raises UsageError if Delta cannot merge rows into a table with a change data feed.

    Delta quotes the columns of the feed with backticks, but does not escape backticks in names.

    Args:
        name: the table's name in messages.
    """
    if wrong := [column(name) for name in columns if "`" in name]:
        raise UsageError(
            f"{name} has a change data feed, which gold reads, and a column name with a backtick: "
            f"{', '.join(wrong)}; Delta cannot change rows of such a table",
            code="backtick_in_followed_table",
            untouched="nothing was written",
            next_step="rename the column, with `columns` and `select` or `schema` of the table; "
            "or do not use `mode: incremental` for it in gold",
        )


def changes(path: Location, txn: Txn) -> Changes:
    """The row counts of a transaction, from the table's log; an append only inserts."""
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
    """Sets settings of a session inside the block, and restores them after it."""
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
