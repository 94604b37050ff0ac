"""What changed between two versions of a gold table, a row a key."""

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
    """The rows of an older version; None where its log or its files are cleaned away."""
    there = snapshot(path)
    if there is None or there.has_deletion_vectors:
        return None  # a vector may be gone though the file whose rows it marks is there
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
        None where it does not tell all: the feed was off, the schema or a property changed, an
        older version was restored, or log entries or files are cleaned away.
    """
    there = snapshot(path)
    if there is None or there.properties.get(_FEED) != "true":
        return None
    if not all(_tells(path, version) for version in range(since + 1, to + 1)):
        return None
    reader = spark.read.format("delta").option("readChangeFeed", True)
    return reader.option("startingVersion", since + 1).option("endingVersion", to).load(str(path))


def none_changed(path: Location, since: int, to: int) -> bool:
    """Whether the log tells that no commit after `since` up to `to` changed a row or a column."""
    for version in range(since + 1, to + 1):
        found = actions(path, version)
        if found is None or any("metaData" in action for action in found):
            return False
        if any(_read_for(found)):
            return False
    return True


def _tells(path: Location, version: int) -> bool:
    found = actions(path, version)
    if found is None or any("metaData" in action or _restores(action) for action in found):
        return False
    return all((path / unquote(file["path"])).exists() for file in _read_for(found))


def _restores(action: dict[str, Any]) -> bool:
    return bool(action.get("commitInfo", {}).get("operation") == "RESTORE")


def _read_for(commit: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The files that the feed of a commit is read from (Delta protocol, "Change Data Files")."""
    fed = [action["cdc"] for action in commit if "cdc" in action]
    if fed:
        yield from fed
        return
    for action in commit:
        file = action.get("add") or action.get("remove")
        # A compaction moves rows, and changes none.
        if file and file.get("dataChange", True):
            yield file


def net(changes: DataFrame, columns: Sequence[Stored], keys: Sequence[str]) -> DataFrame:
    """What a change feed comes to, as it crosses: a row a key, `gone` where the key has none."""
    stays = F.col("_change_type").isin("insert", "update_postimage")
    # In one commit a key may go and come back; then it is there.
    order = F.struct(F.col("_commit_version"), stays)
    rows = changes.select(
        *[column.crossing for column in columns], order.alias("order"), (~stays).alias(GONE)
    )
    kept = F.struct(*[column.staged_name for column in columns], GONE)
    return _a_row_a_key(rows, columns, keys, F.max_by(kept, "order"))


def between(
    old: DataFrame, new: DataFrame, columns: Sequence[Stored], keys: Sequence[str]
) -> DataFrame:
    """What differs between two versions' rows, as it crosses; otherwise as `net` gives it."""
    crossing = [column.crossing for column in columns]
    both = old.select(*crossing, F.lit(True).alias(GONE)).union(
        new.select(*crossing, F.lit(False).alias(GONE))
    )
    row = F.struct(*[column.staged_name for column in columns])
    last = F.max_by(F.struct(*[column.staged_name for column in columns], GONE), ~F.col(GONE))
    differs = (F.count("*") == 1) | (F.min(row) != F.max(row))
    return _a_row_a_key(both, columns, keys, last, differs)


def _a_row_a_key(
    rows: DataFrame,
    columns: Sequence[Stored],
    keys: Sequence[str],
    last: Column,
    differs: Column | None = None,
) -> DataFrame:
    of_keys = [column.staged_name for column in columns if column.name in keys]
    told = [last.alias("last"), *([] if differs is None else [differs.alias("differs")])]
    made = rows.groupBy(*of_keys).agg(*told)
    if differs is not None:
        made = made.where("differs")
    return made.select("last.*")
