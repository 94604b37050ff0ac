"""The changes between two versions of a gold table, one row for each key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from deltalake.exceptions import DeltaError
from pyspark.sql import functions as F

from medallion_jobs.lake.tables import actions, snapshot
from medallion_jobs.sinks.postgres.columns import Stored
from medallion_jobs.sinks.postgres.staging import GONE
from medallion_jobs.storage import Location
from medallion_jobs.storage.delta import open_delta

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_FEED = "delta.enableChangeDataFeed"


def at_version(spark: SparkSession, path: Location, version: int) -> DataFrame:
    """The table's rows at a version."""
    return spark.read.format("delta").option("versionAsOf", version).load(str(path))


def old_version(spark: SparkSession, path: Location, version: int) -> DataFrame | None:
    """The rows of an older version; None if its log or its files have been deleted."""
    newest = snapshot(path)
    if newest is None or newest.has_deletion_vectors:
        return None  # a deletion vector may be missing although its data file exists
    try:
        table = open_delta(path, version)
    except DeltaError:
        return None
    names = table.get_add_actions().column("path").to_pylist()
    if not all((path / unquote(name)).exists() for name in names):
        return None
    return at_version(spark, path, version)


def feed(spark: SparkSession, path: Location, since: int, to: int) -> DataFrame | None:
    """The table's change feed after `since` up to `to`.

    Returns:
        None if the feed is incomplete: it was off, the schema or a property changed, an older
        version was restored, or log entries or files have been deleted.
    """
    newest = snapshot(path)
    if newest is None or newest.properties.get(_FEED) != "true":
        return None
    if not all(_is_complete(path, version) for version in range(since + 1, to + 1)):
        return None
    reader = spark.read.format("delta").option("readChangeFeed", True)
    return reader.option("startingVersion", since + 1).option("endingVersion", to).load(str(path))


def none_changed(path: Location, since: int, to: int) -> bool:
    """Whether, by the log, no commit after `since` up to `to` changed a row or a column."""
    for version in range(since + 1, to + 1):
        found = actions(path, version)
        if found is None or any("metaData" in action for action in found):
            return False
        if any(_feed_files(found)):
            return False
    return True


def _is_complete(path: Location, version: int) -> bool:
    """Whether the change feed has all changes of this version, and its files exist."""
    found = actions(path, version)
    if found is None or any("metaData" in action or _restores(action) for action in found):
        return False
    return all((path / unquote(file["path"])).exists() for file in _feed_files(found))


def _restores(action: dict[str, Any]) -> bool:
    return bool(action.get("commitInfo", {}).get("operation") == "RESTORE")


def _feed_files(commit: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The files that the feed of a commit is read from (Delta protocol, "Change Data Files")."""
    fed = [action["cdc"] for action in commit if "cdc" in action]
    if fed:
        yield from fed
        return
    for action in commit:
        file = action.get("add") or action.get("remove")
        # OPTIMIZE moves rows without changing any.
        if file and file.get("dataChange", True):
            yield file


def net(changes: DataFrame, columns: Sequence[Stored], keys: Sequence[str]) -> DataFrame:
    """The net effect of a change feed, as staged columns: one row for each key.

    `gone` is true for keys that have no row any more.
    """
    stays = F.col("_change_type").isin("insert", "update_postimage")
    # If one commit deletes and inserts a key, the insert wins.
    order = F.struct(F.col("_commit_version"), stays)
    staged = changes.select(
        *[column.crossing for column in columns], order.alias("order"), (~stays).alias(GONE)
    )
    kept = F.struct(*[column.staged_name for column in columns], GONE)
    return _one_row_for_each_key(staged, columns, keys, F.max_by(kept, "order"))


def between(
    old: DataFrame, new: DataFrame, columns: Sequence[Stored], keys: Sequence[str]
) -> DataFrame:
    """The keys whose rows differ between two versions, in the form that `net` gives."""
    crossing = [column.crossing for column in columns]
    both = old.select(*crossing, F.lit(True).alias(GONE)).union(
        new.select(*crossing, F.lit(False).alias(GONE))
    )
    row = F.struct(*[column.staged_name for column in columns])
    last = F.max_by(F.struct(*[column.staged_name for column in columns], GONE), ~F.col(GONE))
    differs = (F.count("*") == 1) | (F.min(row) != F.max(row))
    return _one_row_for_each_key(both, columns, keys, last, differs)


def _one_row_for_each_key(
    rows: DataFrame,
    columns: Sequence[Stored],
    keys: Sequence[str],
    last: Column,
    differs: Column | None = None,
) -> DataFrame:
    of_keys = [column.staged_name for column in columns if column.name in keys]
    values = [last.alias("last"), *([] if differs is None else [differs.alias("differs")])]
    found = rows.groupBy(*of_keys).agg(*values)
    if differs is not None:
        found = found.where("differs")
    return found.select("last.*")
